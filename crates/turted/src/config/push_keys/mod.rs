//! `[[push.keys]]`: passwords for pushes with what each lets through, a list that only a file can hold.
//!
//! | file | what |
//! |---|---|
//! | `keys` | what an entry has, and an entry as it was written |

pub(super) mod keys;

use std::fmt::Write as _;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::keys::{KEY, KEYS, PushKeySettings};
use super::collect::Collected;
use super::credentials::{read_secret, warn_if_readable};
use super::error::{Origin, Problem};
use super::file_source::FileSource;
use super::model::PushKey;
use super::push_sources::{Section, show_keys, table};
use turted_core::channel::ChannelPattern;
use turted_core::limits::{PUSH_KEY_PATTERNS_MAX, PUSH_KEYS_MAX};
use turted_core::push::Scope;
use turted_core::secret::Secret;

/// Bytes of the name of a key, which is part of log lines.
const NAME_BYTES_MAX: usize = 63;

/// Reads the value of `push.keys`.
pub(super) fn read(source: &FileSource<'_>, collected: &mut Collected, value: &Spanned<DeValue<'_>>) {
    let list = value.get_ref().as_array();
    let tables: Option<Vec<_>> =
        list.and_then(|list| list.iter().map(|item| Some((item.span().start, table(item)?))).collect());
    let Some(tables) = tables else {
        let what =
            "`push.keys` is a list: write [[push.keys]] and `name` and `password_file` of one key below";
        return collected.problem(Problem::at(source.origin(value.span().start), what));
    };
    for (start, table) in tables {
        read_key(source, collected, (source.origin(start), table));
    }
}

fn read_key(source: &FileSource<'_>, collected: &mut Collected, (origin, table): (Origin, &DeTable<'_>)) {
    let mut settings = PushKeySettings::new(origin);
    let section = Section { source, name: KEY, keys: KEYS.iter().collect() };
    settings.is_sound = section.read(collected, table.iter(), &mut settings);
    collected.push_keys.push(settings);
}

/// Makes the keys of what was read.
pub(super) fn resolve(collected: &mut Collected) {
    let all = std::mem::take(&mut collected.push_keys);
    if let Some(first) = all.get(PUSH_KEYS_MAX) {
        let what = format!("a server has at most {PUSH_KEYS_MAX} `push.keys`");
        collected.problem(Problem::at(first.origin.clone(), what));
    }
    for settings in all.iter().filter(|settings| settings.is_sound) {
        let resolved = (name(collected, settings), password(collected, settings), scope(collected, settings));
        if let (Some(name), Some(password), Some(scope)) = resolved {
            collected.settings.config.push.keys.push(PushKey { name, password, scope });
        }
    }
    collected.push_keys = all;
}

fn name(collected: &mut Collected, settings: &PushKeySettings) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let Some(name) = settings.name.clone() else {
        collected.problem(settings.problem("name", "a key of `push.keys` needs `name`"));
        return None;
    };
    if name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        let what = format!(
            r#"`push.keys.name`: expected at most {NAME_BYTES_MAX} letters, digits, "-" and "_", found {name:?}"#
        );
        collected.problem(settings.problem("name", what));
        return None;
    }
    if collected.settings.config.push.keys.iter().any(|other| other.name == name) {
        let what = format!("`push.keys.name`: there is another key {name:?}; choose another name");
        collected.problem(settings.problem("name", what));
        return None;
    }
    Some(name)
}

fn password(collected: &mut Collected, settings: &PushKeySettings) -> Option<Secret> {
    let (key, password) = match (&settings.password, &settings.password_file) {
        (None, None) => {
            let what = "a key of `push.keys` needs `password_file` or `password`";
            collected.problem(settings.problem("password_file", what));
            return None;
        }
        (Some(_), Some(_)) => {
            let what = "`push.keys.password` and `push.keys.password_file` are both set; keep one of the two";
            collected.problem(settings.problem("password_file", what));
            return None;
        }
        (Some(password), None) => ("password", password.clone()),
        (None, Some(path)) => match read_secret(path) {
            Ok(password) => {
                warn_if_readable(collected, path);
                ("password_file", password)
            }
            Err(error) => {
                let what = format!("`push.keys.password_file`: cannot read {}: {error}", path.display());
                collected.problem(settings.problem("password_file", what));
                return None;
            }
        },
    };
    if password.is_empty() {
        collected.problem(settings.problem(key, format!("`push.keys.{key}`: the secret is empty")));
        return None;
    }
    let push = &collected.settings.config.push;
    let same = push.keys.iter().find(|other| other.password == password).map(|other| other.name.clone());
    let same = same.map(|name| format!("the key {name:?}"));
    let same =
        same.or_else(|| (push.password.as_ref() == Some(&password)).then(|| "`push.password`".to_owned()));
    if let Some(same) = same {
        let what = format!("`push.keys.{key}`: {same} has the same password, so nothing tells them apart");
        collected.problem(settings.problem(key, what));
        return None;
    }
    Some(password)
}

fn scope(collected: &mut Collected, settings: &PushKeySettings) -> Option<Scope> {
    let lists = [("events", &settings.events), ("channels", &settings.channels)];
    let read = lists.map(|(key, list)| {
        let read = if settings.is_given(key) { patterns(key, list).map(Some) } else { Ok(None) };
        read.map_err(|what| collected.problem(settings.problem(key, what))).ok()
    });
    let [Some(events), Some(channels)] = read else { return None };
    // Who lists channels means these, and neither all users nor everyone.
    let all = channels.is_none();
    let (users, broadcast) = (settings.users.unwrap_or(all), settings.broadcast.unwrap_or(all));
    let reaches_nobody = channels.as_ref().is_some_and(Vec::is_empty) && !users && !broadcast;
    if reaches_nobody || events.as_ref().is_some_and(Vec::is_empty) {
        let key = if reaches_nobody { "channels" } else { "events" };
        let what = format!("`push.keys.{key}` is empty: with this key nothing can be pushed");
        collected.problem(settings.problem(key, what));
        return None;
    }
    Some(Scope { events, channels, users, broadcast })
}

/// Names, or the beginnings of names with a star behind.
fn patterns(key: &str, list: &[String]) -> Result<Vec<ChannelPattern>, String> {
    if list.len() > PUSH_KEY_PATTERNS_MAX {
        return Err(format!("`push.keys.{key}`: expected at most {PUSH_KEY_PATTERNS_MAX} names"));
    }
    let pattern = |text: &String| {
        if text.strip_suffix('*').unwrap_or(text).contains('*') {
            let what = "a star stands at the end alone, for any rest of a name";
            return Err(format!("`push.keys.{key}`: {what}; found {text:?}"));
        }
        ChannelPattern::parse(text).map_err(|refusal| format!("`push.keys.{key}`: {text:?}: {refusal}"))
    };
    list.iter().map(pattern).collect()
}

/// The keys as TOML, passwords masked.
pub(super) fn show(text: &mut String, all: &mut [PushKeySettings]) {
    for settings in all {
        let _infallible = writeln!(text, "\n{:<40} # from {}", "[[push.keys]]", settings.origin);
        let given: Vec<_> = KEYS.iter().filter(|key| settings.is_given(key.key)).collect();
        show_keys(text, &given, settings);
    }
}
