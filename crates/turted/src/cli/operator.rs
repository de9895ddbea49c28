//! What commands that look at a running server have in common: where its admin listener is, and the token.

use std::ffi::OsStr;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_rustls::TlsConnector;

use super::args::Variables;
use super::exchange::ServerAnswer;
use super::push::{authority, bearer, detail, is_problem};
use crate::config::{Secret, read_secret};
use crate::io::tls::{self, TrustError};

/// The server refused, or what was waited for did not come.
pub(super) const EXIT_REFUSED: u8 = 1;
/// No server answered.
pub(super) const EXIT_UNREACHED: u8 = 3;

/// All but the unreserved characters (RFC 3986 2.3).
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the admin listener is.
#[derive(Debug, Args)]
pub(super) struct OperatorArgs {
    /// The admin listener of the server, http or https
    #[arg(long, default_value = "http://127.0.0.1:7118")]
    url: Uri,
    /// Trust the certificates in this file instead of the system's (https)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Read the admin token from this file instead of TURTED_ADMIN_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// One who looks at a server.
pub(super) struct Operator {
    pub(super) url: Uri,
    pub(super) tls: Option<TlsConnector>,
    authority: String,
    authorization: Option<HeaderValue>,
}

impl Operator {
    pub(super) fn new(args: OperatorArgs, variables: &Variables) -> Result<Self, String> {
        let OperatorArgs { url, ca, token_file } = args;
        let authority = authority(&url, &["http", "https"], "TURTED_ADMIN_TOKEN")?.to_owned();
        let token = secret(("--token-file", token_file), "TURTED_ADMIN_TOKEN", variables)?;
        let authorization = token.map(|token| bearer(&token)).transpose()?;
        Ok(Self { tls: connector(&url, "https", ca)?, url, authority, authorization })
    }

    /// A request for this path and query of the API, behind the path of the URL.
    pub(super) fn request(&self, target: &str) -> Result<Request<Full<Bytes>>, String> {
        let target = format!("{}{target}", self.url.path().trim_end_matches('/'));
        let mut builder = Request::get(target).header(HOST, &self.authority);
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        builder.body(Full::default()).map_err(|error| format!("--url: {error}"))
    }

    /// Why the server refused, and what to do about it.
    pub(super) fn refusal(&self, answer: &ServerAnswer) -> String {
        let advice = match (answer.status, &self.authorization) {
            (StatusCode::UNAUTHORIZED, Some(_)) => "; it is not the admin_token of the server",
            (StatusCode::UNAUTHORIZED, None) => {
                "; set TURTED_ADMIN_TOKEN or --token-file to the admin_token of the server"
            }
            // The API says what is not there, others say nothing of it.
            (StatusCode::NOT_FOUND, _) if !is_problem(answer) => {
                "; --url has the admin_listen of the server, not where clients connect"
            }
            _ => "",
        };
        format!("refused, {}: {}{advice}", answer.status, detail(answer))
    }
}

/// A secret from a file, or from a variable.
pub(super) fn secret(
    (flag, file): (&str, Option<PathBuf>),
    name: &str,
    variables: &Variables,
) -> Result<Option<Secret>, String> {
    if let Some(path) = file {
        let secret = read_secret(&path).map_err(|error| format!("{flag}: {}: {error}", path.display()))?;
        return Ok(Some(secret));
    }
    let variable = variables.iter().find(|(own, _)| own == OsStr::new(name));
    let Some((_, value)) = variable else { return Ok(None) };
    let text = value.to_str().ok_or_else(|| format!("{name}: expected UTF-8"))?;
    // Some shells and compose files set a variable to an empty text that is meant to be unset.
    Ok(Some(Secret::from(text)).filter(|secret| !secret.is_empty()))
}

/// TLS, if the URL has the scheme that asks for it.
pub(super) fn connector(
    url: &Uri,
    secure: &str,
    ca: Option<PathBuf>,
) -> Result<Option<TlsConnector>, String> {
    let is_secure = url.scheme_str() == Some(secure);
    if !is_secure && ca.is_some() {
        let scheme = url.scheme_str().unwrap_or_default();
        return Err(format!("--ca: only {secure} has certificates, and --url is {scheme}"));
    }
    let tls = is_secure.then(|| tls::connector(ca.as_deref())).transpose();
    tls.map_err(|error| match error {
        TrustError::NoRoots => {
            "this system trusts no authority; name a file of certificates with --ca".to_owned()
        }
        error => error.to_string(),
    })
}

/// Percent-encodes what stands in a path or a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &ENCODED).to_string()
}
