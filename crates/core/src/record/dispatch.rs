//! A dispatch in a record: its names and its payload are checked as those of a push are.

use serde_json::value::RawValue;

use super::field::{Fields, Malformed, put_bytes, put_count, put_name};
use crate::dispatch::{Dispatch, Targets};
use crate::name::Name;

/// Least bytes of a name, and of a dispatch, by which counts are checked.
const NAME_BYTES_MIN: usize = 2;
pub(crate) const DISPATCH_BYTES_MIN: usize = 16;

/// Appends a dispatch.
pub(crate) fn put_dispatch(body: &mut Vec<u8>, Dispatch { event, payload, targets }: &Dispatch) {
    put_name(body, event);
    for names in [&targets.users, &targets.channels] {
        put_count(body, names.len());
        names.iter().for_each(|name| put_name(body, name));
    }
    body.push(u8::from(targets.broadcast));
    put_bytes(body, payload.get().as_bytes());
}

/// The bytes that a dispatch takes.
pub(crate) fn room_of(Dispatch { event, payload, targets }: &Dispatch) -> usize {
    /// Two counts, a flag, and the length of the payload.
    const REST: usize = 4 + 4 + 1 + 4;
    let names = targets.users.iter().chain(&targets.channels).chain([event]);
    let names: usize = names.map(|name| 1 + name.as_str().len()).sum();
    names + payload.get().len() + REST
}

/// Reads a dispatch with at most so many users and channels together.
pub(crate) fn read_dispatch(fields: &mut Fields<'_>, targets_max: usize) -> Result<Dispatch, Malformed> {
    let event = fields.name()?;
    let users = names(fields, targets_max)?;
    let channels = names(fields, targets_max - users.len())?;
    let broadcast = fields.flag()?;
    let payload = RawValue::from_string(fields.text()?.to_owned()).map_err(|_| Malformed)?;
    Ok(Dispatch { event, payload, targets: Targets { users, channels, broadcast } })
}

fn names(fields: &mut Fields<'_>, most: usize) -> Result<Vec<Name>, Malformed> {
    let count = fields.count(NAME_BYTES_MIN)?;
    if count > most {
        return Err(Malformed);
    }
    (0..count).map(|_| fields.name()).collect()
}
