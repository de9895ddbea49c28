//! The other nodes, for those who pass requests on to them: where they are called, and how both sides know that it is a
//! node of the cluster that calls.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use turted_core::secret::Secret;
use turted_core::session_key::SessionKey;
use turted_core::wire::forwarded::{PREAMBLE_BYTES, Preamble, PreambleFault, SIGNED_BYTES};

use super::claims::Claims;
use crate::io::tls::Certificates;

/// How far the clocks of two nodes may be apart, and how long a preamble may be on its way.
pub(crate) const PREAMBLE_AGE_MAX: Duration = Duration::from_secs(30);
/// Stands where a node has no number. Numbers of nodes have 16 bits.
const NO_NUMBER: u32 = u32::MAX;

/// How nodes speak TLS with each other.
pub(crate) struct PeerTls {
    /// Trusts what other nodes show.
    pub(crate) connector: TlsConnector,
    /// What this node shows.
    pub(crate) certificates: Certificates,
}

/// The other nodes of a cluster. All threads of a node share it.
pub(crate) struct Peers {
    own: AtomicU32,
    /// Where nodes are called. Looked at by each request that is passed on, and watched while it is under way.
    nodes: watch::Sender<HashMap<u16, SocketAddr>>,
    /// The first one signs, all of them count. Read for each connection; tests alone change them.
    secrets: RwLock<Vec<Key>>,
    tls: Option<PeerTls>,
    claims: Claims,
}

/// Why a connection is not that of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PreambleRefusal {
    #[error(transparent)]
    Fault(#[from] PreambleFault),
    #[error("the signature is wrong: do all nodes have the same cluster.secret_file?")]
    Signature,
    #[error("the signature is too old, or from the future: do the clocks of the nodes agree?")]
    Time,
    #[error("it is meant for node {0}")]
    OtherNode(u16),
}

impl Peers {
    /// A node that has no number yet and knows no other one. One or two secrets: the first one signs, both count.
    pub(crate) fn new(secrets: &[Secret], tls: Option<PeerTls>, claims: Claims) -> Arc<Self> {
        Arc::new(Self {
            own: AtomicU32::new(NO_NUMBER),
            nodes: watch::Sender::default(),
            secrets: RwLock::new(keys(secrets)),
            tls,
            claims,
        })
    }

    /// The number of this node; `None` as long as it has none.
    pub(crate) fn own(&self) -> Option<u16> {
        u16::try_from(self.own.load(Ordering::Relaxed)).ok()
    }

    /// This node has this number from now on, or none.
    pub(crate) fn set_own(&self, number: Option<u16>) {
        self.own.store(number.map_or(NO_NUMBER, u32::from), Ordering::Relaxed);
    }

    /// These nodes are there from now on. Requests that are under way to a node that is not, or is elsewhere, end.
    pub(crate) fn set_nodes(&self, nodes: HashMap<u16, SocketAddr>) {
        self.nodes.send_if_modified(|known| {
            let is_new = *known != nodes;
            *known = nodes;
            is_new
        });
    }

    /// These secrets count from now on.
    #[cfg(test)]
    pub(crate) fn set_secrets(&self, secrets: &[Secret]) {
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = keys(secrets);
    }

    /// Where a node is called.
    pub(crate) fn address_of(&self, node: u16) -> Option<SocketAddr> {
        self.nodes.borrow().get(&node).copied()
    }

    /// Waits until a node is not at this address any more. Cancel safe.
    pub(crate) fn withdrawn(&self, node: u16, address: SocketAddr) -> impl Future<Output = ()> + use<> {
        let mut nodes = self.nodes.subscribe();
        async move {
            // An error means that this server is gone.
            let _ = nodes.wait_for(|nodes| nodes.get(&node) != Some(&address)).await;
        }
    }

    pub(crate) fn tls(&self) -> Option<&PeerTls> {
        self.tls.as_ref()
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// A session of this node is open under a claimed name, until what this returns is dropped.
    pub(crate) fn hold(self: &Arc<Self>, key: SessionKey) -> OpenClaim {
        self.claims.opened(self.own(), key);
        OpenClaim { peers: Arc::clone(self), key }
    }

    /// What is sent to a node before a request of this client.
    pub(crate) fn preamble(&self, to: u16, client: IpAddr) -> Option<[u8; PREAMBLE_BYTES]> {
        let preamble = Preamble { time: now(), from: self.own()?, to, client };
        self.sign(&preamble.encode())
    }

    fn sign(&self, signed: &[u8; SIGNED_BYTES]) -> Option<[u8; PREAMBLE_BYTES]> {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let signature = hmac::sign(secrets.first()?, signed);
        let mut preamble = [0; PREAMBLE_BYTES];
        preamble[..SIGNED_BYTES].copy_from_slice(signed);
        preamble[SIGNED_BYTES..].copy_from_slice(signature.as_ref());
        Some(preamble)
    }

    /// What a preamble says, if a node of this cluster has just signed it for this node.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self, preamble: &[u8; PREAMBLE_BYTES]) -> Result<Preamble, PreambleRefusal> {
        let read = Preamble::decode(preamble)?;
        let (signed, signature) = preamble.split_at(SIGNED_BYTES);
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        // Compares in constant time.
        if !secrets.iter().any(|secret| hmac::verify(secret, signed, signature).is_ok()) {
            return Err(PreambleRefusal::Signature);
        }
        if read.time.abs_diff(now()) > PREAMBLE_AGE_MAX {
            return Err(PreambleRefusal::Time);
        }
        if self.own() != Some(read.to) {
            return Err(PreambleRefusal::OtherNode(read.to));
        }
        Ok(read)
    }
}

/// The claim of a request that may open a session. It is given up when this is dropped, unless a session is open by then.
#[derive(Debug)]
pub(crate) struct UnopenedClaim {
    /// `None` once somebody else sees to it.
    claim: Option<(Arc<Peers>, SessionKey)>,
}

impl UnopenedClaim {
    pub(crate) fn new(peers: &Arc<Peers>, key: SessionKey) -> Self {
        Self { claim: Some((Arc::clone(peers), key)) }
    }

    /// Leaves the claim: its session opens later, or is refused later.
    pub(crate) fn leave(mut self) {
        self.claim = None;
    }
}

impl Drop for UnopenedClaim {
    fn drop(&mut self) {
        if let Some((peers, key)) = self.claim.take() {
            peers.claims.unopened(key);
        }
    }
}

/// The claim of a session that is open. It is given up when this is dropped.
#[derive(Debug)]
pub(crate) struct OpenClaim {
    peers: Arc<Peers>,
    key: SessionKey,
}

impl Drop for OpenClaim {
    fn drop(&mut self) {
        self.peers.claims.closed(self.key);
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Peers").field("own", &self.own()).finish_non_exhaustive()
    }
}

fn keys(secrets: &[Secret]) -> Vec<Key> {
    secrets.iter().map(|secret| Key::new(HMAC_SHA256, secret.reveal().as_bytes())).collect()
}

/// The time since 1970. A clock before that makes signatures that nobody believes.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn node(number: u16, secrets: &[&str]) -> Arc<Peers> {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::from(*secret)).collect();
        let peers = Peers::new(&secrets, None, Claims::new().0);
        peers.set_own(Some(number));
        peers
    }

    #[test]
    fn a_node_believes_what_another_one_with_its_secret_has_signed_for_it() {
        let (first, second) = (node(1, &["tiger"]), node(2, &["tiger"]));
        let preamble = first.preamble(2, CLIENT).unwrap();
        let read = second.check(&preamble).unwrap();
        assert_eq!((read.from, read.to, read.client), (1, 2, CLIENT));
        assert_eq!(node(2, &["lion"]).check(&preamble), Err(PreambleRefusal::Signature));
        assert_eq!(node(3, &["tiger"]).check(&preamble), Err(PreambleRefusal::OtherNode(2)));
        second.set_own(None);
        assert_eq!(second.check(&preamble), Err(PreambleRefusal::OtherNode(2)));
        assert_eq!(node(2, &[]).check(&preamble), Err(PreambleRefusal::Signature));
    }

    #[test]
    fn no_byte_of_a_preamble_can_be_changed() {
        let (first, second) = (node(1, &["tiger"]), node(2, &["tiger"]));
        let preamble = first.preamble(2, CLIENT).unwrap();
        for at in 0..PREAMBLE_BYTES {
            let mut changed = preamble;
            changed[at] ^= 1;
            assert!(second.check(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_signature_counts_for_30_seconds_around_the_clock() {
        let (first, second) = (node(1, &["tiger"]), node(2, &["tiger"]));
        for (time, is_good) in [
            (now() - Duration::from_secs(29), true),
            (now() + Duration::from_secs(29), true),
            (now() - Duration::from_secs(31), false),
            (now() + Duration::from_secs(31), false),
            (Duration::ZERO, false),
            (Duration::from_millis(u64::MAX), false),
        ] {
            let preamble = Preamble { time, from: 1, to: 2, client: CLIENT };
            let checked = second.check(&first.sign(&preamble.encode()).unwrap());
            assert_eq!(checked.is_ok(), is_good, "{time:?}");
            assert!(is_good || checked == Err(PreambleRefusal::Time), "{time:?}");
        }
    }

    #[test]
    fn a_secret_is_changed_in_two_steps() {
        let (first, second) = (node(1, &["old"]), node(2, &["old"]));
        let understand = |is_so: bool| {
            assert_eq!(second.check(&first.preamble(2, CLIENT).unwrap()).is_ok(), is_so);
            assert_eq!(first.check(&second.preamble(1, CLIENT).unwrap()).is_ok(), is_so);
        };
        for (at, secrets) in [(&first, ["old", "new"]), (&second, ["old", "new"])] {
            at.set_secrets(&secrets.map(Secret::from));
            understand(true);
        }
        for at in [&first, &second] {
            at.set_secrets(&["new", "old"].map(Secret::from));
            understand(true);
        }
        first.set_secrets(&["new"].map(Secret::from));
        understand(true);
        first.set_secrets(&["other"].map(Secret::from));
        understand(false);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_node_learns_that_it_is_gone_or_elsewhere() {
        let peers = node(1, &["tiger"]);
        let [first, second] = ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse::<SocketAddr>().unwrap());
        assert_eq!(peers.address_of(2), None);
        peers.set_nodes(HashMap::from([(2, first), (3, second)]));
        assert_eq!(peers.address_of(2), Some(first));
        let mut withdrawn = std::pin::pin!(peers.withdrawn(2, first));
        let mut is_withdrawn = async || {
            tokio::select! {
                biased;
                () = &mut withdrawn => true,
                () = tokio::task::yield_now() => false,
            }
        };
        peers.set_nodes(HashMap::from([(2, first)]));
        assert!(!is_withdrawn().await, "another one is gone");
        peers.set_nodes(HashMap::from([(2, second)]));
        assert!(is_withdrawn().await);
        peers.withdrawn(4, first).await;
    }
}
