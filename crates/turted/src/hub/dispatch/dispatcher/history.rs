//! The history of channels: what is read of it, what is deleted from it, and what gives way.

use std::ops::RangeInclusive;
use std::time::Instant;

use tokio::sync::oneshot;
use turted_core::history::Range;
use turted_core::name::Name;

use super::Dispatcher;
use crate::config::Config;
use crate::hub::dispatch::history::deletion::Deletion;
use crate::hub::dispatch::history::{EVENTS_PER_LOCK, FormerHistory, History, Told};
use crate::hub::dispatch::log::disk::deleted::Deleted;

impl Dispatcher {
    /// The same dispatcher, which keeps the history of channels from now on, if a channel has any. It goes on with what the
    /// last life left.
    pub(crate) fn with_history(self, config: &Config, former: Option<FormerHistory>) -> Self {
        let order = &mut *self.order();
        order.history = History::over(&order.log, config, (former, Instant::now()));
        self.clone()
    }

    /// The same dispatcher without what was deleted from history in an earlier life.
    pub(crate) fn without(self, deleted: Vec<Deleted>) -> Self {
        for (channel, numbers) in deleted {
            self.delete_history(&channel, numbers);
        }
        self
    }

    /// Looks into the history of channels; `None` if no channel has any. Pushes wait meanwhile, so it must be a short look.
    pub(crate) fn read_history<T>(&self, read: impl FnOnce(&History) -> T) -> Option<T> {
        self.order().history.as_ref().map(read)
    }

    /// The events of a channel that are asked for, the newest first. They are read a portion at a time, backwards: what gives
    /// way meanwhile is older than what was read.
    pub(crate) fn history_of(&self, channel: &Name, mut range: Range, now: Instant) -> Vec<Told> {
        let mut events = Vec::new();
        while range.most > 0 {
            let portion = Range { most: range.most.min(EVENTS_PER_LOCK), ..range };
            let found =
                self.read_history(|history| history.newest(channel, portion, now)).unwrap_or_default();
            let Some((oldest, _)) = found.last() else { break };
            range.up_to = oldest.sequence() - 1;
            range.most -= found.len();
            let is_last = found.len() < portion.most;
            events.extend(found);
            if is_last {
                break;
            }
        }
        events
    }

    /// Deletes the events of the history of `channel` with numbers within a range, and returns how many there were. The log
    /// keeps them for clients that come back.
    pub(crate) fn delete_history(&self, channel: &Name, numbers: RangeInclusive<u64>) -> usize {
        self.order().delete_history(channel, numbers)
    }

    /// Records that history is deleted: in the log of a cluster, so that every node deletes it, one that starts later as well,
    /// or beside the log on disk, so that a start deletes it after a kill too. Says later that it stands there. `None` if the
    /// log is in memory, or too many wait.
    pub(crate) fn record_deletion(
        &self,
        channel: &Name,
        numbers: RangeInclusive<u64>,
    ) -> Option<oneshot::Receiver<()>> {
        let deletions = self.order().deletions.clone()?;
        let (recorded, is_recorded) = oneshot::channel();
        deletions.try_send(Deletion { channel: channel.clone(), numbers, recorded }).ok()?;
        Some(is_recorded)
    }

    /// Gives up a portion of what log and history keep and is too old. Returns whether there is more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        let order = &mut *self.order();
        let has_more = order.history.as_mut().is_some_and(|history| history.tidy(&order.log, now));
        order.log.tidy(now) || has_more
    }
}
