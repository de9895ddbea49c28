//! "did you mean": the known name nearest to an unknown one.

use strsim::damerau_levenshtein;

use super::settings::SETTINGS;

/// `; did you mean ..?`, or nothing if no key is near. A key in the wrong section is near.
pub(super) fn nearest_key(unknown: &str) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let distance = |key: &str| {
        let moved = damerau_levenshtein(&last(unknown), &last(key)).saturating_add(1);
        damerau_levenshtein(unknown, key).min(moved)
    };
    let keys = [super::push_keys::keys::KEY].into_iter().chain(SETTINGS.iter().map(|setting| setting.key));
    let keys = keys.map(|key| (distance(key), key.to_owned()));
    hint(nearest(last(unknown).len(), keys).map(|key| format!("`{key}`")))
}

/// The same for a section.
pub(super) fn nearest_section(unknown: &str) -> String {
    let sections = SETTINGS.iter().map(|setting| setting.parts().0);
    let near = sections.map(|name| (damerau_levenshtein(unknown, name), format!("[{name}]")));
    let lists = ["channels", "hooks", "sources"];
    let lists = lists.map(|name| (damerau_levenshtein(unknown, name), format!("[[{name}]]")));
    hint(nearest(unknown.len(), near.chain(lists)))
}

/// The same for a name out of a list, as it is to be shown. A secret is near the file that it stands in.
pub(super) fn nearest_name<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> String {
    let same = same_name(unknown);
    let distance = |name: &str| damerau_levenshtein(unknown, name.strip_suffix("_file").unwrap_or(name));
    let names = names.map(|name| {
        let near = distance(name).min(damerau_levenshtein(unknown, name));
        (if same == Some(name) { 0 } else { near }, format!("`{name}`"))
    });
    hint(nearest(unknown.len(), names))
}

/// What another list calls the same thing: hooks have secrets, and keys for pushes passwords.
fn same_name(unknown: &str) -> Option<&'static str> {
    Some(match unknown {
        "secret" => "password",
        "secret_file" => "password_file",
        "password_file" => "secret_file",
        _ => return None,
    })
}

/// The same for an environment variable.
pub(super) fn nearest_variable(unknown: &str) -> String {
    let names = SETTINGS.iter().map(super::settings::Setting::variable);
    hint(nearest(unknown.len(), names.map(|name| (damerau_levenshtein(unknown, &name), name))))
}

/// The candidate with the least distance, unless more than a third of the name would change.
fn nearest(length: usize, candidates: impl Iterator<Item = (usize, String)>) -> Option<String> {
    let allowed = (length / 3).clamp(1, 4);
    let (distance, name) = candidates.min_by_key(|(distance, _)| *distance)?;
    (distance <= allowed).then_some(name)
}

fn hint(name: Option<String>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
