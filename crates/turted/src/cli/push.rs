//! `turted push`: one event to a running server, over its REST push.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_rustls::TlsConnector;

use super::args::Variables;
use super::exchange::{ServerAnswer, exchange};
use super::lines;
use super::operator::{connector, secret};
use super::output::{EXIT_USAGE, complain, print};
use super::shown::plain_lines;
use crate::config::Secret;

/// The server refused the push.
pub(super) const EXIT_REFUSED: u8 = 1;
/// No server answered.
const EXIT_UNREACHED: u8 = 3;
/// Bytes of a payload from standard input, above any sensible `limits.push_body_bytes`.
const PAYLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Arguments of `turted push`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("target").required(true).multiple(true)))]
pub(super) struct PushArgs {
    /// The push endpoint of the server, http or https
    #[arg(long, default_value = "http://127.0.0.1:7117/push/")]
    url: Uri,
    /// Trust the certificates in this file instead of the system's (https)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Push to this user; may be repeated
    #[arg(long = "user", value_name = "NAME", group = "target")]
    users: Vec<String>,
    /// Push to this channel; may be repeated
    #[arg(long = "channel", value_name = "NAME", group = "target")]
    channels: Vec<String>,
    /// Push to everyone
    #[arg(long, group = "target")]
    broadcast: bool,
    /// Read the password from this file instead of TURTED_PUSH_PASSWORD
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Push each line of standard input as a string, until it ends
    #[arg(long, conflicts_with = "payload")]
    lines: bool,
    /// The name of the event
    event: String,
    /// The payload as JSON, - for standard input; without one the event carries {}
    #[arg(allow_negative_numbers = true)]
    payload: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  turted push --broadcast NEWS '{\"text\":\"hello\"}'
  turted push --user adam --user eve --channel chat MESSAGE:NEW '\"hello\"'
  date +%s | TURTED_PUSH_PASSWORD=s3cret turted push --channel clock TICK -
  journalctl -f -o cat | turted push --lines --channel logs LOG
  turted push --url https://push.example.com/push/ --broadcast NEWS

Exit codes: 0 accepted, 1 refused, 2 wrong usage, 3 no server reached.";

#[derive(Serialize)]
struct Body<'a> {
    event: &'a str,
    targets: Targets<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Targets<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    users: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    channels: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    broadcast: Option<bool>,
}

pub(super) fn run(args: PushArgs, variables: &Variables) -> ExitCode {
    let prepared = Push::new(&args, variables)
        .and_then(|push| Ok((connector(&args.url, "https", args.ca.clone())?, push)));
    let ended = prepared.and_then(|(tls, push)| match args.lines {
        true => lines::run(&push, tls.as_ref()),
        false => one(&push, tls.as_ref(), &args, variables),
    });
    ended.unwrap_or_else(|message| {
        complain(message);
        ExitCode::from(EXIT_USAGE)
    })
}

/// Pushes one event.
fn one(
    push: &Push<'_>,
    tls: Option<&TlsConnector>,
    args: &PushArgs,
    variables: &Variables,
) -> Result<ExitCode, String> {
    let body = match &args.payload {
        None => push.body_without_payload()?,
        Some(argument) => push.body([&*payload(argument)?].into_iter())?,
    };
    Ok(match exchange(&args.url, tls, push.request(body, None)?) {
        Ok(answer) => report(&answer, advice(&answer, args, variables)),
        Err(error) => {
            complain(format_args!("no answer from {}: {error}", args.url));
            ExitCode::from(EXIT_UNREACHED)
        }
    })
}

/// Pushes of one event to the same targets: all that can fail before a server is asked is done.
pub(super) struct Push<'a> {
    args: &'a PushArgs,
    authority: &'a str,
    authorization: Option<HeaderValue>,
}

impl<'a> Push<'a> {
    fn new(args: &'a PushArgs, variables: &Variables) -> Result<Self, String> {
        let authority = authority(&args.url, &["http", "https"], "TURTED_PUSH_PASSWORD")?;
        let authorization = password(args, variables)?.map(|password| bearer(&password)).transpose()?;
        Ok(Self { args, authority, authorization })
    }

    pub(super) fn url(&self) -> &Uri {
        &self.args.url
    }

    fn item(&self, payload: Option<&'a RawValue>) -> Body<'a> {
        let PushArgs { event, users, channels, broadcast, .. } = self.args;
        Body { event, targets: Targets { users, channels, broadcast: broadcast.then_some(true) }, payload }
    }

    fn body_without_payload(&self) -> Result<Bytes, String> {
        serde_json::to_vec(&self.item(None)).map(Bytes::from).map_err(|error| error.to_string())
    }

    /// The body of a push with these payloads: a batch if there are several.
    pub(super) fn body(&self, payloads: impl Iterator<Item = &'a RawValue>) -> Result<Bytes, String> {
        let items: Vec<_> = payloads.map(|payload| self.item(Some(payload))).collect();
        let body = match &*items {
            [item] => serde_json::to_vec(item),
            items => serde_json::to_vec(items),
        };
        body.map(Bytes::from).map_err(|error| error.to_string())
    }

    /// A request with this body, and with a key by which it may be repeated.
    pub(super) fn request(&self, body: Bytes, key: Option<&str>) -> Result<Request<Full<Bytes>>, String> {
        // A URL without a path names the server alone, and means its usual path.
        let path = self.args.url.path_and_query().map_or("/", |path| path.as_str());
        let path = if path == "/" { "/push/" } else { path };
        let mut builder = Request::post(path)
            .header(HOST, self.authority)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        if let Some(key) = key {
            builder = builder.header("idempotency-key", key);
        }
        builder.body(Full::new(body)).map_err(|error| format!("--url: {error}"))
    }
}

/// Host and port of a URL with one of these schemes. The secret for it stands in this variable.
pub(super) fn authority<'a>(url: &'a Uri, schemes: &[&str], variable: &str) -> Result<&'a str, String> {
    let is_spoken = url.scheme_str().is_some_and(|scheme| schemes.contains(&scheme));
    let authority = url.authority().filter(|_| is_spoken);
    let authority =
        authority.ok_or_else(|| format!("--url: expected {}://HOST:PORT/PATH", schemes.join(":// or ")))?;
    if authority.as_str().contains('@') {
        return Err(format!("--url: credentials in a URL are visible to others; use {variable}"));
    }
    Ok(authority.as_str())
}

/// The payload as it was written: validated, never changed.
fn payload(argument: &str) -> Result<Box<RawValue>, String> {
    let text = if argument == "-" { read_stdin()? } else { argument.to_owned() };
    RawValue::from_string(text.trim().to_owned())
        .map_err(|error| format!("PAYLOAD: not JSON ({error}); a text needs its own quotes: '\"hello\"'"))
}

fn read_stdin() -> Result<String, String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(PAYLOAD_BYTES_MAX + 1).read_to_string(&mut text);
    match read {
        Err(error) => Err(format!("cannot read standard input: {error}")),
        Ok(bytes) if bytes as u64 > PAYLOAD_BYTES_MAX => {
            Err(format!("PAYLOAD: more than {PAYLOAD_BYTES_MAX} bytes"))
        }
        Ok(_) => Ok(text),
    }
}

fn password(args: &PushArgs, variables: &Variables) -> Result<Option<Secret>, String> {
    secret(("--password-file", args.password_file.clone()), "TURTED_PUSH_PASSWORD", variables)
}

/// The header with a secret.
pub(super) fn bearer(password: &Secret) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", password.reveal()))
        .map_err(|_| "the password has characters that no HTTP header can carry".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// What to do about a refusal.
fn advice(answer: &ServerAnswer, args: &PushArgs, variables: &Variables) -> &'static str {
    let has_password = password(args, variables).is_ok_and(|password| password.is_some());
    match answer.status {
        StatusCode::UNAUTHORIZED if has_password => "; it is not the push.password of the server",
        StatusCode::UNAUTHORIZED => {
            "; set TURTED_PUSH_PASSWORD or --password-file to the push.password of the server"
        }
        StatusCode::NOT_FOUND => {
            "; --url has the push.path of the server, which is /push/ unless it was changed"
        }
        _ => "",
    }
}

fn report(answer: &ServerAnswer, advice: &str) -> ExitCode {
    if answer.status == StatusCode::OK {
        let text = String::from_utf8_lossy(&answer.body);
        return print(format!("{}\n", text.trim_end()).as_bytes());
    }
    complain(format_args!("refused, {}: {}{advice}", answer.status, detail(answer)));
    ExitCode::from(EXIT_REFUSED)
}

/// What a problem that a server tells is, if the answer is one.
fn problem(answer: &ServerAnswer) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    let detail = problem.get("detail").or(problem.get("title"))?;
    Some(detail.as_str()?.to_owned())
}

/// Whether a server of turted has answered, not something in its place.
pub(super) fn is_problem(answer: &ServerAnswer) -> bool {
    problem(answer).is_some()
}

/// Why a server refused, in its words, on which nothing steers a terminal.
pub(super) fn detail(answer: &ServerAnswer) -> String {
    let text = || String::from_utf8_lossy(&answer.body).trim_end().to_owned();
    plain_lines(&problem(answer).unwrap_or_else(text))
}
