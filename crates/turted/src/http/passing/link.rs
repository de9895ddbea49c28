//! A connection to another node, which knows from its first bytes which client the request behind them is of.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use turted_core::wire::forwarded::ACCEPTED;

use crate::hub::cluster::peers::Peers;
use crate::hub::worker::worker::Worker;
use crate::io::listener::set_options;
use crate::io::tls;

/// How long it may take to reach a node, until it has accepted the preamble: one that is stopped still connects. Its session is then taken for lost, and the client begins anew.
pub(super) const REACH_WAIT_MAX: Duration = Duration::from_secs(2);

/// What bytes to another node go through.
pub(super) trait Link: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Link for T {}

/// Why there is no connection to a node.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkFailure {
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    #[error("no TLS: {0}")]
    Tls(String),
    #[error("this node has no number or no secret")]
    Unsigned,
    #[error("the node does not accept this one")]
    Refused,
}

/// Connects to a node for a request of this client, and waits until it accepts that. The caller limits how long it may take.
///
/// # Cancel safety
/// The connection is given up.
pub(super) async fn connect(
    worker: &Worker,
    peers: &Peers,
    (node, address): (u16, SocketAddr),
    client: IpAddr,
) -> Result<Box<dyn Link>, LinkFailure> {
    let preamble = peers.preamble(node, client).ok_or(LinkFailure::Unsigned)?;
    let tcp = TcpStream::connect(address).await?;
    set_options(&(&tcp).into(), worker.config.limits.socket_options())?;
    let mut link: Box<dyn Link> = match peers.tls() {
        None => Box::new(tcp),
        Some(own) => {
            let name = ServerName::IpAddress(address.ip().into());
            let secured = own.connector.connect(name, tcp).await;
            Box::new(secured.map_err(|error| LinkFailure::Tls(tls::explain(&error)))?)
        }
    };
    link.write_all(&preamble).await?;
    link.flush().await?;
    // A node that refuses ends the connection.
    match link.read_u8().await {
        Ok(ACCEPTED) => Ok(link),
        Ok(_) | Err(_) => Err(LinkFailure::Refused),
    }
}
