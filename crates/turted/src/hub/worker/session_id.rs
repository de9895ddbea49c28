//! Session ids: the worker that owns the session, its place there, the node of both, and a secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha1::{Digest, Sha1};
use turted_core::session_key::SessionKey;

/// A secret that names one session: 64 random bits behind the worker, the place in its registry and the number of the
/// node; 80 random bits where the node is alone and needs no number. As text it has 20 characters, as the ids of engine.io have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionId {
    worker: u8,
    /// In bytes, so that an id takes 15 of them and no alignment.
    slot: [u8; 4],
    /// The number of the node, also in bytes.
    node: [u8; 2],
    nonce: [u8; 8],
}

impl SessionId {
    /// Stands where a session has no id.
    pub(crate) const NONE: Self = Self { worker: 0, slot: [0; 4], node: [0; 2], nonce: [0; 8] };

    /// A new id, of a session at the node with this number. Where there is none, those bits are random too.
    ///
    /// # Panics
    /// If the operating system has no random numbers; a server must not run then.
    pub(crate) fn new(worker: u8, slot: u32, node: Option<u16>) -> Self {
        let mut random = [0; 10];
        getrandom::fill(&mut random).expect("the operating system gives random numbers");
        let [high, low, nonce @ ..] = random;
        Self { worker, slot: slot.to_be_bytes(), node: node.map_or([high, low], u16::to_be_bytes), nonce }
    }

    /// The worker that owns the session.
    pub(crate) fn worker(self) -> u8 {
        self.worker
    }

    /// The place in the registry of that worker.
    pub(crate) fn slot(self) -> u32 {
        u32::from_be_bytes(self.slot)
    }

    /// The node that owns the session, in a cluster.
    pub(crate) fn node(self) -> u16 {
        u16::from_be_bytes(self.node)
    }

    /// Reads an id; a text that is none names an unknown session.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 15] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let [worker, a, b, c, d, high, low, nonce @ ..] = bytes;
        Some(Self { worker, slot: [a, b, c, d], node: [high, low], nonce })
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
        let id = SessionId::new(3, 70_000, None);
        let text = id.to_string();
        assert_eq!((text.len(), SessionId::parse(&text)), (20, Some(id)));
        for text in ["", "x", "constructor", &text[1..], &format!("{text}A"), "!!!!!!!!!!!!!!!!!!!!"] {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_id_names_its_node() {
        let id = SessionId::new(3, 70_000, Some(0x1234));
        assert_eq!((id.worker(), id.slot(), id.node()), (3, 70_000, 0x1234));
        assert_eq!(SessionId::parse(&id.to_string()).map(SessionId::node), Some(0x1234));
    }

    #[test]
    fn the_public_name_differs_from_the_id_and_stays() {
        let id = SessionId::new(0, 0, None);
        assert_ne!(id.public(), id.to_string());
        assert_eq!(id.public(), id.public());
    }
}
