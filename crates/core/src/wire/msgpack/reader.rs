//! Reads MessagePack: one value's head after the other. Does not allocate.

use super::Fault;

/// What comes next. Of an array or map that is its length; its values come after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
    Binary,
    Extension(i8, &'a [u8]),
    Array(u32),
    Map(u32),
}

#[derive(Debug)]
pub(super) struct Reader<'a> {
    message: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { message, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn is_ended(&self) -> bool {
        self.position == self.message.len()
    }

    pub(super) fn head(&mut self) -> Result<Head<'a>, Fault> {
        let start = self.position;
        let [format] = self.bytes()?;
        Ok(match format {
            0x00..=0x7f => Head::Unsigned(format.into()),
            0x80..=0x8f => Head::Map(u32::from(format & 0x0f)),
            0x90..=0x9f => Head::Array(u32::from(format & 0x0f)),
            0xa0..=0xbf => self.text(u32::from(format & 0x1f))?,
            0xc0 => Head::Nil,
            0xc1 => return Err(Fault::Malformed(start)),
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4..=0xc6 => Head::Binary,
            0xc7..=0xc9 => {
                let length = self.length(format - 0xc7)?;
                self.extension(length)?
            }
            0xca => Head::Float(f32::from_be_bytes(self.bytes()?).into()),
            0xcb => Head::Float(f64::from_be_bytes(self.bytes()?)),
            0xcc => Head::Unsigned(u8::from_be_bytes(self.bytes()?).into()),
            0xcd => Head::Unsigned(u16::from_be_bytes(self.bytes()?).into()),
            0xce => Head::Unsigned(u32::from_be_bytes(self.bytes()?).into()),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.bytes()?)),
            0xd0 => Head::Signed(i8::from_be_bytes(self.bytes()?).into()),
            0xd1 => Head::Signed(i16::from_be_bytes(self.bytes()?).into()),
            0xd2 => Head::Signed(i32::from_be_bytes(self.bytes()?).into()),
            0xd3 => Head::Signed(i64::from_be_bytes(self.bytes()?)),
            0xd4..=0xd8 => self.extension(1 << (format - 0xd4))?,
            0xd9..=0xdb => {
                let length = self.length(format - 0xd9)?;
                self.text(length)?
            }
            0xdc => Head::Array(self.length(1)?),
            0xdd => Head::Array(self.length(2)?),
            0xde => Head::Map(self.length(1)?),
            0xdf => Head::Map(self.length(2)?),
            0xe0..=0xff => Head::Signed(i8::from_be_bytes([format]).into()),
        })
    }

    /// A length in one, two or four bytes: `width` is 0, 1 or 2.
    fn length(&mut self, width: u8) -> Result<u32, Fault> {
        Ok(match width {
            0 => u8::from_be_bytes(self.bytes()?).into(),
            1 => u16::from_be_bytes(self.bytes()?).into(),
            _ => u32::from_be_bytes(self.bytes()?),
        })
    }

    fn text(&mut self, length: u32) -> Result<Head<'a>, Fault> {
        let start = self.position;
        let bytes = self.take(length)?;
        simdutf8::basic::from_utf8(bytes).map(Head::Text).map_err(|_| Fault::Malformed(start))
    }

    fn extension(&mut self, length: u32) -> Result<Head<'a>, Fault> {
        let kind = i8::from_be_bytes(self.bytes()?);
        Ok(Head::Extension(kind, self.take(length)?))
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], Fault> {
        let malformed = Fault::Malformed(self.position);
        let length = usize::try_from(length).map_err(|_| malformed)?;
        let (bytes, _) = self.message[self.position..].split_at_checked(length).ok_or(malformed)?;
        self.position += length;
        Ok(bytes)
    }

    fn bytes<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Fault> {
        let (bytes, _) =
            self.message[self.position..].split_first_chunk().ok_or(Fault::Malformed(self.position))?;
        self.position += LENGTH;
        Ok(*bytes)
    }
}
