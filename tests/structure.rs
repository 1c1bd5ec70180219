//! The module tree: every import points to a lower layer, no files import each other in a circle, files are short,
//! and unsafe code is confined to two folders. docs/architecture.md explains the layers.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Top-level modules, the highest layer first. Modules of one layer do not import each other, except as listed in
/// [`BESIDE`].
const LAYERS: [&[&str]; 9] = [
    &["fuzzing", "testing"],
    &["ffi"],
    &["runtime"],
    &["reload", "status"],
    &["events"],
    &["tls", "watch"],
    &["pki", "files"],
    &["readers"],
    &["options", "error", "clock", "sys"],
];

/// Imports within a layer: importer, imported.
const BESIDE: [(&str, &str); 5] = [
    ("status", "reload"),
    ("pki", "files"),
    ("options", "error"),
    ("options", "sys"),
    ("sys", "error"),
];

const MAX_LINES: usize = 400;

struct Source {
    /// Relative to `src`, without `.rs` and `/mod`.
    module: String,
    path: PathBuf,
    text: String,
}

impl Source {
    /// The text without comments and unit tests.
    fn code(&self) -> String {
        let code = self.text.split("mod tests {\n").next().unwrap();
        let lines = code.lines().map(|line| line.split("//").next().unwrap());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn is_test(&self) -> bool {
        self.module.split('/').any(|part| part.starts_with("test")) && self.module != "testing"
    }

    fn top(&self) -> &str {
        self.module.split('/').next().unwrap()
    }
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, root: &Path, sources: &mut Vec<Source>) {
        let mut paths: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                walk(&path, root, sources);
            } else {
                let relative = path.strip_prefix(root).unwrap().with_extension("");
                let module = relative.to_str().unwrap().trim_end_matches("/mod").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                sources.push(Source { module, path, text });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    walk(&root, &root, &mut sources);
    sources
}

fn is_module_declaration(line: &str) -> bool {
    line.ends_with(';') && line.split_whitespace().any(|word| word == "mod")
}

/// The `use` declarations of `code`, as trees, with whether each is a re-export, and the code without them.
fn split_uses(code: &str) -> (Vec<(String, bool)>, String) {
    let (mut uses, mut rest): (Vec<(String, bool)>, String) = Default::default();
    let mut is_open = false;
    for line in code.lines().map(str::trim) {
        let visible = line.strip_prefix("pub").and_then(|after| after.split_once("use "));
        let is_re_export =
            visible.is_some_and(|(before, _)| matches!(before.trim(), "" | "(crate)" | "(super)"));
        let tree =
            if is_re_export { visible.map(|(_, tree)| tree) } else { line.strip_prefix("use ") };
        if let Some(tree) = tree {
            uses.push((tree.trim_end_matches(';').to_owned(), is_re_export));
            is_open = !line.ends_with(';');
        } else if let (true, Some((tree, _))) = (is_open, uses.last_mut()) {
            tree.push_str(line.trim_end_matches(';'));
            is_open = !line.ends_with(';');
        } else if !is_module_declaration(line) {
            rest.push_str(line);
            rest.push('\n');
        }
    }
    (uses, rest)
}

/// `path` as it is written in `module`, relative to `src`. `None` if it names another crate.
fn resolve(path: &str, module: &str, children: &[&str]) -> Option<String> {
    let mut base: Vec<&str> = module.split('/').collect();
    let path = path.split(" as ").next().unwrap();
    let mut parts = path.split("::").map(str::trim).peekable();
    match *parts.peek()? {
        "crate" => base.clear(),
        "super" | "self" => {}
        first if children.contains(&first) => {}
        _ => return None,
    }
    for part in parts {
        match part {
            "crate" | "self" => {}
            "super" => drop(base.pop()),
            part => base.push(part),
        }
    }
    Some(base.join("/"))
}

/// Paths in `code`, outside of `use`, that start with `crate`, `super` or one of `children`.
fn inline_paths(code: &str, children: &[&str]) -> Vec<String> {
    let is_word =
        |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    let words = code.split(|character| !is_word(character));
    let paths = words.map(|word| word.trim_matches(':')).filter(|word| word.contains("::"));
    let starts = |path: &&str| {
        let first = path.split("::").next().unwrap();
        ["crate", "super"].contains(&first) || children.contains(&first)
    };
    paths.filter(starts).map(str::to_owned).collect()
}

/// What a file imports, as paths relative to `src`. A name that a file only re-exports is not imported.
fn imports(source: &Source, children: &[&str]) -> BTreeSet<String> {
    let (uses, rest) = split_uses(&source.code());
    let words: BTreeSet<_> =
        rest.split(|character: char| !character.is_alphanumeric() && character != '_').collect();
    let mut paths = inline_paths(&rest, children);
    for (tree, is_re_export) in uses {
        let is_used = |path: &String| !is_re_export || words.contains(name_of(path));
        paths.extend(expand(&tree).into_iter().filter(is_used));
    }
    paths.iter().filter_map(|path| resolve(path, &source.module, children)).collect()
}

/// The last part of a path, or its name after `as`.
fn name_of(path: &str) -> &str {
    path.rsplit([':', ' ']).next().unwrap()
}

/// `a::{b, c::{d, e}}` as single paths.
fn expand(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else { return vec![tree.to_owned()] };
    let (prefix, inner) = (&tree[..open], &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())]);
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    let ends = inner.char_indices().chain([(inner.len(), ',')]);
    for (at, character) in ends.collect::<Vec<_>>() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = inner[start..at].trim();
                paths.extend(expand(part).into_iter().map(|path| format!("{prefix}{path}")));
                start = at + 1;
            }
            _ => {}
        }
    }
    paths
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn imports_point_to_lower_layers() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test() && source.module != "lib") {
        let from = source.top();
        let above =
            layer_of(from).unwrap_or_else(|| panic!("{from} has no layer: add it to LAYERS"));
        for import in imports(source, &[]) {
            let to = import.split('/').next().unwrap();
            let Some(below) = layer_of(to).filter(|_| to != from) else { continue };
            if below < above || (below == above && !BESIDE.contains(&(from, to))) {
                wrong.push(format!("{} imports {import}", source.module));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up: {wrong:#?}");
}

/// The files of the module tree, and where each re-exported name is defined.
struct Tree<'a> {
    sources: &'a [Source],
    re_exports: BTreeMap<String, String>,
}

impl<'a> Tree<'a> {
    fn new(sources: &'a [Source]) -> Self {
        let mut tree = Self { sources, re_exports: BTreeMap::new() };
        for source in sources {
            let children = tree.children(&source.module);
            for (uses, _) in
                split_uses(&source.code()).0.iter().filter(|(_, is_re_export)| *is_re_export)
            {
                for path in expand(uses) {
                    if let Some(target) = resolve(&path, &source.module, &children) {
                        let name = format!("{}/{}", source.module, name_of(&path));
                        tree.re_exports.insert(name, target);
                    }
                }
            }
        }
        tree
    }

    /// The names of the modules directly below `module`.
    fn children(&self, module: &str) -> Vec<&'a str> {
        let below = self.sources.iter().filter_map(|source| {
            source.module.strip_prefix(module)?.strip_prefix('/').filter(|name| !name.contains('/'))
        });
        below.collect()
    }

    /// The file that defines what `import` names, through re-exports.
    fn file_of(&self, import: &str) -> Option<&'a str> {
        if let Some(source) = self.sources.iter().find(|source| source.module == import) {
            return Some(&source.module);
        }
        if let Some(target) = self.re_exports.get(import) {
            return self.file_of(target);
        }
        let (parent, _) = import.rsplit_once('/')?;
        self.file_of(parent)
    }
}

#[test]
fn no_files_or_folders_import_each_other_in_a_circle() {
    let sources = sources();
    let tree = Tree::new(&sources);
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let imported = imports(source, &tree.children(&source.module));
        let files = imported.iter().filter_map(|import| tree.file_of(import));
        for file in files.filter(|file| *file != source.module) {
            let (from, to) = lift(&source.module, file);
            edges.entry(from).or_default().insert(to);
        }
    }
    assert!(edges.len() > sources.len() / 2, "imports are not found");
    // Remove those that import none of those left, or that none of those left imports, until only circles are left.
    let mut left: BTreeSet<_> = edges.keys().cloned().collect();
    loop {
        let before = left.len();
        for (from, to) in &mut edges {
            to.retain(|imported| left.contains(from) && left.contains(imported));
        }
        let imported: BTreeSet<_> = edges.values().flatten().cloned().collect();
        left.retain(|one| !edges[one].is_empty() && imported.contains(one));
        if left.len() == before {
            break;
        }
    }
    edges.retain(|one, _| left.contains(one));
    assert!(edges.is_empty(), "circles among: {edges:#?}");
}

/// The files or folders through which `from` imports `to`: those just below the folder that has both. So files of a
/// folder form no circle, and neither do folders beside each other.
fn lift(from: &str, to: &str) -> (String, String) {
    let (from, to): (Vec<_>, Vec<_>) = (from.split('/').collect(), to.split('/').collect());
    let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    let below = |parts: &[&str]| {
        let name = parts.get(shared).unwrap_or(&"mod");
        [&parts[..shared], &[*name]].concat().join("/")
    };
    (below(&from), below(&to))
}

#[test]
fn files_are_short() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|source| (source.text.lines().count(), source.path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "more than {MAX_LINES} lines: {long:#?}");
}

#[test]
fn unsafe_code_is_in_ffi_and_sys() {
    let elsewhere: Vec<_> = sources()
        .into_iter()
        .filter(|source| !["ffi", "sys"].contains(&source.top()) && !source.is_test())
        .filter(|source| source.code().contains("allow(unsafe_code"))
        .filter(|source| source.module != "fuzzing")
        .map(|source| source.path)
        .collect();
    assert!(elsewhere.is_empty(), "unsafe code in {elsewhere:#?}");
}
