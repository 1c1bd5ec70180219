//! Files that are served, and that some kinds of peers refuse: the warning at load says which (G23). The judges are the
//! clients of OpenSSL and `GnuTLS`, and plain rustls.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use certreload::ffi::event::*;
use certreload::ffi::options::trust::certreload_client_auth;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use support::client::Client;
use support::host::Host;
use support::workshop::{Workshop, warnings_at_open};

const NAME: &str = "a.test";

/// `ca FILE MASK KEY NAME` makes FILE.pem, an authority of that name in a string of another type; `request MASK NAME`
/// makes leaf.csr for key.pem likewise.
const FUNCTIONS: &str = r#"
config() {
    printf '[req]\nstring_mask=%s\ndistinguished_name=d\n[d]\n[v]\nbasicConstraints=critical,CA:TRUE\n' $1 >cnf
}
ca() {
    config $2
    openssl req -x509 -config cnf -extensions v -key $3 -subj "/CN=$4" -days 30 -out $1.pem
    cp $3 $1.key
}
request() { config $1; openssl req -new -config cnf -key key.pem -subj "/CN=$2" -out leaf.csr; }
"#;

fn workshop(script: &str) -> Workshop {
    Workshop::after(&format!("{FUNCTIONS}\n{script}"))
}

/// Whether the client that `command` begins accepts what `config` serves.
fn accepts(config: &Arc<rustls::ServerConfig>, command: impl Fn(u16) -> Command) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
    let serving = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        // A client that refuses the certificate ends the connection.
        let _ = stream.write_all(b"served\n");
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    let output = command(port).stdin(Stdio::null()).output().unwrap();
    serving.join().unwrap();
    output.status.success()
}

/// Whether the clients of OpenSSL, `GnuTLS` and rustls accept what `host` serves, if they trust the roots in a file.
fn verdicts(host: &Host, workshop: &Workshop, roots: &str) -> [bool; 3] {
    let (config, roots) = (host.config(), workshop.path(roots));
    let openssl = |port| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", NAME]);
        command.args(["-verify_return_error", "-ign_eof", "-CAfile"]).arg(&roots);
        command
    };
    let gnutls = |port: u16| {
        let mut command = Command::new("gnutls-cli");
        command.args(["--port", &port.to_string(), "127.0.0.1", "--sni-hostname", NAME]);
        command.args(["--verify-hostname", NAME, "--x509cafile"]).arg(&roots);
        command
    };
    let rustls = {
        let mut store = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(&roots).unwrap() {
            store.add(root.unwrap()).unwrap();
        }
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let client = rustls::ClientConfig::builder_with_provider(provider.into());
        let client = client.with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(store).with_no_client_auth();
        Client::with_config(client).accepts(host.config(), NAME)
    };
    [accepts(&config, openssl), accepts(&config, gnutls), rustls]
}

/// The authority's own certificate has a `PrintableString`, and what it issues a `UTF8String`.
#[test]
fn g23_an_issuer_in_other_bytes_is_found_and_the_warning_says_who_refuses_it() {
    let workshop = workshop(
        "ec P-256; cp key.pem shared.key
         ca root nombstr shared.key 'My CA'; ca utf8 utf8only shared.key 'My CA'
         issue a.test utf8; cat leaf.pem root.pem >chain.pem",
    );
    let host = workshop.options().open();
    let (warnings, message) = warnings_at_open(&host);
    assert_eq!(warnings, CERTRELOAD_WARNING_COMPATIBILITY, "{message}");
    let words = "names its issuer \"My CA\" as certificate 2 is named, but in other bytes (UTF8String and \
                 PrintableString): clients that compare bytes (rustls, GnuTLS) refuse it";
    assert!(message.contains(words), "{message}");
    assert_eq!(verdicts(&host, &workshop, "root.pem"), [true, false, false]);
    // With the name as the leaf has it, before or behind, all is well.
    for order in ["leaf.pem utf8.pem", "leaf.pem utf8.pem root.pem", "root.pem leaf.pem utf8.pem"] {
        workshop.run(&format!("cat {order} >chain.pem"));
        let host = workshop.options().open();
        let (warnings, message) = warnings_at_open(&host);
        assert_eq!(warnings & CERTRELOAD_WARNING_COMPATIBILITY, 0, "{order}: {message}");
        assert_eq!(verdicts(&host, &workshop, "utf8.pem"), [true; 3], "{order}");
    }
}

/// Upper case and blanks make no difference either.
#[test]
fn g23_an_issuer_in_other_case_is_found() {
    let workshop = workshop(
        "ec P-256; cp key.pem shared.key
         ca root utf8only shared.key 'my  ca'; ca other utf8only shared.key 'My CA'
         issue a.test other; cat leaf.pem root.pem >chain.pem",
    );
    let host = workshop.options().open();
    let (warnings, message) = warnings_at_open(&host);
    assert_eq!(warnings, CERTRELOAD_WARNING_COMPATIBILITY, "{message}");
    assert!(message.contains("in other bytes (other case, blanks or order)"), "{message}");
    assert_eq!(verdicts(&host, &workshop, "root.pem"), [true, false, false]);
}

#[test]
fn g23_a_self_issued_leaf_with_two_types_of_strings_is_complete_and_rustls_refuses_it() {
    let workshop = workshop(
        "ec P-256; ca utf8 utf8only key.pem a.test; request nombstr a.test
         printf 'subjectAltName=DNS:a.test\nbasicConstraints=CA:FALSE\nauthorityInfoAccess=caIssuers;URI:http://a\n' >ext
         openssl x509 -req -in leaf.csr -CA utf8.pem -CAkey utf8.key -CAcreateserial -days 9 -extfile ext -out chain.pem",
    );
    let host = workshop.options().open();
    let (warnings, message) = warnings_at_open(&host);
    assert_eq!(warnings, CERTRELOAD_WARNING_COMPATIBILITY, "{message}");
    let words = "names itself as its issuer, but in other bytes (UTF8String and PrintableString): clients on \
                 rustls refuse it";
    assert!(message.contains(words), "{message}");
    assert_eq!(verdicts(&host, &workshop, "chain.pem"), [true, true, false]);
}

/// What `openssl req -x509` makes, and a certificate that was issued with CA:TRUE.
#[test]
fn g23_a_leaf_that_is_marked_as_an_authority_causes_a_warning_that_names_rustls() {
    let own = "ec P-256; openssl req -x509 -key key.pem -days 30 -subj /CN=a.test -addext subjectAltName=DNS:a.test \
               -out chain.pem; cp chain.pem root.pem";
    let issued =
        "authority root root; issue a.test root basicConstraints=CA:TRUE; cp leaf.pem chain.pem";
    for (script, trusted) in [(own, ", even if they trust it as a root"), (issued, "")] {
        let workshop = workshop(script);
        let host = workshop.options().open();
        let (warnings, message) = warnings_at_open(&host);
        assert_eq!(warnings, CERTRELOAD_WARNING_COMPATIBILITY, "{message}");
        let words = format!(
            "(\"a.test\") is marked as an authority (basicConstraints CA:TRUE); clients on rustls refuse it{trusted}; issue"
        );
        assert!(message.contains(&words), "{message}");
        assert_eq!(verdicts(&host, &workshop, "root.pem"), [true, true, false], "{script}");
    }
    // The leaf of an authority that is none itself.
    let workshop = workshop("authority root root; issue a.test root; cp leaf.pem chain.pem");
    let host = workshop.options().open();
    assert_eq!(warnings_at_open(&host).0, 0);
    assert_eq!(verdicts(&host, &workshop, "root.pem"), [true; 3]);
}

fn warnings_with_roots(script: &str) -> (u32, String) {
    let workshop = workshop(&format!(
        "authority root root; issue a.test root; cp leaf.pem chain.pem; mv key.pem own.pem; {script}; mv own.pem key.pem"
    ));
    let roots = workshop.path("roots.pem");
    let host = workshop.options().client_auth(certreload_client_auth::Required, &roots).open();
    warnings_at_open(&host)
}

#[test]
fn roots_with_keys_that_verify_nothing_cause_a_warning_with_the_kind_of_key() {
    let root = "openssl req -x509 -key key.pem -days 30 -subj '/CN=the root' -out roots.pem";
    for (key, kind) in [
        ("rsa 1024", "an RSA key of 1024 bits"),
        ("pkcs8 -algorithm rsa-pss", "an RSA key restricted to PSS"),
        ("pkcs8 -algorithm ed448", "an Ed448 key"),
        ("ec secp256k1", "an EC key on the curve secp256k1"),
        ("ec brainpoolP256r1", "an EC key on a Brainpool curve"),
        ("openssl dsaparam -genkey -out key.pem 1024", "a DSA key"),
        (
            "ec P-256; openssl ec -in key.pem -conv_form compressed -out new; mv new key.pem",
            "an EC key with a compressed point",
        ),
        (
            "ec P-256; openssl ec -in key.pem -param_enc explicit -out new; mv new key.pem",
            "an EC key whose curve is spelled out",
        ),
    ] {
        let (warnings, message) = warnings_with_roots(&format!("{key}; {root}"));
        assert_eq!(warnings, CERTRELOAD_WARNING_ROOT_DOUBTFUL, "{key}: {message}");
        let words = format!(
            "(\"the root\") has {kind}; the cryptography provider verifies no signatures with that key, so every peer \
             under this root is refused"
        );
        assert!(message.contains(&words), "{message}");
    }
    for key in
        ["rsa 2048", "rsa 4096", "ec P-256", "ec P-384", "ec P-521", "pkcs8 -algorithm ed25519"]
    {
        let (warnings, message) = warnings_with_roots(&format!("{key}; {root}"));
        assert_eq!(warnings, 0, "{key}: {message}");
    }
}

#[test]
fn a_root_that_can_only_be_a_peer_and_is_marked_as_an_authority_causes_a_warning() {
    let root = |usage: &str| {
        warnings_with_roots(&format!(
            "ec P-256; openssl req -x509 -key key.pem -days 30 -subj /CN=pinned {usage} -out roots.pem"
        ))
    };
    let (warnings, message) = root("-addext keyUsage=digitalSignature");
    assert_eq!(warnings, CERTRELOAD_WARNING_ROOT_DOUBTFUL, "{message}");
    let words = "(\"pinned\") may not issue certificates (its keyUsage lacks keyCertSign), and is refused as the";
    assert!(message.contains(words), "{message}");
    for usage in
        ["", "-addext keyUsage=keyCertSign", "-addext keyUsage=digitalSignature,keyCertSign"]
    {
        let (warnings, message) = root(usage);
        assert_eq!(warnings, 0, "{usage}: {message}");
    }
}
