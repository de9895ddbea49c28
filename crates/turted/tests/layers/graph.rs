//! Which file imports which names of which other file.

use std::collections::{BTreeMap, BTreeSet};

use crate::resolve::Found;
use crate::tree::{Id, Sources, Tree, folder};

/// Files, and the names that they import from each other.
#[derive(Default)]
pub(crate) struct Graph {
    /// Every file that defines items, or imports names for another purpose than to export them from its
    /// folder.
    pub(crate) files: BTreeSet<String>,
    /// By importing file and imported file: the names. `*` stands for any name of a module.
    pub(crate) imports: BTreeMap<(String, String), BTreeSet<String>>,
    /// Paths that begin in the crate and lead nowhere: the resolver does not understand them.
    pub(crate) unknown: BTreeSet<String>,
    /// Every `impl` that names items of the crate.
    pub(crate) impls: Vec<Impl>,
    /// Files, and what they have that could hide an import.
    pub(crate) hideouts: BTreeSet<(String, &'static str)>,
}

/// One `impl`.
pub(crate) struct Impl {
    pub(crate) file: String,
    /// The paths of its type and its trait, parameters included.
    pub(crate) names: Vec<String>,
    /// The files that define them.
    pub(crate) of: BTreeSet<String>,
}

impl Graph {
    pub(crate) fn of(sources: &Sources) -> Self {
        let tree = Tree::read(sources);
        let mut graph = Self::default();
        for (id, module) in tree.modules.iter().enumerate() {
            graph.files.extend(module.defines.then(|| module.file.clone()));
            graph.add_imports(&tree, id);
            for path in &module.mentions {
                graph.add_path(&tree, id, path);
            }
            for header in &module.impls {
                graph.add_impl(&tree, id, header);
            }
            graph.hideouts.extend(module.hideouts.iter().map(|what| (module.file.clone(), *what)));
        }
        graph.files.extend(graph.imports.keys().map(|(from, _)| from.clone()));
        graph
    }

    fn add_imports(&mut self, tree: &Tree, id: Id) {
        let module = &tree.modules[id];
        for import in &module.imports {
            let mut found = self.found(tree, id, &import.path);
            if import.name.is_none() {
                found.extend(tree.traits_of_glob(id, &import.path));
            } else {
                found.retain(|found| matches!(found, Found::Item(..)));
            }
            let home = folder(&module.file);
            let passes_on = |found: &Found| matches!(found, Found::Item(id, _) | Found::Module(id) if tree.modules[*id].file.starts_with(&home));
            found.retain(|found| !(import.is_reexport && passes_on(found)));
            self.add(tree, id, found);
        }
    }

    fn add_path(&mut self, tree: &Tree, id: Id, path: &[String]) {
        let mut found = self.found(tree, id, path);
        // One name alone may as well be that of a variable.
        found.retain(|found| path.len() > 1 || matches!(found, Found::Item(..)));
        self.add(tree, id, found);
    }

    fn add_impl(&mut self, tree: &Tree, id: Id, header: &BTreeSet<Vec<String>>) {
        let found: BTreeSet<_> = header.iter().flat_map(|path| tree.resolve(id, path)).collect();
        let items = found.iter().filter_map(|found| match found {
            Found::Item(id, name) => Some((&tree.modules[*id], name)),
            _ => None,
        });
        if items.clone().next().is_none() {
            return;
        }
        // To give a type another name, or to export one of another crate, is not to define it.
        let defined =
            items.filter(|(module, name)| module.names.contains(*name) && !module.aliases.contains(*name));
        self.impls.push(Impl {
            file: tree.modules[id].file.clone(),
            names: header.iter().map(|path| path.join("::")).collect(),
            of: defined.map(|(module, _)| module.file.clone()).collect(),
        });
    }

    fn found(&mut self, tree: &Tree, id: Id, path: &[String]) -> BTreeSet<Found> {
        let found = tree.resolve(id, path);
        if found.is_empty() {
            self.unknown.insert(format!("{}: {}", tree.modules[id].file, path.join("::")));
        }
        found
    }

    fn add(&mut self, tree: &Tree, from: Id, found: BTreeSet<Found>) {
        for found in found {
            let (to, name) = match found {
                Found::Item(to, name) => (to, name),
                Found::Module(to) => (to, "*".to_owned()),
                Found::Outside => continue,
            };
            let (from, to) = (&tree.modules[from].file, &tree.modules[to].file);
            if from != to {
                self.imports.entry((from.clone(), to.clone())).or_default().insert(name);
            }
        }
    }
}
