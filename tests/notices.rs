//! LICENSE-THIRD-PARTY, which is installed with the library, lists what is linked into it.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

const STALE: &str = "LICENSE-THIRD-PARTY is stale: run scripts/notices.py";

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The lines of the list, which begin with `- `.
fn list(notices: &str) -> Vec<&str> {
    let list = notices.split("\n====").next().unwrap();
    list.split("\n- ").skip(1).collect()
}

/// The crates of the list, as `name version`.
fn listed_crates(notices: &str) -> BTreeSet<String> {
    let crates = list(notices).into_iter().filter_map(|line| line.split_once(", "));
    let has_version = |entry: &str| {
        let words: Vec<_> = entry.split(' ').collect();
        words.len() == 2 && words[1].starts_with(|first: char| first.is_ascii_digit())
    };
    crates.map(|(entry, _)| entry.to_owned()).filter(|entry| has_version(entry)).collect()
}

/// All packages of `Cargo.lock`, as `name version`.
fn locked_packages() -> BTreeSet<String> {
    let lock = read("Cargo.lock");
    let value = |line: &str| line.split('"').nth(1).map(str::to_owned);
    let packages = lock.split("[[package]]\n").skip(1).map(|package| {
        let mut lines = package.lines().map(value);
        format!("{} {}", lines.next().flatten().unwrap(), lines.next().flatten().unwrap())
    });
    packages.collect()
}

/// What cargo links into the library on this system. `Err` where cargo would have to download something.
fn linked_crates() -> Result<BTreeSet<String>, String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    if !tree.status.success() {
        return Err(String::from_utf8_lossy(&tree.stderr).trim().replace('\n', " "));
    }
    let lines = String::from_utf8(tree.stdout).unwrap();
    let crates = lines.lines().map(|line| {
        let mut words = line.split(' ');
        let (name, version) = (words.next().unwrap(), words.next().unwrap());
        format!("{name} {}", version.trim_start_matches('v'))
    });
    Ok(crates.filter(|entry| !entry.starts_with("certreload ")).collect())
}

#[test]
fn notices_list_what_is_linked() {
    let listed = listed_crates(&read("LICENSE-THIRD-PARTY"));
    let outdated: Vec<_> = listed.difference(&locked_packages()).cloned().collect();
    assert!(outdated.is_empty(), "{STALE}; not in Cargo.lock: {outdated:?}");
    match linked_crates() {
        Ok(linked) => {
            assert!(linked.len() > 20, "cargo tree lists little: {linked:?}");
            let missing: Vec<_> = linked.difference(&listed).collect();
            assert!(missing.is_empty(), "{STALE}; not listed: {missing:?}");
        }
        // Not println, which cargo shows of failing tests only.
        Err(why) => {
            let note = format!("NOT TESTED: whether LICENSE-THIRD-PARTY is complete: {why}\n");
            std::io::stderr().write_all(note.as_bytes()).unwrap();
        }
    }
}

#[test]
fn each_entry_has_its_texts() {
    let notices = read("LICENSE-THIRD-PARTY");
    let texts: Vec<_> = notices.split(&format!("\n{}\n", "=".repeat(100))).skip(1).collect();
    let mut cited = BTreeSet::new();
    for entry in list(&notices) {
        let numbers: Vec<usize> = entry
            .split_whitespace()
            .filter_map(|word| word.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
            .collect();
        assert!(!numbers.is_empty(), "{entry:?} has no text");
        let own = numbers.iter().map(|number| {
            let text =
                texts.get(number - 1).and_then(|text| text.strip_prefix(&format!("[{number}]\n")));
            text.unwrap_or_default().trim().len()
        });
        let lengths: Vec<_> = own.collect();
        let are_there =
            lengths.iter().all(|length| *length > 0) && lengths.iter().any(|length| *length > 200);
        assert!(are_there, "{entry:?} has texts of {lengths:?} bytes");
        cited.extend(numbers);
    }
    assert_eq!(cited.len(), texts.len(), "some texts belong to nothing");
    for part in ["aws-lc-sys ", "Jitter Entropy", "Fiat Cryptography", "Rust standard library"] {
        assert!(list(&notices).iter().any(|entry| entry.starts_with(part)), "{part} is missing");
    }
    assert!(texts.iter().any(|text| text.contains("AWS Libcrypto (AWS-LC)")));
}
