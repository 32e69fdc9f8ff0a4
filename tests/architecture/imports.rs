//! Reads the import graph of a crate: which file takes a name from which other file.
//!
//! An import is a `use` or a path in code. `mod x;` and the `pub use` of an own child are none: they only say where
//! something lies. A name that a module re-exports counts as imported from the file that defines it. Test code is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, Visibility};

/// A path from a crate's root, such as `["hub", "Session"]`; the crate's name comes first.
type Names = Vec<String>;

/// The files of one or more crates and the imports between them.
#[derive(Default)]
pub(crate) struct Imports {
    modules: BTreeMap<Names, Module>,
    /// From a file to the files that it imports from.
    pub(crate) by_file: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

struct Module {
    file: PathBuf,
    /// What it re-exports: a name, and the path that the name stands for.
    exports: BTreeMap<String, Names>,
    /// Modules whose public names it re-exports as a whole.
    globs: Vec<Names>,
    /// Names that its `use` items bring in, for paths that begin with them.
    aliases: BTreeMap<String, Names>,
    /// Paths in it, as they are written.
    paths: Vec<Names>,
}

impl Imports {
    /// Reads crates, each given by its name and the folder of its `lib.rs`.
    ///
    /// # Panics
    /// When a file cannot be read or parsed.
    pub(crate) fn read(crates: &[(&str, &Path)]) -> Self {
        let mut imports = Self::default();
        for (name, folder) in crates {
            let root = vec![(*name).to_owned()];
            imports.read_module(&root, &folder.join("lib.rs"), folder);
        }
        imports.connect();
        imports
    }

    fn read_module(&mut self, names: &Names, file: &Path, folder: &Path) {
        let text = std::fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut module = Module {
            file: file.to_owned(),
            exports: BTreeMap::new(),
            globs: Vec::new(),
            aliases: BTreeMap::new(),
            paths: Vec::new(),
        };
        let mut reader = Reader {
            module: &mut module,
            children: Vec::new(),
        };
        for item in &parsed.items {
            reader.visit_item(item);
        }
        let children = reader.children;
        self.modules.insert(names.clone(), module);
        for child in children {
            let mut path = names.clone();
            path.push(child.clone());
            let (flat, nested) = (
                folder.join(format!("{child}.rs")),
                folder.join(&child).join("mod.rs"),
            );
            let file = if flat.exists() { flat } else { nested };
            self.read_module(&path, &file, &folder.join(&child));
        }
    }

    fn connect(&mut self) {
        let mut by_file: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
        for (names, module) in &self.modules {
            let found = by_file.entry(module.file.clone()).or_default();
            for path in &module.paths {
                let Some(target) = self
                    .absolute(names, module, path)
                    .and_then(|path| self.file_of(&path, 0))
                else {
                    continue;
                };
                if target != module.file {
                    found.insert(target);
                }
            }
        }
        self.by_file = by_file;
    }

    /// The path from a crate's root that is meant by one as it is written.
    fn absolute(&self, names: &Names, module: &Module, path: &[String]) -> Option<Names> {
        let first = path.first()?;
        let rest = path.get(1..)?;
        let joined = |base: &[String], rest: &[String]| Some([base, rest].concat());
        match first.as_str() {
            "crate" => joined(names.get(..1)?, rest),
            "self" => joined(names, rest),
            "super" => {
                let up = path.iter().take_while(|part| *part == "super").count();
                joined(names.get(..names.len().checked_sub(up)?)?, path.get(up..)?)
            }
            name => {
                if self.modules.contains_key(&vec![name.to_owned()]) {
                    return Some(path.to_vec());
                }
                let mut child = names.clone();
                child.push(name.to_owned());
                if self.modules.contains_key(&child) {
                    return joined(&child, rest);
                }
                let alias = module.aliases.get(name)?;
                if alias.first().is_some_and(|part| part == name) {
                    return None;
                }
                let base = self.absolute(names, module, alias)?;
                joined(&base, rest)
            }
        }
    }

    /// The file that defines what a path names, re-exports followed.
    fn file_of(&self, path: &[String], depth: usize) -> Option<PathBuf> {
        if depth > 16 {
            return None;
        }
        let longest = (1..=path.len()).rev().find(|length| {
            path.get(..*length)
                .is_some_and(|part| self.modules.contains_key(part))
        })?;
        let (names, rest) = path.split_at(longest);
        let module = self.modules.get(names)?;
        let Some(name) = rest.first() else {
            return Some(module.file.clone());
        };
        if let Some(target) = module.exports.get(name) {
            let target = [target.as_slice(), rest.get(1..)?].concat();
            let absolute = self.absolute(&names.to_vec(), module, &target)?;
            return self.file_of(&absolute, depth + 1);
        }
        for glob in &module.globs {
            let Some(mut absolute) = self.absolute(&names.to_vec(), module, glob) else {
                continue;
            };
            absolute.extend(rest.iter().cloned());
            if let Some(file) = self.file_of(&absolute, depth + 1) {
                return Some(file);
            }
        }
        Some(module.file.clone())
    }

    /// Groups of files that import one another in a circle, largest first.
    pub(crate) fn circles(&self) -> Vec<Vec<PathBuf>> {
        let reach: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> = self
            .by_file
            .keys()
            .map(|file| (file, self.reachable(file)))
            .collect();
        let mut circles: Vec<Vec<PathBuf>> = Vec::new();
        let mut seen = BTreeSet::new();
        for (file, from) in &reach {
            if !seen.insert(*file) {
                continue;
            }
            let both = from
                .iter()
                .filter(|other| reach.get(*other).is_some_and(|back| back.contains(file)));
            let mut circle: BTreeSet<PathBuf> = both.map(|other| (*other).clone()).collect();
            circle.insert((*file).clone());
            if circle.len() > 1 {
                seen.extend(reach.keys().filter(|other| circle.contains(**other)));
                circles.push(circle.into_iter().collect());
            }
        }
        circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
        circles
    }

    fn reachable<'a>(&'a self, from: &'a PathBuf) -> BTreeSet<&'a PathBuf> {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(file) = next.pop() {
            for target in self.by_file.get(file).into_iter().flatten() {
                if reached.insert(target) {
                    next.push(target);
                }
            }
        }
        reached
    }
}

struct Reader<'a> {
    module: &'a mut Module,
    children: Vec<String>,
}

impl Reader<'_> {
    fn note_use(&mut self, tree: &UseTree, mut path: Names, is_public: bool) {
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.note_use(&part.tree, path, is_public);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.note_use(tree, path.clone(), is_public);
                }
            }
            UseTree::Glob(_) if is_public => self.module.globs.push(path),
            UseTree::Glob(_) => self.module.paths.push(path),
            UseTree::Name(name) => {
                let last = name.ident.to_string();
                let known = if last == "self" {
                    path.last().cloned()
                } else {
                    Some(last.clone())
                };
                if last != "self" {
                    path.push(last);
                }
                self.note_name(known, path, is_public);
            }
            UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                self.note_name(Some(rename.rename.to_string()), path, is_public);
            }
        }
    }

    fn note_name(&mut self, known: Option<String>, path: Names, is_public: bool) {
        let Some(known) = known else { return };
        if is_public {
            self.module.exports.insert(known.clone(), path.clone());
            let is_own_child = path
                .first()
                .is_some_and(|first| first != "crate" && first != "super");
            if !is_own_child {
                self.module.paths.push(path.clone());
            }
        } else {
            self.module.paths.push(path.clone());
        }
        self.module.aliases.insert(known, path);
    }

    /// Paths in a macro's arguments: names joined by `::`.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Names = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons < 2 {
                        self.finish(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.finish(&mut path);
                    colons = 0;
                    self.note_tokens(group.stream());
                }
                _ => {
                    self.finish(&mut path);
                    colons = 0;
                }
            }
        }
        self.finish(&mut path);
    }

    fn finish(&mut self, path: &mut Names) {
        if path.len() > 1 {
            self.module.paths.push(std::mem::take(path));
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let is_for_tests = matches!(item, syn::ImplItem::Fn(function) if is_test(&function.attrs));
        if !is_for_tests {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        match &item.content {
            None => self.children.push(item.ident.to_string()),
            Some(_) => visit::visit_item_mod(self, item),
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        self.note_use(&item.tree, Vec::new(), is_public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if names.len() > 1 {
            self.module.paths.push(names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.note_tokens(invocation.tokens.clone());
        visit::visit_macro(self, invocation);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}
