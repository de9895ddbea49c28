//! `turted push`: one event to a running server, over its REST push.

use std::ffi::OsStr;
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
use super::output::{EXIT_USAGE, complain, print};
use crate::config::{Secret, read_secret};
use crate::io::tls;

/// The server refused the push.
const EXIT_REFUSED: u8 = 1;
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
  turted push --url https://push.example.com/push/ --broadcast NEWS

Exit codes: 0 accepted, 1 refused, 2 wrong usage, 3 no server reached.";

#[derive(Serialize)]
struct Body<'a> {
    event: &'a str,
    targets: Targets<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
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
    let (tls, request) = match prepare(&args, variables) {
        Ok(prepared) => prepared,
        Err(message) => {
            complain(message);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match exchange(&args.url, tls.as_ref(), request) {
        Ok(answer) => report(&answer, advice(&answer, &args, variables)),
        Err(error) => {
            complain(format_args!("no answer from {}: {error}", args.url));
            ExitCode::from(EXIT_UNREACHED)
        }
    }
}

/// Does all that can fail before the server is asked.
fn prepare(
    args: &PushArgs,
    variables: &Variables,
) -> Result<(Option<TlsConnector>, Request<Full<Bytes>>), String> {
    let request = request(args, variables)?;
    let is_https = args.url.scheme_str() == Some("https");
    if !is_https && args.ca.is_some() {
        return Err("--ca: only https has certificates, and --url is http".into());
    }
    let tls = is_https.then(|| tls::connector(args.ca.as_deref())).transpose();
    Ok((tls.map_err(|error| error.to_string())?, request))
}

fn request(args: &PushArgs, variables: &Variables) -> Result<Request<Full<Bytes>>, String> {
    let authority = authority(&args.url, &["http", "https"])?;
    let body = Body {
        event: &args.event,
        targets: Targets {
            users: &args.users,
            channels: &args.channels,
            broadcast: args.broadcast.then_some(true),
        },
        payload: args.payload.as_deref().map(payload).transpose()?,
    };
    let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
    // A URL without a path names the server alone, and means its usual path.
    let path = args.url.path_and_query().map_or("/", |path| path.as_str());
    let path = if path == "/" { "/push/" } else { path };
    let mut builder = Request::post(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json");
    if let Some(password) = password(args, variables)? {
        builder = builder.header(AUTHORIZATION, bearer(&password)?);
    }
    builder.body(Full::new(body.into())).map_err(|error| format!("--url: {error}"))
}

/// Host and port of a URL with one of these schemes.
pub(super) fn authority<'a>(url: &'a Uri, schemes: &[&str]) -> Result<&'a str, String> {
    let is_spoken = url.scheme_str().is_some_and(|scheme| schemes.contains(&scheme));
    let authority = url.authority().filter(|_| is_spoken);
    let authority =
        authority.ok_or_else(|| format!("--url: expected {}://HOST:PORT/PATH", schemes.join(":// or ")))?;
    if authority.as_str().contains('@') {
        return Err("--url: credentials in a URL are visible to others; use TURTED_PUSH_PASSWORD".into());
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
    if let Some(path) = &args.password_file {
        let secret =
            read_secret(path).map_err(|error| format!("--password-file: {}: {error}", path.display()))?;
        return Ok(Some(secret));
    }
    let variable = variables.iter().find(|(name, _)| name == OsStr::new("TURTED_PUSH_PASSWORD"));
    let Some((_, value)) = variable else {
        return Ok(None);
    };
    let text = value.to_str().ok_or("TURTED_PUSH_PASSWORD: expected UTF-8")?;
    // Some shells and compose files set a variable to an empty text that is meant to be unset.
    Ok(Some(Secret::from(text)).filter(|secret| !secret.is_empty()))
}

fn bearer(password: &Secret) -> Result<HeaderValue, String> {
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
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status == StatusCode::OK {
        return print(format!("{}\n", text.trim_end()).as_bytes());
    }
    let problem = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
    let detail = problem.get("detail").or(problem.get("title")).and_then(|detail| detail.as_str());
    complain(format_args!("refused, {}: {}{advice}", answer.status, detail.unwrap_or(text.trim_end())));
    ExitCode::from(EXIT_REFUSED)
}
