//! From the keys of one hook to a hook: what they need, and what does not fit together.

use std::path::Path;

use super::keys::HookSettings;
use super::model::{ClientRecord, Hook};
use crate::auth::HttpUrl;
use crate::config::collect::Collected;
use crate::config::credentials::{read_secret, warn_if_readable};
use crate::config::error::Problem;
use crate::config::push_sources::check_name;
use crate::config::suggest::nearest_name;
use crate::config::text::quote;
use crate::io::tls::connector;
use turted_core::channel::ChannelPattern;
use turted_core::limits::HOOK_GRACE;
use turted_core::name::NameRefusal;
use turted_core::secret::Secret;

/// A shorter secret can be guessed from one batch and its signature, with time and a fast machine.
const SECRET_BYTES_MIN: usize = 16;
/// Secrets of one hook: the old one and the new one, while they are exchanged.
const SECRETS_MAX: usize = 4;
/// Patterns of one hook, which each dispatch is compared with.
const PATTERNS_MAX: usize = 100;
/// Bytes of the name of a node, which is in every batch.
const NODE_BYTES_MAX: usize = 255;

/// The hook of these keys. Notes what is wrong with them.
pub(super) fn resolve(
    collected: &mut Collected,
    settings: &HookSettings,
    before: &[HookSettings],
) -> Option<Hook> {
    let mut own = Own { collected, settings, is_sound: true };
    let others = before.iter().map(|other| (other.name.as_ref(), &other.origin));
    let name = own.take("name", check_name("hook", settings.name.as_ref(), others));
    let url = own.take("url", check_url(settings));
    let secrets = own.secrets();
    let dispatches = own.take("dispatches", check_dispatches(&settings.dispatches));
    let clients = own.take("clients", check_clients(&settings.clients));
    own.take("ca", check_ca(settings));
    own.take("node", check_node(settings.node.as_deref()));
    if settings.dispatches.is_empty() && settings.clients.is_empty() {
        own.take::<()>(
            "name",
            Err("a hook needs `dispatches` or `clients`: it would hear nothing".to_owned()),
        );
    }
    clients.iter().for_each(|clients| own.warn_if_half(clients));
    own.warn_if_useless();
    let is_sound = own.is_sound;
    let hook = Hook {
        name: name?,
        url: url?,
        secrets: secrets?,
        dispatches: dispatches?,
        clients: clients?,
        grace: settings.grace,
        ca: settings.ca.clone(),
        node: settings.node.clone(),
    };
    is_sound.then_some(hook)
}

/// The keys of one hook, and where it is noted what is wrong with them.
struct Own<'a> {
    collected: &'a mut Collected,
    settings: &'a HookSettings,
    is_sound: bool,
}

impl Own<'_> {
    /// The value of a key. If there is none, notes why, where the key was set or where the hook begins.
    fn take<T>(&mut self, key: &str, value: Result<T, String>) -> Option<T> {
        let what = match value {
            Ok(value) => return Some(value),
            Err(what) => what,
        };
        self.is_sound = false;
        let origin = self.settings.origins.get(key).unwrap_or(&self.settings.origin);
        self.collected.problem(Problem::at(origin.clone(), what));
        None
    }

    /// Warns if the backend hears that something begins, but not that it ends.
    fn warn_if_half(&mut self, clients: &[ClientRecord]) {
        let pairs = [
            (ClientRecord::UserOnline, ClientRecord::UserOffline, "`user-online` without `user-offline`"),
            (ClientRecord::Joined, ClientRecord::Left, "`joined` without `left`"),
        ];
        let name = self.settings.name.as_deref().unwrap_or_default();
        for (_, _, what) in
            pairs.iter().filter(|(begin, end, _)| clients.contains(begin) && !clients.contains(end))
        {
            let warning =
                format!("`hooks.clients` of {name:?} has {what}: the backend does not hear that it ends");
            self.collected.warnings.push(warning);
        }
    }

    /// Warns of keys that change nothing. A value that is the default says nothing wrong.
    fn warn_if_useless(&mut self) {
        let Self { settings, .. } = self;
        let name = settings.name.as_deref().unwrap_or_default();
        let is_safe = settings.url.as_ref().is_some_and(|url| url.is_https() || url.is_loopback());
        if settings.grace != HOOK_GRACE && settings.clients.is_empty() {
            let warning = format!("`hooks.grace` of {name:?} has no effect: it lists no `clients`");
            self.collected.warnings.push(warning);
        }
        if settings.insecure && is_safe {
            let warning =
                format!("`hooks.insecure` of {name:?} has no effect: its `url` is https, or of this machine");
            self.collected.warnings.push(warning);
        }
    }

    fn secrets(&mut self) -> Option<Vec<Secret>> {
        let path = self.settings.secret_file.as_deref();
        let path = self.take("secret_file", path.ok_or("a hook needs `secret_file`".to_owned()))?;
        warn_if_readable(self.collected, path);
        let secrets = self.take("secret_file", read_secrets(path))?;
        if secrets.iter().any(|secret| secret.reveal().len() < SECRET_BYTES_MIN) {
            let warning = format!(
                "`hooks.secret_file`: a secret in {} has less than {SECRET_BYTES_MIN} bytes and can be guessed",
                path.display()
            );
            self.collected.warnings.push(warning);
        }
        Some(secrets)
    }
}

fn read_secrets(path: &Path) -> Result<Vec<Secret>, String> {
    let text = read_secret(path)
        .map_err(|error| format!("`hooks.secret_file`: cannot read {}: {error}", path.display()))?;
    let secrets: Vec<_> = text.reveal().lines().map(Secret::from).collect();
    match secrets.len() {
        _ if secrets.iter().any(Secret::is_empty) => Err("`hooks.secret_file`: a line is empty".to_owned()),
        0 => Err("`hooks.secret_file`: the secret is empty".to_owned()),
        1..=SECRETS_MAX => Ok(secrets),
        _ => Err(format!("`hooks.secret_file`: a hook has at most {SECRETS_MAX} secrets, one per line")),
    }
}

fn check_url(settings: &HookSettings) -> Result<HttpUrl, String> {
    let url = settings.url.clone().ok_or("a hook needs `url`")?;
    if !url.is_https() && !url.is_loopback() && !settings.insecure {
        return Err(
            "`hooks.url`: http to another machine shows all that happens to the network between; use https, \
             or accept it with `insecure` = true"
                .to_owned(),
        );
    }
    Ok(url)
}

fn check_dispatches(patterns: &[String]) -> Result<Vec<ChannelPattern>, String> {
    if patterns.len() > PATTERNS_MAX {
        return Err(format!("`hooks.dispatches`: a hook lists at most {PATTERNS_MAX} events"));
    }
    let parse = |text: &String| {
        if text.strip_suffix('*').unwrap_or(text).contains('*') {
            return Err(format!(
                r#"`hooks.dispatches`: a star stands at the end only, as in "order:*", found {text:?}"#
            ));
        }
        let refused = |refusal: NameRefusal| format!("`hooks.dispatches`: {refusal}, found {text:?}");
        ChannelPattern::parse(text).map_err(refused)
    };
    patterns.iter().map(parse).collect()
}

fn check_clients(names: &[String]) -> Result<Vec<ClientRecord>, String> {
    let all = || ClientRecord::ALL.iter().map(|(_, name)| *name);
    let named = |name: &String| {
        ClientRecord::named(name).ok_or_else(|| {
            let (near, all) = (nearest_name(name, all()), all().map(quote).collect::<Vec<_>>().join(", "));
            format!("`hooks.clients`: expected some of {all}, found {name:?}{near}")
        })
    };
    names.iter().map(named).collect()
}

fn check_ca(settings: &HookSettings) -> Result<(), String> {
    let Some(path) = &settings.ca else { return Ok(()) };
    if settings.url.as_ref().is_some_and(|url| !url.is_https()) {
        return Err("`hooks.ca` has no effect without TLS: `hooks.url` begins with https:// then".to_owned());
    }
    connector(Some(path)).map(drop).map_err(|error| format!("`hooks.ca`: {error}"))
}

fn check_node(node: Option<&str>) -> Result<(), String> {
    match node {
        Some(node) if node.len() > NODE_BYTES_MAX => {
            Err(format!("`hooks.node`: at most {NODE_BYTES_MAX} bytes"))
        }
        _ => Ok(()),
    }
}
