//! The kinds of values a key can have: reading them from any source and showing them as TOML.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::addresses::{
    Opaque, fault_of_origins, parse_address, parse_admin_listen, parse_origins, show_origins,
};
use super::model::{AdminListen, AllowOrigins, IdentMode, LogFormat, LogLevel, TrustedProxies};
use super::settings::{ClientMethod, PushMethod, Settings};
use super::units::{parse_delay, parse_duration, parse_size, show_duration};
use crate::auth::{Algorithm, HttpUrl};
use turted_core::auth::Hash;
use turted_core::channel::Join;
use turted_core::secret::Secret;

/// The way to one field of the settings.
type Of<T> = fn(&mut Settings) -> &mut T;

/// The kind of a key's value and the field it fills. A leading number is the least value.
pub(super) enum Field {
    Address(Of<SocketAddr>),
    AdminListen(Of<AdminListen>),
    Bytes(usize, Of<usize>),
    Count(usize, Of<usize>),
    /// With the largest value behind the least one.
    CountUpTo(usize, usize, Of<usize>),
    OptionalCount(Of<Option<usize>>),
    OptionalBytes(usize, Of<Option<usize>>),
    Number(Of<u32>),
    Duration(Of<Duration>),
    /// A duration, or `0s` for none.
    Delay(Of<Duration>),
    Flag(Of<bool>),
    /// And what becomes of pages that have no origin of their own.
    Origins(Opaque, Of<AllowOrigins>),
    Networks(Of<TrustedProxies>),
    Path(Of<Option<PathBuf>>),
    Text(Of<String>),
    OptionalText(Of<Option<String>>),
    UrlPath(Of<String>),
    BasePath(Of<Option<String>>),
    HttpUrl(Of<Option<HttpUrl>>),
    Secret(Of<Option<Secret>>),
    LogLevel(Of<LogLevel>),
    LogFormat(Of<LogFormat>),
    ClientMethod(Of<ClientMethod>),
    PushMethod(Of<PushMethod>),
    Hash(Of<Hash>),
    Algorithm(Of<Option<Algorithm>>),
    Ident(Of<IdentMode>),
}

/// A value as its source has it.
pub(super) enum Input<'a> {
    /// From a variable or a flag: text, whatever the key's kind.
    Bare(&'a str),
    /// A TOML string.
    Text(&'a str),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Flag(bool),
    /// A TOML array of strings.
    List(Vec<&'a str>),
    /// Any other TOML value, by the name of its type.
    Other(&'static str),
}

/// What was expected where something else was found.
pub(super) struct Mismatch {
    pub(super) expected: String,
    /// `None` where the value must not be repeated.
    pub(super) found: Option<String>,
    /// What exactly is wrong, if that can be told.
    pub(super) fault: Option<String>,
}

impl Field {
    /// Reads `input` into the field; relative paths start at `base`.
    pub(super) fn set(
        &self,
        settings: &mut Settings,
        input: &Input<'_>,
        base: &Path,
    ) -> Result<(), Mismatch> {
        let read = match self {
            Self::Address(of) => put(of(settings), input.text().and_then(parse_address)),
            Self::AdminListen(of) => put(of(settings), input.text().and_then(parse_admin_listen)),
            Self::Bytes(least, of) => put(of(settings), input.bytes().filter(|bytes| bytes >= least)),
            Self::Count(least, of) => put(of(settings), input.count().filter(|count| count >= least)),
            Self::CountUpTo(least, most, of) => {
                put(of(settings), input.count().filter(|count| (least..=most).contains(&count)))
            }
            Self::OptionalCount(of) => put(of(settings), input.count().filter(|count| *count >= 1).map(Some)),
            Self::OptionalBytes(least, of) => {
                put(of(settings), input.bytes().filter(|bytes| bytes >= least).map(Some))
            }
            Self::Number(of) => put(of(settings), input.number()),
            Self::Duration(of) => put(of(settings), input.text().and_then(parse_duration)),
            Self::Delay(of) => put(of(settings), input.text().and_then(parse_delay)),
            Self::Flag(of) => put(of(settings), input.flag()),
            Self::Origins(opaque, of) => {
                put(of(settings), input.list().and_then(|list| parse_origins(&list, *opaque).ok()))
            }
            Self::Networks(of) => put(of(settings), input.list().and_then(|list| parse_networks(&list))),
            Self::Path(of) => put(of(settings), input.filled().map(|text| Some(base.join(text)))),
            Self::Text(of) => put(of(settings), input.filled().map(str::to_owned)),
            Self::OptionalText(of) => put(of(settings), input.filled().map(|text| Some(text.to_owned()))),
            Self::UrlPath(of) => put(of(settings), input.text().and_then(parse_url_path)),
            Self::BasePath(of) => put(of(settings), input.text().and_then(parse_base_path).map(Some)),
            Self::HttpUrl(of) => put(of(settings), input.text().and_then(|text| text.parse().ok()).map(Some)),
            Self::Secret(of) => {
                put(of(settings), input.text().map(|text| Some(Secret::from(without_newline(text)))))
            }
            Self::LogLevel(of) => put(of(settings), input.choice_in_any_case()),
            Self::LogFormat(of) => put(of(settings), input.choice()),
            Self::ClientMethod(of) => put(of(settings), input.choice()),
            Self::PushMethod(of) => put(of(settings), input.choice()),
            Self::Hash(of) => put(of(settings), input.choice()),
            Self::Algorithm(of) => put(of(settings), input.choice().map(Some)),
            Self::Ident(of) => put(of(settings), input.choice()),
        };
        read.ok_or_else(|| Mismatch {
            expected: self.expected(),
            found: self.found(input),
            fault: self.fault(input),
        })
    }

    /// The value as TOML, secrets masked; `None` if there is none.
    pub(super) fn show(&self, settings: &mut Settings) -> Option<String> {
        Some(match self {
            Self::Address(of) => quote(&of(settings).to_string()),
            Self::AdminListen(of) => {
                quote(&of(settings).address().map_or_else(String::new, |address| address.to_string()))
            }
            Self::Bytes(_, of) | Self::Count(_, of) | Self::CountUpTo(_, _, of) => of(settings).to_string(),
            Self::OptionalCount(of) | Self::OptionalBytes(_, of) => of(settings).as_ref()?.to_string(),
            Self::Number(of) => of(settings).to_string(),
            Self::Duration(of) | Self::Delay(of) => quote(&show_duration(*of(settings))),
            Self::Flag(of) => of(settings).to_string(),
            Self::Origins(_, of) => show_origins(of(settings)),
            Self::Networks(of) => show_list(of(settings).networks()),
            Self::Path(of) => quote(&of(settings).as_ref()?.to_string_lossy()),
            Self::Text(of) | Self::UrlPath(of) => quote(of(settings)),
            Self::OptionalText(of) => quote(of(settings).as_ref()?),
            Self::BasePath(of) => quote(&format!("{}/", of(settings).as_ref()?)),
            Self::HttpUrl(of) => quote(&of(settings).as_ref()?.to_string()),
            Self::Secret(of) => of(settings).as_ref().map(|_| quote("***"))?,
            Self::LogLevel(of) => show_choice(*of(settings)),
            Self::LogFormat(of) => show_choice(*of(settings)),
            Self::ClientMethod(of) => show_choice(*of(settings)),
            Self::PushMethod(of) => show_choice(*of(settings)),
            Self::Hash(of) => show_choice(*of(settings)),
            Self::Algorithm(of) => show_choice((*of(settings))?),
            Self::Ident(of) => show_choice(*of(settings)),
        })
    }

    fn expected(&self) -> String {
        match self {
            Self::Address(_) => r#"an address and a port, such as "127.0.0.1:7117" or "[::1]:7117""#.into(),
            Self::AdminListen(_) => {
                r#"an address and a port, such as "127.0.0.1:7118", or "" for none"#.into()
            }
            Self::Bytes(least, _) | Self::OptionalBytes(least, _) => {
                format!("a number of bytes, {least} or more, such as 65536 or \"64KiB\"")
            }
            Self::Count(least, _) => format!("a whole number, {least} or more"),
            Self::CountUpTo(least, most, _) => format!("a whole number from {least} to {most}"),
            Self::OptionalCount(_) => "a whole number, 1 or more".into(),
            Self::Number(_) => format!("a whole number from 1 to {}", i32::MAX),
            Self::Duration(_) => r#"a duration from "1ms" to "168h", such as "300ms", "25s" or "2m""#.into(),
            Self::Delay(_) => r#""0s", or a duration up to "168h", such as "300ms", "25s" or "2m""#.into(),
            Self::Flag(_) => "true or false".into(),
            Self::Origins(..) => {
                r#"a list of origins, such as ["https://example.com"], or ["*"] for any"#.into()
            }
            Self::Networks(_) => r#"a list of networks, such as ["10.0.0.0/8", "fd00::/8"]"#.into(),
            Self::Path(_) => "the path of a file or directory".into(),
            Self::UrlPath(_) | Self::BasePath(_) => {
                r#"a path such as "/push/", of letters, digits, "-", ".", "_" and "~""#.into()
            }
            Self::Text(_) | Self::OptionalText(_) => "a string that is not empty".into(),
            Self::HttpUrl(_) => {
                r#"a URL such as "http://127.0.0.1:8080/auth": http, without credentials"#.into()
            }
            Self::Secret(_) => "a string".into(),
            Self::LogLevel(_) => names::<LogLevel>(),
            Self::LogFormat(_) => names::<LogFormat>(),
            Self::ClientMethod(_) => names::<ClientMethod>(),
            Self::PushMethod(_) => names::<PushMethod>(),
            Self::Hash(_) => names::<Hash>(),
            Self::Algorithm(_) => names::<Algorithm>(),
            Self::Ident(_) => names::<IdentMode>(),
        }
    }

    fn fault(&self, input: &Input<'_>) -> Option<String> {
        match self {
            Self::Origins(opaque, _) => fault_of_origins(&input.list()?, *opaque),
            _ => None,
        }
    }

    fn found(&self, input: &Input<'_>) -> Option<String> {
        // A URL that is refused may carry credentials.
        if matches!(self, Self::Secret(_) | Self::HttpUrl(_)) {
            return None;
        }
        Some(match input {
            Input::Bare(text) | Input::Text(text) => format!("{text:?}"),
            Input::Integer(number) => number.to_string(),
            Input::Flag(flag) => flag.to_string(),
            Input::List(list) => format!("{list:?}"),
            Input::Other(name) => format!("a value of type {name}"),
        })
    }
}

impl<'a> Input<'a> {
    pub(super) fn text(&self) -> Option<&'a str> {
        match self {
            Self::Bare(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn filled(&self) -> Option<&'a str> {
        self.text().filter(|text| !text.is_empty())
    }

    fn count(&self) -> Option<usize> {
        match self {
            Self::Bare(text) => text.parse().ok(),
            Self::Integer(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    fn number(&self) -> Option<u32> {
        let number = i32::try_from(self.count()?).ok()?;
        u32::try_from(number).ok().filter(|number| *number >= 1)
    }

    fn bytes(&self) -> Option<usize> {
        self.text().map_or_else(|| self.count(), parse_size)
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Self::Bare(text) => text.parse().ok(),
            Self::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    fn list(&self) -> Option<Vec<&'a str>> {
        match self {
            Self::Bare("") => Some(Vec::new()),
            Self::Bare(text) => Some(text.split(',').map(str::trim).collect()),
            Self::List(list) => Some(list.clone()),
            _ => None,
        }
    }

    pub(super) fn choice<T: Choice>(&self) -> Option<T> {
        let text = self.text()?;
        T::NAMES.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice)
    }

    fn choice_in_any_case<T: Choice>(&self) -> Option<T> {
        let text = self.text()?;
        T::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, choice)| *choice)
    }
}

/// A closed set of values, each with the name an operator writes.
pub(super) trait Choice: Copy + PartialEq + 'static {
    const NAMES: &'static [(&'static str, Self)];
}

impl Choice for LogLevel {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

impl Choice for LogFormat {
    const NAMES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Choice for ClientMethod {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("accept", Self::Accept),
        ("password", Self::Password),
        ("token", Self::Token),
        ("jwt", Self::Jwt),
        ("http", Self::Http),
    ];
}

impl Choice for PushMethod {
    const NAMES: &'static [(&'static str, Self)] = &[("none", Self::None), ("password", Self::Password)];
}

impl Choice for Hash {
    const NAMES: &'static [(&'static str, Self)] =
        &[("md5", Self::Md5), ("sha1", Self::Sha1), ("sha256", Self::Sha256), ("sha512", Self::Sha512)];
}

impl Choice for Algorithm {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("HS256", Self::HS256),
        ("HS384", Self::HS384),
        ("HS512", Self::HS512),
        ("RS256", Self::RS256),
        ("RS384", Self::RS384),
        ("RS512", Self::RS512),
        ("PS256", Self::PS256),
        ("PS384", Self::PS384),
        ("PS512", Self::PS512),
        ("ES256", Self::ES256),
        ("ES384", Self::ES384),
        ("EdDSA", Self::EdDSA),
    ];
}

impl Choice for Join {
    const NAMES: &'static [(&'static str, Self)] =
        &[("open", Self::Open), ("identified", Self::Identified), ("claim", Self::Claim)];
}

impl Choice for IdentMode {
    const NAMES: &'static [(&'static str, Self)] = &[("replace", Self::Replace), ("add", Self::Add)];
}

pub(super) fn names<T: Choice>() -> String {
    let names: Vec<String> = T::NAMES.iter().map(|(name, _)| quote(name)).collect();
    let (last, rest) = names.split_last().expect("a closed set has members");
    format!("{} or {last}", rest.join(", "))
}

pub(super) fn show_choice<T: Choice>(choice: T) -> String {
    let named = T::NAMES.iter().find(|(_, other)| *other == choice);
    quote(named.expect("every member has a name").0)
}

fn put<T>(field: &mut T, value: Option<T>) -> Option<()> {
    *field = value?;
    Some(())
}

/// A secret without the newline that `echo`, a heredoc or a secret store puts at its end.
pub(super) fn without_newline(text: &str) -> &str {
    let line = text.strip_suffix('\n').unwrap_or(text);
    line.strip_suffix('\r').unwrap_or(line)
}

fn parse_networks(list: &[&str]) -> Option<TrustedProxies> {
    list.iter().map(|text| text.parse().ok()).collect::<Option<_>>().map(TrustedProxies::new)
}

pub(super) fn show_list(list: &[impl ToString]) -> String {
    let quoted: Vec<String> = list.iter().map(|item| quote(&item.to_string())).collect();
    format!("[{}]", quoted.join(", "))
}

/// A path of at least one segment, with or without a slash at its end.
fn parse_url_path(text: &str) -> Option<String> {
    let inner = text.strip_prefix('/')?;
    let segments: Vec<&str> = inner.strip_suffix('/').unwrap_or(inner).split('/').collect();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let segment = |part: &&str| !matches!(*part, "" | "." | "..") && part.bytes().all(plain);
    segments.iter().all(segment).then(|| text.to_owned())
}

/// A path below which everything belongs to one purpose, also the root; without the slash at its end.
fn parse_base_path(text: &str) -> Option<String> {
    if text == "/" {
        return Some(String::new());
    }
    Some(parse_url_path(text)?.trim_end_matches('/').to_owned())
}

/// `text` as a TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
