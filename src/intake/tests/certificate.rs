//! Pairs of files, good and wrong, and their exchange.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

/// A certificate and its key, PEM.
fn made(name: &str, end_year: i32) -> (String, String) {
    valid(name, 1990, end_year)
}

fn valid(name: &str, begin_year: i32, end_year: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.not_before = date_time_ymd(begin_year, 1, 1);
    params.not_after = date_time_ymd(end_year, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn facts_of(cert: &str, key: &str) -> Result<CertificateFacts, CertificateError> {
    Pair::read(&[Ok(cert.as_bytes().to_vec()), Ok(key.as_bytes().to_vec())]).map(|pair| pair.facts)
}

#[test]
fn a_pair_tells_its_names_and_its_end() {
    let (cert, key) = made("bridge.example", 2040);
    let facts = facts_of(&cert, &key).unwrap();
    assert_eq!(facts.names, ["bridge.example", "127.0.0.1"]);
    assert_eq!(facts.expires_at, 2_208_988_800);
    assert!(facts.still_valid().is_ok());
}

#[test]
fn each_wrong_file_is_named_with_what_is_wrong_and_nothing_of_the_key() {
    let ((cert, key), (other, other_key)) = (made("a.example", 2040), made("b.example", 2001));
    let no_key = facts_of(&cert, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n");
    assert_eq!(no_key.clone().err(), Some(CertificateError::KeyKind));
    assert!(!no_key.unwrap_err().to_string().contains("c2V"));
    assert_eq!(facts_of(&cert, &cert).err(), Some(CertificateError::NoKey));
    assert_eq!(facts_of(&key, &key).err(), Some(CertificateError::NoCertificate));
    assert_eq!(facts_of("", &key).err(), Some(CertificateError::NoCertificate));
    let garbage = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
    assert_eq!(facts_of(garbage, &key).err(), Some(CertificateError::NotACertificate));
    assert_eq!(facts_of(&cert, &other_key).err(), Some(CertificateError::NotAPair));
    let expired = facts_of(&other, &other_key).unwrap().still_valid().unwrap_err();
    assert_eq!(expired.to_string(), "tls.cert_file expired at 2001-01-01T00:00:00Z: no sender believes it");
    let (early, early_key) = valid("c.example", 2090, 2091);
    let early = facts_of(&early, &early_key).unwrap().still_valid().unwrap_err();
    let told = "tls.cert_file is not valid before 2090-01-01T00:00:00Z: no sender believes it yet";
    assert_eq!(early.to_string(), told);
}

struct Scene {
    folder: tempfile::TempDir,
    metrics: Arc<Metrics>,
    reload: Reload,
}

impl Scene {
    fn with((cert, key): &(String, String)) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: folder.path().join("cert"), key: folder.path().join("key") };
        std::fs::write(&files.cert, cert).unwrap();
        std::fs::write(&files.key, key).unwrap();
        let metrics = Arc::new(Metrics::new());
        let (_, reload) = open(files, metrics.clone()).unwrap();
        Scene { folder, metrics, reload }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn end_in_force(&self) -> String {
        let text = self.metrics.scrape();
        let line =
            text.lines().find(|line| line.starts_with("retell_bridge_tls_certificate_expires_timestamp_seconds "));
        line.unwrap().rsplit_once(' ').unwrap().1.to_owned()
    }
}

#[test]
fn a_new_pair_counts_once_both_files_are_there() {
    let mut scene = Scene::with(&made("a.example", 2040));
    let (cert, key) = made("a.example", 2041);
    scene.write("cert", &cert);
    let alarms: Vec<bool> = (0..3).map(|_| scene.reload.look()).collect();
    assert_eq!(alarms, [true, false, false], "a certificate without its key raises the alarm");
    assert_eq!(scene.end_in_force(), "2208988800");
    scene.write("key", &key);
    assert!((0..2).any(|_| scene.reload.look()));
    assert_eq!(scene.end_in_force(), "2240611200");
}

#[test]
fn a_pair_that_is_over_or_not_valid_yet_does_not_take_the_place_of_a_valid_one() {
    for (begin_year, end_year) in [(1990, 2001), (2090, 2091)] {
        let mut scene = Scene::with(&made("a.example", 2040));
        let (cert, key) = valid("a.example", begin_year, end_year);
        scene.write("cert", &cert);
        scene.write("key", &key);
        assert_eq!((0..3).map(|_| scene.reload.look()).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(scene.end_in_force(), "2208988800");
    }
}
