//! The client behind a proxy, and a warning about a proxy that is missing in `trusted_proxies`: all clients behind it
//! count as one.

use std::net::IpAddr;
use std::time::Instant;

use hyper::header::{FORWARDED, HeaderMap};
use turted_core::trust::is_private;

use crate::auth::attempts::UNNAMED_PROXY;
use crate::config::Config;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// The client behind `peer` if `peer` is a trusted proxy, otherwise `peer` itself.
pub(crate) fn client(config: &Config, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = &config.trusted_proxies;
    if !trusted.trusts(peer) {
        if seems_proxy(peer, headers) && UNNAMED_PROXY.tell(Instant::now()).is_some() {
            tracing::warn!(
                %peer,
                "requests of other clients come from this private address, which is not in trusted_proxies: \
                 they all count as one client"
            );
        }
        return peer.to_canonical();
    }
    let lines = headers.get_all(X_FORWARDED_FOR).iter();
    // A line that is no text names no address, and no address left of it is believed.
    trusted.client(peer, lines.map(|line| line.to_str().unwrap_or("")))
}

/// Whether a request was passed on by a proxy of the own network. A client elsewhere may have a proxy of its own, which
/// need not be in `trusted_proxies`.
fn seems_proxy(peer: IpAddr, headers: &HeaderMap) -> bool {
    is_private(peer) && (headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED))
}
