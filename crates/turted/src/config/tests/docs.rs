//! `docs/configuration.md` says what the code does.

use super::*;

#[test]
fn a_setting_is_listed_once_and_sections_are_not_split() {
    let keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    let mut sections: Vec<&str> = SETTINGS.iter().map(|setting| setting.parts().0).collect();
    sections.dedup();
    assert_eq!(
        sections,
        [
            "",
            "socketio",
            "websocket",
            "sse",
            "sockjs",
            "auth",
            "push",
            "presence",
            "limits",
            "recovery",
            "log",
            "cluster"
        ]
    );
    for key in &keys {
        assert_eq!(keys.iter().filter(|other| *other == key).count(), 1, "{key}");
    }
}

/// The cells of the row of `docs/configuration.md` that describes `key`.
fn documented(key: &str) -> Vec<&'static str> {
    let docs = include_str!("../../../../../docs/configuration.md");
    let start = format!("| `{key}` |");
    let row = docs
        .lines()
        .find(|line| line.starts_with(&start))
        .unwrap_or_else(|| panic!("{key} is not documented"));
    row.trim_matches('|').split(" | ").map(str::trim).collect()
}

#[test]
fn the_documentation_has_every_key_with_its_variable_and_default() {
    let mut settings = Settings::default();
    for setting in SETTINGS {
        let row = documented(setting.key);
        assert_eq!(row.len(), 5, "{}", setting.key);
        assert_eq!(row[1], format!("`{}`", setting.variable()));
        match setting.field.show(&mut settings) {
            _ if setting.key == "workers" => assert_eq!(row[3], "number of cores"),
            Some(default) => assert_eq!(row[3], format!("`{default}`"), "{}", setting.key),
            None => {
                assert!(!row[3].is_empty(), "{}", setting.key);
                assert!(!row[3].contains('`'), "{}", setting.key);
            }
        }
    }
}

#[test]
fn the_documentation_has_no_key_that_does_not_exist() {
    let docs = include_str!("../../../../../docs/configuration.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    for (key, _) in rows.filter(|(_, rest)| rest.contains("TURTED_")) {
        assert!(settings::find(key).is_some(), "{key} does not exist");
    }
}
