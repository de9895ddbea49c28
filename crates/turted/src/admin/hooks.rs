//! The metrics of hooks. Their names come from the configuration and need no escapes.

use super::exposition::{Exposition, MetricKind};
use crate::hub::hooks::{Hook, Hooks};

/// Writes them. A metric without any hook is written all the same, so that a page has every metric.
pub(super) fn write(page: &mut Exposition, hooks: &Hooks) {
    let mut each = |name, kind, help, number: &dyn Fn(&Hook) -> u64| {
        let mut metric = page.metric(name, kind, help);
        for hook in hooks.iter() {
            metric.sample(&[("hook", hook.name())], number(hook));
        }
    };
    let help = "1 if the backend of the hook took the last batch, else 0.";
    each("turted_hook_up", MetricKind::Gauge, help, &|hook| hook.is_up().into());
    let help = "1 if the hook has ended until the restart, because its backend answered 410, else 0.";
    each("turted_hook_ended", MetricKind::Gauge, help, &|hook| (!hook.is_open()).into());
    let help = "Records that wait to be sent to the backend of the hook.";
    each("turted_hook_waiting_records", MetricKind::Gauge, help, &|hook| hook.waiting().0 as u64);
    let help = "Bytes of the records that wait to be sent to the backend of the hook.";
    each("turted_hook_waiting_bytes", MetricKind::Gauge, help, &|hook| hook.waiting().1 as u64);
    let help = "Records that the backend of the hook took.";
    each("turted_hook_sent_total", MetricKind::Counter, help, &Hook::sent);
    let help = "Records that were dropped: too many waited, or the backend refused them.";
    each("turted_hook_dropped_total", MetricKind::Counter, help, &Hook::dropped);
    let help = "Tries to send a batch that the backend of the hook did not take.";
    each("turted_hook_failures_total", MetricKind::Counter, help, &Hook::failures);
}
