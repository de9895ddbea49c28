//! The name of a connection for operators.

use std::fmt;
use std::str::FromStr;

use crate::registry::ConnectionKey;

/// Identifies a connection to operators: its worker, its place there, and how many connections had that place
/// before.
///
/// As a text it has three numbers, `3-70000-2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    worker: u8,
    slot: u32,
    generation: u32,
}

impl ConnectionId {
    /// The id of the connection with this key on this worker.
    #[must_use]
    pub fn new(worker: u8, key: ConnectionKey) -> Self {
        Self { worker, slot: key.slot(), generation: key.generation() }
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
        let mut parts = text.splitn(3, '-');
        let worker = number(parts.next())?;
        Ok(Self { worker, slot: number(parts.next())?, generation: number(parts.next())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_other_texts_are_none() {
        let id = ConnectionId { worker: 3, slot: 70_000, generation: 2 };
        assert_eq!((id.to_string().as_str(), "3-70000-2".parse()), ("3-70000-2", Ok(id)));
        for text in
            ["", "3", "3-1", "3-1-", "-3-1-1", "256-1-1", "3-1-1-1", "+3-1-1", "3-1-a", "3-1-4294967296"]
        {
            assert_eq!(text.parse::<ConnectionId>(), Err(()), "{text}");
        }
    }
}
