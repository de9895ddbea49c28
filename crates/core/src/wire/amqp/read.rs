//! Integers and strings out of bytes (section 4.2.5 of the specification).

use super::Violation;

/// What is left of a payload, and what it is called when it is malformed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn fault(&self) -> Violation {
        Violation::Malformed(self.what)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Violation> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(self.fault())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.fault())?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Violation> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Violation> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Violation> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Violation> {
        self.array().map(u64::from_be_bytes)
    }

    /// At most 255 bytes behind their number in one byte.
    pub(super) fn short_string(&mut self) -> Result<&'a [u8], Violation> {
        let bytes = self.u8()?;
        self.bytes(usize::from(bytes))
    }

    /// Bytes behind their number in four. Tables and arrays have the same shape.
    pub(super) fn long_string(&mut self) -> Result<&'a [u8], Violation> {
        // A number that does not fit is above what is there.
        let bytes = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        self.bytes(bytes)
    }
}
