//! Every form in which OpenSSL hands out keys and certificates: what can serve serves, and what
//! cannot is refused by its name (G12, G15, G16).

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use certreload::ffi::event::*;
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use support::host::{Builder, last_error};
use support::workshop::{Workshop, warnings_at_open};

const NAME: &str = "a.test";

#[test]
fn every_form_of_a_usable_key_and_chain_serves() {
    let table = [
        ("PKCS#8, RSA 2048", "rsa 2048; certify"),
        ("PKCS#8, RSA 3072", "rsa 3072; certify"),
        ("PKCS#8, RSA 4096", "rsa 4096; certify"),
        ("PKCS#8, P-256", "ec P-256; certify"),
        ("PKCS#8, P-384", "ec P-384; certify"),
        ("PKCS#8, P-521", "ec P-521; certify"),
        ("PKCS#8, Ed25519", "pkcs8 -algorithm ed25519; certify"),
        ("PKCS#1", "rsa 2048; certify; openssl rsa -traditional -in key.pem -out new; mv new key.pem"),
        ("SEC1, P-256", "ec P-256; certify; openssl ec -in key.pem -out new; mv new key.pem"),
        ("SEC1, P-384", "ec P-384; certify; openssl ec -in key.pem -out new; mv new key.pem"),
        ("SEC1, P-521", "ec P-521; certify; openssl ec -in key.pem -out new; mv new key.pem"),
        ("EC PARAMETERS first", "openssl ecparam -name prime256v1 -genkey -out key.pem; certify"),
        (
            "P-256 spelled out, SEC1",
            "ec P-256; certify; openssl ec -in key.pem -param_enc explicit -out new; mv new key.pem",
        ),
        (
            "P-256 spelled out, PKCS#8",
            "ec P-256; certify; openssl ec -in key.pem -param_enc explicit -out new; openssl pkey -in new -out key.pem",
        ),
        ("CRLF", "ec P-256; certify; rewrite sed 's/$/\\r/'"),
        ("CR alone", "ec P-256; certify; rewrite tr '\\n' '\\r'"),
        ("trailing spaces", "ec P-256; certify; rewrite sed 's/$/  /'"),
        ("a byte order mark", "ec P-256; certify; rewrite sed '1s/^/\\xef\\xbb\\xbf/'"),
        ("text around it", "ec P-256; certify -text; openssl pkey -text -in key.pem -out new; mv new key.pem"),
        ("the certificate in the key file", "ec P-256; certify; cat chain.pem >>key.pem"),
        ("the key in the chain file", "ec P-256; certify; cat key.pem >>chain.pem"),
        ("one file for both", "ec P-256; certify; cat chain.pem >>key.pem; ln -sf key.pem chain.pem"),
        (
            "PKCS#12, unpacked",
            "ec P-256; certify; openssl pkcs12 -export -passout pass:x -in chain.pem -inkey key.pem -out both.p12
             openssl pkcs12 -in both.p12 -passin pass:x -nodes -out key.pem; cp key.pem chain.pem",
        ),
        (
            "TRUSTED CERTIFICATE",
            "ec P-256; certify; openssl x509 -in chain.pem -addtrust serverAuth -out new; mv new chain.pem
             grep -q 'BEGIN TRUSTED' chain.pem",
        ),
        ("base64 in one line", "ec P-256; certify; rewrite awk '/-----/ { if (b) print b; b = \"\"; print; next } { b = b $0 }'"),
        ("DH parameters besides", "ec P-256; certify; openssl dhparam -dsaparam 1024 >>chain.pem"),
    ];
    for (what, script) in table {
        let workshop = Workshop::after(script);
        let expected = workshop.fingerprint("original.pem");
        match workshop.options().try_open() {
            Ok(host) => {
                assert_eq!(host.served(NAME), expected, "{what}");
                assert_eq!(warnings_at_open(&host).0, 0, "{what}");
            }
            Err(result) => panic!("{what}: {result:?}: {}", last_error()),
        }
    }
}

/// The credential bundle of Kubernetes (`credentialBundlePath` of a `podCertificate` volume): the key, then the leaf and
/// its issuers, in one file.
#[test]
fn a_credential_bundle_is_served_and_renewed() {
    let workshop = Workshop::after(
        "authority root root; authority middle root; issue a.test middle
         cat key.pem leaf.pem middle.pem >bundle.pem",
    );
    let bundle = workshop.path("bundle.pem");
    let builder = Builder::new().watch(Watch::Off).debounce_ms(0, 0);
    let host = builder.identity(&bundle, &bundle).open();
    assert_eq!(warnings_at_open(&host).0, 0, "{}", warnings_at_open(&host).1);
    assert_eq!(host.served_chain(NAME).len(), 2);
    assert_eq!(host.served(NAME), workshop.fingerprint("leaf.pem"));
    workshop.run("issue a.test middle; cat key.pem leaf.pem middle.pem >new; mv new bundle.pem");
    assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
    assert_eq!(host.served(NAME), workshop.fingerprint("leaf.pem"));
    assert_eq!(host.served_chain(NAME).len(), 2);
}

/// ML-DSA (FIPS 204) signs in TLS 1.3 alone.
#[test]
fn ml_dsa_is_served_alone_and_beside_a_key_that_every_client_knows() {
    let workshop = Workshop::after("ec P-256; certify; cp key.pem ec.key; cp chain.pem ec.pem");
    let known = workshop.fingerprint("ec.pem");
    for algorithm in [&rcgen::PKCS_ML_DSA_44, &rcgen::PKCS_ML_DSA_65, &rcgen::PKCS_ML_DSA_87] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let sha256 = support::certificates::sha256(certificate.der());
        support::certificates::write_private(&workshop.path("key.pem"), &key.serialize_pem());
        support::certificates::replace(&workshop.path("chain.pem"), &certificate.pem());
        let host = workshop.options().open();
        assert_eq!(warnings_at_open(&host).0, 0, "{}", warnings_at_open(&host).1);
        assert_eq!(host.served(NAME), sha256);
        let both = workshop.options();
        let both = both.identity(&workshop.path("ec.pem"), &workshop.path("ec.key")).open();
        assert_eq!(
            warnings_at_open(&both).0,
            0,
            "two kinds of keys: {}",
            warnings_at_open(&both).1
        );
        assert_eq!(both.served(NAME), sha256, "a client that knows ML-DSA");
        let scheme = rustls::SignatureScheme::ECDSA_NISTP256_SHA256;
        assert_eq!(handshake_with(both.config(), scheme), known, "a client that does not");
    }
}

/// The fingerprint of what a client is shown that verifies signatures of one scheme.
fn handshake_with(
    config: std::sync::Arc<rustls::ServerConfig>,
    scheme: rustls::SignatureScheme,
) -> String {
    let (client, _) = support::client::Client::of_scheme(scheme).talk(config, NAME);
    support::host::fingerprint(&client)
}

#[test]
fn what_cannot_serve_is_refused_by_its_name() {
    let table = [
        ("RSA 1024", "rsa 1024; certify", Outcome::KeyUnsupported, "1024 bits"),
        (
            "RSA 1024, PKCS#1",
            "rsa 1024; certify; openssl rsa -traditional -in key.pem -out new; mv new key.pem",
            Outcome::KeyUnsupported,
            "1024 bits",
        ),
        ("Ed448", "pkcs8 -algorithm ed448; certify", Outcome::KeyUnsupported, "Ed448"),
        (
            "DSA",
            "openssl dsaparam -genkey -out key.pem 1024; certify; openssl pkey -in key.pem -out new; mv new key.pem",
            Outcome::KeyUnsupported,
            "DSA",
        ),
        (
            "DSA, its own format",
            "ec P-256; certify; sed -i 's/ PRIVATE/ DSA PRIVATE/' key.pem",
            Outcome::KeyUnsupported,
            "DSA",
        ),
        ("secp256k1", "ec secp256k1; certify", Outcome::KeyUnsupported, "secp256k1"),
        (
            "secp256k1, SEC1",
            "ec secp256k1; certify; openssl ec -in key.pem -out new; mv new key.pem",
            Outcome::KeyUnsupported,
            "secp256k1",
        ),
        (
            "Brainpool spelled out",
            "ec brainpoolP256r1; certify; openssl ec -in key.pem -param_enc explicit -out new; mv new key.pem",
            Outcome::KeyUnsupported,
            "explicit curve",
        ),
        ("Brainpool", "ec brainpoolP256r1; certify", Outcome::KeyUnsupported, "Brainpool"),
        ("X25519", "ec P-256; certify; pkcs8 -algorithm x25519", Outcome::KeyUnsupported, "X25519"),
        ("RSA-PSS", "pkcs8 -algorithm rsa-pss; certify", Outcome::KeyUnsupported, "PSS"),
        ("UTF-16", "ec P-256; certify; rewrite iconv -t UTF-16", Outcome::NoCertificate, "UTF-16"),
        (
            "a certificate in DER",
            "ec P-256; certify -outform DER",
            Outcome::NoCertificate,
            "openssl x509 -inform DER",
        ),
        (
            "a key in DER",
            "ec P-256; certify; openssl pkey -in key.pem -outform DER -out new; mv new key.pem",
            Outcome::NoPrivateKey,
            "openssl pkey -inform DER",
        ),
        (
            "PKCS#12",
            "ec P-256; certify; openssl pkcs12 -export -passout pass:x -in chain.pem -inkey key.pem -out new; mv new chain.pem",
            Outcome::NoCertificate,
            "PKCS#12",
        ),
        (
            "PKCS#7",
            "ec P-256; certify; openssl crl2pkcs7 -nocrl -certfile chain.pem -out new; mv new chain.pem",
            Outcome::NoCertificate,
            "PKCS#7",
        ),
        (
            "a certificate for clients",
            "ec P-256; certify -addext extendedKeyUsage=clientAuth",
            Outcome::KeyUsageUnfit,
            "serverAuth",
        ),
        (
            "encrypted",
            "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:x -out new; mv new key.pem",
            Outcome::KeyEncrypted,
            "no password",
        ),
        (
            "encrypted of old",
            "ec P-256; certify; openssl ec -aes128 -in key.pem -passout pass:x -out new; mv new key.pem",
            Outcome::KeyUnsupported,
            "openssl pkcs8 -topk8",
        ),
    ];
    for (what, script, code, word) in table {
        let workshop = Workshop::after(script);
        let Err(result) = workshop.options().try_open() else { panic!("{what} was accepted") };
        assert_eq!(result, code, "{what}: {}", last_error());
        assert!(last_error().contains(word), "{what}: {}", last_error());
    }
}

#[test]
fn key_usages_that_clients_may_refuse_cause_a_warning() {
    let table = [
        ("serverAuth", "-addext extendedKeyUsage=serverAuth", 0),
        ("any", "-addext extendedKeyUsage=anyExtendedKeyUsage", 0),
        ("both", "-addext extendedKeyUsage=clientAuth,serverAuth", 0),
        ("signatures", "-addext keyUsage=digitalSignature", 0),
        ("key transport alone", "-addext keyUsage=keyEncipherment", CERTRELOAD_WARNING_KEY_USAGE),
        ("certificates alone", "-addext keyUsage=keyCertSign", CERTRELOAD_WARNING_KEY_USAGE),
    ];
    for (what, extensions, expected) in table {
        let host = Workshop::after(&format!("ec P-256; certify {extensions}")).options().open();
        assert_eq!(warnings_at_open(&host).0, expected, "{what}");
        assert_eq!(host.status().warnings, expected, "{what}");
    }
}

#[test]
fn g15_a_chain_in_the_wrong_order_is_served_in_order_with_a_warning() {
    let table = [
        ("leaf lower upper", "leaf lower upper", 0),
        ("upper lower leaf", "leaf lower upper", CERTRELOAD_WARNING_CHAIN_REORDERED),
        ("leaf upper lower", "leaf lower upper", CERTRELOAD_WARNING_CHAIN_REORDERED),
        ("leaf leaf lower", "leaf lower", CERTRELOAD_WARNING_CHAIN_REORDERED),
        ("leaf lower other", "leaf lower other", CERTRELOAD_WARNING_CHAIN_UNRELATED),
        (
            "leaf upper",
            "leaf upper",
            CERTRELOAD_WARNING_CHAIN_INCOMPLETE | CERTRELOAD_WARNING_CHAIN_UNRELATED,
        ),
        ("leaf", "leaf", CERTRELOAD_WARNING_CHAIN_INCOMPLETE),
    ];
    let workshop = Workshop::after(
        "authority root root; authority upper root; authority lower upper; authority other other
         issue a.test lower 'authorityInfoAccess=caIssuers;URI:http://a.test/lower'",
    );
    for (file, served, warnings) in table {
        workshop.run(&format!("rm -f chain.pem; for n in {file}; do cat $n.pem >>chain.pem; done"));
        let host = workshop.options().open();
        let expected: Vec<_> =
            served.split(' ').map(|name| workshop.fingerprint(&format!("{name}.pem"))).collect();
        assert_eq!(host.served_chain(NAME), expected, "{file}");
        let (bits, message) = warnings_at_open(&host);
        assert_eq!(bits, warnings, "{file}: {message}");
        assert_eq!(message.contains("warning: "), warnings != 0, "{message}");
    }
}

/// `old` issues the leaf, of a key that TLS libraries take no more and OpenSSL still does.
const WEAK_AUTHORITY: &str = "
openssl req -newkey rsa:1024 -noenc -keyout old.key -subj /CN=old -out old.csr
printf 'basicConstraints=critical,CA:TRUE\\nsubjectKeyIdentifier=hash\\n' >old.ext
openssl x509 -req -in old.csr -signkey old.key -days 30 -extfile old.ext -out old.pem
openssl req -newkey rsa:2048 -noenc -keyout key.pem -subj /CN=a.test -out leaf.csr
printf 'subjectAltName=DNS:a.test\\nauthorityKeyIdentifier=keyid\\n' >leaf.ext
openssl x509 -req -in leaf.csr -CA old.pem -CAkey old.key -CAcreateserial -days 20 \
    -extfile leaf.ext -out leaf.pem
cat leaf.pem old.pem >chain.pem
";

#[test]
fn a_signature_that_cannot_be_checked_is_no_reason_to_refuse() {
    let workshop = Workshop::after(WEAK_AUTHORITY);
    workshop.run("openssl verify -auth_level 0 -CAfile old.pem leaf.pem");
    assert_eq!(workshop.options().open().sha256(), workshop.fingerprint("leaf.pem"));
}
