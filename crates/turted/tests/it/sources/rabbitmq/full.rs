//! Inboxes that stay full while a queue has much more.

use super::setup::{Setup, source};
use crate::sources::full;
use crate::support::amqp::publish_many;
use crate::support::eventually;
use crate::support::rabbitmq::RabbitMq;

#[test]
fn a_queue_waits_for_room_in_bounded_memory_while_others_pass_and_loses_nothing() {
    let broker = RabbitMq::start();
    let publisher = broker.publisher();
    publisher.declare_queue("full", None);
    let setup = Setup::new(&broker);
    let config = setup.write(&source("full", "queue = \"full\""));
    let toml = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, [&toml, full::LIMITS].concat()).unwrap();
    full::check(&config, &setup.path("accepted"), || {
        publish_many(&broker.url(), "full", full::messages());
    });
    eventually("all is acknowledged", || publisher.count("full").0 == 0);
}
