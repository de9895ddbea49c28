//! Session ids: the worker that owns the session, its place there, its node, and a secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha1::{Digest, Sha1};
use turted_core::session_key::SessionKey;

/// A secret that names one session: 64 random bits behind the worker, the place in its registry, and the node. As text
/// it has 20 characters, as the ids of engine.io have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionId {
    worker: u8,
    /// In bytes, as the node, so that an id takes 15 of them and no alignment.
    slot: [u8; 4],
    /// The number of the node in its cluster. It is random if there is none.
    node: [u8; 2],
    nonce: [u8; 8],
}

impl SessionId {
    /// Stands where a session has no id.
    pub(crate) const NONE: Self = Self { worker: 0, slot: [0; 4], node: [0; 2], nonce: [0; 8] };

    /// A new id. `node` is the number of this node, if it belongs to a cluster.
    ///
    /// # Panics
    /// If the operating system has no random numbers; a server must not run then.
    pub(crate) fn new(worker: u8, slot: u32, node: Option<u16>) -> Self {
        let mut random = [0; 10];
        getrandom::fill(&mut random).expect("the operating system gives random numbers");
        let [a, b, nonce @ ..] = random;
        let node = node.map_or([a, b], u16::to_be_bytes);
        Self { worker, slot: slot.to_be_bytes(), node, nonce }
    }

    /// The worker that owns the session.
    pub(crate) fn worker(self) -> u8 {
        self.worker
    }

    /// The place in the registry of that worker.
    pub(crate) fn slot(self) -> u32 {
        u32::from_be_bytes(self.slot)
    }

    /// The number of the node that owns the session, if this one belongs to a cluster.
    pub(crate) fn node(self) -> u16 {
        u16::from_be_bytes(self.node)
    }

    /// Reads an id; a text that is none names an unknown session.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 15] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let [worker, a, b, c, d, e, f, nonce @ ..] = bytes;
        Some(Self { worker, slot: [a, b, c, d], node: [e, f], nonce })
    }

    /// A name for the session that may be shown: it does not give the id away.
    pub(crate) fn public(self) -> String {
        let digest = Sha1::new().chain_update(b"public").chain_update(self.bytes()).finalize();
        URL_SAFE_NO_PAD.encode(&digest[..15])
    }

    /// The name under which the session is kept.
    pub(crate) fn key(self) -> SessionKey {
        SessionKey::of(&self.bytes())
    }

    fn bytes(self) -> [u8; 15] {
        let mut bytes = [0; 15];
        bytes[0] = self.worker;
        bytes[1..5].copy_from_slice(&self.slot);
        bytes[5..7].copy_from_slice(&self.node);
        bytes[7..].copy_from_slice(&self.nonce);
        bytes
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_other_texts_are_no_ids() {
        let id = SessionId::new(3, 70_000, Some(513));
        let text = id.to_string();
        assert_eq!((text.len(), SessionId::parse(&text)), (20, Some(id)));
        for text in ["", "x", "constructor", &text[1..], &format!("{text}A"), "!!!!!!!!!!!!!!!!!!!!"] {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_id_names_its_worker_its_place_and_its_node() {
        let id = SessionId::parse(&SessionId::new(3, 70_000, Some(513)).to_string()).unwrap();
        assert_eq!((id.worker(), id.slot(), id.node()), (3, 70_000, 513));
    }

    #[test]
    fn without_a_cluster_nothing_in_an_id_is_fixed_but_its_place() {
        let ids: Vec<_> = (0..64).map(|_| SessionId::new(0, 0, None)).collect();
        let varies = |byte: usize| ids.iter().any(|id| id.bytes()[byte] != ids[0].bytes()[byte]);
        assert!((0..5).all(|byte| !varies(byte)));
        assert!((5..15).all(varies));
    }

    #[test]
    fn the_public_name_differs_from_the_id_and_stays() {
        let id = SessionId::new(0, 0, None);
        assert_ne!(id.public(), id.to_string());
        assert_eq!(id.public(), id.public());
    }
}
