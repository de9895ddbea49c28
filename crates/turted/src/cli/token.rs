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
