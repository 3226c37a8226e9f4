//! Apache Kafka as operators run it: TLS, SCRAM-SHA-512 or client certificates, and rights. Certificates are the test's own.
//!
//! | listener | who comes in |
//! | --- | --- |
//! | plain, [`Secure::kafka`] | the test itself, which may do everything: makes topics, reads them |
//! | [`Secure::scram`] | users with a password, over TLS |
//! | [`Secure::mutual`] | whoever has a certificate of [`Secure::authority`]; its common name is the user |
//! | [`Secure::expired`] | as `scram`, but the broker's certificate was valid until 2001 |
//!
//! Never happens: a right that was not given: users may do nothing until [`Secure::allow`].

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::certificates::{Authority, Until};
use super::events::KEY_MARKER;
use super::kafka::{Kafka, Listener};
use super::tools;

static SHARED: OnceLock<Secure> = OnceLock::new();

pub struct Secure {
    pub kafka: Kafka,
    pub authority: Authority,
    /// Holds the authority's certificate as `ca.pem`; tests put theirs there, under names of their own.
    pub folder: PathBuf,
    ports: [u16; 3],
}

impl Secure {
    /// The one that all tests share. Users and prefixes of topics keep them apart.
    pub fn shared() -> &'static Secure {
        SHARED.get_or_init(Secure::start)
    }

    fn start() -> Secure {
        let (folder, authority) = (tools::folder("secure"), Authority::new("the tests' authority"));
        let ca = folder.join("ca.pem");
        std::fs::write(&ca, &authority.certificate).expect("the test's folder can be written");
        // A PEM key store of Kafka's is one file, the key first.
        let store = |name: &str, until| {
            let issued = authority.issue(name, until);
            let path = folder.join(format!("{name}.store.pem"));
            std::fs::write(&path, issued.key + &issued.certificate).expect("the test's folder can be written");
            path.display().to_string()
        };
        let (good, expired) = (store("broker", Until::Future), store("expired-broker", Until::Past));
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let lines = [
            "sasl.enabled.mechanisms=SCRAM-SHA-512".to_owned(),
            format!("listener.name.scram.scram-sha-512.sasl.jaas.config={scram}"),
            format!("listener.name.expired.scram-sha-512.sasl.jaas.config={scram}"),
            "ssl.keystore.type=PEM".to_owned(),
            format!("ssl.keystore.location={good}"),
            "listener.name.expired.ssl.keystore.type=PEM".to_owned(),
            format!("listener.name.expired.ssl.keystore.location={expired}"),
            "ssl.truststore.type=PEM".to_owned(),
            format!("ssl.truststore.location={}", ca.display()),
            "listener.name.mutual.ssl.client.auth=required".to_owned(),
            r"ssl.principal.mapping.rules=RULE:^.*CN=([^,]+).*$/$1/,DEFAULT".to_owned(),
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
            "super.users=User:ANONYMOUS".to_owned(),
        ];
        let listeners = [("SCRAM", "SASL_SSL"), ("MUTUAL", "SSL"), ("EXPIRED", "SASL_SSL")];
        let listeners = listeners.map(|(name, protocol)| Listener::new(name, protocol));
        let ports = listeners.each_ref().map(|listener| listener.port);
        Secure { kafka: Kafka::start_listening(listeners.into(), &lines), authority, folder, ports }
    }

    /// Settings for a user with a password, over TLS.
    pub fn scram(&self, user: &str, password: &str) -> Value {
        let properties = json!({
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": password,
            "ssl.ca.location": self.folder.join("ca.pem"),
        });
        json!({ "kafka": { "brokers": format!("127.0.0.1:{}", self.ports[0]), "properties": properties } })
    }

    /// Settings for a user with a certificate, which is made here under the user's name.
    pub fn mutual(&self, user: &str, until: Until) -> Value {
        let (certificate, key) = self.authority.issue(user, until).write(&self.folder, user);
        let properties = json!({
            "security.protocol": "SSL",
            "ssl.ca.location": self.folder.join("ca.pem"),
            "ssl.certificate.location": certificate,
            "ssl.key.location": key,
        });
        json!({ "kafka": { "brokers": format!("127.0.0.1:{}", self.ports[1]), "properties": properties } })
    }

    /// As [`Secure::scram`], where the broker's own certificate is over.
    pub fn expired(&self, user: &str, password: &str) -> Value {
        let mut settings = self.scram(user, password);
        settings["kafka"]["brokers"] = json!(format!("127.0.0.1:{}", self.ports[2]));
        settings
    }

    /// A user with a password, or a new password for one.
    pub fn set_password(&self, user: &str, password: &str) {
        let config = format!("SCRAM-SHA-512=[password={password}]");
        let entity = ["--entity-type", "users", "--entity-name", user];
        self.command("kafka.admin.ConfigCommand", &[&["--alter", "--add-config", &config], &entity[..]].concat());
    }

    /// Gives a user one right on all topics that begin with `prefix`. Write implies Describe.
    pub fn allow(&self, user: &str, right: &str, prefix: &str) {
        let (user, topics) = (format!("User:{user}"), ["--topic", prefix, "--resource-pattern-type", "prefixed"]);
        let grant = ["--add", "--allow-principal", &user, "--operation", right];
        self.command("org.apache.kafka.tools.AclCommand", &[&grant[..], &topics[..]].concat());
    }

    fn command(&self, class: &str, words: &[&str]) {
        let brokers = self.kafka.brokers();
        let output = tools::java().args([class, "--bootstrap-server", &brokers]).args(words).output();
        let output = output.expect("java has run before");
        assert!(output.status.success(), "{class} {words:?}: {output:?}");
    }
}

/// A password that no log may show: it has the mark that every sweep looks for.
pub fn password(of: &str) -> String {
    format!("{KEY_MARKER}_password_of_{of}")
}
