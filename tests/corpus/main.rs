//! A corpus of small certificates, keys, chains, CRLs and OCSP responses, each judged by OpenSSL, by plain rustls-ffi
//! and by certreload (G23).
//!
//! The test makes all files. Where the judges disagree, the table has the verdicts and the reason, which is a heading
//! of docs/compatibility.md. A new disagreement fails the test, and so does a row that is no disagreement any more.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, unreachable_pub, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod chains;
mod client_role;
mod der;
mod fields;
mod judges;
mod keys;
mod lists;
mod messages;
mod peers;
mod staples;
mod table;
mod texts;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use case::{Cases, Findings, Verdict};
use table::Row;
use trust::TrustCases;

/// The least numbers of identities, of roots with CRLs, and of OCSP responses. Builds of OpenSSL without some
/// algorithms make fewer than others.
const LEAST: [usize; 3] = [650, 110, 25];

#[test]
fn g23_every_disagreement_has_its_reason_in_the_docs() {
    let directory = tempfile::tempdir().unwrap();
    let mut cases = Cases::new(directory.path());
    let optional = keys::add(&mut cases);
    fields::add(&mut cases);
    texts::add(&mut cases);
    chains::add(&mut cases);
    let trust = TrustCases::new(directory.path(), &optional.signers);
    let rooms = [judges::identities(&cases.all), judges::trust(&trust), judges::staples(&trust)];

    let counts = rooms.each_ref().map(BTreeMap::len);
    assert!(counts.iter().zip(LEAST).all(|(count, least)| *count >= least), "{counts:?}");
    let mut faults = leaves_that_differ(&rooms[0]);
    faults.extend(client_role::faults(&cases.all, &rooms[0], directory.path()));
    let all: Findings = rooms.into_iter().flatten().collect();
    assert_eq!(all.len(), counts.iter().sum::<usize>(), "two cases have one name");
    faults.extend(against_table(&all, &optional.missing));
    faults.extend(messages::faults(&all));
    faults.extend(against_docs());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));

    let disagreements = all.values().filter(|opinions| !opinions.agree()).count();
    let summary = format!("corpus: {counts:?} cases, {disagreements} disagreements\n");
    // Past the test harness, which captures what tests print.
    std::io::stderr().write_all(summary.as_bytes()).unwrap();
}

/// Identities of which the judges serve different leaves. OpenSSL decodes certificates, and encodes them in DER again. Of
/// an expired certificate and its renewal in one file, only certreload serves the renewal.
const OTHER_LEAVES: &[&str] = &["certificate: length longer than needed", "chain: old-leaf leaf"];

/// Identities that several judges serve, and not with the same certificate as the leaf.
fn leaves_that_differ(findings: &Findings) -> Vec<String> {
    let differ = |(name, opinions): (&String, &case::Opinions)| {
        let served = opinions.0.iter().filter(|opinion| opinion.verdict == Verdict::Served);
        let leaves: BTreeSet<_> = served.map(|opinion| &opinion.says).collect();
        let is_fault = (leaves.len() > 1) != OTHER_LEAVES.contains(&name.as_str());
        is_fault.then(|| format!("different leaves: {name}\n{opinions}"))
    };
    findings.iter().filter_map(differ).collect()
}

/// Disagreements that the table does not have, and rows that are no disagreements.
fn against_table(findings: &Findings, missing: &[String]) -> Vec<String> {
    let rows = table::rows();
    let mut faults = Vec::new();
    for (name, opinions) in findings {
        let letters = opinions.letters();
        match rows.get(name) {
            None if !opinions.agree() => {
                faults.push(format!("new disagreement, {letters}: {name}\n{opinions}"));
            }
            Some(row) if !row.is(&letters) => {
                let Row { verdicts, reason } = row;
                let expected = format!("{verdicts} ({reason})");
                faults.push(format!("not {expected}, but {letters}: {name}\n{opinions}"));
            }
            _ => {}
        }
    }
    for name in rows.keys().filter(|name| !findings.contains_key(*name)) {
        if !missing.iter().any(|word| name.contains(word)) {
            faults.push(format!("no such case: {name}"));
        }
    }
    faults
}

/// Reasons without a heading, headings that are no reasons, and what the introduction lists of them.
fn against_docs() -> Vec<String> {
    let docs = include_str!("../../docs/compatibility.md");
    let headings: BTreeSet<_> = docs.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let reasons: BTreeSet<_> = table::rows().values().map(|row| row.reason).collect();
    let stray = headings.symmetric_difference(&reasons);
    let mut faults: Vec<_> =
        stray.map(|reason| format!("only in the docs, or only in the table: {reason}")).collect();
    // The introduction lists the reasons for which certreload refuses what rustls-ffi serves.
    let introduction = docs.split("\n## ").next().unwrap();
    let (_, introduction) = introduction.split_once("for these reasons alone:").unwrap();
    let listed: BTreeSet<_> = introduction.split('*').skip(1).step_by(2).map(words).collect();
    let rows = table::rows();
    let refused = rows.values().filter(|row| row.verdicts.ends_with("SR"));
    let refused: BTreeSet<_> = refused.map(|row| words(row.reason)).collect();
    let stray = listed.symmetric_difference(&refused);
    faults.extend(stray.map(|reason| format!("in the introduction or the table alone: {reason}")));
    faults
}

/// The text in one line.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
