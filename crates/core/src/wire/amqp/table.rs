//! Field tables: names with values of many types, as RabbitMQ writes them (its errata, section 3).

use std::borrow::Cow;

use super::Violation;
use super::read::Reader;

/// A table, of which nothing is decoded yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table<'a>(pub(super) &'a [u8]);

/// One entry of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value in bytes: a string as it is, a number in decimal, a boolean as `true` or `false`. `None` for what is
    /// no text: tables, arrays, binary, decimals, nothing.
    pub value: Option<Cow<'a, [u8]>>,
}

impl<'a> Table<'a> {
    /// Decodes the next field and leaves those behind it. `None` at the end.
    ///
    /// # Errors
    /// It does not follow the grammar, or has a type that is not known.
    pub fn next_field(&mut self) -> Result<Option<Field<'a>>, Violation> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader::new(self.0, "table");
        let name = reader.short_string()?;
        let value = value(&mut reader)?;
        self.0 = reader.rest();
        Ok(Some(Field { name, value }))
    }
}

fn value<'a>(reader: &mut Reader<'a>) -> Result<Option<Cow<'a, [u8]>>, Violation> {
    Ok(match reader.u8()? {
        b't' => Some(Cow::Borrowed(if reader.u8()? == 0 { &b"false"[..] } else { b"true" })),
        b'b' => decimal(reader.u8()?.cast_signed()),
        b'B' => decimal(reader.u8()?),
        b's' | b'U' => decimal(reader.u16()?.cast_signed()),
        b'u' => decimal(reader.u16()?),
        b'I' => decimal(reader.u32()?.cast_signed()),
        b'i' => decimal(reader.u32()?),
        b'l' | b'L' => decimal(reader.u64()?.cast_signed()),
        b'T' => decimal(reader.u64()?),
        b'f' => decimal(f32::from_bits(reader.u32()?)),
        b'd' => decimal(f64::from_bits(reader.u64()?)),
        b'S' => Some(Cow::Borrowed(reader.long_string()?)),
        b'x' | b'A' | b'F' => {
            reader.long_string()?;
            None
        }
        b'D' => {
            reader.bytes(5)?;
            None
        }
        b'V' => None,
        _ => return Err(reader.fault()),
    })
}

fn decimal<'a>(number: impl ToString) -> Option<Cow<'a, [u8]>> {
    Some(Cow::Owned(number.to_string().into_bytes()))
}
