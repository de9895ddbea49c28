//! The name of a connection for operators.

use std::fmt;
use std::str::FromStr;

use crate::registry::ConnectionKey;

/// Identifies a connection to operators: its worker, its place there, and how many connections had that place
/// before; in a cluster its node as well.
///
/// As a text it has three numbers, `3-70000-2`, and with its node four, `51966-3-70000-2`.
///
/// ```
/// use turted_core::connection_id::ConnectionId;
/// let id: ConnectionId = "3-70000-2".parse().unwrap();
/// let of_node = id.of_node(51_966);
/// assert_eq!(of_node.to_string(), "51966-3-70000-2");
/// assert_eq!((of_node.node(), of_node.without_node()), (Some(51_966), id));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// Whether `node` means something. Both take less memory than an `Option`.
    has_node: bool,
    node: u16,
    worker: u8,
    slot: u32,
    generation: u32,
}

impl ConnectionId {
    /// The id of the connection with this key on this worker.
    #[must_use]
    pub fn new(worker: u8, key: ConnectionKey) -> Self {
        Self { has_node: false, node: 0, worker, slot: key.slot(), generation: key.generation() }
    }

    /// The same with the node of a cluster that has the connection.
    #[must_use]
    pub fn of_node(self, node: u16) -> Self {
        Self { has_node: true, node, ..self }
    }

    /// The same as its node knows it.
    #[must_use]
    pub fn without_node(self) -> Self {
        Self { has_node: false, node: 0, ..self }
    }

    /// The node that has the connection, if it is named.
    #[must_use]
    pub fn node(self) -> Option<u16> {
        self.has_node.then_some(self.node)
    }

    /// The worker that owns the connection.
    #[must_use]
    pub fn worker(self) -> u8 {
        self.worker
    }

    /// Its place in the worker's registry.
    #[must_use]
    pub fn slot(self) -> u32 {
        self.slot
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = self.node() {
            write!(f, "{node}-")?;
        }
        write!(f, "{}-{}-{}", self.worker, self.slot, self.generation)
    }
}

impl FromStr for ConnectionId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        fn number<T: FromStr>(text: Option<&str>) -> Result<T, ()> {
            let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|text| text.parse().ok()).ok_or(())
        }
        let has_node = text.bytes().filter(|byte| *byte == b'-').count() == 3;
        let mut parts = text.splitn(if has_node { 4 } else { 3 }, '-');
        let node = if has_node { number(parts.next())? } else { 0 };
        let worker = number(parts.next())?;
        Ok(Self { has_node, node, worker, slot: number(parts.next())?, generation: number(parts.next())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_other_texts_are_none() {
        let id = ConnectionId { has_node: false, node: 0, worker: 3, slot: 70_000, generation: 2 };
        assert_eq!((id.to_string().as_str(), "3-70000-2".parse()), ("3-70000-2", Ok(id)));
        let of_node = id.of_node(65_535);
        assert_eq!(
            (of_node.to_string().as_str(), "65535-3-70000-2".parse()),
            ("65535-3-70000-2", Ok(of_node))
        );
        for text in [
            "",
            "3",
            "3-1",
            "3-1-",
            "-3-1-1",
            "256-1-1",
            "65536-3-1-1",
            "1-3-1-1-1",
            "-1-1-1",
            "+3-1-1",
            "3-1-a",
            "3-1-4294967296",
        ] {
            assert_eq!(text.parse::<ConnectionId>(), Err(()), "{text}");
        }
    }
}
