//! The modules of a crate as its files declare them, beginning with `lib.rs` and `main.rs`: what each
//! defines, imports and mentions. Items under `#[cfg(test)]` are left out, and so are files with tests.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use syn::buffer::{Cursor, TokenBuffer};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{
    Attribute, ImplItem, ImplItemConst, ImplItemFn, ImplItemMacro, ImplItemType, Item, ItemConst, ItemEnum,
    ItemExternCrate, ItemFn, ItemForeignMod, ItemImpl, ItemMacro, ItemMod, ItemStatic, ItemStruct, ItemTrait,
    ItemTraitAlias, ItemType, ItemUnion, ItemUse, LitStr, Macro, Meta, Path, Token, UseTree, Visibility,
};

/// The files of a crate by their path below `src`, with slashes.
pub(crate) type Sources = BTreeMap<String, String>;
/// An index of [`Tree::modules`].
pub(crate) type Id = usize;

/// All modules of a crate.
pub(crate) struct Tree {
    pub(crate) modules: Vec<Module>,
}

/// One module: a file, or a block `mod name { .. }` within one.
#[derive(Default)]
pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) parent: Option<Id>,
    /// The modules inside it. Blocks `mod name { .. }` in two of its functions may have one name.
    pub(crate) children: BTreeMap<String, Vec<Id>>,
    /// The names of its items.
    pub(crate) names: BTreeSet<String>,
    /// The `names` that are traits: a glob imports them although their names are not written.
    pub(crate) traits: BTreeSet<String>,
    /// Other names for types, including those inside its functions.
    pub(crate) aliases: BTreeSet<String>,
    /// Whether it has more than declarations of modules and imports.
    pub(crate) defines: bool,
    /// Its imports, including those inside its functions.
    pub(crate) imports: Vec<Import>,
    /// The paths in its code; in macros, everything that looks like a path.
    pub(crate) mentions: BTreeSet<Vec<String>>,
    /// Of each of its `impl`s, the paths of type and trait, parameters included.
    pub(crate) impls: BTreeSet<BTreeSet<Vec<String>>>,
    /// What it has that could hide an import.
    pub(crate) hideouts: BTreeSet<&'static str>,
    /// The modules that it declares, including those inside its functions.
    declared: Vec<ItemMod>,
}

/// One name of a `use`.
#[derive(Clone, Default)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    /// The name under which it is imported; `None` for a glob.
    pub(crate) name: Option<String>,
    /// Whether other modules may import it from here.
    pub(crate) is_reexport: bool,
}

impl Tree {
    pub(crate) fn read(sources: &Sources) -> Self {
        let mut reader = Reader { sources, modules: Vec::new() };
        for root in ["lib.rs", "main.rs"].into_iter().filter(|root| sources.contains_key(*root)) {
            reader.read_file(root, None);
        }
        Self { modules: reader.modules }
    }
}

/// Reads one module after the other.
struct Reader<'a> {
    sources: &'a Sources,
    modules: Vec<Module>,
}

impl Reader<'_> {
    fn read_file(&mut self, file: &str, parent: Option<Id>) -> Id {
        let syntax = syn::parse_file(&self.sources[file]).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.read(file, &folder(file), parent, &syntax.items)
    }

    fn read(&mut self, file: &str, folder: &str, parent: Option<Id>, items: &[Item]) -> Id {
        let id = self.modules.len();
        self.modules.push(Module::of(file, parent, items));
        for ItemMod { ident, content, .. } in mem::take(&mut self.modules[id].declared) {
            let name = name(&ident);
            let child = match content {
                Some((_, items)) => self.read(file, &format!("{folder}{name}/"), Some(id), &items),
                None => self.read_file(&self.file_of(folder, &name), Some(id)),
            };
            self.modules[id].children.entry(name).or_default().push(child);
        }
        id
    }

    fn file_of(&self, folder: &str, name: &str) -> String {
        let mut places = [format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")].into_iter();
        let place = places.find(|place| self.sources.contains_key(place));
        place.unwrap_or_else(|| panic!("no file for the module {name} of {folder}"))
    }
}

/// The name of the module that an item declares, if the module has a file of its own.
pub(crate) fn declared(item: &Item) -> Option<String> {
    match item {
        Item::Mod(ItemMod { attrs, ident, content: None, .. }) if !is_test(attrs) => Some(name(ident)),
        _ => None,
    }
}

/// The folder in which the modules that a file declares have their files.
pub(crate) fn folder(file: &str) -> String {
    match file {
        "lib.rs" | "main.rs" => String::new(),
        file => format!("{}/", file.trim_end_matches(".rs").trim_end_matches("/mod")),
    }
}

impl Module {
    fn of(file: &str, parent: Option<Id>, items: &[Item]) -> Self {
        let mut module = Self { file: file.to_owned(), parent, ..Self::default() };
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            module.defines |= !matches!(item, Item::Mod(_) | Item::Use(_));
            module.names.extend(defined(item));
            if let Item::Trait(item) = item {
                module.traits.insert(name(&item.ident));
            }
            module.visit_item(item);
        }
        module
    }

    /// Finds paths in the tokens of a macro, where no syntax is known: names with `::` between them.
    fn scan(&mut self, mut rest: Cursor<'_>) {
        while let Some((_, next)) = rest.token_tree() {
            if let Some((inside, ..)) = rest.any_group() {
                self.scan(inside);
            }
            self.hideouts.extend(hideout(rest));
            rest = self.scan_use(rest).or_else(|| self.scan_path(rest)).unwrap_or(next);
        }
    }

    /// Reads the `use` at the beginning of some tokens, and returns the tokens after it.
    fn scan_use<'a>(&mut self, mut rest: Cursor<'a>) -> Option<Cursor<'a>> {
        rest.ident().filter(|(ident, _)| ident == "use")?;
        let (mut tokens, mut is_end) = (Vec::new(), false);
        while !is_end {
            is_end = is_punct(rest, ';');
            let (token, next) = rest.token_tree()?;
            tokens.push(token);
            rest = next;
        }
        self.visit_item_use(&syn::parse2(tokens.into_iter().collect()).ok()?);
        Some(rest)
    }

    /// Reads the path at the beginning of some tokens, and returns the tokens after it. A path that goes on
    /// with a variable may mean everything in its module, as a glob does.
    fn scan_path<'a>(&mut self, rest: Cursor<'a>) -> Option<Cursor<'a>> {
        let (path, goes_on, after) = path_at(rest);
        if path.is_empty() {
            return None;
        }
        if goes_on {
            self.imports.push(Import { path, ..Import::default() });
        } else {
            self.mention(path);
        }
        Some(after)
    }

    /// Finds paths in the strings of an attribute: `#[serde(default = "super::port")]`.
    fn scan_strings(&mut self, mut rest: Cursor<'_>) {
        while let Some((token, next)) = rest.token_tree() {
            if let Some((inside, ..)) = rest.any_group() {
                self.scan_strings(inside);
            } else if let Ok(string) = syn::parse_str::<LitStr>(&token.to_string())
                && string.value().contains("::")
                && let Ok(tokens) = string.parse()
            {
                self.scan(TokenBuffer::new2(tokens).begin());
            }
            rest = next;
        }
    }

    fn mention(&mut self, path: Vec<String>) {
        if path.last().is_some_and(|name| name == "include") {
            self.hideouts.insert("include!");
        }
        self.mentions.insert(path);
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let (ImplItem::Const(ImplItemConst { attrs, .. })
        | ImplItem::Fn(ImplItemFn { attrs, .. })
        | ImplItem::Type(ImplItemType { attrs, .. })
        | ImplItem::Macro(ImplItemMacro { attrs, .. })) = item
        else {
            return;
        };
        if !is_test(attrs) {
            visit::visit_impl_item(self, item);
        }
    }

    /// A module inside this one is read separately.
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        item.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        self.declared.push(item.clone());
    }

    fn visit_item_extern_crate(&mut self, _: &'ast ItemExternCrate) {
        self.hideouts.insert("extern crate");
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        self.names.insert(name(&item.ident));
        self.aliases.insert(name(&item.ident));
        visit::visit_item_type(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let mut header = Self::default();
        header.visit_type(&item.self_ty);
        if let Some((path, _)) = &item.trait_ {
            header.visit_path(path);
        }
        self.impls.insert(header.mentions);
        visit::visit_item_impl(self, item);
    }

    /// `pub(in path)` uses nothing of `path`.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            let is_reexport = !matches!(item.vis, Visibility::Inherited);
            let start = Import { is_reexport, ..Import::default() };
            flatten(&item.tree, &start, &mut self.imports);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            self.mention(path.segments.iter().map(|segment| name(&segment.ident)).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.visit_path(&item.path);
        self.scan(TokenBuffer::new2(item.tokens.clone()).begin());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let is_one =
            |name: &&str| attribute.path().is_ident(&name[2..name.len() - 1]) && !sets_lints(attribute);
        self.hideouts.extend(["#[path]", "#[macro_use]", "#[cfg_attr]"].into_iter().filter(is_one));
        if let Meta::List(list) = &attribute.meta {
            let tokens = TokenBuffer::new2(list.tokens.clone());
            self.scan(tokens.begin());
            self.scan_strings(tokens.begin());
        }
        visit::visit_attribute(self, attribute);
    }
}

/// Whether it is a `cfg_attr` that only allows what a lint forbids.
fn sets_lints(attribute: &Attribute) -> bool {
    let parts = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    let allows = parts.is_ok_and(|parts| parts.iter().skip(1).all(|part| part.path().is_ident("allow")));
    attribute.path().is_ident("cfg_attr") && allows
}

/// What the tokens of a macro begin with, if it could hide an import.
fn hideout(rest: Cursor<'_>) -> Option<&'static str> {
    let is = |name: &str| rest.ident().is_some_and(|(ident, _)| ident == name);
    if is("impl") {
        return Some("an impl in a macro");
    }
    let (_, next) = rest.token_tree()?;
    let (second, after) = next.ident()?;
    if is("extern") && second == "crate" {
        Some("extern crate")
    } else if is("mod") && is_punct(after, ';') {
        Some("a module that a macro declares")
    } else if is_punct(rest, '$') && second != "crate" && after_separator(after).is_some() {
        Some("a path that leads through a variable of a macro")
    } else {
        None
    }
}

/// The longest path at the beginning of some tokens, whether it goes on with something that is no name, and
/// the tokens after it.
fn path_at(mut rest: Cursor<'_>) -> (Vec<String>, bool, Cursor<'_>) {
    let mut path = Vec::new();
    while let Some((ident, next)) = rest.ident() {
        path.push(name(&ident));
        let Some(after) = after_separator(next) else { return (path, false, next) };
        rest = after;
    }
    let goes_on = !is_punct(rest, '<');
    (path, goes_on, rest)
}

fn is_punct(rest: Cursor<'_>, character: char) -> bool {
    rest.punct().is_some_and(|(punct, _)| punct.as_char() == character)
}

fn after_separator(rest: Cursor<'_>) -> Option<Cursor<'_>> {
    let (first, rest) = rest.punct()?;
    let (second, rest) = rest.punct()?;
    (first.as_char() == ':' && second.as_char() == ':').then_some(rest)
}

/// Collects every name of a `use`, with its whole path.
fn flatten(tree: &UseTree, before: &Import, imports: &mut Vec<Import>) {
    let with = |ident| {
        let mut import = before.clone();
        import.path.push(name(ident));
        import
    };
    let named = |mut import: Import, called: Option<&syn::Ident>| {
        import.path.pop_if(|last| last == "self");
        import.name = called.map(name).or_else(|| import.path.last().cloned());
        import
    };
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &with(&path.ident), imports),
        UseTree::Name(leaf) => imports.push(named(with(&leaf.ident), None)),
        UseTree::Rename(leaf) => imports.push(named(with(&leaf.ident), Some(&leaf.rename))),
        UseTree::Glob(_) => imports.push(before.clone()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, imports)),
    }
}

fn name(ident: &syn::Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

/// The name that an item defines in its module, if it defines one.
fn defined(item: &Item) -> Option<String> {
    match item {
        Item::Const(ItemConst { ident, .. })
        | Item::Enum(ItemEnum { ident, .. })
        | Item::Fn(ItemFn { sig: syn::Signature { ident, .. }, .. })
        | Item::Macro(ItemMacro { ident: Some(ident), .. })
        | Item::Static(ItemStatic { ident, .. })
        | Item::Struct(ItemStruct { ident, .. })
        | Item::Trait(ItemTrait { ident, .. })
        | Item::TraitAlias(ItemTraitAlias { ident, .. })
        | Item::Type(ItemType { ident, .. })
        | Item::Union(ItemUnion { ident, .. }) => Some(name(ident)),
        _ => None,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(ItemConst { attrs, .. })
        | Item::Enum(ItemEnum { attrs, .. })
        | Item::ExternCrate(ItemExternCrate { attrs, .. })
        | Item::Fn(ItemFn { attrs, .. })
        | Item::ForeignMod(ItemForeignMod { attrs, .. })
        | Item::Impl(ItemImpl { attrs, .. })
        | Item::Macro(ItemMacro { attrs, .. })
        | Item::Mod(ItemMod { attrs, .. })
        | Item::Static(ItemStatic { attrs, .. })
        | Item::Struct(ItemStruct { attrs, .. })
        | Item::Trait(ItemTrait { attrs, .. })
        | Item::TraitAlias(ItemTraitAlias { attrs, .. })
        | Item::Type(ItemType { attrs, .. })
        | Item::Union(ItemUnion { attrs, .. })
        | Item::Use(ItemUse { attrs, .. }) => attrs,
        _ => &[],
    }
}

/// Recognises only `#[cfg(test)]` itself: the crate does not combine it with other conditions.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}
