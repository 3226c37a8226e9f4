//! The intake's certificate: both files or none, and a pair that TLS can be spoken with.

use super::Keys;
use crate::config::errors::Findings;
use crate::config::given;
use crate::intake::{TlsFiles, certificate_of_files};

/// Checks the names; where the intake will start, what stands in the files as well.
pub fn checked(given: &given::Tls, keys: Keys, findings: &mut Findings) -> Option<TlsFiles> {
    let named = |file: &Option<String>| file.as_deref().filter(|file| !file.is_empty()).map(Into::into);
    let files = match (named(&given.cert_file), named(&given.key_file)) {
        (None, None) => return None,
        (Some(cert), Some(key)) => TlsFiles { cert, key },
        (Some(_), None) => {
            findings.add(
                "tls.cert_file",
                "is set, and tls.key_file is not",
                "name the file of its key as well, or leave out both",
            );
            return None;
        }
        (None, Some(_)) => {
            findings.add(
                "tls.key_file",
                "is set, and tls.cert_file is not",
                "name the file of its certificate as well, or leave out both",
            );
            return None;
        }
    };
    if keys == Keys::Needed
        && let Err(error) = certificate_of_files(&files)
    {
        findings.add(error.file(), error.problem(), error.cure());
    }
    Some(files)
}
