//! `turted token`: the token with which a client proves to be a user.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};
use turted_core::channel::ChannelPattern;
use turted_core::name::Name;

use super::args::{Variables, sources_of};
use super::output::{EXIT_USAGE, complain, print, warn_of};
use crate::auth::{Algorithm, JwtRule, sign, unix_now};
use crate::config::{self, ClientAuth, TokenRule, read_secret};

/// Arguments of `turted token`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TokenArgs {
    /// The user
    name: String,
    /// Grant this channel, or all that begin alike: 'news.*'; may be repeated (jwt)
    #[arg(long = "channel", value_name = "CHANNEL")]
    channels: Vec<String>,
    /// How long the token is good, up to 168h [default: 1h] (jwt)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    ttl: Option<Duration>,
    /// The private key in PEM, unless auth.key is a shared secret (jwt)
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Read this file instead of turted.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  TURTED_AUTH_PREFIX=s3cret turted token alice
  TURTED_AUTH_ALGORITHM=HS256 TURTED_AUTH_KEY_FILE=jwt.key turted token alice --ttl 10m
  turted token alice --key-file private.pem --channel 'news.*'";

fn duration(text: &str) -> Result<Duration, &'static str> {
    config::parse_duration(text).ok_or("expected a duration up to 168h, such as 30s, 10m or 1h")
}

pub(super) fn run(args: TokenArgs, variables: Variables) -> ExitCode {
    match token(args, variables) {
        Ok(token) => print(format!("{token}\n").as_bytes()),
        Err(message) => {
            complain(message);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn token(args: TokenArgs, variables: Variables) -> Result<String, String> {
    let name = Name::new(&args.name).map_err(|refusal| format!("NAME: {refusal}"))?;
    let loaded =
        config::load(&sources_of(args.config.clone(), variables)).map_err(|error| error.to_string())?;
    warn_of(&loaded);
    match &loaded.config.auth.method {
        ClientAuth::Token(rule) => hashed(&args, rule),
        ClientAuth::Jwt(rule) => signed(&args, rule, &name),
        _ => {
            Err(r#"tokens are for `auth.method` = "token" with `auth.prefix` or `auth.suffix`, or "jwt""#
                .into())
        }
    }
}

fn hashed(args: &TokenArgs, rule: &TokenRule) -> Result<String, String> {
    if !args.channels.is_empty() || args.ttl.is_some() || args.key_file.is_some() {
        return Err(r#"--channel, --ttl and --key-file are for `auth.method` = "jwt""#.into());
    }
    Ok(rule.sign(&args.name))
}

/// A token that this configuration would accept.
fn signed(args: &TokenArgs, rule: &JwtRule, name: &Name) -> Result<String, String> {
    let is_shared = matches!(rule.algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512);
    let key = match &args.key_file {
        None if is_shared => rule.keys.text().clone(),
        None => return Err("--key-file with the private key is needed: the server has the public one".into()),
        Some(_) if is_shared => return Err("--key-file is for private keys; `auth.key` signs".into()),
        Some(path) => {
            read_secret(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?
        }
    };
    let claims = claims(args, rule, name)?;
    let token = sign(rule.algorithm, &key, &claims).map_err(|failure| format!("--key-file: {failure}"))?;
    match rule.verify_token(&token, None, unix_now()) {
        Ok(_) => Ok(token),
        Err(refusal) => Err(format!("the server would refuse this token: {refusal}")),
    }
}

fn claims(args: &TokenArgs, rule: &JwtRule, name: &Name) -> Result<Map<String, Value>, String> {
    let rules = &rule.claims;
    let now = unix_now().0;
    let ttl = args.ttl.unwrap_or(Duration::from_secs(60 * 60));
    let mut claims = Map::new();
    claims.insert("iat".into(), now.as_secs().into());
    claims.insert("exp".into(), (now + ttl).as_secs().into());
    claims.extend(rules.issuer.iter().map(|issuer| ("iss".to_owned(), issuer.as_str().into())));
    claims.extend(rules.audience.iter().map(|audience| ("aud".to_owned(), audience.as_str().into())));
    claims.insert(rules.user.clone(), name.as_str().into());
    if args.channels.is_empty() {
        return Ok(claims);
    }
    let claim = rules.channels.clone().ok_or("--channel needs `auth.channels_claim`")?;
    for channel in &args.channels {
        ChannelPattern::parse(channel).map_err(|refusal| format!("--channel: {refusal}"))?;
    }
    claims.insert(claim, args.channels.clone().into());
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use crate::config::{Hash, Secret, TokenRule};

    /// Computed with Python's hashlib.
    #[test]
    fn a_token_is_the_hash_of_prefix_name_and_suffix() {
        let cases = [
            (Hash::Md5, "1e34befc759bcbd0a8a521730a3d3702"),
            (Hash::Sha1, "9cbee39cfdc36575ee3ad959d75cfaaf1da30631"),
            (Hash::Sha256, "3d8a11ed7ace24210b8167c15dda6c3221a5d37b685010540ae9f2489caae67f"),
            (
                Hash::Sha512,
                "b114adcf67f871dad820612fa28dfcdddf761a71307dadf6229eb1208f22b87b065b67ca1bdd7ceb2ea630fc500c6a66c90e1e4e4f0a5353278d8b67307d90da",
            ),
        ];
        for (hash, token) in cases {
            let (prefix, suffix) = (Secret::from("pre-"), Secret::from("-post"));
            let rule = TokenRule { hash, prefix, suffix };
            assert_eq!(rule.sign("alice"), token, "{hash:?}");
        }
    }
}
