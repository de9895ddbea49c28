//! Files that import each other in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::graph::Graph;

/// Files in a circle that can be read as one: a connection, its session and their worker, say.
const FILES_MAX: usize = 3;

/// Every circle of too many files: its files, and one way round.
pub(crate) fn circles(graph: &Graph) -> Vec<String> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in graph.imports.keys() {
        next.entry(from).or_default().push(to);
    }
    let reached: BTreeMap<_, _> = next.keys().map(|file| (*file, reached(&next, file))).collect();
    let together =
        |a: &str, b: &str| reached[a].contains_key(b) && reached.get(b).is_some_and(|b| b.contains_key(a));
    let members = |file: &&&str| reached.keys().copied().filter(|other| together(file, other)).collect();
    let circles: BTreeSet<Vec<&str>> = reached.keys().map(|file| members(&file)).collect();
    let large = circles.into_iter().filter(|files| files.len() > FILES_MAX);
    large.map(|files| describe(graph, &files, &way_round(&reached, files[0]))).collect()
}

/// The files that a file leads to, each with the one before it on the shortest way. The file itself is among
/// them only if a way leads back to it.
fn reached<'a>(next: &BTreeMap<&'a str, Vec<&'a str>>, file: &'a str) -> BTreeMap<&'a str, &'a str> {
    let (mut before, mut queue) = (BTreeMap::new(), VecDeque::from([file]));
    while let Some(from) = queue.pop_front() {
        for to in next.get(from).into_iter().flatten() {
            before.entry(*to).or_insert_with(|| {
                queue.push_back(to);
                from
            });
        }
    }
    before
}

/// The shortest way from a file back to itself, as imports.
fn way_round<'a>(
    reached: &BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>,
    file: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let before = &reached[file];
    let mut way = vec![(before[file], file)];
    while way[0].0 != file {
        let to = way[0].0;
        way.insert(0, (before[to], to));
    }
    way
}

fn describe(graph: &Graph, files: &[&str], way: &[(&str, &str)]) -> String {
    let mut text =
        format!("{} files import each other in a circle: {}; for example", files.len(), files.join(", "));
    for (from, to) in way {
        let names = &graph.imports[&((*from).to_owned(), (*to).to_owned())];
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        text.push_str(&format!("\n    {from} imports {to} ({})", names.join(", ")));
    }
    text
}
