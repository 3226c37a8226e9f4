//! The intake's certificate: read, held against its key, shown to senders, exchanged while the bridge runs.
//!
//! In: a file with the certificate chain and one with its key, PEM, [read again](crate::reload) when they change. Out: TLS
//! settings that always show the pair that was last good. Never happens: a certificate shown with the key of another; an
//! exchange that ends a connection; a byte of the key in an error.
//!
//! Formats: RFC 7468 (PEM), RFC 5280 (the certificate); keys as PKCS#8, PKCS#1 or SEC1.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, InconsistentKeys};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::metrics::Metrics;
use crate::reload::{self, Contents, ReadError, Reload};

/// Where the intake's certificate and its key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Why a pair of files is not believed. Does not tell what stands in the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} {problem}", file = self.file(), problem = self.problem())]
pub enum CertificateError {
    CertUnreadable(ReadError),
    KeyUnreadable(ReadError),
    NoCertificate,
    NotACertificate,
    NoKey,
    KeyKind,
    /// The key belongs to another certificate than the first of the chain.
    NotAPair,
    /// Since then, RFC 3339.
    Expired(String),
    /// Before then, RFC 3339.
    NotYet(String),
}

impl CertificateError {
    /// The setting that names the file at fault.
    pub fn file(&self) -> &'static str {
        use CertificateError::{CertUnreadable, Expired, NoCertificate, NotACertificate, NotYet};
        let is_cert = matches!(self, CertUnreadable(_) | NoCertificate | NotACertificate | Expired(_) | NotYet(_));
        if is_cert { "tls.cert_file" } else { "tls.key_file" }
    }

    /// What is wrong with it.
    pub fn problem(&self) -> String {
        match self {
            CertificateError::CertUnreadable(error) | CertificateError::KeyUnreadable(error) => error.to_string(),
            CertificateError::NoCertificate => "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned(),
            CertificateError::NotACertificate => "holds something that is no X.509 certificate".to_owned(),
            CertificateError::NoKey => "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)".to_owned(),
            CertificateError::KeyKind => {
                "holds a key that cannot sign here: RSA from 2048 bits, ECDSA P-256 or P-384, Ed25519 can".to_owned()
            }
            CertificateError::NotAPair => "is not the key of the first certificate in tls.cert_file".to_owned(),
            CertificateError::Expired(at) => format!("expired at {at}: no sender believes it"),
            CertificateError::NotYet(at) => format!("is not valid before {at}: no sender believes it yet"),
        }
    }

    /// What to do about it.
    pub fn cure(&self) -> &'static str {
        match self {
            CertificateError::CertUnreadable(_)
            | CertificateError::NoCertificate
            | CertificateError::NotACertificate => "name the chain in PEM, the intake's own certificate first",
            CertificateError::NotAPair => "name the two files that were made together",
            CertificateError::Expired(_) => "renew it; the files are read again while the bridge runs",
            CertificateError::NotYet(_) => "leave the one before it in place until then; is the clock right?",
            _ => "name the key in PEM, readable by this user, without a passphrase",
        }
    }
}

/// What a sender would see of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// DNS names and addresses of the first certificate.
    pub names: Vec<String>,
    /// Unix seconds.
    pub begins_at: i64,
    /// Unix seconds.
    pub expires_at: i64,
}

/// Reads a pair of files as the intake would.
pub fn certificate_of_files(files: &TlsFiles) -> Result<CertificateFacts, CertificateError> {
    Pair::read(&read(files)).map(|pair| pair.facts)
}

fn read(files: &TlsFiles) -> [Contents; 2] {
    [&files.cert, &files.key].map(|file: &PathBuf| reload::read(Path::new(file)))
}

/// A chain with its key.
struct Pair {
    key: Arc<CertifiedKey>,
    facts: CertificateFacts,
}

impl Pair {
    fn read(contents: &[Contents]) -> Result<Pair, CertificateError> {
        // Two files, the certificate first.
        let cert = contents[0].as_ref().map_err(|error| CertificateError::CertUnreadable(error.clone()))?;
        let key = contents[1].as_ref().map_err(|error| CertificateError::KeyUnreadable(error.clone()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
        let chain = chain.map_err(|_| CertificateError::NoCertificate)?;
        let first = chain.first().ok_or(CertificateError::NoCertificate)?;
        let facts = facts(first).ok_or(CertificateError::NotACertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        let key = ring::default_provider().key_provider.load_private_key(key).map_err(|_| CertificateError::KeyKind)?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(CertificateError::NotAPair),
            Err(_) => return Err(CertificateError::NotACertificate),
        }
        Ok(Pair { key: Arc::new(key), facts })
    }
}

fn facts(certificate: &CertificateDer<'_>) -> Option<CertificateFacts> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map_or_else(Vec::new, |names| names.value.general_names.iter().filter_map(name).collect());
    let validity = certificate.validity();
    Some(CertificateFacts {
        names,
        begins_at: validity.not_before.timestamp(),
        expires_at: validity.not_after.timestamp(),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from))
                .ok()
                .map(|address| address.to_string())
        }
        _ => None,
    }
}

/// Shows the pair in force.
#[derive(Debug)]
struct InForce {
    pair: RwLock<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for InForce {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The TLS settings, and what reads the files again. A pair that is over, or not valid yet, is taken here, where there is
/// no better one: who looks at it may be a proxy that does not mind. Later on it is not.
pub(super) fn open(files: TlsFiles, metrics: Arc<Metrics>) -> Result<(Arc<ServerConfig>, Reload), CertificateError> {
    let contents = read(&files);
    let pair = Pair::read(&contents)?;
    metrics.set_certificate_expiry(pair.facts.expires_at);
    if let Err(invalid) = pair.facts.still_valid() {
        tracing::error!(problem = %invalid, cure = invalid.cure(), "the certificate of the intake is not valid now");
    }
    let in_force = Arc::new(InForce { pair: RwLock::new(pair.key) });
    let shown = Arc::clone(&in_force);
    let take = move |contents: &[Contents]| {
        let pair = Pair::read(contents).map_err(|error| error.to_string())?;
        pair.facts.still_valid().map_err(|error| error.to_string())?;
        metrics.set_certificate_expiry(pair.facts.expires_at);
        *in_force.pair.write().unwrap_or_else(PoisonError::into_inner) = pair.key;
        Ok(())
    };
    let reload =
        Reload::new("certificate of the intake".to_owned(), vec![files.cert, files.key], &contents, Box::new(take));
    Ok((Arc::new(config(shown)), reload))
}

fn config(shown: Arc<InForce>) -> ServerConfig {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring's suites cover TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

impl CertificateFacts {
    /// How long it is valid from now on, or since or until when it is not.
    pub fn still_valid(&self) -> Result<Duration, CertificateError> {
        let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let shown = |time| humantime::format_rfc3339_seconds(time).to_string();
        let (begin, end, now) = (time(self.begins_at), time(self.expires_at), SystemTime::now());
        if now < begin {
            return Err(CertificateError::NotYet(shown(begin)));
        }
        end.duration_since(now).map_err(|_| CertificateError::Expired(shown(end)))
    }
}

#[cfg(test)]
#[path = "tests/certificate.rs"]
mod tests;
