//! Inboxes that stay full while a file has much more.

use super::Logs;
use crate::sources::full;

#[test]
fn a_file_waits_for_room_in_bounded_memory_while_others_pass_and_loses_nothing() {
    let logs = Logs::new();
    logs.config("");
    let config = logs.path("turted.toml");
    let toml = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, [&toml, full::LIMITS].concat()).unwrap();
    full::check(&config, &logs.path("accepted"), || {
        let lines: String = full::messages().map(|message| message + "\n").collect();
        logs.append("app.log", &lines);
    });
}
