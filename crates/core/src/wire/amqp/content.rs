//! The header in front of a body (section 4.2.6 of the specification): how long the body is, and its properties.

use super::Violation;
use super::read::Reader;
use super::table::Table;

/// The class that has bodies.
const BASIC: u16 = 60;
/// The first property has the highest bit; the lowest one says that more flags follow, which no version uses.
const MORE: u16 = 1;

/// What a content header says. Its properties are decoded when they are asked for: they are what the publisher wrote,
/// so a fault in them is one of the message and not of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// Bytes of the body, which follow in frames.
    pub body_bytes: u64,
    properties: &'a [u8],
}

/// The properties of a message that matter to a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    /// `message_id`
    pub message_id: Option<&'a [u8]>,
    /// `headers`
    pub headers: Table<'a>,
}

impl<'a> ContentHeader<'a> {
    /// Decodes the payload of a header frame.
    ///
    /// # Errors
    /// It does not follow the grammar.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(payload, "content header");
        let (class, _weight) = (reader.u16()?, reader.u16()?);
        let body_bytes = reader.u64()?;
        if class != BASIC {
            return Err(reader.fault());
        }
        Ok(Self { body_bytes, properties: reader.rest() })
    }

    /// Decodes the properties.
    ///
    /// # Errors
    /// They do not follow the grammar.
    pub fn properties(&self) -> Result<Properties<'a>, Violation> {
        let mut reader = Reader::new(self.properties, "property");
        let flags = reader.u16()?;
        if flags & MORE != 0 {
            return Err(reader.fault());
        }
        let mut properties = Properties::default();
        let has = |bit: u32| flags & (1 << bit) != 0;
        // In the order of the specification; those behind the id are not asked for.
        for bit in (7..=15).rev().filter(|bit| has(*bit)) {
            match bit {
                13 => properties.headers = Table(reader.long_string()?),
                // The delivery mode and the priority.
                11 | 12 => drop(reader.u8()?),
                7 => properties.message_id = Some(reader.short_string()?),
                _ => drop(reader.short_string()?),
            }
        }
        Ok(properties)
    }
}
