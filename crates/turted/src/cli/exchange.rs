//! HTTP requests to a server and their answers, in the clear or over TLS.

use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, RETRY_AFTER};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, InvalidMessage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::io::lines::{Line, Lines};

/// How long the whole exchange may take: as long as a server waits for a request body.
const EXCHANGE_WAIT_MAX: Duration = turted_core::limits::REQUEST_BODY_WAIT_MAX;
/// Bytes of an answer; the server's are far below.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of one line of an answer that does not end, as many as a server keeps for one watcher.
const LINE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a server answered.
pub(super) struct ServerAnswer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// Whether the server closes the connection behind it.
    pub(super) is_last: bool,
    /// When it makes sense to ask again, if the server says so.
    pub(super) retry_after: Option<Duration>,
}

/// Why there is no answer.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Asks the server of `url`, over TLS if there is a connector.
///
/// # Errors
/// There was no answer in time, or the certificate of the server is not trusted.
pub(super) fn exchange(
    url: &Uri,
    tls: Option<&TlsConnector>,
    request: Request<Full<Bytes>>,
) -> Result<ServerAnswer, Failure> {
    run(in_time(async { Kept::open(url, tls).await?.ask(request).await }))?
}

/// Runs what asks a server, and ends with it: a name look-up that hangs in the resolver must not keep the process.
///
/// # Errors
/// The operating system refuses what the runtime needs.
pub(super) fn run<T>(asking: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(asking);
    runtime.shutdown_background();
    Ok(asked)
}

/// A connection to a server for several requests, one after the other.
pub(super) struct Kept {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<dyn Future<Output = hyper::Result<()>>>>,
}

impl Kept {
    /// Connects to the server of `url`.
    ///
    /// # Errors
    /// There is no server, or its certificate is not trusted.
    pub(super) async fn open(url: &Uri, tls: Option<&TlsConnector>) -> Result<Self, Failure> {
        in_time(async {
            let (sender, connection) = handshake(TokioIo::new(dial(url, tls).await?)).await?;
            Ok(Self { sender, connection: Box::pin(connection) })
        })
        .await
    }

    /// Asks the server.
    ///
    /// # Errors
    /// There was no answer in time. The connection is of no use any more.
    pub(super) async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<ServerAnswer, Failure> {
        let Self { sender, connection } = self;
        in_time(async {
            let mut answer = pin!(answer(sender, request));
            tokio::select! {
                biased;
                answer = &mut answer => answer,
                // The answer may have come with the end.
                ended = connection => match answer.await {
                    Ok(answer) => Ok(ServerAnswer { is_last: true, ..answer }),
                    Err(failure) => Err(ended.err().map_or(failure, Failure::from)),
                },
            }
        })
        .await
    }
}

/// What a server answers to a request for lines.
pub(super) enum Listening {
    Open(LineStream),
    Refused(ServerAnswer),
}

/// Lines of an answer that does not end.
pub(super) struct LineStream {
    body: Incoming,
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>>>>>,
    lines: Lines,
    /// What was read behind the last line.
    rest: Bytes,
}

/// One line.
pub(super) enum Lined {
    Whole(String),
    TooLong,
}

impl Kept {
    /// Asks for an answer that does not end.
    ///
    /// # Errors
    /// There was no answer in time.
    pub(super) async fn listen(mut self, request: Request<Full<Bytes>>) -> Result<Listening, Failure> {
        let Self { sender, connection } = &mut self;
        let response = in_time(async {
            let mut asking = pin!(async {
                sender.ready().await?;
                sender.send_request(request).await
            });
            tokio::select! {
                biased;
                response = &mut asking => Ok((response?, false)),
                // The answer may have come with the end.
                ended = connection => match asking.await {
                    Ok(response) => Ok((response, true)),
                    Err(failure) => Err(Failure::from(ended.err().unwrap_or(failure))),
                },
            }
        });
        let (response, has_ended) = response.await?;
        let (head, body) = response.into_parts();
        let mut stream = LineStream {
            body,
            connection: (!has_ended).then_some(self.connection),
            lines: Lines::new(LINE_BYTES_MAX),
            rest: Bytes::new(),
        };
        if head.status == StatusCode::OK {
            return Ok(Listening::Open(stream));
        }
        let mut body = Vec::new();
        while let Some(part) = in_time(stream.part()).await? {
            body.extend_from_slice(&part);
            if body.len() > ANSWER_BYTES_MAX {
                break;
            }
        }
        let body = Bytes::from(body);
        Ok(Listening::Refused(ServerAnswer { status: head.status, body, is_last: true, retry_after: None }))
    }
}

impl LineStream {
    /// The next line; `None` at the end. Cancel safe.
    pub(super) async fn line(&mut self) -> Result<Option<Lined>, Failure> {
        loop {
            while !self.rest.is_empty() {
                let (line, taken) = self.lines.take(&self.rest);
                self.rest.advance(taken);
                match line {
                    Some(Line::Whole(line)) => {
                        return Ok(Some(Lined::Whole(String::from_utf8(line.into())?)));
                    }
                    Some(Line::TooLong) => return Ok(Some(Lined::TooLong)),
                    None => {}
                }
            }
            match self.part().await? {
                Some(part) => self.rest = part,
                None => return Ok(None),
            }
        }
    }

    /// The next bytes; `None` at the end.
    async fn part(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let Self { body, connection, .. } = self;
            let frame = match connection {
                None => body.frame().await,
                Some(running) => tokio::select! {
                    biased;
                    frame = body.frame() => frame,
                    // What came with the end is still there.
                    _ = running => {
                        *connection = None;
                        continue;
                    }
                },
            };
            match frame.transpose()?.map(|frame| frame.into_data()) {
                Some(Ok(data)) => return Ok(Some(data)),
                Some(Err(_)) => {}
                None => return Ok(None),
            }
        }
    }
}

pub(super) async fn in_time<T>(asking: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| Failure::from(format!("nothing within {} s", EXCHANGE_WAIT_MAX.as_secs()));
    tokio::time::timeout(EXCHANGE_WAIT_MAX, asking).await.map_err(late)?
}

async fn answer(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<ServerAnswer, Failure> {
    sender.ready().await?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
    let seconds = head.headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let closing = head.headers.get(CONNECTION).and_then(|value| value.to_str().ok());
    let is_last = closing.is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok(ServerAnswer { status: head.status, body, is_last, retry_after: seconds.map(Duration::from_secs) })
}

/// A connection to a server, with or without TLS.
pub(super) trait Channel: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Channel for T {}

/// Connects to the server of `url`, over TLS if there is a connector.
pub(super) async fn dial(url: &Uri, tls: Option<&TlsConnector>) -> Result<Box<dyn Channel>, Failure> {
    let stream = connect(url).await?;
    Ok(match tls {
        None => Box::new(stream),
        Some(tls) => Box::new(secure(url, tls, stream).await?),
    })
}

async fn connect(url: &Uri) -> io::Result<TcpStream> {
    let usual = if matches!(url.scheme_str(), Some("https" | "wss")) { 443 } else { 80 };
    let host = url.host().unwrap_or_default();
    TcpStream::connect(format!("{host}:{}", url.port_u16().unwrap_or(usual))).await
}

async fn secure(url: &Uri, tls: &TlsConnector, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
    let name = ServerName::try_from(url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned())?;
    tls.connect(name, stream).await.map_err(explain)
}

/// Tells what to do about a failed TLS handshake, such as one with a certificate that is not trusted.
fn explain(error: io::Error) -> Failure {
    let refused = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match refused {
        // An authority with the name of a trusted one has another key, perhaps of another kind.
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        )) => {
            "its certificate is from no authority that this system trusts; name the authority with --ca FILE"
                .into()
        }
        // What `openssl req -x509` makes unless it is told otherwise; curl lets it pass.
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(cause)))
            if cause.to_string() == "CaUsedAsEndEntity" =>
        {
            "its certificate is that of an authority; a server needs one with basicConstraints=CA:FALSE"
                .into()
        }
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "it does not speak TLS: use http instead of https, or set tls_cert and tls_key there".into()
        }
        _ => error.into(),
    }
}
