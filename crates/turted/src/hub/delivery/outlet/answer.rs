//! An answer on its way to a client that polls. The client can ask for more only when it has read this answer,
//! which may be with another worker.

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

/// What the session knows of its last answer.
#[derive(Debug, Default)]
pub(crate) struct LastAnswer(Option<Arc<OnceLock<Instant>>>);

/// Held by an answer until the client has taken it.
#[derive(Debug)]
pub(crate) struct OnItsWay(Arc<OnceLock<Instant>>);

impl LastAnswer {
    /// Another answer is given.
    pub(crate) fn give(&mut self) -> OnItsWay {
        let taken_at = Arc::default();
        self.0 = Some(Arc::clone(&taken_at));
        OnItsWay(taken_at)
    }

    /// Whether the client has not taken all of it.
    pub(crate) fn is_on_its_way(&self) -> bool {
        self.0.as_ref().is_some_and(|taken_at| taken_at.get().is_none())
    }

    /// When the client had taken all of it.
    pub(crate) fn taken_at(&self) -> Option<Instant> {
        self.0.as_ref()?.get().copied()
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.get_or_init(Instant::now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_on_its_way_until_it_is_taken() {
        let mut last = LastAnswer::default();
        assert!(!last.is_on_its_way());
        assert!(last.taken_at().is_none());
        let first = last.give();
        assert!(last.is_on_its_way());
        drop(first);
        assert!(!last.is_on_its_way());
        assert!(last.taken_at().is_some());
        let _second = last.give();
        assert!(last.is_on_its_way());
        assert!(last.taken_at().is_none());
    }
}
