//! Takes the files under test as they are, but that what threads share comes from a module of the
//! models instead of from std, and that their own unit tests stay behind.

use std::path::Path;
use std::{env, fs};

/// Module and folder.
const FILES: [(&str, &str); 6] = [
    ("published_generation", "runtime"),
    ("dispatcher", "events"),
    ("queue", "events"),
    ("mutex", "sys"),
    ("once_slots", "sys"),
    ("wait_graph", "sys"),
];

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../src");
    let out = env::var("OUT_DIR").unwrap();
    for (name, folder) in FILES {
        let path = root.join(folder).join(name).with_extension("rs");
        println!("cargo:rerun-if-changed={}", path.display());
        let source = fs::read_to_string(&path).unwrap();
        fs::write(Path::new(&out).join(name).with_extension("rs"), model_of(name, &source))
            .unwrap();
    }
}

fn model_of(name: &str, source: &str) -> String {
    let code = source.split("#[cfg(test)]").next().unwrap();
    // Doc comments and attributes of the file have no place where it is included.
    let code: String = code
        .lines()
        .filter(|line| !line.starts_with("//!") && !line.starts_with("#!["))
        .fold(String::new(), |code, line| code + line + "\n");
    let mut code = code
        .replace("std::sync", "crate::shared")
        .replace("std::thread", "crate::shared::thread")
        .replace("std::hint", "crate::shared::hint")
        .replace("std::time::", "crate::shared::time::")
        .replace("arc_swap::", "crate::shared::arc_swap::")
        .replace("spin::mutex::", "crate::shared::spin::");
    if name == "published_generation" {
        // Two shards do what sixteen do; and stacks lie where they like.
        replace(&mut code, "const SHARDS: usize = 16", "const SHARDS: usize = 2");
        replace(&mut code, "fn shard_of_this_thread", "fn _shard_of_this_thread");
        replace(&mut code, "[shard_of_this_thread()]", "[crate::shared::shard_of_this_thread()]");
        replace(&mut code, "for _ in 0..100 {", "for _ in 0..1 {");
        // What the models look at.
        replace(&mut code, "    swap: ArcSwap<", "    pub(super) swap: ArcSwap<");
        replace(&mut code, "    valid: AtomicU64,", "    pub(super) valid: AtomicU64,");
        replace(&mut code, "    shards: [", "    pub(super) shards: [");
        replace(&mut code, "struct Shard {", "pub(super) struct Shard {");
        replace(&mut code, "    config: SpinMutex<", "    pub(super) config: SpinMutex<");
        replace(&mut code, "use rustls::", "use crate::tls::");
    }
    if name == "mutex" {
        // loom's is not const.
        replace(&mut code, "pub(crate) const fn new(", "pub(crate) fn new(");
    }
    code
}

/// What is no more there to be replaced has become something else.
fn replace(code: &mut String, from: &str, to: &str) {
    assert!(code.contains(from), "there is no {from:?}: the model has to follow the code");
    *code = code.replace(from, to);
}
