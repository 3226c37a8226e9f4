//! What stands between a client and a broker, sorted by who can cure it.
//!
//! In: librdkafka's code and words, cleaned of secrets. Out: a sentence and a cure. The code alone does not say it: a
//! certificate that is refused comes as a failed transport, and one that is over as one that cannot be verified.

use std::fmt;

use rdkafka::error::RDKafkaErrorCode as Code;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// User, password or mechanism.
    Login,
    /// The broker's certificate is not believed here.
    BrokerCertificate,
    /// The client's certificate is not believed there, or missing.
    ClientCertificate,
    /// No TLS comes about, for some other reason.
    Tls,
    /// No connection, or one that ends.
    Network,
}

impl Kind {
    pub(super) fn of(code: Option<Code>, text: &str) -> Kind {
        match code {
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => Kind::Login,
            // A broker says of a client's certificate only that: alert 42 to 49, or 116 where there is none.
            _ if text.contains("SSL alert number") => Kind::ClientCertificate,
            _ if text.contains("certificate verify failed") => Kind::BrokerCertificate,
            Some(Code::SSL) => Kind::Tls,
            _ => Kind::Network,
        }
    }

    /// It does not pass by itself.
    pub fn is_lasting(self) -> bool {
        self != Kind::Network
    }

    /// What is wrong.
    pub fn what(self) -> &'static str {
        match self {
            Kind::Login => "Kafka refuses the credentials",
            Kind::BrokerCertificate => "Kafka's certificate is not believed",
            Kind::ClientCertificate => "Kafka refuses the client certificate",
            Kind::Tls => "no TLS connection to Kafka",
            Kind::Network => "no connection to Kafka",
        }
    }

    /// What to do about it.
    pub fn cure(self) -> &'static str {
        match self {
            Kind::Login => "check sasl.mechanism, sasl.username and sasl.password under kafka.properties",
            Kind::BrokerCertificate => {
                "check ssl.ca.location under kafka.properties; or the broker's certificate is over, or for another name"
            }
            Kind::ClientCertificate => {
                "check ssl.certificate.location and ssl.key.location under kafka.properties, and that they are not over"
            }
            Kind::Tls => "check security.protocol under kafka.properties: the port may speak no TLS",
            Kind::Network => "check kafka.brokers, the network, and security.protocol under kafka.properties",
        }
    }
}

/// The same with librdkafka's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub kind: Kind,
    pub text: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind.what(), self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_tell_what_the_code_does_not() {
        let transport = Some(Code::BrokerTransportFailure);
        let alert =
            "Receive failed: error:0A000416:SSL routines::ssl/tls alert certificate unknown: SSL alert number 46";
        assert_eq!(Kind::of(transport, alert), Kind::ClientCertificate);
        let verify = "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate";
        assert_eq!(Kind::of(Some(Code::SSL), verify), Kind::BrokerCertificate);
        assert_eq!(Kind::of(transport, verify), Kind::BrokerCertificate);
        assert_eq!(Kind::of(Some(Code::SSL), "SSL handshake failed: wrong version number"), Kind::Tls);
        assert_eq!(Kind::of(Some(Code::Authentication), "SASL authentication error"), Kind::Login);
        assert_eq!(Kind::of(Some(Code::AllBrokersDown), "1/1 brokers are down"), Kind::Network);
    }

    #[test]
    fn the_page_about_kafka_names_every_kind() {
        let page = include_str!("../../docs/kafka.md");
        for kind in [Kind::Login, Kind::BrokerCertificate, Kind::ClientCertificate, Kind::Tls, Kind::Network] {
            assert!(page.contains(&format!("| {} |", kind.what())), "docs/kafka.md does not name: {}", kind.what());
        }
    }
}
