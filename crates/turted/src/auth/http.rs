//! Asks the backend: POSTs what the client sent, and takes 200 with a user for a yes.
//!
//! `{"ident":{..},"transport":"socketio","address":"192.0.2.7"}` goes out;
//! `{"user":"alice","channels":["news.*"]}` comes back, `channels` may be left out. 401 and 403 are a no,
//! everything else is no verdict. Nothing that the answer names is followed or looked up.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::time::timeout;
use turted_core::auth::{IdentRefusal, Identity, Verified};
use turted_core::channel::{GrantRefusal, Grants};
use turted_core::command::UserField;
use turted_core::limits::VERDICT_BYTES_MAX;

use super::IdentRequest;
use super::url::HttpUrl;
use crate::io::tasks::Tasks;

/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a connection may take to become free once its answer is read. It takes no time unless
/// the backend answered before it read the question.
const FREE_WAIT_MAX: Duration = Duration::from_secs(1);

type Sender = SendRequest<Full<Bytes>>;

/// The backend behind `auth.url`.
pub(super) struct HttpAuthenticator {
    url: HttpUrl,
    idle: Arc<Idle>,
}

/// Connections that are kept alive between two questions; all workers share them.
struct Idle {
    /// Locked to take or return one, never while waiting.
    senders: Mutex<Vec<Sender>>,
    most: usize,
}

impl Idle {
    /// The connection that was used last, if it is still open.
    fn take(&self) -> Option<Sender> {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| senders.pop()).find(SendRequest::is_ready)
    }

    fn put(&self, sender: Sender) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|sender| !sender.is_closed());
        if senders.len() < self.most {
            senders.push(sender);
        }
    }
}

/// The question to the backend.
#[derive(Serialize)]
struct Question<'a> {
    ident: &'a RawValue,
    transport: &'static str,
    address: IpAddr,
}

/// The answer of the backend. It may have more members.
#[derive(Deserialize)]
struct BackendAnswer<'a> {
    #[serde(borrow)]
    user: &'a RawValue,
    #[serde(borrow)]
    channels: Option<&'a RawValue>,
}

impl HttpAuthenticator {
    /// Asks at `url`, and keeps at most `most` connections.
    pub(super) fn new(url: HttpUrl, most: usize) -> Self {
        Self { url, idle: Arc::new(Idle { senders: Mutex::default(), most }) }
    }

    /// The address without its query, which may hold a secret.
    pub(super) fn shown_url(&self) -> String {
        let path = self.url.target().split('?').next().unwrap_or_default();
        format!("http://{}{path}", self.url.authority())
    }

    /// Asks once. Takes as long as the backend does: the caller has to bound it.
    pub(super) async fn verify(
        &self,
        tasks: &Tasks,
        request: &IdentRequest,
    ) -> Result<Verified, HttpFailure> {
        let question =
            Question { ident: &request.ident, transport: request.transport, address: request.address };
        let question = Bytes::from(serde_json::to_vec(&question).map_err(|_| HttpFailure::Malformed)?);
        let answer = self.ask(tasks, question).await?;
        read(&answer, request.user.as_ref())
    }

    /// The body of the answer to a question.
    async fn ask(&self, tasks: &Tasks, question: Bytes) -> Result<Bytes, HttpFailure> {
        if let Some(sender) = self.idle.take() {
            match self.exchange(tasks, sender, question.clone()).await {
                // The backend ends connections that are idle too long, maybe just now.
                Err(HttpFailure::Broken(_)) => {}
                answered => return answered,
            }
        }
        let sender = self.connect(tasks).await?;
        self.exchange(tasks, sender, question).await
    }

    async fn connect(&self, tasks: &Tasks) -> Result<Sender, HttpFailure> {
        let stream = TcpStream::connect((self.url.host(), self.url.port())).await?;
        stream.set_nodelay(true)?;
        let mut builder = Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let own = tasks.clone();
        tasks.spawn(async move {
            // The task that waits for an answer learns as well how it ends.
            let _ = own.until_end(connection).await;
        });
        Ok(sender)
    }

    async fn exchange(
        &self,
        tasks: &Tasks,
        mut sender: Sender,
        question: Bytes,
    ) -> Result<Bytes, HttpFailure> {
        let response = sender.send_request(self.request(question)).await?;
        let status = response.status();
        let body = body(response).await?;
        let idle = Arc::clone(&self.idle);
        tasks.spawn(async move {
            if let Ok(Ok(())) = timeout(FREE_WAIT_MAX, sender.ready()).await {
                idle.put(sender);
            }
        });
        if status == StatusCode::OK { Ok(body) } else { Err(HttpFailure::Status(status)) }
    }

    fn request(&self, question: Bytes) -> Request<Full<Bytes>> {
        Request::builder()
            .method(Method::POST)
            .uri(self.url.target())
            .header(HOST, self.url.authority())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("turted/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(question))
            .expect("the parts of a valid URL make a request")
    }
}

async fn body(response: Response<Incoming>) -> Result<Bytes, HttpFailure> {
    match Limited::new(response.into_body(), VERDICT_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(HttpFailure::TooLong),
        Err(_) => Err(HttpFailure::Truncated),
    }
}

fn read(answer: &[u8], named: Option<&UserField>) -> Result<Verified, HttpFailure> {
    let answer: BackendAnswer<'_> = serde_json::from_slice(answer).map_err(|_| HttpFailure::Malformed)?;
    let user = UserField::decode(answer.user).map_err(|_| HttpFailure::User)?;
    let channels = answer.channels.map_or(Ok(Grants::default()), Grants::read)?;
    let identity = match named {
        Some(named) if named.name == user.name => Identity::from(named),
        _ => Identity::from(&user),
    };
    Ok(Verified { channels, ..Verified::from(identity) })
}

/// Why there is no yes. Never carries what the client or the backend sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpFailure {
    #[error("cannot connect to auth.url")]
    Connect(#[from] io::Error),
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    #[error("the answer ended too early")]
    Truncated,
    #[error("the answer has more than {VERDICT_BYTES_MAX} bytes")]
    TooLong,
    #[error("the answer is not {{\"user\": name, \"channels\": [names]}}")]
    Malformed,
    #[error("the user of the answer is no name")]
    User,
    #[error("the channels of the answer: {0}")]
    Channels(#[from] GrantRefusal),
    #[error("the backend answered {0}: 200 is a yes, 401 and 403 are a no")]
    Status(StatusCode),
}

impl HttpFailure {
    /// Whether the backend said no, as opposed to nothing of use.
    fn is_refusal(&self) -> bool {
        // 404, 408, 419 and 429 come from backends that are broken, busy or not deployed yet.
        matches!(self, Self::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }

    /// Passes on a failure that an operator has to look at, with its cause.
    pub(super) fn unless_refused(&self, note: impl FnOnce(&dyn fmt::Display)) {
        match self.source() {
            _ if self.is_refusal() => {}
            // Its text has the cause already.
            Some(_) if matches!(self, Self::Channels(_)) => note(self),
            Some(cause) => note(&format_args!("{self}: {cause}")),
            None => note(self),
        }
    }
}

impl From<HttpFailure> for IdentRefusal {
    /// What the client may know.
    fn from(failure: HttpFailure) -> Self {
        if failure.is_refusal() { Self::NotVerified } else { Self::Unavailable }
    }
}
