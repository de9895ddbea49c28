//! What stands in front of everything that a node writes: a mark, the version, and who wrote it.

use std::net::{IpAddr, SocketAddr};

use crate::cursor::Cursor;
use crate::record::field::{Fields, Malformed};
use crate::record::push::number;

/// The first bytes of everything that a node writes. The first of them stands in no text, so no text of a stranger is
/// taken for a record of a later version, which would stop a node.
pub const MARK: [u8; 3] = [0xF5, b't', b'd'];

/// The version that is written, and the latest one that is read. It stands behind the mark.
pub const VERSION: u8 = 1;

/// What bytes turn out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read<T> {
    /// A node of this version or an earlier one wrote them.
    Ours(T),
    /// No node wrote them.
    Foreign,
    /// A node of this later version wrote them.
    Later(u8),
}

impl<T> Read<T> {
    /// What a node of this version wrote.
    pub fn ours(self) -> Option<T> {
        match self {
            Self::Ours(read) => Some(read),
            Self::Foreign | Self::Later(_) => None,
        }
    }
}

/// Who wrote something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Author {
    /// The number of the node. Another node may have it later.
    pub node: u16,
    /// The process: a random number, which no other one has.
    pub process: u64,
}

impl Author {
    pub(super) fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.node.to_le_bytes());
        bytes.extend_from_slice(&self.process.to_le_bytes());
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        Ok(Self { node: fields.u16()?, process: fields.u64()? })
    }
}

/// The mark and the version, and room for what follows.
pub(super) fn begin(room: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MARK.len() + 1 + room);
    bytes.extend_from_slice(&MARK);
    bytes.push(VERSION);
    bytes
}

/// Reads what stands behind the mark and the version. Nothing may be left.
pub(super) fn read<'a, T>(
    bytes: &'a [u8],
    rest: impl FnOnce(&mut Fields<'a>) -> Result<T, Malformed>,
) -> Read<T> {
    let Some((version, body)) = bytes.strip_prefix(&MARK).and_then(<[u8]>::split_first) else {
        return Read::Foreign;
    };
    match *version {
        VERSION => {
            let mut fields = Fields::of(body);
            let read = rest(&mut fields).and_then(|read| fields.end().map(|()| read));
            read.map_or(Read::Foreign, Read::Ours)
        }
        0 => Read::Foreign,
        later => Read::Later(later),
    }
}

/// Appends whether there is something, and then that.
pub(super) fn put_option<T>(bytes: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    bytes.push(value.is_some().into());
    if let Some(value) = value {
        put(bytes, value);
    }
}

/// Reads whether there is something, and then that.
pub(super) fn option<'a, T>(
    fields: &mut Fields<'a>,
    read: impl FnOnce(&mut Fields<'a>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    if fields.flag()? { read(fields).map(Some) } else { Ok(None) }
}

pub(super) fn put_cursor(bytes: &mut Vec<u8>, Cursor { epoch, sequence }: Cursor) {
    bytes.extend_from_slice(&epoch.to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
}

pub(super) fn cursor(fields: &mut Fields<'_>) -> Result<Cursor, Malformed> {
    Ok(Cursor { epoch: fields.u64()?, sequence: number(fields)? })
}

pub(super) fn put_address(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            bytes.push(4);
            bytes.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            bytes.push(6);
            bytes.extend_from_slice(&address.octets());
        }
    }
}

pub(super) fn address(fields: &mut Fields<'_>) -> Result<IpAddr, Malformed> {
    match fields.u8()? {
        4 => Ok(IpAddr::from(fields.array::<4>()?)),
        6 => Ok(IpAddr::from(fields.array::<16>()?)),
        _ => Err(Malformed),
    }
}

/// Appends an address with its port. The zone of an address of IPv6 is left out: it means something on one machine alone.
pub(super) fn put_socket(bytes: &mut Vec<u8>, socket: SocketAddr) {
    put_address(bytes, socket.ip());
    bytes.extend_from_slice(&socket.port().to_le_bytes());
}

pub(super) fn socket(fields: &mut Fields<'_>) -> Result<SocketAddr, Malformed> {
    Ok(SocketAddr::new(address(fields)?, fields.u16()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_node_wrote_is_foreign_and_what_a_later_one_wrote_is_told_apart() {
        let read = |bytes: &[u8]| super::read(bytes, |fields| fields.u8());
        let marked = |rest: &[u8]| [&MARK[..], rest].concat();
        assert_eq!(read(&marked(&[1, 7])), Read::Ours(7));
        assert_eq!(read(&marked(&[2])), Read::Later(2));
        assert_eq!(read(&marked(&[255, 1, 2])), Read::Later(255));
        for foreign in [
            &b""[..],
            b"x",
            b"{\"event\":\"e\"}",
            &marked(&[]),
            &marked(&[0, 7]),
            &marked(&[1]),
            &marked(&[1, 7, 0]),
        ] {
            assert_eq!(read(foreign), Read::Foreign, "{foreign:?}");
        }
        assert!(std::str::from_utf8(&MARK[..1]).is_err(), "no text begins like it");
    }
}
