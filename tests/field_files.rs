//! Files as they are found in the field: what other servers serve is served, with a warning where clients may refuse it
//! (G23), and what would hurt is refused. The judges are plain rustls and the client of OpenSSL.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use certreload::ffi::event::*;
use certreload::ffi::options::trust::{
    certreload_client_auth, certreload_options_set_authority_names,
};
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;
use support::host::{Builder, last_error};
use support::workshop::{Workshop, warnings_at_open};

const NAME: &str = "a.test";

/// What `openssl s_client` says of one connection in each protocol version, if it verifies the chain.
fn openssl_verifies(config: &Arc<rustls::ServerConfig>, workshop: &Workshop, roots: &str) {
    for version in ["-tls1_2", "-tls1_3"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
        let serving = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut stream = rustls::Stream::new(&mut connection, &mut socket);
            stream.write_all(b"served\n")?;
            stream.conn.send_close_notify();
            stream.flush()
        });
        let client = Command::new("openssl")
            .args(["s_client", version, "-connect", &address, "-servername", NAME])
            .args(["-verify_return_error", "-brief", "-ign_eof", "-CAfile"])
            .arg(workshop.path(roots))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&client.stdout) + String::from_utf8_lossy(&client.stderr);
        assert!(client.status.success(), "{version}: {said}");
        assert!(said.contains("served"), "{version}: {said}");
        serving.join().unwrap().unwrap();
    }
}

/// What plain rustls serves with the pair, without this library.
fn plain_rustls(workshop: &Workshop) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain = CertificateDer::pem_file_iter(workshop.path("chain.pem")).unwrap();
    let chain: Vec<_> = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(workshop.path("key.pem")).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(chain, key);
    let builder = rustls::ServerConfig::builder_with_provider(provider.into());
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified))).into()
}

/// Certificates of forms that verifiers of rustls do not parse, and clients of OpenSSL verify.
#[test]
fn g23_what_plain_rustls_serves_to_openssl_is_served_with_a_warning() {
    let request = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout key.pem -subj /CN=a.test \
                   -out leaf.csr";
    let sign = "openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -out chain.pem";
    // Requests a certificate for the same key, whose public part is written in another form.
    let named = "echo subjectAltName=DNS:a.test >ext
         again() { openssl ec -in key.pem \"$@\" -out again.pem; openssl req -new -key again.pem -subj /CN=a.test -out leaf.csr; }";
    let table = [
        (
            "version 1",
            format!("{sign}; openssl x509 -in chain.pem -noout -text | grep -q 'Version: 1 '"),
            "version 1",
        ),
        (
            "critical certificatePolicies",
            format!(
                "printf 'subjectAltName=DNS:a.test\ncertificatePolicies=critical,1.2.3.4\n' >ext; {sign} -extfile ext"
            ),
            "critical extension",
        ),
        (
            "a common name alone",
            format!("echo basicConstraints=CA:FALSE >ext; {sign} -extfile ext"),
            "subjectAltName",
        ),
        (
            "a compressed point",
            format!("{named}; again -conv_form compressed; {sign} -extfile ext"),
            "public key",
        ),
        (
            "Server Gated Crypto of Netscape",
            format!("{named}; echo extendedKeyUsage=nsSGC >>ext; {sign} -extfile ext"),
            "Server Gated Crypto",
        ),
        (
            "Server Gated Crypto of Microsoft",
            format!("{named}; echo extendedKeyUsage=msSGC >>ext; {sign} -extfile ext"),
            "Server Gated Crypto",
        ),
    ];
    for (what, script, words) in table {
        let workshop = Workshop::after(&format!("authority root root; {request}; {script}"));
        openssl_verifies(&plain_rustls(&workshop), &workshop, "root.pem");
        let host = workshop.options().open();
        let (warnings, message) = warnings_at_open(&host);
        assert_eq!(warnings, CERTRELOAD_WARNING_COMPATIBILITY, "{what}: {message}");
        assert!(message.contains(words), "{what}: {message}");
        assert_eq!(host.status().health, Health::Ok);
        openssl_verifies(&host.config(), &workshop, "root.pem");
    }
}

#[test]
fn signatures_with_broken_hashes_cause_a_warning() {
    let issue = |hash: &str| {
        format!(
            "authority root root
             openssl req -newkey rsa:2048 -noenc -keyout key.pem -subj /CN=a.test -out leaf.csr
             openssl req -x509 -newkey rsa:2048 -noenc -keyout root.key -subj /CN=root -out root.pem
             echo subjectAltName=DNS:a.test >ext
             openssl x509 -req -{hash} -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 \
                 -extfile ext -out chain.pem"
        )
    };
    for (hash, words) in [("md5", "MD5"), ("sha1", "SHA-1"), ("sha256", "")] {
        let host = Workshop::after(&issue(hash)).options().open();
        let (warnings, message) = warnings_at_open(&host);
        let expected = if words.is_empty() { 0 } else { CERTRELOAD_WARNING_COMPATIBILITY };
        assert_eq!(warnings, expected, "{hash}: {message}");
        assert!(message.contains(words), "{hash}: {message}");
    }
}

/// An authority whose key is restricted to RSA-PSS: the provider does not know such keys, so it cannot judge.
#[test]
fn g23_a_chain_under_an_authority_with_an_rsa_pss_key_is_served() {
    let workshop = Workshop::after(
        "openssl req -x509 -newkey rsa-pss -pkeyopt rsa_keygen_bits:2048 -noenc -keyout root.key -subj /CN=root \
             -days 30 -out root.pem
         issue a.test root authorityKeyIdentifier=keyid
         openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -days 20 -extfile leaf.ext -sha256 \
             -sigopt rsa_pss_saltlen:32 -out leaf.pem
         cat leaf.pem root.pem >chain.pem",
    );
    let host = workshop.options().open();
    openssl_verifies(&host.config(), &workshop, "root.pem");
}

/// The key of the authority in the place of the server's: its certificate must not be served.
#[test]
fn g2_the_key_of_an_authority_is_no_key_of_the_chain() {
    let workshop = Workshop::after(
        "authority root root; authority middle root; issue a.test middle; cat leaf.pem middle.pem root.pem >chain.pem",
    );
    let host = workshop.options().open();
    let served = host.served(NAME);
    assert_eq!(served, workshop.fingerprint("leaf.pem"));
    for order in
        ["leaf.pem middle.pem root.pem", "root.pem middle.pem leaf.pem", "middle.pem leaf.pem"]
    {
        for key in ["middle.key", "root.key"] {
            workshop.run(&format!("cp {key} key.pem; cat {order} >chain.pem"));
            assert_eq!(
                host.reload_wait(),
                Outcome::KeyMismatch,
                "{order}, {key}: {}",
                last_error()
            );
            assert_eq!(host.served(NAME), served, "{order}, {key}");
        }
    }
}

/// One key for an authority and its server: the first certificate is served, whatever its dates (G15).
#[test]
fn of_two_certificates_with_one_key_the_first_is_the_leaf() {
    let workshop = Workshop::after(
        "authority root root; cp root.key key.pem
         openssl req -new -key key.pem -subj /CN=a.test -out leaf.csr; echo subjectAltName=DNS:a.test >leaf.ext
         sign() { openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -days $1 \
             -extfile leaf.ext -out leaf.pem; }
         sign 20; cat leaf.pem root.pem >chain.pem",
    );
    let host = workshop.options().open();
    assert_eq!(host.served(NAME), workshop.fingerprint("leaf.pem"));
    workshop.run(
        "openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -days -1 -extfile leaf.ext \
             -out leaf.pem; cat leaf.pem root.pem >chain.pem",
    );
    assert_eq!(host.reload_wait(), Outcome::CertificateExpired, "{}", last_error());
}

/// OpenSSL's own configuration makes every certificate of `openssl req -x509` one of an authority.
#[test]
fn a_leaf_with_ca_true_is_found_behind_its_issuer() {
    let workshop = Workshop::after(
        "authority root root; authority a.test root; cp a.test.key key.pem; cat root.pem a.test.pem >chain.pem",
    );
    let host = workshop.options().open();
    assert_eq!(host.sha256(), workshop.fingerprint("a.test.pem"));
}

#[test]
fn of_several_keys_that_of_the_certificate_is_used_with_a_warning() {
    let workshop = Workshop::after(
        "ec P-256; cp key.pem other.pem; rsa 2048; cp key.pem rsa.pem; ec P-256; certify",
    );
    let fingerprint = workshop.fingerprint("chain.pem");
    workshop.run("cp key.pem own.pem");
    for order in ["own.pem other.pem", "other.pem own.pem", "rsa.pem other.pem own.pem"] {
        workshop.run(&format!("cat {order} >key.pem"));
        let host = workshop.options().open();
        assert_eq!(host.served(NAME), fingerprint, "{order}");
        let (warnings, message) = warnings_at_open(&host);
        assert_eq!(warnings, CERTRELOAD_WARNING_PEM_SKIPPED, "{order}: {message}");
        assert!(message.contains("private keys, and that of the certificate is used"), "{message}");
    }
    workshop.run("cat other.pem rsa.pem >key.pem");
    assert_eq!(workshop.options().try_open().err(), Some(Outcome::SeveralPrivateKeys));
    assert!(
        last_error().contains("2 private keys, and none is that of the certificate"),
        "{}",
        last_error()
    );
}

/// Files that were joined with `cat`: a byte order mark or blanks before a BEGIN line in the middle.
#[test]
fn g2_sections_after_a_byte_order_mark_or_blanks_are_read() {
    let workshop =
        Workshop::after("authority root root; authority middle root; issue a.test middle");
    for margin in [r"\357\273\277", "   ", r"\t", r"\357\273\277 "] {
        workshop.run(&format!("{{ cat leaf.pem; printf '{margin}'; cat middle.pem; }} >chain.pem"));
        let host = workshop.options().open();
        assert_eq!(host.served_chain(NAME).len(), 2, "{margin}");
        assert_eq!(warnings_at_open(&host), (0, warnings_at_open(&host).1), "{margin}");
        openssl_verifies(&host.config(), &workshop, "root.pem");
    }
    // Anything else before it is not a section, and that is said.
    workshop.run("{ cat leaf.pem; printf '# '; cat middle.pem; } >chain.pem");
    let host = workshop.options().open();
    let (warnings, message) = warnings_at_open(&host);
    assert_ne!(warnings & CERTRELOAD_WARNING_PEM_SKIPPED, 0, "{message}");
    let line = fs::read_to_string(workshop.path("leaf.pem")).unwrap().lines().count() + 1;
    assert!(message.contains(&format!("line {line} of ")), "{message}");
    // Nor are END and BEGIN on one line.
    workshop.run(r#"{ printf %s "$(cat leaf.pem)"; cat middle.pem; } >chain.pem"#);
    assert_eq!(
        workshop.options().try_open().err(),
        Some(Outcome::PemMalformed),
        "{}",
        last_error()
    );
    assert!(last_error().contains("END and BEGIN are on one line"), "{}", last_error());
}

/// Clients of OpenSSL do not verify such a certificate; those that pin it may.
#[test]
fn g23_a_certificate_whose_curve_is_spelled_out_is_served_with_a_warning() {
    let workshop = Workshop::after(
        "ec P-256; openssl ec -in key.pem -param_enc explicit -out again.pem; cp key.pem named.pem; mv again.pem key.pem
         certify; cp key.pem explicit.pem",
    );
    for key in ["named.pem", "explicit.pem"] {
        workshop.run(&format!("cp {key} key.pem"));
        let host = workshop.options().open();
        let (warnings, message) = warnings_at_open(&host);
        assert_eq!(warnings, CERTRELOAD_WARNING_COMPATIBILITY, "{key}: {message}");
        assert_eq!(host.sha256(), workshop.fingerprint("chain.pem"));
    }
    workshop.run("ec P-256");
    assert_eq!(workshop.options().try_open().err(), Some(Outcome::KeyMismatch));
}

/// Text behind the END of a section: plain rustls reads the section, OpenSSL does not.
#[test]
fn g23_text_behind_an_end_line_is_no_reason_to_refuse() {
    let workshop =
        Workshop::after("authority root root; authority middle root; issue a.test middle");
    workshop.run("cat leaf.pem middle.pem | sed 's/^-----END.*/& # a.test/' >chain.pem; sed -i 's/^-----END.*/&;/' key.pem");
    openssl_verifies(&plain_rustls(&workshop), &workshop, "root.pem");
    let host = workshop.options().open();
    assert_eq!(host.served_chain(NAME).len(), 2);
    openssl_verifies(&host.config(), &workshop, "root.pem");
    // The END of another kind of section ends none.
    workshop.run("sed 's/^-----END CERTIFICATE/& REQUEST/' leaf.pem >chain.pem");
    assert_eq!(workshop.options().try_open().err(), Some(Outcome::PemMalformed));
}

fn with_roots(workshop: &Workshop) -> Builder {
    workshop.options().client_auth(certreload_client_auth::Required, &workshop.path("roots.pem"))
}

#[test]
fn g13_a_root_behind_other_text_is_reported_and_never_lost_by_it() {
    let workshop = Workshop::after(
        "ec P-256; certify; authority one one; authority two two; cat one.pem two.pem >roots.pem",
    );
    let host = with_roots(&workshop).open();
    workshop.run(r"{ cat one.pem; printf '\357\273\277'; cat two.pem; } >roots.pem");
    assert_eq!(host.reload_wait(), Outcome::Ok, "other bytes: {}", last_error());
    workshop.run("{ cat one.pem; printf '# '; cat two.pem; } >roots.pem");
    assert_eq!(host.reload_wait(), Outcome::PemMalformed);
    assert!(last_error().contains("a root that is trusted now is missing"), "{}", last_error());
    workshop.run(
        "authority three three; { cat one.pem two.pem; printf '# '; cat three.pem; } >roots.pem",
    );
    assert_eq!(host.reload_wait(), Outcome::Ok, "a root that never was: {}", last_error());
    assert_ne!(host.status().warnings & CERTRELOAD_WARNING_PEM_SKIPPED, 0);
    workshop
        .run("{ cat one.pem; printf '# '; cat two.pem; printf '# '; cat three.pem; } >roots.pem");
    assert_eq!(host.reload_wait(), Outcome::PemMalformed, "the second such line");
    // Comments of all its lines remove a root.
    workshop.run("{ cat one.pem; sed 's/^/# /' two.pem; } >roots.pem");
    assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
    assert_ne!(host.status().warnings & CERTRELOAD_WARNING_PEM_SKIPPED, 0);
}

#[test]
fn a_root_that_is_no_authority_causes_a_warning_with_its_name() {
    let workshop = Workshop::after(
        "ec P-256; certify; authority root root; issue peer.test root; cat root.pem leaf.pem >roots.pem; ec P-256; certify",
    );
    let host = with_roots(&workshop).open();
    let (warnings, message) = warnings_at_open(&host);
    assert_ne!(warnings & CERTRELOAD_WARNING_ROOT_DOUBTFUL, 0, "{message}");
    assert!(message.contains("(\"peer.test\") is no CA certificate"), "{message}");
}

/// Roots with one key, each with `subject` and its number.
fn write_roots(workshop: &Workshop, count: u64, subject: impl Fn(u64) -> String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let root = |number| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, subject(number));
        params.serial_number = Some((number + 1).into());
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&key).unwrap().pem()
    };
    fs::write(workshop.path("roots.pem"), (0..count).map(root).collect::<String>()).unwrap();
}

#[test]
fn roots_whose_names_do_not_fit_are_refused_unless_no_names_are_sent() {
    let workshop = Workshop::after("ec P-256; certify");
    write_roots(&workshop, 400, |number| format!("{number:0200}"));
    assert_eq!(with_roots(&workshop).try_open().err(), Some(Outcome::TooManyCertificates));
    let message = last_error();
    assert!(message.contains("roots.pem: its 400 roots have subject names of "), "{message}");
    let builder = with_roots(&workshop);
    // SAFETY: live options.
    unsafe { certreload_options_set_authority_names(builder.0, false) };
    builder.open();
    write_roots(&workshop, 250, |number| format!("{number:0200}"));
    with_roots(&workshop).open();
}

#[test]
fn more_roots_with_one_subject_than_are_tried_cause_a_warning() {
    let workshop = Workshop::after("ec P-256; certify");
    for (count, expected) in [(99, 0), (100, CERTRELOAD_WARNING_ROOT_DOUBTFUL)] {
        write_roots(&workshop, count, |_| "one for all".to_owned());
        let (warnings, message) = warnings_at_open(&with_roots(&workshop).open());
        assert_eq!(warnings, expected, "{message}");
        assert!(
            expected == 0 || message.contains("100 roots have the subject \"one for all\""),
            "{message}"
        );
    }
}
