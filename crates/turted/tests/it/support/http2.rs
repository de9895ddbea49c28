//! HTTP/2 behind TLS: a server, and clients that only run while a test waits for them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use turted::config::Config;

use super::{PATIENCE, Pair, TestServer};

/// What one stream of a client may have unread.
pub(crate) const WINDOW_BYTES: u32 = 64 * 1024;

pub(crate) struct Setting {
    pub(crate) pair: Pair,
    pub(crate) server: TestServer,
    pub(crate) runtime: Runtime,
}

/// One connection.
pub(crate) struct Client {
    pub(crate) sender: SendRequest<Full<Bytes>>,
    /// Ends with the connection.
    pub(crate) driver: JoinHandle<()>,
}

impl Setting {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let pair = Pair::new();
        let server = TestServer::with(|config| {
            config.tls = Some(pair.files());
            change(config);
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { pair, server, runtime: runtime.unwrap() }
    }

    pub(crate) fn connect(&self) -> Client {
        connect(&self.runtime, &self.pair, self.server.address(), WINDOW_BYTES)
    }

    pub(crate) fn send(
        &self,
        client: &mut Client,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        let sent = async { timeout(PATIENCE, client.sender.send_request(request)).await };
        self.runtime.block_on(sent).expect("an answer")
    }

    pub(crate) fn get(&self, client: &mut Client, target: &str) -> Response<Incoming> {
        let response = self.send(client, request("GET", target, &[], "")).unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        response
    }

    pub(crate) fn body(&self, response: Response<Incoming>) -> String {
        let collected = async { timeout(PATIENCE, response.into_body().collect()).await };
        let body = self.runtime.block_on(collected).expect("an end").unwrap();
        String::from_utf8(body.to_bytes().to_vec()).unwrap()
    }

    /// Reads a stream until `text` has come; what came.
    pub(crate) fn read_until(&self, stream: &mut Response<Incoming>, text: &str) -> String {
        let mut read = String::new();
        while !read.contains(text) {
            let frame = async { timeout(PATIENCE, stream.body_mut().frame()).await };
            let frame =
                self.runtime.block_on(frame).expect("more").unwrap_or_else(|| panic!("more than {read}"));
            read.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
        read
    }

    pub(crate) fn streams(&self) -> usize {
        // Clients only run while something waits for them.
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
        self.server.metric(r#"turted_connections{transport="sse",version="whatwg",carrier="streaming"}"#)
    }
}

/// A connection each of whose streams may have so much unread.
#[allow(clippy::disallowed_methods, reason = "a client is no worker")]
pub(crate) fn connect(runtime: &Runtime, pair: &Pair, server: SocketAddr, window_bytes: u32) -> Client {
    let mut config = pair.client(rustls::ALL_VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec()];
    runtime.block_on(async {
        let tcp = TcpStream::connect(server).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let tls = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(window_bytes)
            .initial_connection_window_size(16 << 20)
            .handshake(TokioIo::new(tls))
            .await
            .unwrap();
        let driver = tokio::spawn(async move { drop(connection.await) });
        Client { sender, driver }
    })
}

pub(crate) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(format!("https://localhost{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}
