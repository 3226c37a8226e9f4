//! Whose certificate `send` believes, on an https URL.
//!
//! In: the flags, under curl's names. Out: how the client looks at certificates. Never happens: a check that is left out
//! unasked.

use std::path::PathBuf;

/// The flags; without one, the public authorities.
#[derive(Debug, Default, clap::Args)]
pub struct Belief {
    /// Believe the certificates in this PEM file, and those that they have signed, instead of the public ones.
    #[arg(long, value_name = "PEM")]
    cacert: Option<PathBuf>,
    /// Believe any certificate, whatever its name: for a test of your own intake by its address.
    #[arg(long, short = 'k', conflicts_with = "cacert")]
    insecure: bool,
}

/// Flags that cannot be followed.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "https is refused before"))]
pub enum BadBelief {
    #[error("--cacert {file}: it cannot be read: {error}")]
    Unreadable { file: String, error: std::io::Error },
    #[error("--cacert {0}: it holds no certificate in PEM form")]
    Empty(String),
}

#[cfg(feature = "tls")]
impl Belief {
    /// As the client wants it.
    pub(super) fn tls(&self) -> Result<ureq::tls::TlsConfig, BadBelief> {
        use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

        let config = TlsConfig::builder().disable_verification(self.insecure);
        let Some(file) = &self.cacert else { return Ok(config.build()) };
        let shown = file.display().to_string();
        let pem = std::fs::read(file).map_err(|error| BadBelief::Unreadable { file: shown.clone(), error })?;
        let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(BadBelief::Empty(shown));
        }
        Ok(config.root_certs(RootCerts::Specific(certificates.into())).build())
    }
}
