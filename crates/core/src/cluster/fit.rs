//! Whether every node reads a dispatch as one of ours, if it is appended to the log of a cluster.

use std::collections::BTreeSet;

use super::entry::{ROOM, has_twice};
use crate::dispatch::Dispatch;
use crate::limits::{CLUSTER_ENTRY_BYTES_MAX, CLUSTER_TARGETS_MAX};
use crate::name::Name;
use crate::record::dispatch::room_of;

/// Why no node would read a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Its entry takes about so many bytes, above [`CLUSTER_ENTRY_BYTES_MAX`].
    Bytes(usize),
    /// It has so many users and channels together, above [`CLUSTER_TARGETS_MAX`].
    Targets(usize),
}

/// Makes a dispatch fit for the log of a cluster: names that are listed twice are left once, where they came first.
///
/// # Errors
/// It does not fit in any way.
///
/// ```
/// use serde_json::value::RawValue;
/// use turted_core::cluster::fit::fit;
/// use turted_core::dispatch::{Dispatch, Targets};
/// use turted_core::name::Name;
/// let adam = Name::new("adam")?;
/// let targets = Targets { users: vec![adam.clone(), adam.clone()], ..Targets::default() };
/// let payload = RawValue::from_string("7".to_owned())?;
/// let mut dispatch = Dispatch { event: Name::new("NEWS")?, payload, targets };
/// assert_eq!(fit(&mut dispatch), Ok(()));
/// assert_eq!(dispatch.targets.users, [adam]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fit(dispatch: &mut Dispatch) -> Result<(), Unfit> {
    let targets = &mut dispatch.targets;
    [&mut targets.users, &mut targets.channels].into_iter().for_each(name_once);
    let count = targets.users.len() + targets.channels.len();
    if count > CLUSTER_TARGETS_MAX {
        return Err(Unfit::Targets(count));
    }
    let bytes = ROOM + room_of(dispatch);
    if bytes > CLUSTER_ENTRY_BYTES_MAX { Err(Unfit::Bytes(bytes)) } else { Ok(()) }
}

fn name_once(names: &mut Vec<Name>) {
    if has_twice(names) {
        let mut known = BTreeSet::new();
        names.retain(|name| known.insert(name.clone()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::super::entry::{Body, Entry, decode};
    use super::super::head::{Author, Read};
    use super::*;
    use crate::dispatch::Targets;
    use crate::push::PushLimits;
    use crate::record::push::tests::a_dispatch;

    /// What a node reads of others.
    const READ: PushLimits =
        PushLimits { targets: CLUSTER_TARGETS_MAX, dispatches: 1, expansion_bytes: usize::MAX };

    fn assert_read(dispatch: &Dispatch) {
        let author = Author { node: u16::MAX, process: u64::MAX };
        let body = Body::Dispatch { counted: true, dispatch: dispatch.clone() };
        let entry = Entry { author, tag: u64::MAX, time: std::time::Duration::MAX, body };
        let bytes = entry.encode();
        assert!(bytes.len() <= CLUSTER_ENTRY_BYTES_MAX, "{}", bytes.len());
        let Read::Ours(Entry { body: Body::Dispatch { dispatch: read, .. }, .. }) = decode(&bytes, READ)
        else {
            panic!("it is foreign");
        };
        assert_eq!(&read, dispatch);
    }

    fn dispatch_of(payload_bytes: usize, users: Vec<Name>) -> Dispatch {
        let payload = RawValue::from_string(format!("\"{}\"", "x".repeat(payload_bytes - 2))).unwrap();
        let targets = Targets { users, ..Targets::default() };
        Dispatch { event: Name::new("e").unwrap(), payload, targets }
    }

    fn names(count: usize) -> Vec<Name> {
        (0..count).map(|number| Name::new(&number.to_string()).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn what_fits_is_read_as_it_is_and_has_each_name_once(dispatch in a_dispatch(), twice in any::<bool>()) {
            let mut fitted = dispatch.clone();
            if twice {
                fitted.targets.users.extend(dispatch.targets.users.clone());
            }
            prop_assert_eq!(fit(&mut fitted), Ok(()));
            assert_read(&fitted);
            let [all, before]: [BTreeSet<_>; 2] = [&fitted, &dispatch].map(|one| one.targets.users.iter().collect());
            prop_assert_eq!(all, before);
        }
    }

    #[test]
    fn the_largest_dispatch_that_fits_is_read_and_a_larger_one_is_told() {
        let own = ROOM + room_of(&dispatch_of(2, names(3))) - 2;
        let mut largest = dispatch_of(CLUSTER_ENTRY_BYTES_MAX - own, names(3));
        assert_eq!(fit(&mut largest), Ok(()));
        assert_read(&largest);
        let mut larger = dispatch_of(CLUSTER_ENTRY_BYTES_MAX - own + 1, names(3));
        assert_eq!(fit(&mut larger), Err(Unfit::Bytes(CLUSTER_ENTRY_BYTES_MAX + 1)));
    }

    #[test]
    fn the_most_targets_that_fit_are_read_and_one_more_is_told() {
        let mut most = dispatch_of(2, names(CLUSTER_TARGETS_MAX));
        assert_eq!(fit(&mut most), Ok(()));
        assert_read(&most);
        let mut more = dispatch_of(2, names(CLUSTER_TARGETS_MAX + 1));
        assert_eq!(fit(&mut more), Err(Unfit::Targets(CLUSTER_TARGETS_MAX + 1)));
        more.targets.users.pop();
        more.targets.users.push(Name::new("0").unwrap());
        assert_eq!(fit(&mut more), Ok(()), "one of them is named twice");
    }
}
