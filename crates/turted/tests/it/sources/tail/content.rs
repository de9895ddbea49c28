//! What is in the files: lines without an end, lines that are too long, bytes that are no text, and where reading begins.

use super::{Counting, Logs, NUMBERS, Numbered};
use crate::support::{Kind, eventually};

#[test]
fn a_line_that_is_written_in_pieces_is_one_line() {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    logs.append("a.log", "n");
    for piece in ["0\nn1", "\r", "\nn", "2\nn3\nn", "4"] {
        logs.append("a.log", piece);
        // A scan lies between two pieces: another file is read after this one was.
        let skipped = counting.outcome("skipped") + 1;
        logs.append("b.log", "other\n");
        eventually("the other file is read", || counting.outcome("skipped") >= skipped);
    }
    logs.append("a.log", "\n");
    assert_eq!(counting.wait(5), [0, 1, 2, 3, 4]);
    assert_eq!(counting.outcome("skipped"), 5, "no half line was taken for one");
}

#[test]
fn lines_that_are_too_long_are_refused_and_take_no_memory() {
    let logs = Logs::new();
    let child = logs.child("line_bytes = 1000\nmap = { event = \"E\", broadcast = true }\n", &[]);
    let mut client = child.client(Kind::V4_WEBSOCKET);
    let refused = r#"turted_source_messages_total{source="app",outcome="refused"}"#;
    logs.append("a.log", &"x".repeat(1_000));
    logs.append("a.log", &format!("\n{}\nafter\n", "x".repeat(1_001)));
    assert_eq!(client.event().payload.as_str().unwrap().len(), 1_000);
    assert_eq!(client.event().payload, "after");
    assert_eq!(child.metric(refused), 1);
    let before = child.memory();
    let piece = "y".repeat(1 << 20);
    (0..100).for_each(|_| logs.append("a.log", &piece));
    eventually("100 MiB are read", || child.metric(r#"turted_source_lag_bytes{source="app"}"#) >= 100 << 20);
    logs.append("a.log", "\nlast\n");
    assert_eq!(client.event().payload, "last");
    assert_eq!(child.metric(refused), 2);
    let grown = child.memory().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more for a line of 100 MiB");
    client.leave();
    child.stop();
}

#[test]
fn bytes_that_are_no_text_are_refused_and_the_next_line_is_taken() {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    logs.append_bytes("a.log", b"n0\n\xff\xfe\0\nn\xc3\n\0\nn1\n");
    assert_eq!(counting.wait(2), [0, 1]);
    assert_eq!((counting.outcome("refused"), counting.outcome("skipped")), (2, 1));
}

#[test]
fn reading_begins_at_the_end_of_what_is_there_and_at_the_start_of_what_comes() {
    let logs = Logs::new();
    logs.append("old.log", "n100\nn10");
    let counting = Counting::start(logs.config(NUMBERS));
    let mut numbered = Numbered::new(&logs);
    numbered.write("new.log", 3);
    assert_eq!(counting.wait(3), [0, 1, 2]);
    // The line that had begun before is not half.
    logs.append("old.log", "1\n");
    assert_eq!(counting.wait(4)[3], 101);
}

#[test]
fn reading_may_begin_at_the_start() {
    let logs = Logs::new();
    let mut numbered = Numbered::new(&logs);
    numbered.write("a.log", 5_000);
    let counting = Counting::start(logs.config(&format!("from = \"start\"\n{NUMBERS}")));
    numbered.write("a.log", 5);
    numbered.assert_all(&counting);
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_not_replaced() {
    let logs = Logs::new();
    let child = logs.child(NUMBERS, &[]);
    child.stop();
    std::fs::write(logs.path("state/app.json"), "{").unwrap();
    let config = logs.config(NUMBERS);
    let server = turted::server::Server::bind(config).map(drop).unwrap_err().to_string();
    assert!(server.contains("app.json: EOF while parsing"), "{server}");
    assert!(server.ends_with("remove it to begin anew (sources.from)"), "{server}");
    assert_eq!(std::fs::read_to_string(logs.path("state/app.json")).unwrap(), "{");
}

#[test]
fn lines_that_come_before_the_first_checkpoint_can_be_written_are_read() {
    let logs = Logs::new();
    logs.append("a.log", "n0\n");
    // As on a full disk: a checkpoint cannot take its place.
    let obstacle = logs.path("state/app.json.new");
    std::fs::create_dir_all(&obstacle).unwrap();
    let counting = Counting::begin(logs.config(NUMBERS));
    let source = || counting.server.admin().get("/api/v1/sources").json()["sources"][0].take();
    eventually("the source says why it waits", || {
        source()["failure"].as_str().is_some_and(|failure| failure.starts_with("cannot write "))
    });
    logs.append("a.log", "n1\n");
    std::fs::remove_dir(obstacle).unwrap();
    logs.append("a.log", "n2\n");
    assert_eq!(counting.wait(2), [1, 2]);
}
