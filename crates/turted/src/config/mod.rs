//! The configuration: defaults < `turted.toml` < `TURTED_*` variables < flags, validated as a
//! whole before anything starts.
//!
//! Not here: the meaning of each key for operators (`docs/configuration.md`) and the flags
//! themselves (`cli`).
//!
//! | file | what |
//! |---|---|
//! | `settings`, `value`, `units`, `addresses` | every key once; kinds of values; units; addresses and origins |
//! | `model`, `transports`, `defaults`, `parts` | the validated configuration; what it is without any; parts of it for layers below |
//! | `secrets` | the secrets that are read again while the server runs |
//! | `sources`, `file`, `env`, `collect`, `credentials`, `resolve` | sources in their order; then secrets; then what must hold together |
//! | `error`, `suggest`, `show`, `sum` | what is wrong, where, and what was meant; the effective configuration; how much memory its limits add up to |
//! | `channels`, `jwt` | `[[channels]]`; keys for `auth.method = "jwt"` |

mod addresses;
mod channels;
mod collect;
mod credentials;
mod defaults;
mod env;
mod error;
mod file;
mod jwt;
mod model;
mod parts;
mod resolve;
pub mod secrets;
mod settings;
mod show;
mod sources;
mod suggest;
mod sum;
#[cfg(test)]
mod tests;
mod transports;
mod units;
mod value;

pub use crate::auth::ClientAuth;
pub use crate::io::tls::Tls;
use collect::Collected;
pub use credentials::read_secret;
pub use error::{ConfigError, Origin, Problem};
pub use model::{
    Admin, AdminListen, AllowOrigins, Auth, Config, IdentMode, Limits, LogFormat, LogLevel, Push, Recovery,
    TrustedProxies,
};
pub use sources::{ConfigFile, Flag, Sources};
pub use sum::MemoryPart;
pub(crate) use sum::show as show_memory;
pub use transports::{SockJs, SocketIo, Sse, WebSocket};
pub(crate) use units::parse_duration;

pub use turted_core::auth::{Hash, Secret, TokenRule};
pub use turted_core::channel::{ChannelPattern, ChannelRules, Join};
pub use turted_core::trust::{Network, NetworkError};

/// A configuration and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// What was asked for, complete and valid.
    pub config: Config,
    /// What an operator should know although it prevents nothing.
    pub warnings: Vec<String>,
    collected: Collected,
}

impl Loaded {
    /// The effective configuration as TOML: each value with its origin, secrets masked.
    #[must_use]
    pub fn effective(&self) -> String {
        show::effective(&self.collected)
    }
}

impl Config {
    /// Reads all sources.
    ///
    /// # Errors
    /// Every problem that was found, if there is one.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        load(sources).map(|loaded| loaded.config)
    }
}

/// Reads all sources and remembers where each value came from.
///
/// # Errors
/// Every problem that was found, if there is one: those of single keys, and those of combinations that
/// do not follow from them.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut collected = Collected::default();
    let file = file::read(&mut collected, &sources.file);
    env::read(&mut collected, &sources.variables);
    for flag in &sources.flags {
        collected.set_bare(flag.key, Origin::Flag(flag.name), &flag.value);
    }
    match file {
        Ok(()) => resolve::resolve(&mut collected),
        // Without the file everything in it would be called missing.
        Err(problem) => collected.problem(problem),
    }
    collected.refuse_problems()?;
    Ok(Loaded {
        config: collected.settings.config.clone(),
        warnings: std::mem::take(&mut collected.warnings),
        collected,
    })
}
