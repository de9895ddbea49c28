//! The metrics of a cluster, which a server has only if it is in one.

use std::sync::atomic::{AtomicU64, Ordering};

use turted_core::presence::Copied;

use super::exposition::{Exposition, MetricKind};
use crate::hub::cluster::Cluster;

/// Writes them.
pub(super) fn write(page: &mut Exposition, cluster: &Cluster) {
    let (status, counters) = (cluster.status(), &cluster.status().counters);
    let help = "Nodes of the cluster that are heard, this one included.";
    page.metric("turted_cluster_nodes", MetricKind::Gauge, help).sample(&[], status.nodes().len());
    let help = "1 while this node follows the log of the cluster, else 0.";
    page.metric("turted_cluster_following", MetricKind::Gauge, help).sample(&[], u8::from(status.follows()));
    let help = "Time between an entry of the log of the cluster and its reading, for the last one.";
    page.metric("turted_cluster_lag_seconds", MetricKind::Gauge, help)
        .sample(&[], status.lag().as_secs_f64());
    let mut count = |name, help, count: &AtomicU64| {
        page.metric(name, MetricKind::Counter, help).sample(&[], count.load(Ordering::Relaxed));
    };
    let help = "How often a connection to Redis was lost or could not be made.";
    count("turted_cluster_reconnects_total", help, &counters.failures);
    count("turted_cluster_epochs_total", "Epochs of the log that began.", &counters.epochs);
    let help = "How often clients were told that the log may have lost events.";
    count("turted_cluster_losses_total", help, &counters.losses);
    let help = "Entries and messages in Redis that are none of turted.";
    count("turted_cluster_foreign_entries_total", help, &counters.foreign);
    let help = "Changes of sessions that were answered before they were recorded in Redis.";
    count("turted_cluster_unrecorded_sessions_total", help, &counters.unrecorded);
    let help = "Sessions with a change that was answered before it was recorded in Redis, and never was.";
    page.metric("turted_cluster_lost_sessions_total", MetricKind::Counter, help)
        .sample(&[], cluster.sessions().lost());
}

/// Writes what other nodes have told of who is in their channels.
pub(super) fn write_presence(page: &mut Exposition, copied: Copied) {
    let help = "Nodes of which this one does not know at the moment who is in their channels.";
    page.metric("turted_cluster_presence_silent", MetricKind::Gauge, help).sample(&[], copied.silent);
    let help =
        "Users in channels with presence that other nodes have told; one that two of them have counts twice.";
    page.metric("turted_cluster_presence_users", MetricKind::Gauge, help).sample(&[], copied.users);
    let help = "How often another node was asked for all who are in its channels.";
    page.metric("turted_cluster_presence_asked_total", MetricKind::Counter, help).sample(&[], copied.asked);
    let help = "Users and channels of other nodes that were left out because there was no room.";
    page.metric("turted_cluster_presence_left_out_total", MetricKind::Counter, help)
        .sample(&[], copied.left_out);
}
