//! One HTTP request to a server and its answer, in the clear or over TLS.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, InvalidMessage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long the whole exchange may take: as long as a server waits for a request body.
const EXCHANGE_WAIT_MAX: Duration = turted_core::limits::REQUEST_BODY_WAIT_MAX;
/// Bytes of an answer; the server's are far below.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What a server answered.
pub(super) struct ServerAnswer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
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
    let answer = runtime.block_on(async {
        tokio::time::timeout(EXCHANGE_WAIT_MAX, send(url, tls, request))
            .await
            .map_err(|_| format!("nothing within {} s", EXCHANGE_WAIT_MAX.as_secs()))?
    });
    // A name look-up that hangs in the resolver must not keep the process.
    runtime.shutdown_background();
    answer
}

async fn send(
    url: &Uri,
    tls: Option<&TlsConnector>,
    request: Request<Full<Bytes>>,
) -> Result<ServerAnswer, Failure> {
    let host = url.host().unwrap_or_default();
    let usual = if tls.is_some() { 443 } else { 80 };
    let stream = TcpStream::connect(format!("{host}:{}", url.port_u16().unwrap_or(usual))).await?;
    let Some(tls) = tls else { return speak(stream, request).await };
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
    speak(tls.connect(name, stream).await.map_err(explain)?, request).await
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

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<ServerAnswer, Failure> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        // `sender` is owned here, because dropping it ends the connection.
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok(ServerAnswer { status, body })
    };
    // An error of the connection also ends the answer, or comes too late to matter.
    let (answer, _connection) = tokio::join!(answer, connection);
    answer
}
