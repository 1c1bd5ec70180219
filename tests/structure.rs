//! The module tree: every import points to a lower layer, no files import each other in a circle, files are short,
//! and unsafe code is confined to two folders. docs/architecture.md explains the layers.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Top-level modules, the highest layer first. Modules of one layer do not import each other, except as listed in
/// [`BESIDE`].
const LAYERS: [&[&str]; 8] = [
    &["fuzzing", "testing"],
    &["ffi"],
    &["runtime"],
    &["reload", "status"],
    &["events"],
    &["tls", "watch"],
    &["pki", "files"],
    &["options", "error", "clock", "sys"],
];

/// Imports within a layer: importer, imported.
const BESIDE: [(&str, &str); 4] =
    [("status", "reload"), ("pki", "files"), ("options", "error"), ("sys", "error")];

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
        let code = self.text.split("#[cfg(test)]\nmod tests").next().unwrap();
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

/// Paths that start with `crate`, `super` or `self`, as modules relative to `src`.
fn imports(source: &Source) -> BTreeSet<String> {
    let code = source.code();
    let mut imports = BTreeSet::new();
    let mut trees: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in code.lines().map(str::trim) {
        let line = match line.strip_prefix("pub(crate) ").unwrap_or(line).strip_prefix("use ") {
            Some(tree) => {
                trees.push(String::new());
                is_open = true;
                tree
            }
            None => line,
        };
        if let (true, Some(tree)) = (is_open, trees.last_mut()) {
            tree.push_str(line.trim_end_matches(';'));
            is_open = !line.ends_with(';');
        }
    }
    for tree in trees {
        for path in expand(tree.trim()) {
            let mut base: Vec<&str> = source.module.split('/').collect();
            let mut parts = path.split("::").peekable();
            match parts.peek() {
                Some(&"crate") => base.clear(),
                Some(&"super") => {}
                _ => continue,
            }
            let mut rest = Vec::new();
            for part in parts {
                match part {
                    "crate" => {}
                    "super" => drop(base.pop()),
                    part => rest.push(part.trim()),
                }
            }
            base.extend(rest);
            imports.insert(base.join("/"));
        }
    }
    imports
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
        for import in imports(source) {
            let to = import.split('/').next().unwrap();
            let Some(below) = layer_of(to).filter(|_| to != from) else { continue };
            if below < above || (below == above && !BESIDE.contains(&(from, to))) {
                wrong.push(format!("{} imports {import}", source.module));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up: {wrong:#?}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    let modules: BTreeSet<_> = sources.iter().map(|source| source.module.as_str()).collect();
    let file_of = |import: &str| {
        let mut path = import;
        loop {
            if let Some(module) = modules.get(path) {
                return Some(*module);
            }
            path = &path[..path.rfind('/')?];
        }
    };
    // A folder's mod.rs re-exports what its files define, so only imports of files count.
    let is_folder =
        |module: &str| modules.iter().any(|other| other.starts_with(&format!("{module}/")));
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test() && !is_folder(&source.module)) {
        let imported = imports(source);
        let files = imported.iter().filter_map(|import| file_of(import));
        let files = files.filter(|file| !is_folder(file) && *file != source.module);
        edges.insert(&source.module, files.collect());
    }
    // Remove files that import none of those left, until only circles are left.
    loop {
        let free: Vec<_> = edges
            .iter()
            .filter(|(_, to)| !to.iter().any(|file| edges.contains_key(file)))
            .map(|(from, _)| *from)
            .collect();
        if free.is_empty() {
            break;
        }
        for file in free {
            edges.remove(file);
        }
    }
    assert!(edges.is_empty(), "circles among: {edges:#?}");
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
