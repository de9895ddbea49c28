//! `[auth]`, `[push]`, `admin_token` and `admin_write_token`: reads secret files and decides which authenticator the keys describe.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::collect::Collected;
use super::error::{Origin, Problem};
use super::files::SecretSetting;
use super::jwt;
use super::push_keys::keys::PushKeySettings;
use super::settings::{ClientMethod, PushMethod};
use super::text::without_newline;
use crate::auth::read_key_file;
use crate::auth::{ClientAuth, HttpUrl};
use crate::io::tls;
use turted_core::auth::TokenRule;
use turted_core::secret::Secret;

/// Bytes of a secret file. A file this large is not a secret but a mistake.
const SECRET_BYTES_MAX: u64 = 8 * 1024;

/// Fills `auth.method`, `push.password`, `admin.token` and `admin.write_token` of the configuration.
pub(super) fn resolve(collected: &mut Collected) {
    infer_methods(collected);
    let auth = collected.settings.auth.clone();
    let password = secret(collected, "auth.password", &auth.password);
    let prefix = secret(collected, "auth.prefix", &auth.prefix);
    let suffix = secret(collected, "auth.suffix", &auth.suffix);
    let key = secret(collected, "auth.key", &auth.key);
    let method = match auth_method(collected) {
        ClientMethod::Accept => Some(ClientAuth::Accept),
        ClientMethod::Password => password.map(ClientAuth::Password),
        ClientMethod::Token if prefix.is_none() && suffix.is_none() => None,
        ClientMethod::Token => Some(ClientAuth::Token(TokenRule {
            hash: auth.hash,
            prefix: prefix.unwrap_or_else(|| Secret::from(String::new())),
            suffix: suffix.unwrap_or_else(|| Secret::from(String::new())),
        })),
        ClientMethod::Jwt => key.and_then(|key| jwt::rule(collected, key)),
        ClientMethod::Http => auth.url.clone().map(ClientAuth::Http),
    };
    if let Some(method) = method {
        collected.settings.config.auth.method = method;
    }
    let password = collected.settings.push.password.clone();
    collected.settings.config.push.password = secret(collected, "push.password", &password);
    let token = collected.settings.admin_token.clone();
    collected.settings.config.admin.token = secret(collected, "admin_token", &token);
    let token = collected.settings.admin_write_token.clone();
    collected.settings.config.admin.write_token = secret(collected, "admin_write_token", &token);
    check_admin_tokens(collected);
    check_methods(collected);
    let (auth_ca, push) = (collected.settings.config.auth.ca.clone(), collected.settings.config.push.clone());
    check_trust(collected, ("auth.url", auth.url.as_ref()), ("auth.ca", auth_ca.as_deref()));
    check_trust(collected, ("push.url", push.url.as_ref()), ("push.ca", push.ca.as_deref()));
    warn_if_seen(collected, "auth.url", auth.url.as_ref(), "tokens of users");
    warn_if_seen(collected, "push.url", push.url.as_ref(), "passwords for pushes");
    warn_about_file(collected);
}

/// `admin_token` is given to what only reads: it must not be the one that changes something.
fn check_admin_tokens(collected: &mut Collected) {
    let admin = &collected.settings.config.admin;
    if admin.write_token.is_some() && admin.token == admin.write_token {
        let keys = ["admin_write_token", "admin_write_token_file"];
        let origins = keys.map(|key| collected.origin(key));
        let origin = origins.into_iter().find(|origin| *origin != Origin::Default);
        let what =
            "`admin_write_token` is the same as `admin_token`, which only reads: choose another".to_owned();
        collected.problem(Problem { origin, what });
    }
}

/// Warns of a backend that is asked in a way that the network between can read, and answer.
fn warn_if_seen(collected: &mut Collected, key: &str, url: Option<&HttpUrl>, what: &str) {
    if url.is_some_and(|url| !url.is_https() && !url.is_loopback()) {
        let warning = format!(
            "`{key}`: http to another machine shows {what} to the network between, which can also forge the answers; \
             use https"
        );
        collected.warnings.push(warning);
    }
}

fn auth_method(collected: &Collected) -> ClientMethod {
    collected.settings.auth.method
}

const AUTH_PASSWORD_KEYS: [&str; 2] = ["auth.password", "auth.password_file"];
const AUTH_TOKEN_KEYS: [&str; 4] = ["auth.prefix", "auth.prefix_file", "auth.suffix", "auth.suffix_file"];
const AUTH_KEY_KEYS: [&str; 2] = ["auth.key", "auth.key_file"];
/// Without the keys that have a default: an effective configuration names all of those.
const AUTH_JWT_KEYS: [&str; 6] =
    ["auth.algorithm", "auth.key", "auth.key_file", "auth.channels_claim", "auth.issuer", "auth.audience"];
const AUTH_URL_KEYS: [&str; 1] = ["auth.url"];
const AUTH_HTTP_KEYS: [&str; 2] = ["auth.url", "auth.ca"];
const PUSH_PASSWORD_KEYS: [&str; 2] = ["push.password", "push.password_file"];
const PUSH_URL_KEYS: [&str; 1] = ["push.url"];
const PUSH_HTTP_KEYS: [&str; 2] = ["push.url", "push.ca"];

/// A secret without a method means the method that uses it, so that setting
/// `TURTED_PUSH_PASSWORD` alone protects pushes.
fn infer_methods(collected: &mut Collected) {
    let given =
        |keys: &[&str]| keys.iter().find(|key| collected.is_given(key)).map(|key| collected.origin(key));
    let push = [
        (given(&PUSH_PASSWORD_KEYS).or_else(|| first_key(collected)), PushMethod::Password),
        (given(&PUSH_HTTP_KEYS), PushMethod::Http),
    ];
    let inferred = [
        (given(&AUTH_PASSWORD_KEYS), ClientMethod::Password),
        (given(&AUTH_TOKEN_KEYS).or_else(|| given(&["auth.hash"])), ClientMethod::Token),
        (given(&AUTH_JWT_KEYS), ClientMethod::Jwt),
        (given(&AUTH_HTTP_KEYS), ClientMethod::Http),
    ];
    if !collected.is_given("auth.method")
        && let Some((origin, method)) =
            inferred.into_iter().find_map(|(origin, method)| Some((origin?, method)))
    {
        collected.settings.auth.method = method;
        collected.infer("auth.method", origin);
    }
    if !collected.is_given("push.method")
        && let Some((origin, method)) = push.into_iter().find_map(|(origin, method)| Some((origin?, method)))
    {
        collected.settings.push.method = method;
        collected.infer("push.method", origin);
    }
}

/// Checks that every method has the keys it needs, and that every key has an effect.
fn check_methods(collected: &mut Collected) {
    let method = auth_method(collected);
    let own: (&[&str], &[&str]) = match method {
        ClientMethod::Accept => (&[], &[]),
        ClientMethod::Password => (&AUTH_PASSWORD_KEYS, &AUTH_PASSWORD_KEYS),
        ClientMethod::Token => (&AUTH_TOKEN_KEYS, &AUTH_TOKEN_KEYS),
        ClientMethod::Jwt => (&AUTH_KEY_KEYS, &AUTH_JWT_KEYS),
        ClientMethod::Http => (&AUTH_URL_KEYS, &AUTH_HTTP_KEYS),
    };
    let all = [&AUTH_PASSWORD_KEYS[..], &AUTH_TOKEN_KEYS, &AUTH_JWT_KEYS, &AUTH_HTTP_KEYS].concat();
    let idle: Vec<&str> = all.into_iter().filter(|key| !own.1.contains(key)).collect();
    check_keys(collected, "auth.method", own.0, &idle);
    if method == ClientMethod::Jwt {
        check_keys(collected, "auth.method", &["auth.algorithm"], &[]);
    }
    check_push_method(collected);
}

/// Where the first of `[[push.keys]]` stands.
fn first_key(collected: &Collected) -> Option<Origin> {
    collected.push_keys.first().map(|key| key.origin.clone())
}

fn check_push_method(collected: &mut Collected) {
    let method = collected.settings.push.method;
    let keys = first_key(collected);
    let (needed, idle): (&[&str], &[&str]) = match (method, &keys) {
        (PushMethod::None, _) => (&[], &[&PUSH_PASSWORD_KEYS[..], &PUSH_HTTP_KEYS].concat()),
        (PushMethod::Password, None) => (&PUSH_PASSWORD_KEYS, &PUSH_HTTP_KEYS),
        (PushMethod::Password, Some(_)) => (&[], &PUSH_HTTP_KEYS),
        (PushMethod::Http, _) => (&PUSH_URL_KEYS, &PUSH_PASSWORD_KEYS),
    };
    check_keys(collected, "push.method", needed, idle);
    if let Some(origin) =
        keys.filter(|_| method != PushMethod::Password && !collected.is_broken(&["push.method"]))
    {
        let what = format!("[[push.keys]] has no effect with {}", show_method(collected, "push.method"));
        collected.problem(Problem::at(origin, what));
    }
}

/// Checks that a file of authorities has an effect and can be used.
fn check_trust(
    collected: &mut Collected,
    (url_key, url): (&str, Option<&HttpUrl>),
    (ca_key, ca): (&str, Option<&Path>),
) {
    let (Some(url), Some(ca)) = (url, ca) else { return };
    let what = match tls::connector(Some(ca)) {
        _ if !url.is_https() => {
            format!("`{ca_key}` has no effect without TLS: `{url_key}` begins with https:// then")
        }
        Err(error) => format!("`{ca_key}`: {error}"),
        Ok(_) => return,
    };
    collected.problem(Problem::at(collected.origin(ca_key), what));
}

fn check_keys(collected: &mut Collected, method: &str, needed: &[&str], idle: &[&str]) {
    if collected.is_broken(&[method]) {
        return;
    }
    if !needed.is_empty() && !needed.iter().any(|key| collected.is_given(key)) && !collected.is_broken(needed)
    {
        let keys: Vec<String> = needed.iter().map(|key| format!("`{key}`")).collect();
        let what = format!("{} needs {}", show_method(collected, method), keys.join(" or "));
        collected.problem(Problem::at(collected.source(method), what));
    }
    for key in idle.iter().filter(|key| collected.is_given(key)).copied().collect::<Vec<_>>() {
        let what = format!("`{key}` has no effect with {}", show_method(collected, method));
        collected.problem(Problem::at(collected.origin(key), what));
    }
}

fn show_method(collected: &Collected, method: &str) -> String {
    let setting = super::settings::find(method).expect("methods are keys");
    let value = setting.field.show(&mut collected.settings.clone());
    format!("`{method}` = {}", value.unwrap_or_default())
}

/// The secret that `key` or `key_file` holds. If both are set the stronger source wins.
pub(super) fn secret(collected: &mut Collected, key: &str, setting: &SecretSetting) -> Option<Secret> {
    let file_key = format!("{key}_file");
    let (origin, file_origin) = (collected.origin(key), collected.origin(&file_key));
    let secret = match (&setting.text, &setting.file) {
        (Some(_), Some(_)) if origin.rank() == file_origin.rank() => {
            let what = format!("`{key}` and `{file_key}` are both set; keep one of the two");
            collected.problem(Problem::at(file_origin, what));
            return None;
        }
        (text, Some(path)) if text.is_none() || file_origin.rank() > origin.rank() => {
            if key != "auth.key" || jwt::is_key_secret(collected) {
                warn_if_readable(collected, path);
            }
            let read = if key == "auth.key" { read_key_file(path) } else { read_secret(path) };
            match read {
                Ok(secret) => secret,
                Err(error) => {
                    let hint = match error.kind() {
                        io::ErrorKind::PermissionDenied => {
                            "; under systemd load it as a credential, as the unit shows"
                        }
                        _ => "",
                    };
                    let what = format!("`{file_key}`: cannot read {}: {error}{hint}", path.display());
                    collected.problem(Problem::at(file_origin, what));
                    return None;
                }
            }
        }
        (text, _) => text.clone()?,
    };
    if secret.reveal().is_empty() {
        let (name, origin) = if setting.text.is_some() { (key, origin) } else { (&*file_key, file_origin) };
        collected.problem(Problem::at(origin, format!("`{name}`: the secret is empty")));
        return None;
    }
    Some(secret)
}

/// The content of a secret file without the newline that editors and `echo` put at its end.
///
/// # Errors
/// The file cannot be read, is not UTF-8 or has more than 8 KiB.
pub fn read_secret(path: &Path) -> io::Result<Secret> {
    let mut text = String::new();
    let read = File::open(path)?.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > SECRET_BYTES_MAX {
        let reason = format!("a secret has at most {SECRET_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(Secret::from(without_newline(&text).to_owned()))
}

/// A configuration file that holds a secret is a secret file.
fn warn_about_file(collected: &mut Collected) {
    let keys = [
        "admin_token",
        "admin_write_token",
        "auth.password",
        "auth.prefix",
        "auth.suffix",
        "push.password",
        "cluster.sentinel_password",
    ];
    let key = Some("auth.key").filter(|_| jwt::is_key_secret(collected));
    let mut origins = keys.into_iter().chain(key).map(|key| collected.origin(key));
    let origin = origins.find(|origin| matches!(origin, Origin::File { .. }));
    drop(origins);
    let origin = origin.or_else(|| collected.push_keys.iter().find_map(PushKeySettings::written_password));
    if let Some(Origin::File { path, .. }) = origin {
        warn_if_readable(collected, &path);
    }
}

#[cfg(unix)]
pub(super) fn warn_if_readable(collected: &mut Collected, path: &Path) {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = path.metadata() else { return };
    let mode = metadata.mode();
    // If a file belongs to another user and a group may read it, it was given to that group. The credentials of
    // systemd come like this, and keys that a program renews. We could not change the mode of such a file
    // either.
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if mode & if is_ours { 0o077 } else { 0o007 } != 0 {
        let path = path.display();
        let warning = format!(
            "{path} holds a secret and is open to other users (mode {:04o}): chmod 600 {path}",
            mode & 0o7777
        );
        collected.warnings.push(warning);
    }
}

#[cfg(not(unix))]
pub(super) fn warn_if_readable(_collected: &mut Collected, _path: &Path) {}
