//! What nodes tell each other of who is in their channels.

use super::head::{option, put_option};
use crate::limits::PRESENCE_MESSAGE_BYTES_MAX;
use crate::name::Name;
use crate::presence::{Changes, Group, Place, Portion};
use crate::record::field::{Fields, Malformed, put_count, put_name};

/// Least bytes of a name: its length and one byte.
const NAME_BYTES_MIN: usize = 2;
/// Least bytes of a group: its channel, whether there is a number, and two lists without names.
const GROUP_BYTES_MIN: usize = 11;

/// What a node tells, or asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceTold {
    /// Who has come and gone.
    Changes(Changes),
    /// The node asks for a portion of all, behind this place.
    Wanted(Option<Place>),
    /// Such a portion.
    Portion(Portion),
}

impl PresenceTold {
    pub(super) fn room(&self) -> usize {
        match self {
            Self::Changes(Changes { groups, .. }) | Self::Portion(Portion { groups, .. }) => {
                groups.iter().map(group_bytes).sum()
            }
            Self::Wanted(_) => 0,
        }
    }

    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Changes(Changes { sequence, groups }) => {
                bytes.extend_from_slice(&sequence.to_le_bytes());
                put_groups(bytes, groups);
            }
            Self::Wanted(after) => put_option(bytes, after.as_ref(), put_place),
            Self::Portion(Portion { sequence, after, upto, groups }) => {
                bytes.extend_from_slice(&sequence.to_le_bytes());
                put_option(bytes, after.as_ref(), put_place);
                put_option(bytes, upto.as_ref(), put_place);
                put_groups(bytes, groups);
            }
        }
    }
}

pub(super) fn changes(fields: &mut Fields<'_>) -> Result<PresenceTold, Malformed> {
    check_length(fields)?;
    Ok(PresenceTold::Changes(Changes { sequence: fields.u64()?, groups: groups(fields)? }))
}

pub(super) fn wanted(fields: &mut Fields<'_>) -> Result<PresenceTold, Malformed> {
    option(fields, place).map(PresenceTold::Wanted)
}

pub(super) fn portion(fields: &mut Fields<'_>) -> Result<PresenceTold, Malformed> {
    check_length(fields)?;
    Ok(PresenceTold::Portion(Portion {
        sequence: fields.u64()?,
        after: option(fields, place)?,
        upto: option(fields, place)?,
        groups: groups(fields)?,
    }))
}

fn check_length(fields: &Fields<'_>) -> Result<(), Malformed> {
    if fields.rest() <= PRESENCE_MESSAGE_BYTES_MAX { Ok(()) } else { Err(Malformed) }
}

fn put_place(bytes: &mut Vec<u8>, place: &Place) {
    put_name(bytes, &place.channel);
    put_option(bytes, place.user.as_ref(), put_name);
}

fn place(fields: &mut Fields<'_>) -> Result<Place, Malformed> {
    Ok(Place { channel: fields.name()?, user: option(fields, Fields::name)? })
}

fn put_groups(bytes: &mut Vec<u8>, groups: &[Group]) {
    put_count(bytes, groups.len());
    for Group { channel, anonymous, present, absent } in groups {
        put_name(bytes, channel);
        put_option(bytes, *anonymous, |bytes, count| bytes.extend_from_slice(&count.to_le_bytes()));
        put_names(bytes, present);
        put_names(bytes, absent);
    }
}

fn groups(fields: &mut Fields<'_>) -> Result<Vec<Group>, Malformed> {
    let count = fields.count(GROUP_BYTES_MIN)?;
    let group = |fields: &mut Fields<'_>| {
        Ok(Group {
            channel: fields.name()?,
            anonymous: option(fields, Fields::u32)?,
            present: names(fields)?,
            absent: names(fields)?,
        })
    };
    (0..count).map(|_| group(fields)).collect()
}

fn put_names(bytes: &mut Vec<u8>, names: &[Name]) {
    put_count(bytes, names.len());
    names.iter().for_each(|name| put_name(bytes, name));
}

fn names(fields: &mut Fields<'_>) -> Result<Vec<Name>, Malformed> {
    let count = fields.count(NAME_BYTES_MIN)?;
    (0..count).map(|_| fields.name()).collect()
}

fn group_bytes(group: &Group) -> usize {
    let names = group.present.iter().chain(&group.absent);
    GROUP_BYTES_MIN + 260 + names.map(|name| name.as_str().len() + 1).sum::<usize>()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = Name> {
        "[a-zé]{1,5}".prop_map(|text| Name::new(&text).unwrap())
    }

    fn place() -> impl Strategy<Value = Option<Place>> {
        prop::option::of(
            (name(), prop::option::of(name())).prop_map(|(channel, user)| Place { channel, user }),
        )
    }

    fn groups() -> impl Strategy<Value = Vec<Group>> {
        let group = (name(), any::<Option<u32>>(), vec(name(), 0..4), vec(name(), 0..4));
        let group = group.prop_map(|(channel, anonymous, present, absent)| Group {
            channel,
            anonymous,
            present,
            absent,
        });
        vec(group, 0..4)
    }

    pub(crate) fn told() -> impl Strategy<Value = PresenceTold> {
        let changes = (any::<u64>(), groups())
            .prop_map(|(sequence, groups)| PresenceTold::Changes(Changes { sequence, groups }));
        let portion =
            (any::<u64>(), place(), place(), groups()).prop_map(|(sequence, after, upto, groups)| {
                PresenceTold::Portion(Portion { sequence, after, upto, groups })
            });
        prop_oneof![changes, place().prop_map(PresenceTold::Wanted), portion]
    }
}
