//! `TURTED_*` variables: `TURTED_` and the key in upper case with `_` for the dot.

use std::ffi::{OsStr, OsString};

use super::collect::Collected;
use super::error::{Origin, Problem};
use super::settings::SETTINGS;
use super::suggest::nearest_variable;

const PREFIX: &str = "TURTED_";
/// The node server's name for `log_level`.
const LOG_LEVEL_ALIAS: &str = "TURTED_LOGLEVEL";

/// Reads the variables into `collected`, in the order of their names.
pub(super) fn read(collected: &mut Collected, variables: &[(OsString, OsString)]) {
    let mut ours: Vec<(&str, &OsStr)> = variables
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?, value.as_os_str())))
        .filter(|(name, value)| name.starts_with(PREFIX) && !is_foreign(name, value))
        .collect();
    ours.sort_unstable_by_key(|(name, _)| *name);
    for (name, value) in ours {
        read_variable(collected, name, value);
    }
}

fn read_variable(collected: &mut Collected, name: &str, value: &OsStr) {
    let origin = Origin::Variable(name.to_owned());
    let Some(key) = key_of(name) else {
        let what = format!("unknown variable{}", nearest_variable(name));
        return collected.problem(Problem::at(origin, what));
    };
    if let Origin::Variable(other) = collected.origin(key) {
        let what = format!("`{key}` is already set by {other}; keep one of the two");
        return collected.problem(Problem::at(origin, what));
    }
    match value.to_str() {
        Some(text) => collected.set_bare(key, origin, text),
        None => collected.problem(Problem::at(origin, format!("`{key}`: expected UTF-8"))),
    }
}

fn key_of(name: &str) -> Option<&'static str> {
    if name == LOG_LEVEL_ALIAS {
        return Some("log_level");
    }
    SETTINGS.iter().find(|setting| setting.variable() == name).map(|setting| setting.key)
}

/// Variables with our prefix that are not for the configuration: those of our own tests, and those that
/// Kubernetes injects for every service whose name starts with `turted` (`TURTED_SERVICE_HOST`,
/// `TURTED_PORT=tcp://..`, `TURTED_PORT_7117_TCP_ADDR`).
fn is_foreign(name: &str, value: &OsStr) -> bool {
    let link = value
        .to_str()
        .is_some_and(|text| ["tcp://", "udp://", "sctp://"].iter().any(|scheme| text.starts_with(scheme)));
    name == "TURTED_BIN"
        || name == "TURTED_TOKEN"
        || name.starts_with("TURTED_TEST_")
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.contains("_PORT")
            && (link || ["_TCP", "_UDP", "_SCTP"].iter().any(|part| name.contains(part))))
}
