//! A connection to a broker, in the clear or over TLS, for whatever is spoken on it.

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::broker::Broker;
use super::failure::Failure;
use super::tls;

/// What a broker is spoken to on.
pub(crate) trait BrokerStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> BrokerStream for S {}

/// Connects. How long that may take is up to the caller. The files are read anew each time: a certificate that was
/// exchanged counts from the next connection on.
pub(crate) async fn connect(broker: &Broker) -> Result<Box<dyn BrokerStream>, Failure> {
    let stream = TcpStream::connect((&*broker.host, broker.port)).await;
    let stream = stream.map_err(|error| Failure(format!("cannot connect to {broker}: {error}")))?;
    stream.set_nodelay(true).map_err(Failure::new)?;
    let Some(trust) = &broker.tls else { return Ok(Box::new(stream)) };
    let connector =
        tls::broker_connector(trust.ca.as_deref(), trust.identity.as_ref()).map_err(Failure::new)?;
    let name = ServerName::try_from(broker.host.clone()).map_err(Failure::new)?;
    let stream = connector.connect(name, stream).await;
    Ok(Box::new(stream.map_err(|error| Failure(format!("no TLS with {broker}: {}", tls::explain(&error))))?))
}
