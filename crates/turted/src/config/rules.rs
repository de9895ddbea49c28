//! What all nodes of a cluster should have alike: the values of their rules, key by key.
//!
//! What stands at its default is left out, and so are the names of files: each machine has its own.

use turted_core::channel::{ChannelPattern, Join};
use turted_core::secret::Secret;

use super::model::{Config, PushKey};
use super::settings::{ClientMethod, PushMethod, SETTINGS, Settings};
use super::text::quote;
use super::value::Field;
use crate::auth::ClientAuth;

/// The sections that are compared key by key.
const SECTIONS: [&str; 5] = ["auth", "limits", "presence", "push", "recovery"];

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) key: &'static str,
    /// It may be a secret, so it is kept as one.
    pub(crate) value: Secret,
    pub(crate) is_secret: bool,
}

impl Rule {
    fn new(key: &'static str, value: String, is_secret: bool) -> Self {
        Self { key, value: Secret::from(value), is_secret }
    }
}

/// The rules of a configuration.
pub(crate) fn rules(config: &Config) -> Vec<Rule> {
    let (mut own, mut usual) = (written(config), Settings::default());
    let sections = SETTINGS.iter().filter(|setting| SECTIONS.contains(&setting.parts().0));
    let mut rules: Vec<_> = sections
        .filter_map(|setting| {
            let value = value(&setting.field, &mut own)?;
            let is_usual = Some(&value) == value_of(&setting.field, &mut usual).as_ref();
            let is_secret = matches!(setting.field, Field::Secret(_));
            (!is_usual).then(|| Rule::new(setting.key, value, is_secret))
        })
        .collect();
    let joins = config.channels.iter().map(|(pattern, join)| line(&pattern, name_of(join))).collect();
    let shows = config.presence.channels.iter().map(|(pattern, shows)| line(&pattern, on(shows))).collect();
    let depths = config.history.iter();
    let depths =
        depths.map(|(pattern, depth)| line(&pattern, &format!("{} {}", depth.events, depth.age.as_nanos())));
    let lists = [
        ("channels.join", joins, false),
        ("channels.presence", shows, false),
        ("channels.history", depths.collect(), false),
        ("push.keys", push_keys(&config.push.keys), true),
    ];
    let lists = lists.into_iter().filter(|(_, value, _): &(_, String, _)| !value.is_empty());
    rules.extend(lists.map(|(key, value, is_secret)| Rule::new(key, value, is_secret)));
    rules
}

/// The value of a key that counts. `None`: it says nothing, or where something is on this machine.
fn value(field: &Field, settings: &mut Settings) -> Option<String> {
    match field {
        Field::Path(_) => None,
        field => value_of(field, settings),
    }
}

fn value_of(field: &Field, settings: &mut Settings) -> Option<String> {
    match field {
        Field::Secret(of) => of(settings).as_ref().map(|secret| secret.reveal().to_owned()),
        field => field.show(settings),
    }
}

/// The settings as an operator could have written them, with secrets in place of files.
fn written(config: &Config) -> Settings {
    let mut settings = Settings { config: config.clone(), ..Settings::default() };
    let auth = &mut settings.auth;
    match &config.auth.method {
        ClientAuth::Accept => {}
        ClientAuth::Password(password) => {
            auth.method = ClientMethod::Password;
            auth.password.text = Some(password.clone());
        }
        ClientAuth::Token(rule) => {
            (auth.method, auth.hash) = (ClientMethod::Token, rule.hash);
            (auth.prefix.text, auth.suffix.text) = (Some(rule.prefix.clone()), Some(rule.suffix.clone()));
        }
        ClientAuth::Jwt(rule) => {
            (auth.method, auth.algorithm) = (ClientMethod::Jwt, Some(rule.algorithm));
            auth.key.text = Some(Secret::from(rule.keys.text().reveal().trim()));
            auth.claims = rule.claims.clone();
        }
        ClientAuth::Http(url) => (auth.method, auth.url) = (ClientMethod::Http, Some(url.clone())),
    }
    settings.push.password.text = config.push.password.clone();
    settings.push.method = match (&config.push.url, &config.push.password) {
        (Some(_), _) => PushMethod::Http,
        (None, Some(_)) => PushMethod::Password,
        (None, None) => PushMethod::None,
    };
    settings
}

/// One rule of a list, on a line of its own.
fn line(pattern: &ChannelPattern, value: &str) -> String {
    format!("{} {value}\n", quote(&pattern.to_string()))
}

fn name_of(join: Join) -> &'static str {
    match join {
        Join::Open => "open",
        Join::Identified => "identified",
        Join::Claim => "claim",
    }
}

fn on(is_so: bool) -> &'static str {
    if is_so { "on" } else { "off" }
}

/// The keys of `[[push.keys]]`, whatever their order.
fn push_keys(keys: &[PushKey]) -> String {
    let list = |patterns: &Option<Vec<ChannelPattern>>| match patterns {
        None => "all".to_owned(),
        Some(patterns) => patterns.iter().map(|pattern| quote(&pattern.to_string())).collect(),
    };
    let mut lines: Vec<_> = keys
        .iter()
        .map(|PushKey { name, password, scope }| {
            let (events, channels) = (list(&scope.events), list(&scope.channels));
            let (users, broadcast) = (on(scope.users), on(scope.broadcast));
            let (name, password) = (quote(name), quote(password.reveal()));
            format!("{name} {password} {events} {channels} {users} {broadcast}\n")
        })
        .collect();
    lines.sort();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use turted_core::push::Scope;

    /// The keys in which two configurations differ.
    fn differing(change: impl FnOnce(&mut Config)) -> Vec<&'static str> {
        let mut config = Config::default();
        let usual = rules(&config);
        change(&mut config);
        let changed = rules(&config);
        let differs = |rule: &&Rule| !usual.contains(rule);
        changed.iter().filter(differs).map(|rule| rule.key).collect()
    }

    #[test]
    fn a_configuration_of_defaults_has_no_rules_that_differ() {
        assert_eq!(rules(&Config::default()), []);
        assert_eq!(differing(|config| config.workers += 1), [""; 0]);
    }

    #[test]
    fn each_key_that_is_no_default_is_named() {
        assert_eq!(differing(|config| config.limits.outbox_stall *= 2), ["limits.outbox_stall"]);
        assert_eq!(
            differing(|config| config.recovery.max_age = Duration::from_secs(1)),
            ["recovery.max_age"]
        );
        let password = || Secret::from("a password");
        assert_eq!(
            differing(|config| config.auth.method = ClientAuth::Password(password())),
            ["auth.method", "auth.password"]
        );
        assert_eq!(
            differing(|config| config.push.password = Some(password())),
            ["push.method", "push.password"]
        );
        let key = PushKey { name: "app".to_owned(), password: password(), scope: Scope::ALL };
        assert_eq!(differing(|config| config.push.keys = vec![key]), ["push.keys"]);
    }

    #[test]
    fn other_secrets_are_other_values_and_are_not_shown() {
        let of = |password: &str| {
            let mut config = Config::default();
            config.auth.method = ClientAuth::Password(Secret::from(password));
            rules(&config)
        };
        assert_eq!(of("tiger"), of("tiger"));
        assert_ne!(of("tiger"), of("lion"));
        assert!(!format!("{:?}", of("tiger")).contains("tiger"));
        assert!(of("tiger").iter().any(|rule| rule.is_secret));
    }
}
