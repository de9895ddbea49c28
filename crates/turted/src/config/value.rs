//! The kinds of values a key can have: reading them from any source and showing them as TOML.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::addresses::{
    Opaque, fault_of_origins, parse_address, parse_admin_listen, parse_origins, show_origins,
};
use super::choices::{names, show_choice};
use super::input::Input;
use super::log::{StoreChoice, SyncChoice};
use super::model::{AdminListen, AllowOrigins, IdentMode, LogFormat, LogLevel, TrustedProxies};
use super::push_sources::model::StartAt;
use super::push_sources::servers::{ExchangeKind, HeaderValue, Headers, MessageFormat};
use super::settings::{ClientMethod, PushMethod, Settings};
use super::text::{parse_base_path, parse_url_path, quote, show_list, without_newline};
use super::units::{parse_delay, parse_duration, show_duration};
use crate::auth::{Algorithm, HttpUrl};
use turted_core::auth::Hash;
use turted_core::push::map::PayloadForm;
use turted_core::secret::Secret;

/// The way to one field of the settings.
type Of<S, T> = fn(&mut S) -> &mut T;

/// The kind of a key's value and the field of `S` that it fills. A leading number is the least value.
pub(super) enum Field<S = Settings> {
    Address(Of<S, SocketAddr>),
    OptionalAddress(Of<S, Option<SocketAddr>>),
    AdminListen(Of<S, AdminListen>),
    Bytes(usize, Of<S, usize>),
    Count(usize, Of<S, usize>),
    /// With the largest value behind the least one.
    CountUpTo(usize, usize, Of<S, usize>),
    OptionalCount(Of<S, Option<usize>>),
    OptionalBytes(usize, Of<S, Option<usize>>),
    Number(Of<S, u32>),
    Duration(Of<S, Duration>),
    /// A duration, or `0s` for none.
    Delay(Of<S, Duration>),
    Flag(Of<S, bool>),
    OptionalFlag(Of<S, Option<bool>>),
    /// And what becomes of pages that have no origin of their own.
    Origins(Opaque, Of<S, AllowOrigins>),
    Networks(Of<S, TrustedProxies>),
    Path(Of<S, Option<PathBuf>>),
    Text(Of<S, String>),
    OptionalText(Of<S, Option<String>>),
    UrlPath(Of<S, String>),
    BasePath(Of<S, Option<String>>),
    HttpUrl(Of<S, Option<HttpUrl>>),
    Secret(Of<S, Option<Secret>>),
    LogLevel(Of<S, LogLevel>),
    LogFormat(Of<S, LogFormat>),
    LogStore(Of<S, StoreChoice>),
    LogSync(Of<S, SyncChoice>),
    ClientMethod(Of<S, ClientMethod>),
    PushMethod(Of<S, PushMethod>),
    Hash(Of<S, Hash>),
    Algorithm(Of<S, Option<Algorithm>>),
    Ident(Of<S, IdentMode>),
    Texts(Of<S, Vec<String>>),
    Paths(Of<S, Vec<PathBuf>>),
    /// A boolean, or a text that becomes one.
    FlagOrText(Of<S, Option<String>>),
    PayloadForm(Of<S, Option<PayloadForm>>),
    StartAt(Of<S, StartAt>),
    MessageFormat(Of<S, MessageFormat>),
    ExchangeKind(Of<S, ExchangeKind>),
    Headers(Of<S, Headers>),
}

/// What was expected where something else was found.
pub(super) struct Mismatch {
    pub(super) expected: String,
    /// `None` where the value must not be repeated.
    pub(super) found: Option<String>,
    /// What exactly is wrong, if that can be told.
    pub(super) fault: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "expected {}", self.expected)?;
        if let Some(found) = &self.found {
            write!(formatter, ", found {found}")?;
        }
        self.fault.as_ref().map_or(Ok(()), |fault| write!(formatter, ": {fault}"))
    }
}

impl<S> Field<S> {
    /// Reads `input` into the field; relative paths start at `base`.
    pub(super) fn set(&self, settings: &mut S, input: &Input<'_>, base: &Path) -> Result<(), Mismatch> {
        let read = match self {
            Self::Address(of) => put(of(settings), input.text().and_then(parse_address)),
            Self::OptionalAddress(of) => put(of(settings), input.text().and_then(parse_address).map(Some)),
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
            Self::OptionalFlag(of) => put(of(settings), input.flag().map(Some)),
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
            Self::LogStore(of) => put(of(settings), input.choice()),
            Self::LogSync(of) => put(of(settings), input.choice()),
            Self::ClientMethod(of) => put(of(settings), input.choice()),
            Self::PushMethod(of) => put(of(settings), input.choice()),
            Self::Hash(of) => put(of(settings), input.choice()),
            Self::Algorithm(of) => put(of(settings), input.choice().map(Some)),
            Self::Ident(of) => put(of(settings), input.choice()),
            Self::Texts(of) => put(of(settings), input.list().map(|list| owned(&list))),
            Self::Paths(of) => {
                let filled = input.list().filter(|list| !list.iter().any(|path| path.is_empty()));
                put(of(settings), filled.map(|list| list.iter().map(|path| base.join(path)).collect()))
            }
            Self::FlagOrText(of) => put(of(settings), input.flag_or_text().map(Some)),
            Self::PayloadForm(of) => put(of(settings), input.choice().map(Some)),
            Self::StartAt(of) => put(of(settings), input.choice()),
            Self::MessageFormat(of) => put(of(settings), input.choice()),
            Self::ExchangeKind(of) => put(of(settings), input.choice()),
            Self::Headers(of) => put(of(settings), input.table().and_then(headers)),
        };
        read.ok_or_else(|| Mismatch {
            expected: self.expected(),
            found: self.found(input),
            fault: self.fault(input),
        })
    }

    /// The value as TOML, secrets masked; `None` if there is none.
    pub(super) fn show(&self, settings: &mut S) -> Option<String> {
        Some(match self {
            Self::Address(of) => quote(&of(settings).to_string()),
            Self::OptionalAddress(of) => quote(&of(settings).as_ref()?.to_string()),
            Self::AdminListen(of) => {
                quote(&of(settings).address().map_or_else(String::new, |address| address.to_string()))
            }
            Self::Bytes(_, of) | Self::Count(_, of) | Self::CountUpTo(_, _, of) => of(settings).to_string(),
            Self::OptionalCount(of) | Self::OptionalBytes(_, of) => of(settings).as_ref()?.to_string(),
            Self::Number(of) => of(settings).to_string(),
            Self::Duration(of) | Self::Delay(of) => quote(&show_duration(*of(settings))),
            Self::Flag(of) => of(settings).to_string(),
            Self::OptionalFlag(of) => of(settings).as_ref()?.to_string(),
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
            Self::LogStore(of) => show_choice(*of(settings)),
            Self::LogSync(of) => show_choice(*of(settings)),
            Self::ClientMethod(of) => show_choice(*of(settings)),
            Self::PushMethod(of) => show_choice(*of(settings)),
            Self::Hash(of) => show_choice(*of(settings)),
            Self::Algorithm(of) => show_choice((*of(settings))?),
            Self::Ident(of) => show_choice(*of(settings)),
            Self::Texts(of) => show_list(of(settings)),
            Self::Paths(of) => {
                let paths: Vec<_> = of(settings).iter().map(|path| path.to_string_lossy()).collect();
                show_list(&paths)
            }
            Self::FlagOrText(of) => quote(of(settings).as_ref()?),
            Self::PayloadForm(of) => show_choice((*of(settings))?),
            Self::StartAt(of) => show_choice(*of(settings)),
            Self::MessageFormat(of) => show_choice(*of(settings)),
            Self::ExchangeKind(of) => show_choice(*of(settings)),
            Self::Headers(of) => show_headers(of(settings))?,
        })
    }

    fn expected(&self) -> String {
        match self {
            Self::Address(_) | Self::OptionalAddress(_) => {
                r#"an address and a port, such as "127.0.0.1:7117" or "[::1]:7117""#.into()
            }
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
            Self::Flag(_) | Self::OptionalFlag(_) => "true or false".into(),
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
                r#"a URL such as "http://127.0.0.1:8080/auth": http or https, without credentials"#.into()
            }
            Self::Secret(_) => "a string".into(),
            Self::LogLevel(_) => names::<LogLevel>(),
            Self::LogFormat(_) => names::<LogFormat>(),
            Self::LogStore(_) => names::<StoreChoice>(),
            Self::LogSync(_) => names::<SyncChoice>(),
            Self::ClientMethod(_) => names::<ClientMethod>(),
            Self::PushMethod(_) => names::<PushMethod>(),
            Self::Hash(_) => names::<Hash>(),
            Self::Algorithm(_) => names::<Algorithm>(),
            Self::Ident(_) => names::<IdentMode>(),
            Self::Texts(_) => "a list of strings".into(),
            Self::Paths(_) => "a list of paths".into(),
            Self::FlagOrText(_) => "true, false or a string".into(),
            Self::PayloadForm(_) => names::<PayloadForm>(),
            Self::StartAt(_) => names::<StartAt>(),
            Self::MessageFormat(_) => names::<MessageFormat>(),
            Self::ExchangeKind(_) => names::<ExchangeKind>(),
            Self::Headers(_) => "a table of strings, integers and booleans".into(),
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
            Input::Table(_) => "a value of type table".to_owned(),
            Input::Other(name) => format!("a value of type {name}"),
        })
    }
}

fn headers(table: &[(&str, Input<'_>)]) -> Option<Headers> {
    let value = |input: &Input<'_>| match input {
        Input::Text(text) => Some(HeaderValue::Text((*text).to_owned())),
        Input::Integer(number) => Some(HeaderValue::Integer(*number)),
        Input::Flag(flag) => Some(HeaderValue::Flag(*flag)),
        _ => None,
    };
    table.iter().map(|(name, input)| Some(((*name).to_owned(), value(input)?))).collect()
}

fn show_headers(headers: &Headers) -> Option<String> {
    let value = |value: &HeaderValue| match value {
        HeaderValue::Text(text) => quote(text),
        HeaderValue::Integer(number) => number.to_string(),
        HeaderValue::Flag(flag) => flag.to_string(),
    };
    let shown: Vec<_> = headers.iter().map(|(name, of)| format!("{} = {}", quote(name), value(of))).collect();
    (!shown.is_empty()).then(|| format!("{{ {} }}", shown.join(", ")))
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn put<T>(field: &mut T, value: Option<T>) -> Option<()> {
    *field = value?;
    Some(())
}

fn parse_networks(list: &[&str]) -> Option<TrustedProxies> {
    list.iter().map(|text| text.parse().ok()).collect::<Option<_>>().map(TrustedProxies::new)
}
