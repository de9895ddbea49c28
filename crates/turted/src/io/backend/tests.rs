//! Questions to a backend that answers well, badly, or as somebody else.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use hyper::header::HeaderName;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::*;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The answer to a request, by its head and body. The connection ends if there is none.
type Answer = Arc<dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync>;

/// A backend on a free port. Its threads end with the connections they serve.
struct Served {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

impl Served {
    fn start(tls: Option<Arc<ServerConfig>>, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::default());
        let served = Self { address, connections: Arc::clone(&connections) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (stream, tls, answer) = (stream.unwrap(), tls.clone(), Arc::clone(&answer));
                thread::spawn(move || talk(secured(stream, tls), &answer));
            }
        });
        served
    }

    /// One that answers every request like this, and keeps the connection.
    fn replying(answer: Vec<u8>) -> Self {
        Self::start(None, Arc::new(move |_| Some(answer.clone())))
    }

    /// One that says this to whoever begins to speak, and ends the connection.
    fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, answer) = (listener.local_addr().unwrap(), answer.into());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // The client may have had enough before the end.
                let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(&answer));
            }
        });
        Self { address, connections: Arc::default() }
    }

    fn url(&self, scheme: &str, host: &str) -> HttpUrl {
        format!("{scheme}://{host}:{}/ask?app=1", self.address.port()).parse().unwrap()
    }
}

fn secured(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Box<dyn Stream> {
    match tls {
        None => Box::new(stream),
        Some(tls) => Box::new(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream)),
    }
}

fn talk(mut stream: Box<dyn Stream>, answer: &Answer) {
    while let Some(request) = read_request(&mut *stream) {
        let Some(answer) = answer(&request) else { break };
        if stream.write_all(&answer).and_then(|()| stream.flush()).is_err() {
            break;
        }
    }
}

/// The next request, head and body, unless the connection ends before it.
fn read_request(stream: &mut dyn Stream) -> Option<String> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    let head = String::from_utf8(request).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).ok()?;
    Some(head + str::from_utf8(&body).unwrap())
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}

/// An authority and a server that it vouches for.
struct Secured {
    directory: TempDir,
    config: Arc<ServerConfig>,
}

impl Secured {
    fn of(host: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let config = ServerConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        Self { directory, config: Arc::new(config) }
    }

    fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn serve(&self) -> Served {
        Served::start(Some(Arc::clone(&self.config)), Arc::new(|_| Some(answer("200 OK", "secured"))))
    }
}

fn backend(url: HttpUrl, ca: Option<PathBuf>) -> Backend {
    Backend::new(url, ca, BackendLimits { connections: 2, answer_bytes: 100 })
}

/// What comes of questions, one after the other, on a thread as a worker has it.
fn ask(backend: &Backend, times: usize) -> Vec<Result<Reply, AskFailure>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (end, local) = (CancellationToken::new(), LocalSet::new());
    let tasks = Tasks::new(end.clone());
    local.block_on(&runtime, async {
        let mut replies = Vec::new();
        for _ in 0..times {
            let headers = [(HeaderName::from_static("x-key"), HeaderValue::from_static("7"))];
            let asking = backend.post(&tasks, headers.into_iter().collect(), "{}".into());
            replies.push(timeout(PATIENCE, asking).await.expect("an answer in time"));
        }
        end.cancel();
        tasks.finish().await;
        replies
    })
}

fn told(backend: &Backend) -> String {
    match ask(backend, 1).remove(0) {
        Ok(Reply { status, body }) => format!("{} {}", status.as_u16(), str::from_utf8(&body).unwrap()),
        Err(failure) => failure.to_string(),
    }
}

#[test]
fn a_question_is_a_post_of_json_with_the_headers_of_the_caller() {
    let served = Served::start(
        None,
        Arc::new(|request| {
            let (start, rest) = request.split_once("\r\n").unwrap();
            let mut lines: Vec<_> = rest.lines().filter(|line| !line.starts_with("host: ")).collect();
            lines.sort_unstable();
            Some(answer("202 Accepted", &format!("{start}|{}", lines.join("|"))))
        }),
    );
    let limits = BackendLimits { connections: 2, answer_bytes: 1_000 };
    let backend = Backend::new(served.url("http", "127.0.0.1"), None, limits);
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "202 POST /ask?app=1 HTTP/1.1||content-length: 2|content-type: application/json|\
         user-agent: turted/{version}|x-key: 7|{{}}"
    );
    assert_eq!(told(&backend), expected);
}

#[test]
fn connections_are_kept_and_replaced_when_they_end() {
    let kept = Served::replying(answer("200 OK", ""));
    assert!(ask(&backend(kept.url("http", "127.0.0.1"), None), 10).iter().all(Result::is_ok));
    // A question may come before the connection of the one before is free.
    assert!(kept.connections.load(Ordering::SeqCst) <= 2);

    // It promises to keep the connection, and does not.
    let once = Served::saying(answer("200 OK", ""));
    let replies = ask(&backend(once.url("http", "127.0.0.1"), None), 20);
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
}

#[test]
fn an_answer_is_bounded_and_no_redirect_is_followed() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    let elsewhere = Served::replying(answer("200 OK", "followed"));
    let location = format!("Location: {}\r\nContent-Length: 0", elsewhere.url("http", "127.0.0.1"));
    for (says, expected) in [
        (answer("200 OK", &"x".repeat(100)), format!("200 {}", "x".repeat(100))),
        (answer("200 OK", &"x".repeat(101)), "the answer has more than 100 bytes".to_owned()),
        (
            format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n{}", "x".repeat(101)).into(),
            "the answer has more than 100 bytes".to_owned(),
        ),
        (format!("HTTP/1.1 302 Found\r\n{location}\r\n\r\n").into(), "302 ".to_owned()),
        (endless.into(), "the connection broke: message head is too large".to_owned()),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "the connection broke: invalid HTTP version parsed".to_owned()),
    ] {
        let served = Served::saying(says.clone());
        let shown = String::from_utf8_lossy(&says[..says.len().min(60)]).into_owned();
        assert_eq!(told(&backend(served.url("http", "127.0.0.1"), None)), expected, "{shown}");
    }
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
    let half = Served::start(None, Arc::new(|_| None));
    let told = told(&backend(half.url("http", "127.0.0.1"), None));
    assert_eq!(told, "the connection broke: connection closed before message completed");
}

#[test]
fn over_tls_an_authority_vouches_for_the_name_in_the_url() {
    let (right, other) = (Secured::of("localhost"), Secured::of("localhost"));
    let served = right.serve();
    let asked = |host: &str, ca: Option<PathBuf>| told(&backend(served.url("https", host), ca));
    assert_eq!(asked("localhost", Some(right.ca())), "200 secured");
    let untrusted =
        "no TLS: its certificate is from no authority that is trusted here; name the authority with `ca`";
    assert_eq!(asked("localhost", Some(other.ca())), untrusted);
    let of_system = asked("localhost", None);
    let none = "this system trusts no authority; name a file of certificates in `ca`";
    assert!([untrusted, none].contains(&&*of_system), "{of_system}");
    let misnamed = asked("127.0.0.1", Some(right.ca()));
    assert!(
        misnamed.starts_with("no TLS: invalid peer certificate: certificate not valid for name"),
        "{misnamed}"
    );
    let missing = asked("localhost", Some("/nowhere.pem".into()));
    assert!(missing.starts_with("cannot read the certificates in /nowhere.pem: "), "{missing}");

    let by_address = Secured::of("127.0.0.1");
    let served = by_address.serve();
    assert_eq!(told(&backend(served.url("https", "127.0.0.1"), Some(by_address.ca()))), "200 secured");
    let plain = Served::saying(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    assert_eq!(
        told(&backend(plain.url("https", "localhost"), Some(right.ca()))),
        "no TLS: it does not speak TLS"
    );
}

#[test]
fn connections_over_tls_are_kept_too() {
    let secured = Secured::of("localhost");
    let served = secured.serve();
    let replies = ask(&backend(served.url("https", "localhost"), Some(secured.ca())), 5);
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    assert!(served.connections.load(Ordering::SeqCst) <= 2);
}
