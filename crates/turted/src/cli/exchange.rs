//! HTTP requests to a server and their answers, in the clear or over TLS.

use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
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

/// How long the whole exchange may take: as long as a server waits for a request body.
const EXCHANGE_WAIT_MAX: Duration = turted_core::limits::REQUEST_BODY_WAIT_MAX;
/// Bytes of an answer; the server's are far below.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(in_time(async { Kept::open(url, tls).await?.ask(request).await }));
    // A name look-up that hangs in the resolver must not keep the process.
    runtime.shutdown_background();
    answer
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
            let stream = connect(url).await?;
            match tls {
                None => Self::over(stream).await,
                Some(tls) => Self::over(secure(url, tls, stream).await?).await,
            }
        })
        .await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Result<Self, Failure> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection: Box::pin(connection) })
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

async fn in_time<T>(asking: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
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

async fn connect(url: &Uri) -> io::Result<TcpStream> {
    let usual = if url.scheme_str() == Some("https") { 443 } else { 80 };
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
