//! Certificates made by a test: an authority, and what it signs. PEM.
//!
//! Never happens: a certificate that anybody outside the test believes, or that outlives its folder.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// Signs certificates that whoever knows its own believes.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: String,
}

/// A certificate with its key.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

/// How long something is valid.
#[derive(Clone, Copy)]
pub enum Until {
    Future,
    /// It was valid until 2001.
    Past,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("an authority signs itself").pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// For a host or a user, by its common name; every one is good for 127.0.0.1 and localhost.
    pub fn issue(&self, name: &str, until: Until) -> Issued {
        let key = KeyPair::generate().expect("a key can be made");
        let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(hosts).expect("these are good names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = match until {
            Until::Future => date_time_ymd(2100, 1, 1),
            Until::Past => date_time_ymd(2001, 1, 1),
        };
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority signs").pem();
        Issued { certificate, key: key.serialize_pem() }
    }
}

impl Issued {
    /// `<name>.pem` and `<name>.key` in `folder`.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&certificate, &self.certificate).expect("the test's folder can be written");
        std::fs::write(&key, &self.key).expect("the test's folder can be written");
        (certificate, key)
    }
}
