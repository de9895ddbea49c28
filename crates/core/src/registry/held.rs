//! The users that a connection is and the channels that it has joined: how they begin and end.

use super::{ConnectionKey, IdentMode, MemberKind, MembershipRefusal, Registry};
use crate::membership::{Group, Groups, Member, Membership, Memberships, Since};
use crate::name::Name;

impl<T> Registry<T> {
    /// Makes `key` a connection of `user`.
    ///
    /// # Errors
    /// [`MembershipRefusal::TooManyUsers`] under [`IdentMode::Add`].
    pub fn identify(
        &mut self,
        key: ConnectionKey,
        user: &Name,
        mode: IdentMode,
        since: Since,
    ) -> Result<(), MembershipRefusal> {
        let limit = self.limits.users;
        let Some(entry) = self.entry_mut(key) else { return Ok(()) };
        let held = entry.users.len();
        if self.is_member(key, MemberKind::Users, user) && (mode == IdentMode::Add || held == 1) {
            return Ok(());
        }
        match mode {
            IdentMode::Replace => self.clear(key, MemberKind::Users),
            IdentMode::Add if held >= limit => return Err(MembershipRefusal::TooManyUsers(limit)),
            IdentMode::Add => {}
        }
        self.enter(key, MemberKind::Users, user, since);
        Ok(())
    }

    /// Joins `key` to `channel`. Joining twice is joining once.
    ///
    /// # Errors
    /// [`MembershipRefusal::TooManyChannels`].
    pub fn join(
        &mut self,
        key: ConnectionKey,
        channel: &Name,
        since: Since,
    ) -> Result<(), MembershipRefusal> {
        if self.is_member(key, MemberKind::Channels, channel) {
            return Ok(());
        }
        let limit = self.limits.channels;
        let Some(entry) = self.entry_mut(key) else { return Ok(()) };
        if entry.channels.len() >= limit {
            return Err(MembershipRefusal::TooManyChannels(limit));
        }
        self.enter(key, MemberKind::Channels, channel, since);
        Ok(())
    }

    /// Takes `key` out of `channel`, if it was in it.
    pub fn leave(&mut self, key: ConnectionKey, channel: &Name) {
        self.end(key, MemberKind::Channels, channel);
    }

    /// Ends the membership of `key` in `user`, if there is one.
    pub fn forget_user(&mut self, key: ConnectionKey, user: &Name) {
        self.end(key, MemberKind::Users, user);
    }

    /// Whether `key` is identified as a user.
    #[must_use]
    pub fn is_identified(&self, key: ConnectionKey) -> bool {
        self.entry(key).is_some_and(|entry| !entry.users.is_empty())
    }

    /// Since when `key` is in `channel`.
    #[must_use]
    pub fn since(&self, key: ConnectionKey, channel: &Name) -> Option<Since> {
        let (group, held) = (self.channels.find(channel)?, &self.entry(key)?.channels);
        held.iter().find(|membership| membership.group == group).map(|membership| membership.since)
    }

    /// The users and channels of `key`, and since when.
    #[must_use]
    pub fn memberships(&self, key: ConnectionKey) -> Memberships {
        let Some(entry) = self.entry(key) else { return Memberships::default() };
        Memberships { users: self.users.named(&entry.users), channels: self.channels.named(&entry.channels) }
    }

    /// Gives `key` the memberships it had before it lost its connection, in place of those it has.
    pub fn restore(&mut self, key: ConnectionKey, memberships: &Memberships) {
        for (kind, held) in
            [(MemberKind::Users, &memberships.users), (MemberKind::Channels, &memberships.channels)]
        {
            self.clear(key, kind);
            for (name, since) in held {
                if !self.is_member(key, kind, name) {
                    self.enter(key, kind, name, *since);
                }
            }
        }
    }

    fn groups(&mut self, kind: MemberKind) -> &mut Groups {
        match kind {
            MemberKind::Users => &mut self.users,
            MemberKind::Channels => &mut self.channels,
        }
    }

    fn is_member(&mut self, key: ConnectionKey, kind: MemberKind, name: &Name) -> bool {
        let Some(id) = self.groups(kind).find(name) else { return false };
        let Some(entry) = self.entry_mut(key) else { return false };
        entry.memberships(kind).iter().any(|membership| membership.group == id)
    }

    /// Adds a membership that does not exist yet.
    fn enter(&mut self, key: ConnectionKey, kind: MemberKind, name: &Name, since: Since) {
        if self.entry_mut(key).is_none() {
            return;
        }
        let groups = self.groups(kind);
        let id = groups.find_or_add(name);
        let position = groups.group_mut(id).add(Member { slot: key.slot });
        if let Some(entry) = self.entry_mut(key) {
            entry.recent = entry.recent.max(since.0);
            let held = entry.memberships(kind);
            if held.is_empty() {
                // Most connections are one user and in one channel, and a vector would start with room for
                // four.
                held.reserve_exact(1);
            }
            held.push(Membership { group: id, position, since });
        }
    }

    /// Ends one membership.
    fn end(&mut self, key: ConnectionKey, kind: MemberKind, name: &Name) {
        let Some(id) = self.groups(kind).find(name) else { return };
        let Some(entry) = self.entry_mut(key) else { return };
        let held = entry.memberships(kind);
        if let Some(index) = held.iter().position(|membership| membership.group == id) {
            let membership = held.swap_remove(index);
            self.exit(kind, membership);
        }
    }

    /// Ends all memberships of one kind.
    pub(super) fn clear(&mut self, key: ConnectionKey, kind: MemberKind) {
        let Some(entry) = self.entry_mut(key) else { return };
        for membership in std::mem::take(entry.memberships(kind)) {
            self.exit(kind, membership);
        }
    }

    /// Takes a member out of its group; the member's own entry is gone already. The last member of the group
    /// moves into its place, and its connection is updated.
    fn exit(&mut self, kind: MemberKind, membership: Membership) {
        let groups = self.groups(kind);
        let group: &mut Group = groups.group_mut(membership.group);
        group.members.swap_remove(membership.position as usize);
        let moved = group.members.get(membership.position as usize).map(|member| member.slot);
        if group.members.is_empty() {
            groups.remove(membership.group);
        }
        let Some(entry) = moved.and_then(|slot| self.slots[slot as usize].entry.as_mut()) else { return };
        let held = entry.memberships(kind).iter_mut().find(|held| held.group == membership.group);
        if let Some(held) = held {
            held.position = membership.position;
        }
    }
}
