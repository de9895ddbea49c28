//! Each rule that the code names is in the table, and `docs/protocol-rest.md` has the rows of the table.

use std::collections::BTreeSet;

use super::rules::RULES;
use super::taken::LogPlace;

/// The sources that name rules.
const SOURCES: [&str; 12] = [
    include_str!("../../../../core/src/push.rs"),
    include_str!("../../../../core/src/push/asked.rs"),
    include_str!("../../../../core/src/push/form.rs"),
    include_str!("../../../../core/src/push/refusal.rs"),
    include_str!("../../../../core/src/push/targets.rs"),
    include_str!("answer.rs"),
    include_str!("gate.rs"),
    include_str!("mod.rs"),
    include_str!("request.rs"),
    include_str!("short.rs"),
    include_str!("taken.rs"),
    include_str!("verifier.rs"),
];
/// Rules of one word, which look like any other text.
const SHORT_RULES: [&str; 2] = ["overload", "stopping"];
/// A header, not a rule.
const HEADER: &str = "idempotency-key";

/// Texts in quotation marks of lower-case words joined by dashes.
fn rules_in(source: &str) -> impl Iterator<Item = &str> {
    let is_rule = |text: &&str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        plain && text.contains('-') && !text.starts_with('-') && *text != HEADER
    };
    source.split('"').filter(is_rule)
}

#[test]
fn the_table_has_every_rule_of_a_push_and_no_other() {
    let named: BTreeSet<&str> = SOURCES.into_iter().flat_map(rules_in).chain(SHORT_RULES).collect();
    let rows: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(rows.iter().copied().collect::<BTreeSet<_>>(), named);
    assert_eq!(rows.len(), named.len(), "a rule has two rows");
}

#[test]
fn the_documentation_has_every_rule_of_a_push_and_no_other() {
    let documented: Vec<&str> = include_str!("../../../../../docs/protocol-rest.md")
        .lines()
        .filter(|line| {
            line.strip_prefix("| `").and_then(|row| row.split_once("` | ")).is_some_and(is_refusal)
        })
        .collect();
    let row = |rule: &super::rules::Rule| {
        format!("| `{}` | {} | {} |", rule.name, rule.status.as_u16(), rule.broken_when)
    };
    assert_eq!(documented, RULES.iter().map(row).collect::<Vec<_>>());
}

/// Whether a row of a table, without its first column, begins with the status of a refusal.
fn is_refusal((_, rest): (&str, &str)) -> bool {
    rest.starts_with(['4', '5'])
}

#[test]
fn a_push_whose_log_is_silent_names_the_log() {
    for (place, rule, log) in [
        (LogPlace::Disk, "log-slow", "the disk of the log"),
        (LogPlace::Cluster, "log-unavailable", "the log of the cluster"),
    ] {
        let problem = place.is_silent();
        assert_eq!(problem.rule(), rule);
        let shown = format!("{problem:?}");
        assert!(shown.contains(log), "{shown}");
    }
}
