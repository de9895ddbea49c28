//! `[[channels]]`: rules for which clients may join a channel.

use super::*;
use turted_core::name::Name;

const GRANTING: &str = "[auth]\nurl = \"http://backend/\"\n";

#[test]
fn rules_are_read_in_both_notations_and_shown_again() {
    let tables = format!(
        "{GRANTING}[[channels]]\nprefix = \"private.\"\njoin = \"claim\"\n\n[[channels]]\nname = \"members\"\njoin = \"identified\"\n"
    );
    let inline = format!(
        "channels = [{{ prefix = \"private.\", join = \"claim\" }}, {{ name = \"members\", join = \"identified\" }}]\n{GRANTING}"
    );
    let read = |toml: &str| Place::new(toml).load(&[], &[]).unwrap();
    let loaded = read(&tables);
    assert_eq!(loaded.config.channels, read(&inline).config.channels);
    let need = |channel| loaded.config.channels.need(&Name::new(channel).unwrap());
    assert_eq!(
        [need("private.7"), need("members"), need("open")],
        [Join::Claim, Join::Identified, Join::Open]
    );
    let effective = loaded.effective();
    assert_eq!(read(&effective).config.channels, loaded.config.channels, "{effective}");
    assert!(read("[[channels]]\nprefix = \"\"\njoin = \"identified\"").config.channels.iter().count() == 1);
}

#[test]
fn a_rule_that_makes_no_sense_is_told_with_its_place() {
    let list = "`channels` is a list of rules: write [[channels]] and the keys of one rule below";
    check("channels = 1", &[], &format!("turted.toml:1:12: {list}"));
    check("[channels]\nname = \"a\"", &[], &format!("turted.toml:1:1: {list}"));
    check("channels = [1]", &[], &format!("turted.toml:1:12: {list}"));
    check("[[channels]]\nname = \"a\"", &[], "turted.toml:1:1: a rule of `channels` needs `join`");
    let either = "turted.toml:1:1: a rule of `channels` needs either `name` or `prefix`";
    check("[[channels]]\njoin = \"open\"", &[], either);
    check("[[channels]]\nname = \"a\"\nprefix = \"b\"\njoin = \"open\"", &[], either);
    check(
        "[[channels]]\nname = \"a\"\njoin = \"closed\"",
        &[],
        "turted.toml:3:8: `channels.join`: expected \"open\", \"identified\" or \"claim\", found \"closed\"",
    );
    check(
        "[[channels]]\nname = \"\"\njoin = 1",
        &[],
        "turted.toml:2:8: `channels.name`: a name must not be empty\nturted.toml:3:8: `channels.join`: expected a string",
    );
    check(
        "[[channels]]\nnmae = \"a\"\njoin = \"open\"",
        &[],
        "turted.toml:2:1: unknown key `channels.nmae`; a rule has `name` or `prefix`, `join`, and perhaps `history`, `history_age` and `presence`",
    );
    check(
        "[[channels]]\nname = \"a\"\njoin = \"open\"\n[[channels]]\njoin = \"identified\"\nname = \"a\"",
        &[],
        "turted.toml:4:1: there is a rule for the same channels at turted.toml:1:1; keep one of the two",
    );
    check("[channel]\na = 1", &[], "turted.toml:1:2: unknown section [channel]; did you mean [[channels]]?");
}

#[test]
fn a_channel_that_nobody_can_be_granted_is_a_mistake() {
    let claim = "[[channels]]\nname = \"a\"\njoin = \"claim\"\n";
    let what = "`join` = \"claim\" needs a method that grants channels: `auth.method` = \"jwt\" with `auth.channels_claim`, or \"http\"";
    check(claim, &[], &format!("turted.toml:1:1: {what}"));
    let (algorithm, key) =
        (("TURTED_AUTH_ALGORITHM", "HS256"), ("TURTED_AUTH_KEY", "0123456789abcdef0123456789abcdef"));
    check(claim, &[algorithm, key], &format!("turted.toml:1:1: {what}"));
    let named = [algorithm, key, ("TURTED_AUTH_CHANNELS_CLAIM", "channels")];
    assert!(Place::new(claim).load(&named, &[]).is_ok());
}

#[test]
fn a_rule_says_what_a_channel_keeps_for_those_who_join_later() {
    let rule = "[[channels]]\nprefix = \"news.\"\njoin = \"open\"\n";
    let read = |toml: &str| Place::new(toml).load(&[], &[]).unwrap();
    let depth = |toml: &str| {
        let config = read(toml).config;
        config.history.of(&Name::new("news.sport").unwrap()).map(|depth| (depth.events, depth.age.as_secs()))
    };
    assert_eq!(depth(rule), None);
    assert_eq!(depth(&format!("{rule}history = 0")), None);
    assert_eq!(depth(&format!("{rule}history = 50")), Some((50, 3_600)));
    let all = format!("{rule}history = 1000\nhistory_age = \"2m\"");
    assert_eq!(depth(&all), Some((1_000, 120)));
    let effective = read(&all).effective();
    assert_eq!(depth(&effective), Some((1_000, 120)), "{effective}");
    let place = "turted.toml:4:11: `channels.history`";
    let number = format!("{place}: expected a whole number from 0 to 1000");
    check(&format!("{rule}history = 1001"), &[], &number);
    check(&format!("{rule}history = \"all\""), &[], &number);
    check(
        &format!("{rule}history_age = \"1h\""),
        &[],
        "turted.toml:1:1: `channels.history_age` needs `history`",
    );
    let age = "turted.toml:5:15: `channels.history_age`: expected a duration from \"1ms\" to \"168h\", such as \"1h\"";
    check(&format!("{rule}history = 1\nhistory_age = \"0s\""), &[], age);
}

#[test]
fn a_rule_says_whether_members_are_told_who_is_in_the_channel() {
    let rule = "[[channels]]\nprefix = \"room.\"\njoin = \"open\"\n";
    let has = |toml: &str| {
        let config = Place::new(toml).load(&[], &[]).unwrap().config;
        config.presence.channels.allow(&Name::new("room.7").unwrap())
    };
    assert!(!has(rule));
    assert!(!has(&format!("{rule}presence = false")));
    let with = format!("{rule}presence = true\n[presence]\ngrace = \"3s\"");
    assert!(has(&with));
    let loaded = Place::new(&with).load(&[], &[]).unwrap();
    assert_eq!(loaded.config.presence.grace.as_secs(), 3);
    assert!(has(&loaded.effective()), "{}", loaded.effective());
    let place = "turted.toml:4:12: `channels.presence`";
    check(&format!("{rule}presence = \"yes\""), &[], &format!("{place}: expected true or false"));
}

#[test]
fn memory_for_history_counts_where_a_channel_has_some() {
    let bytes = |toml: &str| {
        let parts = Place::new(toml).load(&[], &[]).unwrap().config.memory_parts(10);
        parts.iter().find(|part| part.what == "history").unwrap().bytes
    };
    let rule = "[[channels]]\nname = \"a\"\njoin = \"open\"\n";
    assert_eq!(bytes(rule), 0);
    assert_eq!(bytes(&format!("limits.history_bytes = \"1MiB\"\n{rule}history = 1")), 1 << 20);
}
