//! From a path to what it names: through modules, imports, re-exports and globs, to the file that defines it.

use std::collections::BTreeSet;

use crate::tree::{Id, Import, Tree};

/// What a path leads to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    Module(Id),
    /// An item of a module, or a part of that item: a variant, an associated function. An item of another
    /// crate that a module exports counts as an item of the module.
    Item(Id, String),
    /// An item of another crate.
    Outside,
}

impl Tree {
    /// What `path` means in the module `from`. It has several meanings where a module and a function have one
    /// name, and none if it leads nowhere.
    pub(crate) fn resolve(&self, from: Id, path: &[String]) -> BTreeSet<Found> {
        Search { tree: self, asker: from, under_way: Vec::new() }.start(from, path)
    }

    /// The traits that a glob of `path` brings into `from`.
    pub(crate) fn traits_of_glob(&self, from: Id, path: &[String]) -> BTreeSet<Found> {
        let mut traits = BTreeSet::new();
        for found in self.resolve(from, path) {
            if let Found::Module(module) = found {
                self.add_traits(module, &mut BTreeSet::new(), &mut traits);
            }
        }
        traits
    }

    fn add_traits(&self, id: Id, seen: &mut BTreeSet<Id>, traits: &mut BTreeSet<Found>) {
        if !seen.insert(id) {
            return;
        }
        let module = &self.modules[id];
        traits.extend(module.traits.iter().map(|name| Found::Item(id, name.clone())));
        for import in module.imports.iter().filter(|import| import.is_reexport) {
            for found in self.resolve(id, &import.path) {
                match &found {
                    Found::Module(module) if import.name.is_none() => self.add_traits(*module, seen, traits),
                    Found::Item(module, name) if self.modules[*module].traits.contains(name) => {
                        traits.insert(found);
                    }
                    _ => {}
                }
            }
        }
    }

    fn root(&self, mut id: Id) -> Id {
        while let Some(parent) = self.modules[id].parent {
            id = parent;
        }
        id
    }

    fn is_within(&self, mut id: Id, ancestor: Id) -> bool {
        while id != ancestor {
            let Some(parent) = self.modules[id].parent else { return false };
            id = parent;
        }
        true
    }
}

/// The search for what one path means.
struct Search<'a> {
    tree: &'a Tree,
    /// The module in which the path is written. It sees private imports of its own and of the modules around
    /// it.
    asker: Id,
    /// Names that are being looked up: imports and globs may lead back to themselves.
    under_way: Vec<(Id, String)>,
}

impl<'a> Search<'a> {
    /// What a path means in the module `from`, in which it is written.
    fn start(&mut self, from: Id, path: &[String]) -> BTreeSet<Found> {
        let Some((first, rest)) = path.split_first() else { return BTreeSet::from([Found::Module(from)]) };
        match first.as_str() {
            "crate" => self.path(self.tree.root(from), rest),
            "self" => self.path(from, rest),
            "super" => {
                self.tree.modules[from].parent.map(|parent| self.start(parent, rest)).unwrap_or_default()
            }
            // `main.rs` uses the library by its name.
            "turted" if self.tree.modules[from].file == "main.rs" => self.path(0, rest),
            name => {
                let mut found = self.name(from, name);
                if found.is_empty() {
                    found.insert(Found::Outside);
                }
                self.follow(found, rest)
            }
        }
    }

    /// What a path means inside a module.
    fn path(&mut self, module: Id, path: &[String]) -> BTreeSet<Found> {
        let Some((first, rest)) = path.split_first() else { return BTreeSet::from([Found::Module(module)]) };
        let found = self.name(module, first);
        self.follow(found, rest)
    }

    /// What `rest` means inside of `found`. A function and a module may have one name: then a path that goes
    /// on means the module, if it leads anywhere there.
    fn follow(&mut self, found: BTreeSet<Found>, rest: &[String]) -> BTreeSet<Found> {
        if rest.is_empty() {
            return found;
        }
        let (mut inside, mut items) = (BTreeSet::new(), BTreeSet::new());
        for found in found {
            match found {
                Found::Module(id) => inside.extend(self.path(id, rest)),
                found => drop(items.insert(found)),
            }
        }
        if inside.is_empty() { items } else { inside }
    }

    fn name(&mut self, id: Id, name: &str) -> BTreeSet<Found> {
        let module = &self.tree.modules[id];
        let mut found: BTreeSet<_> =
            module.children.get(name).into_iter().flatten().copied().map(Found::Module).collect();
        if module.names.contains(name) {
            found.insert(Found::Item(id, name.to_owned()));
        }
        let looked_up = (id, name.to_owned());
        if !self.under_way.contains(&looked_up) {
            self.under_way.push(looked_up);
            found.extend(self.imported(id, name));
            if found.is_empty() {
                found.extend(self.through_globs(id, name));
            }
            self.under_way.pop();
        }
        found
    }

    fn imported(&mut self, id: Id, name: &str) -> BTreeSet<Found> {
        let mut found = BTreeSet::new();
        for import in self.imports(id).filter(|import| import.name.as_deref() == Some(name)) {
            let mut named = self.start(id, &import.path);
            if import.is_reexport && named.remove(&Found::Outside) {
                named.insert(Found::Item(id, name.to_owned()));
            }
            found.extend(named);
        }
        found
    }

    fn through_globs(&mut self, id: Id, name: &str) -> BTreeSet<Found> {
        let mut found = BTreeSet::new();
        for glob in self.imports(id).filter(|import| import.name.is_none()) {
            for found_module in self.start(id, &glob.path) {
                if let Found::Module(glob) = found_module {
                    found.extend(self.name(glob, name));
                }
            }
        }
        found
    }

    /// The imports of a module that the asker may use.
    fn imports(&self, id: Id) -> impl Iterator<Item = &'a Import> + use<'a> {
        let is_inside = self.tree.is_within(self.asker, id);
        self.tree.modules[id].imports.iter().filter(move |import| is_inside || import.is_reexport)
    }
}
