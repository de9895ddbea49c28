//! The layers of `crates/turted/src`, and the imports of a graph that break their rules.

use crate::graph::{Graph, Impl};

/// The places, from top to bottom. A folder ends with a slash. A file belongs to the longest place that its
/// path begins with, and imports from that place and those below it. `lib.rs` has no place, because it only
/// declares the folders.
pub(crate) const LAYERS: [&str; 25] = [
    "main.rs",
    "cli/",
    "server/",
    "admin/",
    "push/",
    "transport/socketio/",
    "transport/sockjs/",
    "transport/sse/",
    "transport/websocket/",
    // The files beside these folders, which all transports use.
    "transport/",
    "http/",
    "webhook/",
    "hub/run.rs",
    "hub/client/",
    "hub/worker/",
    "hub/delivery/",
    "hub/hooks/",
    "hub/presence/",
    "hub/cluster/",
    "hub/dispatch/",
    "engine/",
    "config/",
    "auth/",
    "live/",
    "io/",
];

/// Places that lie beside each other: no place of a group imports another one of the same group.
const BESIDE: [&[&str]; 2] = [
    &["push/", "transport/"],
    &["transport/socketio/", "transport/sockjs/", "transport/sse/", "transport/websocket/"],
];

/// The folders at the root of the crate, in the order of the layers.
pub(crate) fn folders() -> Vec<&'static str> {
    let mut folders: Vec<_> =
        LAYERS.iter().filter_map(|place| place.split_once('/')).map(|(folder, _)| folder).collect();
    folders.dedup();
    folders
}

/// Every file without a place, every import that does not go downwards or could be hidden, and every `impl`
/// in a layer that defines nothing of what it names, one per line.
pub(crate) fn violations(graph: &Graph) -> Vec<String> {
    let lost = graph.files.iter().filter(|file| place(file).is_none());
    let lost = lost.map(|file| format!("crates/turted/src/{file} belongs to no layer"));
    let imports = graph.imports.iter().filter_map(|((from, to), names)| {
        let rule = broken(from, to)?;
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        Some(format!("crates/turted/src/{from} imports {to} ({}): {rule}", names.join(", ")))
    });
    let impls = graph.impls.iter().filter(|one| !one.of.iter().any(|file| place(file) == place(&one.file)));
    let impls = impls.map(|Impl { file, names, .. }| {
        let rule = "an impl stands in the layer of its type, of its trait or of a parameter of these";
        format!("crates/turted/src/{file} has an impl of {}: {rule}", names.join(", "))
    });
    let hideouts = graph.hideouts.iter();
    let hideouts =
        hideouts.map(|(file, what)| format!("crates/turted/src/{file} has {what}: it could hide an import"));
    lost.chain(imports).chain(impls).chain(hideouts).collect()
}

/// The rule that an import breaks, if it breaks one.
fn broken(from: &str, to: &str) -> Option<String> {
    let beside = BESIDE.iter().find_map(|group| {
        let (from, to) = (longest(group, from)?, longest(group, to)?);
        (from != to).then(|| (group[from], group[to]))
    });
    if let Some((from, to)) = beside {
        return Some(format!(
            "{} and {} lie beside each other, imports go downwards only",
            bare(from),
            bare(to)
        ));
    }
    let from = place(from)?;
    let Some(to) = place(to) else {
        return Some(format!("{to} belongs to no layer"));
    };
    let (above, below) = (bare(LAYERS[to]), bare(LAYERS[from]));
    (to < from).then(|| format!("{below} lies below {above}, imports go downwards only"))
}

/// The index of a file's place among the layers.
fn place(file: &str) -> Option<usize> {
    longest(&LAYERS, file)
}

fn longest(places: &[&str], file: &str) -> Option<usize> {
    let fitting = places.iter().enumerate().filter(|(_, place)| is_in(file, place));
    fitting.max_by_key(|(_, place)| place.len()).map(|(index, _)| index)
}

fn is_in(file: &str, place: &str) -> bool {
    file == place || place.ends_with('/') && file.starts_with(place)
}

fn bare(place: &str) -> &str {
    place.trim_end_matches('/')
}
