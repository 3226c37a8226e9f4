//! The intake over TLS.

use std::io::{Read, Write};
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};

use super::*;
use crate::intake::TlsFiles;

struct Tls {
    _folder: tempfile::TempDir,
    files: TlsFiles,
}

impl Tls {
    fn new() -> (Tls, String) {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let tls = Tls { _folder: folder, files };
        let cert = tls.renew();
        (tls, cert)
    }

    /// Puts a new pair there; the certificate.
    fn renew(&self) -> String {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        put(&self.files.cert, &cert);
        put(&self.files.key, &key.serialize_pem());
        cert
    }

    fn bench(&self, change: impl FnOnce(&mut Options)) -> Bench {
        Bench::with(|options| {
            options.tls = Some(self.files.clone());
            change(options);
        })
    }
}

fn put(path: &PathBuf, text: &str) {
    std::fs::write(path, text).unwrap();
}

type TlsClient = StreamOwned<ClientConnection, TcpStream>;

/// A client that believes this certificate alone.
fn connect(bench: &Bench, believed: &str) -> TlsClient {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(believed.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(bench.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// Posts `request`; the first line of the answer.
fn post(client: &mut TlsClient, request: impl AsRef<[u8]>) -> std::io::Result<String> {
    client.write_all(request.as_ref())?;
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    Ok(String::from_utf8(answer).unwrap().lines().next().unwrap().to_owned())
}

#[test]
fn an_event_over_tls_is_kept_and_one_connection_takes_several() {
    let (tls, cert) = Tls::new();
    let bench = tls.bench(|_| {});
    let mut client = connect(&bench, &cert);
    let large = event(&"x".repeat(300_000));
    for body in [event("one"), large, event("three")] {
        assert_eq!(post(&mut client, signed(&body)).unwrap(), "HTTP/1.1 204 No Content");
    }
    assert_eq!(bench.journal.bodies().len(), 3);
    assert_eq!(post(&mut client, request("POST /webhook", &[], "{}")).unwrap(), "HTTP/1.1 401 Unauthorized");
}

#[test]
fn a_certificate_that_changes_is_shown_within_seconds_and_no_connection_ends() {
    let (tls, first) = Tls::new();
    let bench = tls.bench(|_| {});
    let mut old = connect(&bench, &first);
    assert_eq!(post(&mut old, signed(&event("before"))).unwrap(), "HTTP/1.1 204 No Content");
    put(&tls.files.key, "no key at all\n");
    eventually("the alarm", || bench.metric("config_last_reload_successful") == "0");
    assert!(post(&mut connect(&bench, &first), signed(&event("meanwhile"))).is_ok());
    let second = tls.renew();
    eventually("the new certificate", || post(&mut connect(&bench, &second), signed(&event("after"))).is_ok());
    assert_eq!(post(&mut old, signed(&event("on the old connection"))).unwrap(), "HTTP/1.1 204 No Content");
    assert!(post(&mut connect(&bench, &first), signed(&event("never"))).is_err());
    eventually("the end of the alarm", || bench.metric("config_last_reload_successful") == "1");
}

#[test]
fn a_handshake_that_does_not_end_is_cut_off_in_time_and_one_without_tls_is_counted() {
    let (tls, cert) = Tls::new();
    let bench = tls.bench(|options| options.answer_within = Duration::from_secs(1));
    let mut silent = TcpStream::connect(bench.address).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    // The first bytes of a ClientHello of 512 bytes that never comes.
    silent.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).unwrap();
    let began = Instant::now();
    assert!(matches!(silent.read(&mut [0; 16]), Ok(0) | Err(_)), "it is closed without a word");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    let mut plain = TcpStream::connect(bench.address).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(signed(&event("in the clear")).as_ref()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    eventually("the count", || bench.metric("tls_handshakes_failed_total") == "1");
    assert_eq!(bench.journal.bodies().len(), 0);
    assert!(post(&mut connect(&bench, &cert), signed(&event("over TLS"))).is_ok());
}

#[test]
fn handshakes_that_do_not_end_make_room_for_a_sender() {
    let (tls, cert) = Tls::new();
    let bench = tls.bench(|options| options.connections_max = 8);
    let slow: Vec<TcpStream> = (0..30).map(|_| TcpStream::connect(bench.address).unwrap()).collect();
    // Two workers let them in, in no order: who comes among them may have to go, and comes again.
    let is_gone = |stream: &&TcpStream| {
        stream.set_nonblocking(true).unwrap();
        !stream.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    eventually("all of the crowd have come", || slow.iter().filter(is_gone).count() == 30 - 8);
    let mut client = connect(&bench, &cert);
    assert_eq!(post(&mut client, signed(&event("one"))).unwrap(), "HTTP/1.1 204 No Content");
    drop(slow);
}

#[test]
fn a_stop_waits_for_the_answer_of_an_event_under_way() {
    let (tls, cert) = Tls::new();
    let mut bench = tls.bench(|_| {});
    bench.journal.set(Mode::Hold);
    let mut client = connect(&bench, &cert);
    client.write_all(signed(&event("one")).as_ref()).unwrap();
    client.flush().unwrap();
    bench.journal.wait_for_held(1);
    let (intake, journal) = (bench.intake.take().unwrap(), bench.journal.clone());
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        journal.release(Ok(Position(1)));
    });
    bench.runtime.block_on(intake.stop());
    release.join().unwrap();
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 204"), "{:?}", String::from_utf8_lossy(&answer));
}
