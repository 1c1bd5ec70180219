//! Real clients visit real servers. The clients are OpenSSL, `GnuTLS`, curl and rustls-ffi; the servers are OpenSSL,
//! rustls-ffi and certreload. Which certificates a client accepts must not depend on the server (G23).

mod clients;
mod servers;
mod situations;

use std::collections::BTreeSet;
use std::thread;

use clients::Client;
use servers::{Running, Server};
use situations::{CLIENTS, ClientRow, SERVERS, ServerRow, Situation, Stage};

/// A letter for each of [`Client::ALL`]: a if client and server accept each other, r if one refuses the other, - if the
/// client is not installed.
fn letters(stage: &Stage, running: &Running) -> String {
    let visit = |client: &Client| match client.is_here() {
        false => '-',
        true if client.is_served(stage, running.address) => 'a',
        true => 'r',
    };
    Client::ALL.iter().map(visit).collect()
}

/// Whether the letters are as the table has them. A question mark is what depends on the release or build of a client.
fn is_as(expected: &str, letters: &str) -> bool {
    expected.len() == letters.len()
        && expected
            .chars()
            .zip(letters.chars())
            .all(|(expected, found)| expected == found || expected == '?' || found == '-')
}

/// The letters for each of [`Server::ALL`], and whether certreload warns.
struct Expected {
    letters: [&'static str; 3],
    warns: bool,
}

/// What is not as the table says.
fn faults(situation: &Situation, expected: &Expected) -> Vec<String> {
    let stage = situation.stage();
    let running = Server::ALL.map(|server| server.start(&stage));
    let found = running.each_ref().map(|running| letters(&stage, running));
    let mut faults = Vec::new();
    if running[2].warns() != expected.warns {
        faults.push(format!("{}: a warning is missing, or not expected", situation.what));
    }
    for ((server, expected), found) in Server::ALL.iter().zip(expected.letters).zip(&found) {
        if !is_as(expected, found) {
            faults.push(format!("{}: {server:?} {found}, not {expected}", situation.what));
        }
    }
    let [_, plain, ours] = &found;
    if plain != ours {
        faults.push(format!("{}: rustls-ffi {plain}, certreload {ours}", situation.what));
    }
    faults
}

/// All at once, because each waits for other processes most of the time.
fn faults_of_all(situations: &[(&Situation, Expected)]) {
    let faults: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = situations
            .iter()
            .map(|(situation, expected)| scope.spawn(|| faults(situation, expected)))
            .collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn g23_real_clients_accept_what_they_accept_from_other_servers() {
    let expected = |row: &ServerRow| Expected { letters: [row.letters; 3], warns: row.warns };
    let all: Vec<_> = SERVERS.iter().map(|row| (&row.situation, expected(row))).collect();
    faults_of_all(&all);
}

#[test]
fn g23_real_clients_are_accepted_as_by_plain_rustls_ffi() {
    let expected = |row: &ClientRow| Expected {
        letters: [row.openssl, row.rustls, row.rustls],
        warns: row.warns,
    };
    let all: Vec<_> = CLIENTS.iter().map(|row| (&row.situation, expected(row))).collect();
    faults_of_all(&all);
}

/// The tables of the docs are those of this test.
#[test]
fn docs_have_what_real_clients_accept() {
    let docs = include_str!("../../../docs/compatibility.md");
    let word = |letter| match letter {
        'a' => "accepted",
        'r' => "refused",
        '?' => "depends on release and build",
        'w' => "yes",
        _ => "no",
    };
    let line = |what: &str, letters: &str| {
        let words: Vec<_> = letters.chars().map(word).collect();
        format!("| {what} | {} |", words.join(" | "))
    };
    let of_server = |row: &ServerRow| {
        line(row.situation.what, &format!("{}{}", row.letters, if row.warns { 'w' } else { '-' }))
    };
    let mut expected: BTreeSet<_> = SERVERS.iter().map(of_server).collect();
    let both = |row: &ClientRow| {
        let one = |letters: &str| letters.chars().next().unwrap();
        line(row.situation.what, &String::from_iter([one(row.openssl), one(row.rustls)]))
    };
    expected.extend(CLIENTS.iter().map(both));
    let (_, section) = docs.split_once("\n## What real clients accept\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let is_row = |line: &&str| ["ed |", "yes |", "no |"].iter().any(|end| line.ends_with(end));
    let found: BTreeSet<_> = section.lines().filter(is_row).map(str::to_owned).collect();
    assert_eq!(found, expected);
}
