//! The options, and what is made of them.

use clap::Parser;
use turted_core::secret::Secret;

use super::*;
use crate::plan::Spread;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: ProtocolArgs,
}

fn parse(words: &[&str]) -> Result<Protocol, String> {
    let line = Line::try_parse_from([&["bench"], words].concat()).map_err(|error| error.to_string())?;
    line.args.protocol(Spread::Channels(1))
}

/// The words of a command as a shell reads them, if it has no escapes but those of `show`.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted, mut is_word) = (vec![], String::new(), false, false);
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => (is_quoted, is_word) = (!is_quoted, true),
            '\\' if !is_quoted => match characters.next() {
                Some('\n') | None => {}
                Some(escaped) => word.push(escaped),
            },
            ' ' | '\n' if !is_quoted => {
                if std::mem::take(&mut is_word) {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => {
                word.push(other);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    words
}

#[test]
fn what_is_shown_is_what_is_meant() {
    for options in [
        &["--protocol", "centrifugo"][..],
        &["--protocol", "centrifugo", "--transport", "sse"],
        &["--protocol", "actioncable"],
        &["--protocol", "mercure"],
        &["--transport", "sockjs", "--push-path", "/p/{channel}"],
        &["--transport", "plain", "--say", "it's\n'", "--header", "A: b", "--await", ""],
        &[
            "--transport",
            "plain",
            "--keep",
            "id=\"id\":",
            "--say-again",
            "from {id}",
            "--path-again",
            "/{id}",
        ],
    ] {
        let protocol = parse(options).unwrap();
        let shown = words(&protocol.to_string());
        let again = parse(&shown.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(again, Ok(protocol), "{options:?}: {shown:?}");
    }
}

#[test]
fn an_option_counts_over_the_preset() {
    let protocol = parse(&["--protocol", "mercure", "--push-path", "/hub", "--await", "ready"]).unwrap();
    assert_eq!((&*protocol.push.path, &*protocol.speech.awaits), ("/hub", &["ready".to_owned()][..]));
    assert_eq!(protocol.path, "/.well-known/mercure?topic={channel}");
}

#[track_caller]
fn refused(options: &[&str], text: &str) {
    let error = parse(options).unwrap_err();
    assert!(error.contains(text), "{options:?}: {error}");
}

#[test]
fn options_that_do_not_fit_are_refused_with_their_names() {
    refused(&["--protocol", "mercure", "--transport", "plain"], "--protocol mercure has sse");
    refused(&["--say", "x"], "--say");
    refused(&["--transport", "sse", "--say", "x", "--await", "y"], "--say: only with --transport plain");
    refused(&["--transport", "sse", "--ping", "x", "--pong", "y"], "--pong: only with --transport plain");
    refused(&["--transport", "sse", "--lines"], "--lines: only with --transport plain");
    refused(&["--transport", "plain", "--say", "a", "--say", "b"], "--say: 2 texts and 0 of --await");
    refused(&["--transport", "plain", "--pong", "x"], "--ping describes");
    refused(&["--transport", "plain", "--header", "Host: x"], "its own field host");
    refused(&["--transport", "plain", "--header", "x"], "NAME: VALUE");
    refused(&["--transport", "plain", "--header", "a b: x"], "no name of a header field");
    refused(&["--push-header", "a: x\ny"], "no header can carry");
    refused(&["--push-type", "a\n"], "no header can carry");
    refused(&["--transport", "plain", "--ping", ""], "not empty");
    refused(&["--transport", "sse", "--say-again", "x"], "--say-again: only with --transport plain");
    refused(&["--keep", "id=id: "], "--keep");
    refused(&["--transport", "plain", "--keep", "id"], "NAME=TEXT");
    refused(&["--transport", "plain", "--keep", "channel=x"], "stands for nothing else");
    refused(&["--transport", "plain", "--keep", "id=x"], "nothing that is said again has a {id}");
    refused(&["--push-body", &"x".repeat(TEXT_BYTES_MAX + 1)], "at most 16384 bytes");
    parse(&["--push-body", &"x".repeat(TEXT_BYTES_MAX)]).unwrap();
}

#[test]
fn a_path_may_name_the_channel() {
    for good in ["/sub/{channel}", "/sub?id={channel}"] {
        parse(&["--path", good]).unwrap();
    }
    for bad in ["sub/{channel}", "/a b", "http://host/"] {
        refused(&["--path", bad], "expected a path");
        refused(&["--push-path", bad], "expected a path");
    }
}

#[test]
fn a_run_without_channels_has_no_place_for_one() {
    let line = Line::try_parse_from(["bench", "--protocol", "centrifugo"]).unwrap();
    let error = line.args.protocol(Spread::Broadcast).unwrap_err();
    assert!(error.contains("--broadcast") && error.contains("--say"), "{error}");
    let turted = Line::try_parse_from(["bench"]).unwrap();
    let body = turted.args.protocol(Spread::Broadcast).unwrap().push.body;
    assert_eq!(body, r#"{"event":"BENCH","targets":{"broadcast":true},"payload":{payload}}"#);
}

#[test]
fn placeholders_of_a_push_are_replaced_and_encoded_in_forms() {
    let push = |kind: &str, body: &str| {
        let push = parse(&["--push-type", kind, "--push-body", body]).unwrap().push;
        push.body_to(Some("c"), r#""~1""#)
    };
    let body = r#"{channel} {payload} {payload_string}"#;
    assert_eq!(push("application/json", body), r#"c "~1" "\"~1\"""#);
    assert_eq!(push("application/x-www-form-urlencoded; charset=utf-8", "a={payload}"), "a=%22%7E1%22");
}

#[test]
fn the_password_stands_where_the_options_say_and_nowhere_without_one() {
    let fields = |options: &[&str], password: Option<&str>| {
        let password = password.map(|password| Secret::from(password.to_owned()));
        let fields = parse(options).unwrap().push.fields(password.as_ref());
        fields.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(fields(&[], Some("p")), ["authorization: Bearer p"]);
    assert!(fields(&[], None).is_empty());
    assert_eq!(fields(&["--protocol", "centrifugo"], Some("p")), ["x-api-key: p"]);
    assert!(fields(&["--protocol", "centrifugo"], None).is_empty());
    let other = fields(&["--push-header", "A: b"], Some("p"));
    assert_eq!(other, ["a: b", "authorization: Bearer p"]);
}
