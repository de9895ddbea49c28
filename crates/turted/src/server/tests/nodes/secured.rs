//! TLS between nodes, HTTP/2 before them.

use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use turted_core::wire::sockjs::OPEN;

use super::cluster::Cluster;
use super::polling::{POLLING, target};
use crate::config::Config;
use crate::hub::cluster::peers::PeerTls;
use crate::io::tls::{Certificates, Tls, connector};

/// A certificate for 127.0.0.1 in two files of a directory.
fn identity(directory: &Path) -> Tls {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let tls = Tls { cert: directory.join("cert.pem"), key: directory.join("key.pem") };
    std::fs::write(&tls.cert, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    tls
}

fn cluster(identity: &Tls) -> Cluster {
    Cluster::with_tls(|| {
        let certificates = Certificates::load(identity).unwrap();
        let tls = PeerTls { connector: connector(Some(&identity.cert)).unwrap(), certificates };
        (Config { tls: Some(identity.clone()), ..Config::default() }, Some(tls))
    })
}

type Sender = SendRequest<Full<bytes::Bytes>>;

/// A connection of HTTP/2 to a node.
async fn connect(cluster: &Cluster, node: usize, identity: &Tls) -> Sender {
    let roots = rustls_roots(identity);
    let mut config =
        rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let address = cluster.nodes[node].server.address();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "the runtime ends with the test")]
    tokio::spawn(connection);
    sender
}

fn rustls_roots(identity: &Tls) -> rustls::RootCertStore {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&identity.cert).unwrap()).unwrap();
    roots
}

async fn ask(sender: &mut Sender, (method, target, body): (&str, &str, &str)) -> Response<Incoming> {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://127.0.0.1{target}"))
        .body(Full::new(bytes::Bytes::copy_from_slice(body.as_bytes())))
        .unwrap();
    sender.send_request(request).await.unwrap()
}

async fn text(answer: Response<Incoming>) -> String {
    assert_eq!(answer.status(), StatusCode::OK);
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn requests_of_http_2_are_passed_on_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let identity = identity(directory.path());
    let cluster = cluster(&identity);
    let mut first = connect(&cluster, 0, &identity).await;
    let mut second = connect(&cluster, 1, &identity).await;
    let opened = text(ask(&mut first, ("GET", POLLING, "")).await).await;
    let sid = opened.split('"').nth(3).unwrap();
    assert_eq!(text(ask(&mut second, ("POST", &target(sid), "40")).await).await, "ok");
    assert!(text(ask(&mut second, ("GET", &target(sid), "")).await).await.starts_with("40{"));
    let long = "x".repeat(300_000);
    cluster.broadcast(0, &long);
    assert!(text(ask(&mut second, ("GET", &target(sid), "")).await).await.contains(&long));
    assert_eq!(cluster.nodes[1].counted(|worker| worker.passed_on.get()), 3);
}

#[tokio::test]
async fn a_stream_of_http_2_comes_from_another_node() {
    let directory = tempfile::tempdir().unwrap();
    let identity = identity(directory.path());
    let cluster = cluster(&identity);
    let mut first = connect(&cluster, 0, &identity).await;
    let mut second = connect(&cluster, 1, &identity).await;
    let xhr = "/turted/000/jjjjjjjj/xhr";
    assert_eq!(text(ask(&mut first, ("POST", xhr, "")).await).await, format!("{OPEN}\n"));
    let mut stream = ask(&mut second, ("POST", &format!("{xhr}_streaming"), "")).await;
    assert_eq!(stream.status(), StatusCode::OK);
    assert!(!stream.headers().contains_key("connection"));
    let mut heard = String::new();
    for text in ["one", "two"] {
        while !heard.contains("hhh") {
            // The prelude of 2 KiB.
            let frame = stream.body_mut().frame().await.unwrap().unwrap();
            heard.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
        cluster.broadcast(0, text);
        while !heard.contains(text) {
            let frame = stream.body_mut().frame().await.unwrap().unwrap();
            heard.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }
    drop(stream);
    drop((first, second));
    tokio::task::spawn_blocking(move || cluster.wait_until_idle()).await.unwrap();
}

#[tokio::test]
async fn a_node_that_shows_another_certificate_is_not_reached() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (trusted, shown) = (identity(directory.path()), identity(other.path()));
    let cluster = Cluster::with_tls(|| {
        let certificates = Certificates::load(&shown).unwrap();
        (
            Config::default(),
            Some(PeerTls { connector: connector(Some(&trusted.cert)).unwrap(), certificates }),
        )
    });
    let asked = tokio::task::spawn_blocking(move || {
        let sid = super::polling::open(&cluster, 0);
        cluster.ask(1, ("GET", &target(&sid), ""))
    });
    assert_eq!(asked.await.unwrap().status, 400);
}
