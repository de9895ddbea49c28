//! A queue of RabbitMQ that three nodes share.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use lapin::BasicProperties;

use super::{dispatched, is_up, push};
use crate::harness::{BACK, Cluster, FILE, KEPT, Node, until};
use crate::support::rabbitmq::RabbitMq;
use crate::support::{Kind, pause};

const MESSAGES: usize = 4_000;
/// How long all of them may take, with a broker and three nodes on a busy machine.
const ALL: Duration = Duration::from_secs(60);

/// Publishes all messages with an id each, and each tenth once more, as a backend does that heard no answer.
fn publish(broker: &RabbitMq) {
    let publisher = broker.publisher();
    for number in 0..MESSAGES {
        let named = BasicProperties::default().with_message_id(format!("id-{number}").into());
        let times = if number % 10 == 0 { 2 } else { 1 };
        publisher.publish_all("", "pushes", vec![push(number); times], &named);
    }
}

/// How many messages a node has read so.
fn read(node: &Node, outcome: &str) -> usize {
    let series = format!("turted_source_messages_total{{source=\"app\",outcome=\"{outcome}\"}}");
    node.child().metric(&series)
}

#[test]
fn a_message_of_rabbitmq_with_an_id_is_dispatched_once_though_nodes_that_share_its_queue_are_killed() {
    let broker = RabbitMq::start();
    broker.publisher().declare_queue("pushes", None);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("turted.toml");
    let url = broker.url();
    let source =
        format!("[[sources]]\nname = \"app\"\ntype = \"rabbitmq\"\nurl = \"{url}\"\nqueue = \"pushes\"\n");
    std::fs::write(&file, source).unwrap();
    // The client reads at the end alone.
    let variables = [
        (FILE, file.to_str().unwrap()),
        ("TURTED_SOCKETIO_PING_INTERVAL", "1h"),
        ("TURTED_LIMITS_OUTBOX_STALL", "10m"),
    ];
    let mut cluster = Cluster::with(KEPT, 3, &variables);
    until(|| "all read".to_owned(), BACK, || cluster.nodes.iter().all(is_up));
    let mut client = cluster.nodes[0].child().client(Kind::V4_WEBSOCKET);
    let count = |cluster: &Cluster| dispatched(cluster).len();
    thread::scope(|scope| {
        let publishing = scope.spawn(|| publish(&broker));
        for (place, share) in [(1, MESSAGES / 4), (2, MESSAGES / 2), (1, MESSAGES * 3 / 4)] {
            until(|| format!("{} of {share}", count(&cluster)), ALL, || count(&cluster) >= share);
            let node = &mut cluster.nodes[place];
            assert!(read(node, "accepted") > 0 && !publishing.is_finished(), "it is killed in the middle");
            node.kill();
            node.run();
            until(|| format!("node {place} reads"), BACK, || is_up(&cluster.nodes[place]));
        }
    });
    let publisher = broker.publisher();
    until(|| format!("{}", count(&cluster)), ALL, || count(&cluster) == MESSAGES);
    // A message that is not acknowledged is no message that waits: the queue has neither when its consumers are gone.
    until(|| "no message waits".to_owned(), BACK, || publisher.count("pushes") == (0, 3));
    pause(Duration::from_secs(1));
    let again: Vec<_> = cluster.nodes.iter().map(|node| read(node, "duplicate")).collect();
    println!("came again, since the last start of each node: {again:?}");
    let twice: Vec<_> = dispatched(&cluster).into_iter().filter(|(_, times)| *times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let heard: Vec<_> = (0..MESSAGES).map(|_| client.event().payload.to_string()).collect();
    assert_eq!(heard.iter().collect::<BTreeSet<_>>().len(), MESSAGES, "each once");
    drop(client);
    cluster.nodes.iter_mut().for_each(|node| drop(node.stop()));
    assert_eq!(publisher.count("pushes"), (0, 0), "all are acknowledged");
}
