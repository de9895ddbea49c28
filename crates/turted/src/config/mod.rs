//! The configuration: defaults < `turted.toml` < `TURTED_*` variables < flags, validated as a
//! whole before anything starts.
//!
//! Not here: the meaning of each key for operators (`docs/configuration.md`) and the flags
//! themselves (`cli`).
//!
//! | file | what |
//! |---|---|
//! | `model`, `transports`, `log` | the validated configuration; the sections of its transports; where the log stands |
//! | `defaults`, `parts` | the configuration where the operator sets nothing; parts of it for the layers below |
//! | `settings`, `value`, `choices`, `input`, `files` | every key once; kinds of values; names of closed sets; a value as it was written; secrets and certificates |
//! | `text`, `units`, `addresses` | texts; units; addresses and origins |
//! | `sources`, `file`, `env`, `collect` | where a configuration comes from; its file; its variables; what the sources said so far |
//! | `file_source` | where things stand in the file, and its values |
//! | `credentials`, `jwt` | secrets and authenticators; keys for `auth.method = "jwt"` |
//! | `channels`, `push_keys`, `push_sources`, `hooks`, `log_keys`, `cluster` | `[[channels]]`; `[[push.keys]]`; `[[sources]]`; `[[hooks]]`; `[log]`; `[cluster]` |
//! | `resolve` | what must hold together |
//! | `secrets` | the secrets that are read again while the server runs |
//! | `error`, `suggest` | what is wrong, and where; which name was meant |
//! | `rules` | what all nodes of a cluster should have alike |
//! | `show`, `sum` | the effective configuration; how much memory its limits add up to |
//! | `tests` | a configuration as an operator writes it, and what becomes of it |

mod model;
mod transports;
mod log;
mod defaults;
mod parts;
mod settings;
mod value;
mod choices;
mod text;
mod input;
mod files;
mod units;
mod addresses;
mod sources;
mod file_source;
mod file;
mod env;
mod collect;
mod credentials;
mod jwt;
mod channels;
mod push_keys;
mod push_sources;
mod hooks;
mod log_keys;
mod cluster;
mod resolve;
pub mod secrets;
mod error;
mod suggest;
mod rules;
mod show;
mod sum;
#[cfg(test)]
mod tests;

pub use crate::auth::ClientAuth;
pub use crate::io::broker::{Broker, BrokerTls};
pub use crate::io::redis::RedisServer;
pub use crate::io::tls::Tls;
pub use cluster::model::{ClusterConfig, ClusterTls, Sentinels};
use collect::Collected;
pub use credentials::read_secret;
pub use error::{ConfigError, Origin, Problem};
pub use hooks::model::{ClientRecord, Hook};
pub use log::{DiskLog, LogStart, LogStore, LogSync};
pub use model::{
    Admin, AdminListen, AllowOrigins, Auth, Config, IdentMode, Limits, LogFormat, LogLevel, Presence, Push,
    PushKey, Recovery, TrustedProxies,
};
pub use push_sources::model::{PushSource, SourceKind, StartAt, TailSource};
pub use push_sources::servers::{
    ExchangeKind, HeaderValue, Headers, MessageFormat, RabbitmqBinding, RabbitmqSource, RedisPubSubSource,
    RedisStreamSource,
};
pub(crate) use rules::rules;
pub use sources::{ConfigFile, Flag, Sources};
pub use sum::MemoryPart;
pub(crate) use sum::show as show_memory;
pub use transports::{SockJs, SocketIo, Sse, WebSocket};
pub(crate) use units::parse_duration;

pub use turted_core::auth::{Hash, TokenRule};
pub use turted_core::channel::{ChannelPattern, ChannelRules, Join};
pub use turted_core::history::{Depth, HistoryRules};
pub use turted_core::presence::PresenceRules;
pub use turted_core::push::Scope;
pub use turted_core::push::map::{Expression, Map, PayloadForm};
pub use turted_core::push::template::Template;
pub use turted_core::secret::Secret;
pub use turted_core::trust::{Network, NetworkError};

/// A configuration and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// What was asked for, complete and valid.
    pub config: Config,
    /// What an operator should know, although the server can start.
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
    collected.state_directory = log_keys::state_directory(&sources.variables);
    for flag in &sources.flags {
        collected.set_bare(flag.key, Origin::Flag(flag.name), &flag.value);
    }
    match file {
        Ok(()) => resolve::resolve(&mut collected),
        // Nothing is resolved: every key of the file would be reported as missing.
        Err(problem) => collected.problem(problem),
    }
    collected.refuse_problems()?;
    Ok(Loaded {
        config: collected.settings.config.clone(),
        warnings: std::mem::take(&mut collected.warnings),
        collected,
    })
}
