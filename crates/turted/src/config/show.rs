//! The effective configuration as TOML, for `turted check`.

use std::fmt::Write as _;

use super::channels;
use super::collect::Collected;
use super::error::Origin;
use super::hooks;
use super::push_keys;
use super::push_sources;
use super::settings::SETTINGS;
use crate::auth::ClientAuth;

/// Every key with its value; behind a value that is no default, where it came from.
pub(super) fn effective(collected: &Collected) -> String {
    let mut settings = collected.settings.clone();
    let mut text = String::new();
    let mut open = "";
    for setting in SETTINGS {
        let (section, key) = setting.parts();
        if section != open {
            let _infallible = writeln!(text, "\n[{section}]");
            open = section;
        }
        let line = match setting.field.show(&mut settings) {
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key} is not set"),
        };
        let _infallible = match collected.source(setting.key) {
            Origin::Default => writeln!(text, "{line}"),
            origin => writeln!(text, "{line:<40} # from {origin}{}", keys(collected, setting.key)),
        };
    }
    push_keys::show(&mut text, &mut collected.push_keys.clone());
    channels::show(&mut text, &collected.settings.channels);
    push_sources::show(&mut text, &mut collected.sources.clone());
    hooks::show(&mut text, &mut collected.hooks.clone());
    text
}

/// How many keys of JSON Web Tokens were found in what `key` names.
fn keys(collected: &Collected, key: &str) -> String {
    match &collected.settings.config.auth.method {
        ClientAuth::Jwt(rule) if matches!(key, "auth.key" | "auth.key_file") => {
            format!(", keys: {}", rule.keys.count())
        }
        _ => String::new(),
    }
}
