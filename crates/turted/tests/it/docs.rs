//! The pages for people: each is reachable, each link leads somewhere, and what is quoted exists.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::pages::{files, headings, links, pages, prose, read, resolve, root};
use crate::support::{TestServer, WebSocket};

/// Where readers begin.
const START: &str = "docs/README.md";
/// Texts of the server that are shorter are quoted by other pages too, for other reasons.
const QUOTE_BYTES_MIN: usize = 20;

#[test]
fn every_link_leads_somewhere() {
    let mut dead = Vec::new();
    for page in pages() {
        for target in links(&page) {
            let (path, heading) = resolve(&page, &target);
            let is_there = root().join(&path).exists()
                && heading.is_none_or(|heading| headings(&path).contains(&heading));
            if !is_there {
                dead.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_page_is_reachable_from_the_first_one() {
    let mut reached = BTreeSet::from([START.to_owned()]);
    let mut next = vec![START.to_owned()];
    while let Some(page) = next.pop() {
        for target in links(&page) {
            let (path, _) = resolve(&page, &target);
            if path.starts_with("docs/") && path.ends_with(".md") && reached.insert(path.clone()) {
                next.push(path);
            }
        }
    }
    let missing: Vec<_> = files("docs", ".md").into_iter().filter(|page| !reached.contains(page)).collect();
    assert!(missing.is_empty(), "{START} leads to none of {missing:?}");
}

/// A source as one line: strings that go on in the next line are whole, and quotation marks plain.
fn flat(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut lines = source.lines().peekable();
    let mut goes_on = false;
    while let Some(line) = lines.next() {
        let line = if goes_on { line.trim_start() } else { line };
        goes_on = line.ends_with('\\');
        text.push_str(line.trim_end_matches('\\'));
        text.push_str(if goes_on || lines.peek().is_none() { "" } else { "\n" });
    }
    text.replace("\\\"", "\"")
}

/// What stands between back quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a text is a sentence of the server: longer than a key, and not a command, a setting or an example.
fn is_sentence(text: &str) -> bool {
    let is_example = text.starts_with('/') || ["..", " = ", "://"].iter().any(|part| text.contains(part));
    text.len() >= QUOTE_BYTES_MIN && text.contains(' ') && !is_example
}

/// Tables about what the server says quote it, so that people find what they saw.
#[test]
fn what_the_page_for_trouble_quotes_is_said_by_the_server() {
    let sources = ["crates/turted/src", "crates/core/src"];
    let said: String =
        sources.iter().flat_map(|source| files(source, ".rs")).map(|source| flat(&read(&source))).collect();
    let page = prose("docs/trouble.md");
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let cells = rows.flat_map(|row| row.split(" | ").take(2).map(str::to_owned).collect::<Vec<_>>());
    let quotes: BTreeMap<String, bool> = cells
        .flat_map(|cell| quoted(&cell).map(str::to_owned).collect::<Vec<_>>())
        .filter(|text| is_sentence(text))
        .map(|text| (text.clone(), said.contains(&text)))
        .collect();
    assert!(quotes.len() > 40, "{}", quotes.len());
    let unsaid: Vec<_> = quotes.iter().filter(|(_, is_said)| !**is_said).map(|(text, _)| text).collect();
    assert!(unsaid.is_empty(), "{unsaid:#?}");
}

/// The errors of Engine.IO in a text.
fn engine_errors(text: &str) -> BTreeSet<String> {
    let errors = text.split(r#"{"code":"#).skip(1).filter_map(|rest| rest.split_once('}'));
    errors.map(|(error, _)| error.to_owned()).filter(|error| error.contains("message")).collect()
}

#[test]
fn the_page_about_socketio_has_the_errors_of_the_server() {
    let page = prose("docs/protocol-socketio.md");
    let (_, errors) = page.split_once("\n# Errors\n").expect("a section");
    let mut documented = engine_errors(errors.split("\n# ").next().unwrap());
    let said: BTreeSet<_> =
        files("crates/turted/src", ".rs").iter().flat_map(|source| engine_errors(&read(source))).collect();
    // The one for old versions is told in words.
    let old = said.iter().find(|error| error.contains("socket.io-client 1.1")).expect("an error").clone();
    documented.insert(old);
    assert_eq!(documented, said);
}

/// Code without its indentation.
fn lines_of(code: &str) -> String {
    code.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Examples are compiled, so what is copied from them compiles.
#[test]
fn code_for_embedding_is_copied_from_the_examples() {
    let examples: Vec<_> =
        files("crates/turted/examples", ".rs").iter().map(|example| lines_of(&read(example))).collect();
    let mut blocks = 0;
    for page in ["docs/embedding.md", "docs/authentication.md"] {
        let text = read(page);
        for block in text.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            let code = lines_of(block);
            assert!(examples.iter().any(|example| example.contains(&code)), "{page}:\n{block}");
            blocks += 1;
        }
    }
    assert!(blocks > 5, "{blocks}");
}

/// A message without what differs from one server to the next: ids of sessions, and epochs.
fn masked(message: &str) -> String {
    let is_id = |text: &str| {
        text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let mask = |text: &str| match text.split_once('-') {
        _ if is_id(text) => "ID".to_owned(),
        Some((_, sequence)) if sequence.parse::<u64>().is_ok() => format!("EPOCH-{sequence}"),
        _ => text.to_owned(),
    };
    message.split('"').map(mask).collect::<Vec<_>>().join("\"")
}

#[test]
fn the_conversation_of_the_page_about_socketio_is_what_is_said() {
    let interval = Duration::from_millis(200);
    let server = TestServer::with(|config| config.socketio.ping_interval = interval);
    let mut socket =
        WebSocket::connect(server.address(), "/socket.io/?EIO=4&transport=websocket", &[]).unwrap();
    let page = read("docs/protocol-socketio.md");
    let conversation = page.split("```").find(|block| block.starts_with("\n< 0{")).expect("a conversation");
    for line in conversation.lines().filter(|line| !line.is_empty()) {
        let Some(expected) = line.strip_prefix("< ") else {
            socket.send_text(line.strip_prefix("> ").expect("one of both sides"));
            continue;
        };
        if expected.contains("MESSAGE:NEW") {
            let push = r#"{"event":"MESSAGE:NEW","targets":{"channels":["chat"]},"payload":{"id":7}}"#;
            assert_eq!(server.push(push).text(), "OK");
        }
        let mut said = socket.text().unwrap();
        // The page has one heartbeat, where it fits.
        while (said == "2") != (expected == "2") {
            if said == "2" {
                socket.send_text("3");
            }
            said = socket.text().unwrap();
        }
        let said = said.replace("\"pingInterval\":200,", "\"pingInterval\":25000,");
        assert_eq!(masked(&said), masked(expected));
    }
}
