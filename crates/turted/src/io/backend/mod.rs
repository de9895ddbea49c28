//! A client of HTTP for questions to one backend: a POST, and its answer.
//!
//! Connections are kept. Head and body of an answer are bounded, and redirects are not followed: nothing that an answer
//! names is looked up. The caller bounds the time, and decides what a status means.
//!
//! | file | what |
//! |---|---|
//! | `url` | the address of a backend |
//! | `idle` | connections that are kept between two questions |
//! | `trust` | which backends are trusted over TLS |
//! | `tests` | a backend that answers well, badly, or as somebody else |

mod url;
mod idle;
mod trust;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::idle::Idle;
use self::trust::Trust;
pub use self::url::{HttpUrl, UrlRefusal};
use super::tasks::Tasks;
use super::tls::{self, TrustError};

/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a connection may take to become free once its answer is read. It takes no time unless
/// the backend answered before it read the question.
const FREE_WAIT_MAX: Duration = Duration::from_secs(1);

type Sender = SendRequest<Full<Bytes>>;

/// What is asked of a backend, beside its address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackendLimits {
    /// How many connections are kept.
    pub(crate) connections: usize,
    /// Bytes of the body of an answer.
    pub(crate) answer_bytes: usize,
}

/// One backend. Cheap to clone: clones share their connections. All threads of a node may ask.
#[derive(Clone)]
pub(crate) struct Backend {
    url: HttpUrl,
    limits: BackendLimits,
    idle: Arc<Idle>,
    /// `None` if it is asked in the clear.
    trust: Option<Arc<Trust>>,
}

/// What a backend answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Why there is no answer. Never carries what was asked or answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskFailure {
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("no TLS: {0}")]
    Tls(String),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the answer ended too early")]
    Truncated,
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
}

impl Backend {
    /// The backend at `url`. Over TLS the certificates in `ca` have to vouch for it, or else those of the system. The
    /// file is read when it is needed, and again after a minute.
    pub(crate) fn new(url: HttpUrl, ca: Option<PathBuf>, limits: BackendLimits) -> Self {
        let trust = url.is_https().then(|| Arc::new(Trust::new(ca)));
        Self { url, limits, idle: Arc::new(Idle::new(limits.connections)), trust }
    }

    pub(crate) fn url(&self) -> &HttpUrl {
        &self.url
    }

    /// Asks once, with these headers beside the usual ones and a body of JSON. Takes as long as the backend does: the
    /// caller has to bound it. If a kept connection turns out to be broken, the same is sent again on a new one, so
    /// the backend may see it twice.
    ///
    /// # Cancel safety
    /// The connection is given up; the backend may have seen the question.
    pub(crate) async fn post(
        &self,
        tasks: &Tasks,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, AskFailure> {
        if let Some(sender) = self.idle.take() {
            let request = self.request(headers.clone(), body.clone());
            match self.exchange(tasks, sender, request).await {
                // The backend ends connections that are idle too long, maybe just now.
                Err(AskFailure::Broken(_)) => {}
                answered => return answered,
            }
        }
        let sender = self.connect(tasks).await?;
        self.exchange(tasks, sender, self.request(headers, body)).await
    }

    async fn connect(&self, tasks: &Tasks) -> Result<Sender, AskFailure> {
        let stream = TcpStream::connect((self.url.host(), self.url.port())).await?;
        stream.set_nodelay(true)?;
        let Some(trust) = &self.trust else { return speak(tasks, stream).await };
        let connector = trust.connector().await?;
        let name = ServerName::try_from(self.url.host().to_owned());
        let name = name.map_err(|error| AskFailure::Tls(error.to_string()))?;
        let stream = connector.connect(name, stream).await;
        speak(tasks, stream.map_err(|error| AskFailure::Tls(tls::explain(&error)))?).await
    }

    async fn exchange(
        &self,
        tasks: &Tasks,
        mut sender: Sender,
        request: Request<Full<Bytes>>,
    ) -> Result<Reply, AskFailure> {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = read(response, self.limits.answer_bytes).await?;
        let idle = Arc::clone(&self.idle);
        tasks.spawn(async move {
            if let Ok(Ok(())) = timeout(FREE_WAIT_MAX, sender.ready()).await {
                idle.put(sender);
            }
        });
        Ok(Reply { status, body })
    }

    fn request(&self, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.url.target())
            .header(HOST, self.url.authority())
            .body(Full::new(body))
            .expect("the parts of a valid URL make a request");
        let usual = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static(concat!("turted/", env!("CARGO_PKG_VERSION")))),
        ];
        request.headers_mut().extend(usual);
        request.headers_mut().extend(headers);
        request
    }
}

/// Speaks HTTP on a connection, in a task that ends with it.
async fn speak(
    tasks: &Tasks,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) -> Result<Sender, AskFailure> {
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    // The task that waits for an answer learns as well how it ends.
    tasks.spawn_until_end(connection);
    Ok(sender)
}

async fn read(response: Response<Incoming>, most: usize) -> Result<Bytes, AskFailure> {
    match Limited::new(response.into_body(), most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(AskFailure::TooLong(most)),
        Err(_) => Err(AskFailure::Truncated),
    }
}

#[cfg(test)]
mod tests;
