//! Cases of chains: order, gaps, repetitions, and certificates that do not belong to them.

use std::fs;

use crate::case::Cases;
use crate::support::workshop::Workshop;

/// `leaf` is issued by `lower`, that by `upper`, that by `root`. `crossed` has the name and key of `upper` and another
/// issuer, `old`.
const AUTHORITIES: &str = "
authority root root; authority old old; authority other other
authority upper root; authority lower upper
openssl x509 -req -in upper.csr -CA old.pem -CAkey old.key -CAcreateserial -days 30 -extfile upper.ext -out crossed.pem
openssl x509 -req -in other.csr -signkey other.key -days -1 -extfile other.ext -out expired-other.pem
issue a.test lower
openssl x509 -req -in upper.csr -CA root.pem -CAkey root.key -CAcreateserial -days -1 -extfile upper.ext \\
    -out expired.pem
openssl x509 -req -in leaf.csr -CA other.pem -CAkey other.key -CAcreateserial -days 20 -extfile leaf.ext -out second.pem
openssl x509 -req -in leaf.csr -CA lower.pem -CAkey lower.key -CAcreateserial -days -1 -extfile leaf.ext \\
    -out old-leaf.pem
openssl x509 -req -in leaf.csr -signkey key.pem -days 20 -extfile leaf.ext -out own.pem
cp key.pem leaf.key
openssl req -new -key lower.key -subj /CN=b.test -out b.csr
openssl x509 -req -in b.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -out same-key.pem
";

/// The certificates of a chain file, in its order.
const CHAINS: &[&str] = &[
    "leaf",
    "leaf lower",
    "leaf lower upper",
    "leaf lower upper root",
    "leaf upper",
    "leaf upper lower",
    "leaf root",
    "leaf other",
    "leaf lower other",
    "leaf other lower",
    "leaf lower upper other",
    "leaf leaf",
    "leaf leaf lower",
    "leaf lower lower",
    "leaf lower upper crossed",
    "leaf lower crossed upper",
    "leaf lower crossed",
    "leaf lower crossed old",
    "leaf lower crossed upper root old",
    "leaf lower expired",
    "leaf lower expired upper",
    "leaf expired-other",
    "lower leaf",
    "upper lower leaf",
    "root upper lower leaf",
    "other leaf",
    "root leaf lower upper",
    "leaf second",
    "second leaf",
    "second other leaf lower",
    "old-leaf",
    "old-leaf leaf",
    "leaf old-leaf",
    "old-leaf lower",
    "own",
    "own leaf",
    "leaf own",
    "lower",
    "lower upper",
    "root",
    "other",
];

pub fn add(cases: &mut Cases) {
    let workshop = Workshop::after(AUTHORITIES);
    let read = |name: &str| fs::read_to_string(workshop.path(name)).unwrap();
    let file = |names: &str| -> String {
        names.split(' ').map(|name| read(&format!("{name}.pem"))).collect()
    };
    for names in CHAINS {
        cases.add(&format!("chain: {names}"), file(names), read("leaf.key"));
    }
    for names in ["lower upper", "leaf lower upper", "same-key lower", "lower same-key"] {
        cases.add(&format!("chain: {names}, key of lower"), file(names), read("lower.key"));
    }
    let key = read("leaf.key");
    cases.add_one_file(
        "one file: key, leaf, lower, upper",
        format!("{key}{}", file("leaf lower upper")),
    );
    cases.add_one_file(
        "one file: leaf, lower, upper, key",
        format!("{}{key}", file("leaf lower upper")),
    );
    cases.add_one_file(
        "one file: leaf, key, lower, upper",
        format!("{}{key}{}", file("leaf"), file("lower upper")),
    );
    cases.add_one_file(
        "one file: upper, lower, leaf, key",
        format!("{}{key}", file("upper lower leaf")),
    );
    for count in [10, 11, 63, 64, 65, 100] {
        let many = format!("leaf{}", " lower".repeat(count - 1));
        cases.add(&format!("chain: {count} certificates"), file(&many), &key);
    }
    let damaged = read("lower.pem").replacen('M', "?", 1);
    cases.add("chain: damaged base64 behind the leaf", file("leaf") + &damaged, &key);
    let cut = &read("lower.pem")[..200];
    cases.add("chain: cut-off behind the leaf", file("leaf") + cut, &key);
    let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    cases.add("chain: no certificate behind the leaf", file("leaf") + empty, &key);
}
