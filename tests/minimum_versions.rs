//! No committed lock file names a dependency that is known to be unsound or vulnerable, and the lock files of
//! the fuzz targets and of the second rustls-ffi agree with the library's.
//!
//! `minimum-versions.toml` is the table. Both formats are read strictly: a line that is not understood fails the
//! test, so that a slip of the pen cannot disable a row.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lock files that hold nothing but what `Cargo.lock` holds, in the same versions, and these crates.
const PARTS_OF_OURS: [(&str, &[&str]); 2] = [
    ("fuzz/Cargo.lock", &["arbitrary", "certreload-fuzz", "libfuzzer-sys"]),
    ("tests/loading/second/Cargo.lock", &["second-rustls"]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    numbers: [u64; 3],
    /// A pre-release counts as older than its release.
    is_release: bool,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (version, _build) = text.split_once('+').unwrap_or((text, ""));
        let (numbers, is_release) = match version.split_once('-') {
            Some((numbers, pre)) if !pre.is_empty() => (numbers, false),
            Some(_) => return None,
            None => (version, true),
        };
        let numbers: Vec<_> = numbers.split('.').map(number).collect::<Option<_>>()?;
        Some(Self { numbers: numbers.try_into().ok()?, is_release })
    }
}

/// A number as versions have it: digits, with no zero in front.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?
}

#[derive(Debug)]
struct Minimum {
    name: String,
    version: Version,
    advisory: String,
    reason: String,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
}

/// Splits `key = "value"`. A value has no escapes.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(" = ")?;
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    (!value.is_empty() && !value.contains(['"', '\\'])).then_some((key, value))
}

/// Reads the table.
fn read_table(text: &str) -> Result<Vec<Minimum>, String> {
    let mut rows = Vec::new();
    let mut row: Option<Vec<(&str, &str)>> = None;
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}: {line}", index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "[[minimum]]" {
            rows.extend(row.replace(Vec::new()).as_deref().map(finish_row).transpose()?);
            continue;
        }
        let (key, value) = key_and_value(line).ok_or_else(|| wrong("not understood"))?;
        let row = row.as_mut().ok_or_else(|| wrong("in no row"))?;
        if !["crate", "version", "advisory", "reason"].contains(&key) {
            return Err(wrong("no such key"));
        }
        if row.iter().any(|(other, _)| *other == key) {
            return Err(wrong("a second value"));
        }
        row.push((key, value));
    }
    rows.extend(row.as_deref().map(finish_row).transpose()?);
    if rows.is_empty() {
        return Err("no rows".to_owned());
    }
    let mut known = BTreeSet::new();
    for row in &rows {
        if !known.insert((&row.name, &row.advisory)) {
            return Err(format!("two rows about {} and {}", row.name, row.advisory));
        }
    }
    Ok(rows)
}

fn finish_row(row: &[(&str, &str)]) -> Result<Minimum, String> {
    let value = |wanted: &str| {
        let found = row.iter().find(|(key, _)| *key == wanted);
        found.map(|(_, value)| *value).ok_or_else(|| format!("no {wanted} in the row {row:?}"))
    };
    let (name, advisory) = (value("crate")?, value("advisory")?);
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(format!("not the name of a crate: {name}"));
    }
    if !is_rustsec_number(advisory) && !advisory.starts_with("https://") {
        return Err(format!("neither a RustSec number nor an address: {advisory}"));
    }
    let version = Version::parse(value("version")?).filter(|version| version.is_release);
    Ok(Minimum {
        name: name.to_owned(),
        version: version.ok_or_else(|| format!("not a released version: {row:?}"))?,
        advisory: advisory.to_owned(),
        reason: value("reason")?.to_owned(),
    })
}

fn is_rustsec_number(text: &str) -> bool {
    let digits = |text: &str| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let year_and_number = text.strip_prefix("RUSTSEC-").and_then(|rest| rest.split_once('-'));
    year_and_number.is_some_and(|(year, number)| digits(year) && digits(number))
}

/// Reads a lock file, which cargo writes in one way only.
fn read_lock(text: &str) -> Result<Vec<Package>, String> {
    let mut blocks = text.split("[[package]]\n");
    if !blocks.next().is_some_and(|head| head.contains("\nversion = 4\n")) {
        return Err("not a lock file of version 4".to_owned());
    }
    let packages: Vec<_> = blocks.map(read_package).collect::<Result<_, _>>()?;
    if packages.is_empty() {
        return Err("no packages".to_owned());
    }
    Ok(packages)
}

fn read_package(block: &str) -> Result<Package, String> {
    let mut values = block.lines().map_while(key_and_value);
    let name = values.next().filter(|(key, _)| *key == "name");
    let version = values.next().filter(|(key, _)| *key == "version");
    let (Some((_, name)), Some((_, version))) = (name, version) else {
        return Err(format!("not a package: {block}"));
    };
    Version::parse(version).ok_or_else(|| format!("not a version: {version}"))?;
    Ok(Package { name: name.to_owned(), version: version.to_owned() })
}

/// Lists the packages that are below a minimum.
fn violations(packages: &[Package], table: &[Minimum]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let version = Version::parse(&package.version).unwrap();
        for row in table.iter().filter(|row| row.name == package.name && version < row.version) {
            let [major, minor, patch] = row.version.numbers;
            found.push(format!(
                "{} {} is below {major}.{minor}.{patch}: {} ({})",
                package.name, package.version, row.reason, row.advisory
            ));
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn table() -> Vec<Minimum> {
    let text = fs::read_to_string(root().join("tests/minimum-versions.toml")).unwrap();
    read_table(&text).unwrap()
}

/// Finds the lock files below a directory, but for those in build trees, which are copies.
fn lock_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            let is_build_tree =
                ["CACHEDIR.TAG", "CMakeCache.txt"].iter().any(|mark| path.join(mark).exists());
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if !is_build_tree && !is_hidden && name != "target" {
                lock_files(&path, found);
            }
        } else if name == "Cargo.lock" {
            found.push(path);
        }
    }
}

#[test]
fn committed_lock_files_name_no_unsound_version() {
    let table = table();
    let mut files = Vec::new();
    lock_files(root(), &mut files);
    assert!(files.len() > PARTS_OF_OURS.len() + 1, "lock files are missing: {files:?}");
    for file in files {
        let packages = read_lock(&fs::read_to_string(&file).unwrap()).unwrap();
        let found = violations(&packages, &table);
        assert!(found.is_empty(), "{}: {found:#?}", file.display());
    }
}

/// What is tested there is what the library is made of, and is built once for both.
#[test]
fn other_lock_files_agree_with_the_library() {
    let ours = read_lock(&fs::read_to_string(root().join("Cargo.lock")).unwrap()).unwrap();
    for (file, own) in PARTS_OF_OURS {
        let packages = read_lock(&fs::read_to_string(root().join(file)).unwrap()).unwrap();
        let foreign: Vec<_> = packages
            .iter()
            .filter(|package| !ours.contains(package) && !own.contains(&package.name.as_str()))
            .collect();
        assert!(
            foreign.is_empty(),
            "{file} is stale: run scripts/refresh-locks.sh --keep; not in Cargo.lock: {foreign:#?}"
        );
    }
}

/// Each row that is about a crate of `Cargo.lock` notices a version below its own.
#[test]
fn lowered_version_is_reported_by_its_row() {
    let table = table();
    let text = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let locked = read_lock(&text).unwrap();
    let mut tried = 0;
    for row in &table {
        for package in locked.iter().filter(|package| package.name == row.name) {
            let [major, minor, patch] = row.version.numbers;
            let lower = match (major, minor, patch) {
                (major, minor, 1..) => format!("{major}.{minor}.{}", patch - 1),
                (major, 1.., 0) => format!("{major}.{}.99", minor - 1),
                (major, 0, 0) => format!("{}.99.99", major - 1),
            };
            for lower in [lower, format!("{major}.{minor}.{patch}-rc.1")] {
                let here =
                    |version: &str| format!("name = \"{}\"\nversion = \"{version}\"\n", row.name);
                let lowered = text.replace(&here(&package.version), &here(&lower));
                assert_ne!(lowered, text);
                let found = violations(&read_lock(&lowered).unwrap(), &table);
                let begin = format!("{} {lower} is below {major}.{minor}.{patch}: ", row.name);
                assert!(
                    found
                        .iter()
                        .any(|line| line.starts_with(&begin) && line.contains(&row.advisory)),
                    "{row:?} does not report {lower}: {found:?}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 20, "the table has few rows about Cargo.lock: {tried}");
}

const ROW: &str = "[[minimum]]\ncrate = \"a\"\nversion = \"1.2.3\"\nadvisory = \"RUSTSEC-2026-0001\"\nreason = \"b\"\n";

#[test]
fn malformed_table_is_refused() {
    assert_eq!(read_table(ROW).unwrap().len(), 1);
    for (from, to) in [
        ("[[minimum]]", ""),
        ("[[minimum]]", "[[minimum]"),
        ("[[minimum]]", "#[[minimum]]"),
        ("[[minimum]]", "[[minimums]]"),
        ("[[minimum]]", " [[minimum]]"),
        ("crate = \"a\"", ""),
        ("crate", "crat"),
        ("crate = \"a\"", "crate = \"\""),
        ("crate = \"a\"", "crate = \"a b\""),
        ("crate = \"a\"", "crate = 'a'"),
        ("crate = \"a\"", "crate = \"a\" # why"),
        ("crate = \"a\"", "crate = \"a\"\ncrate = \"b\""),
        ("version = \"1.2.3\"", "#version = \"1.2.3\""),
        ("1.2.3", "1.2"),
        ("1.2.3", "1.2.3.4"),
        ("1.2.3", "1.2.x"),
        ("1.2.3", "1.02.3"),
        ("1.2.3", "1.+2.3"),
        ("1.2.3", ">=1.2.3"),
        ("1.2.3", "1.2.3-rc.1"),
        ("RUSTSEC-2026-0001", "RUSTSEC-2026"),
        ("RUSTSEC-2026-0001", "RUSTSEC-2026-001"),
        ("RUSTSEC-2026-0001", "2026-0001"),
        ("reason = \"b\"\n", ""),
        ("reason = \"b\"", "reason = \"\""),
        ("reason = \"b\"", "reason = \"b"),
        ("reason = \"b\"", "reason: \"b\""),
        (ROW, ""),
        (ROW, &ROW.repeat(2)),
    ] {
        let broken = ROW.replace(from, to);
        assert_ne!(broken, ROW);
        assert!(read_table(&broken).is_err(), "accepted:\n{broken}");
    }
}

#[test]
fn malformed_lock_file_is_refused() {
    let whole = "# generated\nversion = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3+x\"\n";
    assert_eq!(read_lock(whole).unwrap().len(), 1);
    for (from, to) in [
        ("version = 4", "version = 5"),
        ("[[package]]", "[package]"),
        ("name", "nam"),
        ("name = \"a\"\n", ""),
        ("version = \"1.2.3+x\"", ""),
        ("1.2.3+x", "1.2"),
    ] {
        assert!(read_lock(&whole.replace(from, to)).is_err(), "accepted {to} in place of {from}");
    }
}

#[test]
fn versions_are_ordered_by_their_numbers() {
    let ascending =
        ["0.9.8", "0.10.0-rc.1", "0.10.0", "0.10.3+build", "1.0.0", "1.9.3", "1.9.10", "1.10.0"];
    let parsed = ascending.map(|text| Version::parse(text).unwrap());
    assert!(parsed.is_sorted_by(|one, other| one < other));
}
