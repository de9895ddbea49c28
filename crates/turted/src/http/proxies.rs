//! The client behind a proxy, and a warning about a proxy that nobody named: all clients behind it count as one.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{FORWARDED, HeaderMap};
use turted_core::trust::is_private;

use crate::config::Config;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// How often the operator is told of a proxy. Every request may be a reason, and so may anybody's header from a
/// private address.
const TELL_EVERY: Duration = Duration::from_secs(5 * 60);

/// When the operator was last told, for the log of the whole program.
static TOLD_AT: Mutex<Option<Instant>> = Mutex::new(None);

/// The client behind `peer`, if that is a proxy whose word counts.
pub(crate) fn client(config: &Config, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = &config.trusted_proxies;
    if !trusted.trusts(peer) {
        if seems_proxy(peer, headers) && is_due(Instant::now()) {
            tracing::warn!(
                %peer,
                "requests of other clients come from this private address, which is not in trusted_proxies: \
                 they all count as one client"
            );
        }
        return peer.to_canonical();
    }
    let lines = headers.get_all(X_FORWARDED_FOR).iter();
    // A line that is no text names nobody, and nobody left of it is believed.
    trusted.client(peer, lines.map(|line| line.to_str().unwrap_or("")))
}

/// Tells the operator that an address is not heard for a while because of its guesses, if all clients may come from it.
pub(crate) fn tell_of_guesses(address: IpAddr, now: Instant) {
    if is_private(address) && is_due(now) {
        tracing::warn!(
            %address,
            "too many wrong guesses from this private address; if it is a proxy, name it in trusted_proxies: \
             all clients behind it count as one, and wait with it"
        );
    }
}

/// Whether a request was passed on by a proxy of the own network. A client elsewhere may have a proxy of its own, which
/// need not be named here.
fn seems_proxy(peer: IpAddr, headers: &HeaderMap) -> bool {
    is_private(peer) && (headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED))
}

/// Whether it is time to tell the operator.
fn is_due(now: Instant) -> bool {
    let told_at = &mut *TOLD_AT.lock().unwrap_or_else(PoisonError::into_inner);
    let is_due = told_at.is_none_or(|told| now.duration_since(told) >= TELL_EVERY);
    if is_due {
        *told_at = Some(now);
    }
    is_due
}
