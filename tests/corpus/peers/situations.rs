//! Certificates that clients and servers meet, and what they make of them.

use std::path::PathBuf;

use crate::support::workshop::Workshop;

/// A server's certificate in `chain.pem` and `key.pem`, and its root in `root.pem`. If servers require certificates of
/// clients, there are also `client.pem` and `client.key`, and their root in `clients.pem`.
pub struct Situation {
    pub what: &'static str,
    /// Makes the files.
    script: &'static str,
    /// The name or address of the server that clients verify.
    pub name: &'static str,
    is_mutual: bool,
}

/// The files of a situation.
pub struct Stage {
    workshop: Workshop,
    pub name: &'static str,
    is_mutual: bool,
}

impl Situation {
    pub fn stage(&self) -> Stage {
        let script = format!("{FUNCTIONS}\n{}", self.script);
        let workshop = Workshop::after(&script);
        Stage { workshop, name: self.name, is_mutual: self.is_mutual }
    }
}

impl Stage {
    pub fn path(&self, name: &str) -> PathBuf {
        self.workshop.path(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The roots of clients, if servers ask for certificates.
    pub fn clients(&self) -> Option<PathBuf> {
        self.is_mutual.then(|| self.path("clients.pem"))
    }
}

/// How clients take a server's certificate.
pub struct ServerRow {
    pub situation: Situation,
    /// A letter for each of `Client::ALL`.
    pub letters: &'static str,
    /// Whether certreload warns of the certificate.
    pub warns: bool,
}

/// How servers take a client's certificate: a letter for each of `Client::ALL`.
pub struct ClientRow {
    pub situation: Situation,
    pub openssl: &'static str,
    pub rustls: &'static str,
    /// Whether certreload warns of the root.
    pub warns: bool,
}

const fn server(what: &'static str, letters: &'static str, script: &'static str) -> ServerRow {
    let situation = Situation { what, script, name: "a.test", is_mutual: false };
    ServerRow { situation, letters, warns: false }
}

/// As [`server`], with a certificate that certreload warns of.
const fn warned(what: &'static str, letters: &'static str, script: &'static str) -> ServerRow {
    ServerRow { warns: true, ..server(what, letters, script) }
}

const fn client(
    what: &'static str,
    [openssl, rustls]: [&'static str; 2],
    script: &'static str,
) -> ClientRow {
    let situation = Situation { what, script, name: "a.test", is_mutual: true };
    ClientRow { situation, openssl, rustls, warns: false }
}

/// As [`client`], under a root that certreload warns of.
const fn warned_client(
    what: &'static str,
    letters: [&'static str; 2],
    script: &'static str,
) -> ClientRow {
    ClientRow { warns: true, ..client(what, letters, script) }
}

const FUNCTIONS: &str = r#"
# sign OPTION...: chain.pem, for the request leaf.csr
sign() { openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -out chain.pem "$@"; }
request() { ec P-256; openssl req -new -key key.pem -subj /CN=a.test -out leaf.csr; }
# extended LINE...: signs with these extensions
extended() { printf '%s\n' "$@" >ext; sign -extfile ext; }
named() { extended subjectAltName=DNS:a.test "$@"; }
# again OPTION...: requests a certificate for the same key in another form
again() { openssl ec -in key.pem "$@" -out again.pem; openssl req -new -key again.pem -subj /CN=a.test -out leaf.csr; }
weak_root() { openssl req -x509 -newkey rsa:2048 -noenc -keyout root.key -subj /CN=root -days 30 -out root.pem; }
pss_root() {
    openssl req -x509 -newkey rsa-pss -pkeyopt rsa_keygen_bits:2048 -noenc -keyout root.key -subj /CN=root -days 30 \
        -out root.pem
}
# The subject of root.pem is a UTF8String, and the same name in printable.pem a PrintableString.
two_strings() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout root.key -subj /CN=root -utf8 \
        -days 30 -out root.pem
    printf '[req]\nstring_mask=default\ndistinguished_name=n\nx509_extensions=e\n[n]\n' >cnf
    printf '[e]\nbasicConstraints=critical,CA:TRUE\n' >>cnf
    openssl req -x509 -config cnf -key root.key -subj /CN=root -days 30 -out printable.pem
    openssl asn1parse -in root.pem | grep -q 'UTF8STRING *:root'
    openssl asn1parse -in printable.pem | grep -q 'PRINTABLESTRING *:root'
}
authority_of_itself() {
    openssl req -x509 -key key.pem -days 30 -subj /CN=a.test -addext subjectAltName=DNS:a.test -out chain.pem
    cp chain.pem root.pem
}
# as_client: what has been made is the client's, and the server is a usual one.
as_client() {
    mv root.pem clients.pem; mv chain.pem client.pem; mv key.pem client.key
    authority root root; request; named
}
"#;

/// The clients are OpenSSL at security level 0, OpenSSL, `GnuTLS`, curl and rustls-ffi.
pub const SERVERS: &[ServerRow] = &[
    server("an ordinary certificate", "aaaaa", "authority root root; request; named"),
    warned("X.509 version 1", "aaaar", "authority root root; request; sign"),
    warned(
        "critical certificatePolicies",
        "aaaar",
        "authority root root; request; named certificatePolicies=critical,1.2.3.4",
    ),
    warned(
        "unknown critical extension",
        "rrrrr",
        "authority root root; request; named 1.3.6.1.4.1.99999.4=critical,DER:0500",
    ),
    server(
        "issued by an authority with an RSASSA-PSS key",
        "aaaar",
        "pss_root; request; echo subjectAltName=DNS:a.test >ext
         sign -extfile ext -sha256 -sigopt rsa_pss_saltlen:32",
    ),
    warned("self-signed, CA:TRUE, its own root", "aaaar", "ec P-256; authority_of_itself"),
    server(
        "self-signed, CA:FALSE, its own root",
        "aaaaa",
        "ec P-256; openssl req -x509 -key key.pem -days 30 -subj /CN=a.test -addext subjectAltName=DNS:a.test \
             -addext basicConstraints=critical,CA:FALSE -out chain.pem; cp chain.pem root.pem",
    ),
    server(
        "issuer and root differ in the type of string",
        "aarar",
        "two_strings; cp root.pem utf8.pem; cp printable.pem root.pem; request; named; cp utf8.pem root.pem",
    ),
    warned(
        "common name alone",
        "aaaar",
        "authority root root; request; extended basicConstraints=CA:FALSE",
    ),
    ServerRow {
        situation: Situation {
            what: "IP address",
            script: "authority root root; request; extended subjectAltName=IP:127.0.0.1",
            name: "127.0.0.1",
            is_mutual: false,
        },
        letters: "aaaaa",
        warns: false,
    },
    warned(
        "signed with MD5",
        "arrrr",
        "weak_root; request; echo subjectAltName=DNS:a.test >ext; sign -extfile ext -md5",
    ),
    warned(
        "signed with SHA-1",
        "a?r?r",
        "weak_root; request; echo subjectAltName=DNS:a.test >ext; sign -extfile ext -sha1",
    ),
    warned(
        "Server Gated Crypto of Netscape",
        "aarar",
        "authority root root; request; named extendedKeyUsage=nsSGC",
    ),
    warned(
        "Server Gated Crypto of Microsoft",
        "aarar",
        "authority root root; request; named extendedKeyUsage=msSGC",
    ),
    warned(
        "EC key as a compressed point",
        "aaraa",
        "authority root root; request; again -conv_form compressed; named",
    ),
    warned(
        "EC key whose curve is spelled out",
        "rrrrr",
        "authority root root; request; again -param_enc explicit; named",
    ),
];

pub const CLIENTS: &[ClientRow] = &[
    client(
        "client: an ordinary certificate",
        ["aaaaa", "aaaaa"],
        "authority root root; request; named; as_client",
    ),
    client(
        "client: X.509 version 1",
        ["aaaaa", "rrrrr"],
        "authority root root; request; sign; as_client",
    ),
    client(
        "client: critical certificatePolicies",
        ["aaaaa", "rrrrr"],
        "authority root root; request; named certificatePolicies=critical,1.2.3.4; as_client",
    ),
    client(
        "client: self-signed, CA:TRUE, its own root",
        ["aaaaa", "rrrrr"],
        "ec P-256; authority_of_itself; as_client",
    ),
    client(
        "client: issuer and root differ in the type of string",
        ["aaaaa", "rrrrr"],
        "two_strings; cp root.pem utf8.pem; cp printable.pem root.pem; request; named; cp utf8.pem root.pem; as_client",
    ),
    warned_client(
        "client: issued by an authority with an RSASSA-PSS key",
        ["aaaaa", "rrrrr"],
        "pss_root; request; echo subjectAltName=DNS:a.test >ext
         sign -extfile ext -sha256 -sigopt rsa_pss_saltlen:32; as_client",
    ),
    client(
        "client: common name alone",
        ["aaaaa", "aaaaa"],
        "authority root root; request; extended basicConstraints=CA:FALSE; as_client",
    ),
];
