//! The first bytes of a connection between two nodes of a cluster: which client the request behind them is of.
//!
//! A node that gets a request for a session of another node passes it on. The preamble names the client, and is signed
//! with the secret of the cluster. This file has its form; whoever has the secret checks the signature.

use std::net::IpAddr;
use std::time::Duration;

/// How every preamble begins. No request of HTTP, PROXY header or TLS handshake begins like this.
const START: &[u8; 7] = b"\0turted";
/// The only version there is.
const VERSION: u8 = 1;
/// Bytes of a preamble that the signature is made of.
pub const SIGNED_BYTES: usize = START.len() + 1 + 8 + 2 + 2 + 16;
/// Bytes of the signature, an HMAC-SHA256 (RFC 2104).
pub const SIGNATURE_BYTES: usize = 32;
/// Bytes of a preamble with its signature.
pub const PREAMBLE_BYTES: usize = SIGNED_BYTES + SIGNATURE_BYTES;

/// What a node answers to a preamble that it accepts, before anything else. A node that does not is not asked.
pub const ACCEPTED: u8 = b'\x06';

/// Who passes on a request of whom, to whom, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// When the connection was made: the time since 1970, in whole milliseconds.
    pub time: Duration,
    /// The node that passes the request on.
    pub from: u16,
    /// The node that it is for. So a preamble that was overheard is of no use at another node.
    pub to: u16,
    /// The client.
    pub client: IpAddr,
}

/// Why bytes are no preamble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreambleFault {
    /// They begin with something else.
    #[error("this is no connection of a node")]
    Stranger,
    /// They are of another version.
    #[error("the preamble has version {0}, which this node does not know")]
    Version(u8),
}

impl Preamble {
    /// The bytes that are to be signed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use turted_core::wire::forwarded::{PREAMBLE_BYTES, Preamble, SIGNED_BYTES};
    /// let client = "192.0.2.7".parse().unwrap();
    /// let preamble = Preamble { time: Duration::from_secs(1_800_000_000), from: 1, to: 2, client };
    /// let mut sent = [0; PREAMBLE_BYTES];
    /// sent[..SIGNED_BYTES].copy_from_slice(&preamble.encode());
    /// assert_eq!(Preamble::decode(&sent)?, preamble);
    /// # Ok::<(), turted_core::wire::forwarded::PreambleFault>(())
    /// ```
    #[must_use]
    pub fn encode(&self) -> [u8; SIGNED_BYTES] {
        let millis = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX).to_be_bytes();
        let client = match self.client {
            IpAddr::V4(client) => client.to_ipv6_mapped(),
            IpAddr::V6(client) => client,
        };
        let (from, to) = (self.from.to_be_bytes(), self.to.to_be_bytes());
        let parts: [&[u8]; 6] = [START, &[VERSION], &millis, &from, &to, &client.octets()];
        let mut bytes = [0; SIGNED_BYTES];
        bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(place, byte)| *place = *byte);
        bytes
    }

    /// Reads a preamble. Its signature, the last [`SIGNATURE_BYTES`], is not looked at.
    ///
    /// # Errors
    /// It begins like something else, or is of another version.
    pub fn decode(bytes: &[u8; PREAMBLE_BYTES]) -> Result<Self, PreambleFault> {
        let [
            s0,
            s1,
            s2,
            s3,
            s4,
            s5,
            s6,
            version,
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            t6,
            t7,
            f0,
            f1,
            o0,
            o1,
            client @ ..,
        ] = bytes;
        if [*s0, *s1, *s2, *s3, *s4, *s5, *s6] != *START {
            return Err(PreambleFault::Stranger);
        }
        if *version != VERSION {
            return Err(PreambleFault::Version(*version));
        }
        let (client, _signature) = client.split_first_chunk::<16>().ok_or(PreambleFault::Stranger)?;
        Ok(Self {
            time: Duration::from_millis(u64::from_be_bytes([*t0, *t1, *t2, *t3, *t4, *t5, *t6, *t7])),
            from: u16::from_be_bytes([*f0, *f1]),
            to: u16::from_be_bytes([*o0, *o1]),
            client: IpAddr::from(*client).to_canonical(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(preamble: Preamble) -> [u8; PREAMBLE_BYTES] {
        let mut bytes = [0x5A; PREAMBLE_BYTES];
        bytes[..SIGNED_BYTES].copy_from_slice(&preamble.encode());
        bytes
    }

    fn addresses() -> impl Strategy<Value = IpAddr> {
        prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
    }

    proptest! {
        #[test]
        fn a_preamble_is_read_as_it_was_written(
            millis in any::<u64>(), from in any::<u16>(), to in any::<u16>(), client in addresses()
        ) {
            let client = client.to_canonical();
            let preamble = Preamble { time: Duration::from_millis(millis), from, to, client };
            prop_assert_eq!(Preamble::decode(&bytes_of(preamble)), Ok(preamble));
        }

        #[test]
        fn what_is_read_of_any_bytes_is_written_in_the_same_way(
            rest in proptest::collection::vec(any::<u8>(), PREAMBLE_BYTES), is_begun in any::<bool>()
        ) {
            let mut bytes: [u8; PREAMBLE_BYTES] = rest.try_into().unwrap();
            if is_begun {
                bytes[..START.len()].copy_from_slice(START);
                bytes[START.len()] = VERSION;
            }
            match Preamble::decode(&bytes) {
                Ok(preamble) => prop_assert_eq!(&preamble.encode()[..], &bytes[..SIGNED_BYTES]),
                Err(_) => prop_assert!(!is_begun),
            }
        }
    }

    #[test]
    fn what_begins_otherwise_is_of_a_stranger_and_what_comes_later_of_a_later_version() {
        let preamble =
            Preamble { time: Duration::from_millis(1), from: 1, to: 2, client: [192, 0, 2, 7].into() };
        let mut bytes = bytes_of(preamble);
        bytes[START.len()] = VERSION + 1;
        assert_eq!(Preamble::decode(&bytes), Err(PreambleFault::Version(VERSION + 1)));
        bytes[0] = b'G';
        assert_eq!(Preamble::decode(&bytes), Err(PreambleFault::Stranger));
    }
}
