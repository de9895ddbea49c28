//! `turted token`: the token with which a client proves to be a user.

use std::process::ExitCode;

use clap::Args;
use turted_core::name::Name;

use super::{EXIT_USAGE, ServeArgs, Variables, complain, print};
use crate::config::{self, ClientAuth};

/// Arguments of `turted token`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  TURTED_AUTH_PREFIX=s3cret turted token alice")]
pub(super) struct TokenArgs {
    /// The user
    name: String,
    #[command(flatten)]
    serve: ServeArgs,
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
    let loaded = config::load(&args.serve.sources(variables)).map_err(|error| error.to_string())?;
    match &loaded.config.auth.method {
        ClientAuth::Token(rule) => Ok(rule.sign(name.as_str())),
        _ => Err(r#"tokens are for `auth.method` = "token" with `auth.prefix` or `auth.suffix`"#.into()),
    }
}
