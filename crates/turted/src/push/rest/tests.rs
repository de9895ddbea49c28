//! `docs/protocol-rest.md` has every rule that a push can break.

use std::collections::BTreeSet;

/// The sources that name rules.
const SOURCES: [&str; 7] = [
    include_str!("../../../../core/src/push.rs"),
    include_str!("../../../../core/src/push/form.rs"),
    include_str!("../../../../core/src/push/refusal.rs"),
    include_str!("../../../../core/src/push/targets.rs"),
    include_str!("answer.rs"),
    include_str!("gate.rs"),
    include_str!("mod.rs"),
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
fn the_documentation_has_every_rule_of_a_push_and_no_other() {
    let documented: BTreeSet<&str> = include_str!("../../../../../docs/protocol-rest.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(_, rest)| rest.starts_with(['4', '5']))
        .map(|(rule, _)| rule)
        .collect();
    let named: BTreeSet<&str> = SOURCES.into_iter().flat_map(rules_in).chain(SHORT_RULES).collect();
    assert_eq!(documented, named);
}
