//! The fields of a record: little-endian numbers, texts and byte strings with their length in front.

use std::str;

use crate::name::Name;

/// Appends an epoch of a log on disk. It has 32 bits: the start that begins it draws it.
pub fn put_epoch(body: &mut Vec<u8>, epoch: u64) {
    let epoch = u32::try_from(epoch).unwrap_or(u32::MAX);
    body.extend_from_slice(&epoch.to_le_bytes());
}

/// Appends a length or a number of items.
///
/// # Panics
/// It is above `u32::MAX`: no record is that long.
pub fn put_count(body: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("a record has fewer");
    body.extend_from_slice(&count.to_le_bytes());
}

/// Appends bytes with their length.
///
/// # Panics
/// There are more than `u32::MAX`.
pub fn put_bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    put_count(body, bytes.len());
    body.extend_from_slice(bytes);
}

/// Appends a name: one byte of length and the text.
pub fn put_name(body: &mut Vec<u8>, name: &Name) {
    let text = name.as_str().as_bytes();
    body.push(u8::try_from(text.len()).expect("a name has at most 255 bytes"));
    body.extend_from_slice(text);
}

/// The body is not one that this server writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record is not one that this server writes")]
pub struct Malformed;

/// What is left of a body.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// All of `body`.
    #[must_use]
    pub fn of(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// Bytes that are left.
    #[must_use]
    pub fn rest(&self) -> usize {
        self.0.len()
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// Something is.
    pub fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    /// The next bytes, as many as the array has.
    ///
    /// # Errors
    /// There are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    /// One byte.
    ///
    /// # Errors
    /// There is none.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A number of two bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// A number of four bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number of eight bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A byte that is 0 or 1.
    ///
    /// # Errors
    /// It is another one.
    pub fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    /// How many items follow, each of which takes at least `item_bytes`. A count that the body has no room for is
    /// refused, so that it may be allocated for.
    ///
    /// # Errors
    /// There is no room for so many.
    pub fn count(&mut self, item_bytes: usize) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        if count > self.0.len() / item_bytes.max(1) { Err(Malformed) } else { Ok(count) }
    }

    /// Bytes with their length in front.
    ///
    /// # Errors
    /// The length is wrong.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count(1)?;
        Ok(self.take(length))
    }

    /// A text.
    ///
    /// # Errors
    /// The length is wrong, or it is no UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// A name, which is checked as one that a client sends.
    ///
    /// # Errors
    /// The length is wrong, or it is no name.
    pub fn name(&mut self) -> Result<Name, Malformed> {
        let length = usize::from(self.u8()?);
        if length > self.0.len() {
            return Err(Malformed);
        }
        let text = str::from_utf8(self.take(length)).map_err(|_| Malformed)?;
        Name::new(text).map_err(|_| Malformed)
    }

    /// So many bytes, which are there.
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_written_and_nothing_is_left() {
        let mut body = vec![7];
        body.extend_from_slice(&9_u64.to_le_bytes());
        put_bytes(&mut body, "é".as_bytes());
        put_name(&mut body, &Name::new("chat").unwrap());
        put_count(&mut body, 0);
        let mut fields = Fields::of(&body);
        assert_eq!((fields.u8(), fields.u64(), fields.text()), (Ok(7), Ok(9), Ok("é")));
        assert_eq!(fields.name().unwrap().as_str(), "chat");
        assert!(fields.end().is_err(), "the count is left");
        assert_eq!((fields.count(1), fields.rest()), (Ok(0), 0));
        assert_eq!((fields.end(), fields.u8()), (Ok(()), Err(Malformed)));
    }

    #[test]
    fn a_count_is_refused_that_the_body_has_no_room_for() {
        let mut body = u32::MAX.to_le_bytes().to_vec();
        assert_eq!(Fields::of(&body).count(1), Err(Malformed));
        assert_eq!(Fields::of(&body).bytes(), Err(Malformed));
        body = [3_u32.to_le_bytes().to_vec(), vec![0; 24]].concat();
        assert_eq!(Fields::of(&body).count(8), Ok(3));
        assert_eq!(Fields::of(&body).count(9), Err(Malformed));
    }

    #[test]
    fn texts_and_names_are_checked_as_input() {
        for body in [&[2, 0, 0, 0, 0xC3, 0x28][..], &[2, 0, 0, 0, b'a'], &[1, 0, 0]] {
            assert_eq!(Fields::of(body).text(), Err(Malformed), "{body:?}");
        }
        for body in [&[0][..], &[2, b'a'], &[1, b'\n'], &[1, 0xFF]] {
            assert_eq!(Fields::of(body).name(), Err(Malformed), "{body:?}");
        }
        assert_eq!(Fields::of(&[2]).flag(), Err(Malformed));
    }
}
