//! Messages for operators (G24): they name the file, the line and the certificate, say what was found there, and what to
//! do. The files are made with the openssl command line.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::fs;

use certreload::ffi::options::key_password::certreload_options_set_key_password_file;
use certreload::ffi::options::trust::certreload_client_auth;
use certreload::ffi::result::certreload_result as Outcome;
use support::certificates::{Authority, Site, in_the_future};
use support::host::{Builder, c_path, last_error};
use support::workshop::Workshop;

/// A script that spoils a good pair, the code of the failure, and the start of the message: the name of the file is
/// in place of `CHAIN` and `KEY`.
type Row = (&'static str, Outcome, &'static str);

fn check(table: &[Row], before: &str, options: impl Fn(&Workshop) -> Builder) {
    for (script, result, words) in table {
        let workshop = Workshop::after(&format!("{before}\n{script}"));
        assert_eq!(
            options(&workshop).try_open().err(),
            Some(*result),
            "{script}: {}",
            last_error()
        );
        let mut words = (*words).to_owned();
        for (place, file) in [("CHAIN", "chain.pem"), ("KEY", "key.pem"), ("ROOTS", "roots.pem")] {
            words = words.replace(place, workshop.path(file).to_str().unwrap());
        }
        let message = last_error();
        assert!(message.starts_with(&words), "{script}: {message} instead of {words}");
    }
}

#[test]
fn g24_pem_errors_name_the_line_and_what_is_there() {
    let table: [Row; 11] = [
        (
            r#"printf %s "$(awk '{printf "%s\\n", $0}' original.pem)" >chain.pem"#,
            Outcome::PemMalformed,
            "CHAIN: malformed PEM in line 1: line breaks are spelled out as \\n; replace them",
        ),
        (
            r#"{ echo; printf "TLS_CERT='"; awk '{printf "%s\\n", $0}' original.pem; echo "'"; } >chain.pem"#,
            Outcome::NoCertificate,
            "CHAIN: holds no certificate: line 2: line breaks are spelled out as \\n; replace them",
        ),
        (
            r"sed '4s/$/\\nA/' original.pem >chain.pem",
            Outcome::PemMalformed,
            "CHAIN: malformed PEM in line 4: line breaks are spelled out as \\n",
        ),
        (
            r"sed 's/$/\r/; 5s/.$/*/' original.pem >chain.pem",
            Outcome::PemMalformed,
            "CHAIN: malformed PEM in line 5: there is a character that is not base64",
        ),
        (
            "tr -d '\\n' <original.pem >chain.pem",
            Outcome::PemMalformed,
            "CHAIN: malformed PEM in line 1: BEGIN and END are on one line",
        ),
        (
            "openssl req -new -key key.pem -subj /CN=a.test -out chain.pem",
            Outcome::NoCertificate,
            "CHAIN: holds no certificate: it holds a certificate request; install the certificate",
        ),
        (
            "cp key.pem chain.pem",
            Outcome::NoCertificate,
            "CHAIN: holds no certificate: it holds a private key; are the paths swapped?",
        ),
        (
            "openssl pkey -in key.pem -outform DER -out chain.pem",
            Outcome::NoCertificate,
            "CHAIN: holds no certificate: it looks like a private key in DER; are the paths swapped?",
        ),
        (
            "echo '<html>404</html>' >chain.pem",
            Outcome::NoCertificate,
            "CHAIN: holds no certificate: it looks like a web page or XML",
        ),
        (
            "openssl req -new -key key.pem -subj /CN=a.test -out key.new; mv key.new key.pem",
            Outcome::NoPrivateKey,
            "KEY: holds no private key: it holds a certificate request",
        ),
        (
            "openssl pkcs12 -export -inkey key.pem -in chain.pem -passout pass:x -out all.p12; cp all.p12 key.pem",
            Outcome::NoPrivateKey,
            "KEY: holds no private key: it looks like PKCS#12; convert it to PEM with \"openssl pkcs12 -in FILE",
        ),
    ];
    check(&table, "ec P-256; certify", Workshop::options);
    let workshop = Workshop::after(
        "ec P-256; certify; { echo; sed 's/END CERTIFICATE/END PRIVATE KEY/' original.pem; } >chain.pem",
    );
    assert_eq!(workshop.options().try_open().err(), Some(Outcome::PemMalformed));
    let what = ": \"END PRIVATE KEY\" ends the section \"BEGIN CERTIFICATE\" of line 2";
    assert!(last_error().contains(what), "{}", last_error());
}

#[test]
fn g24_one_certificate_of_several_is_named_by_its_position() {
    let workshop = Workshop::after(
        "authority root root; authority middle root; issue a.test middle
         { cat leaf.pem; printf -- '-----BEGIN CERTIFICATE-----\\nMAMCAQU=\\n-----END CERTIFICATE-----\\n'
           cat root.pem; } >chain.pem",
    );
    assert_eq!(workshop.options().try_open().err(), Some(Outcome::CertificateMalformed));
    let message = last_error();
    assert!(message.contains("chain.pem: certificate 2 of 3 cannot be parsed: its"), "{message}");
}

/// A key of GOST R 34.10-2012, which OpenSSL makes only with an engine (RFC 9215).
const GOST_KEY: &str = "
printf '%s\n' asn1=SEQUENCE:key '[key]' version=INTEGER:0 algorithm=SEQUENCE:algorithm \
    key=OCTWRAP,FORMAT:HEX,OCTETSTRING:$(openssl rand -hex 32) '[algorithm]' kind=OID:1.2.643.7.1.1.1.1 \
    parameters=SEQUENCE:parameters '[parameters]' curve=OID:1.2.643.7.1.2.1.1.1 hash=OID:1.2.643.7.1.1.2.2 >gost.cnf
openssl asn1parse -genconf gost.cnf -noout -out gost.der
{ echo '-----BEGIN PRIVATE KEY-----'; openssl base64 -in gost.der; echo '-----END PRIVATE KEY-----'; } >key.pem
";

#[test]
fn g24_keys_and_certificates_of_unfit_kinds_are_described() {
    let table: [Row; 6] = [
        (GOST_KEY, Outcome::KeyUnsupported, "KEY: the private key cannot be used: it is a GOST key; use an RSA"),
        (
            "openssl dsaparam -genkey -out dsa.pem 1024; openssl pkey -in dsa.pem -traditional -out key.pem
             grep -q 'BEGIN DSA PRIVATE KEY' key.pem",
            Outcome::KeyUnsupported,
            "KEY: the private key cannot be used: it is a DSA key; use an RSA, ECDSA or Ed25519 key",
        ),
        (
            "openssl genpkey -algorithm DHX -pkeyopt group:dh_2048_256 -out key.pem",
            Outcome::KeyUnsupported,
            "KEY: the private key cannot be used: it is a Diffie-Hellman key, which cannot sign; use",
        ),
        (
            "openssl dsaparam -genkey -out dsa.pem 1024; openssl pkey -in dsa.pem -traditional -out key.pem
             sed -i 's/ DSA PRIVATE/ PRIVATE/' key.pem",
            Outcome::KeyUnsupported,
            "KEY: the private key cannot be used: it is a DSA key; use an RSA, ECDSA or Ed25519 key",
        ),
        (
            "openssl genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_bits:1024 -out dsa.params
             openssl genpkey -paramfile dsa.params -out key.pem",
            Outcome::KeyUnsupported,
            "KEY: the private key cannot be used: it is a DSA key; use an RSA, ECDSA or Ed25519 key",
        ),
        (
            "openssl genpkey -algorithm DH -pkeyopt group:ffdhe2048 -out key.pem",
            Outcome::KeyUnsupported,
            "KEY: the private key cannot be used: it is a Diffie-Hellman key, which cannot sign; use",
        ),
    ];
    check(&table, "ec P-256; certify", Workshop::options);
}

/// Labels that do not say what their sections hold. Plain rustls-ffi and OpenSSL refuse these keys, but for the last.
#[test]
fn g24_key_with_a_wrong_label_says_what_the_section_holds() {
    let label = |from: &str, to: &str| format!("sed -i 's/ {from}PRIVATE/ {to}PRIVATE/' key.pem");
    let ec = |then: String| {
        format!(
            "ec P-256; certify; openssl pkey -in key.pem -traditional -out new; mv new key.pem; {then}"
        )
    };
    let rsa = |then: String| {
        format!(
            "rsa 2048; certify; openssl pkey -in key.pem -traditional -out new; mv new key.pem; {then}"
        )
    };
    let plain = |then: String| format!("ec P-256; certify; {then}");
    let encrypted = |then: String| {
        format!(
            "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:x -out new; mv new key.pem; {then}"
        )
    };
    let table = [
        (plain(label("", "RSA ")), "RSA PRIVATE KEY", "a PKCS#8 key", "PRIVATE KEY"),
        (plain(label("", "ENCRYPTED ")), "ENCRYPTED PRIVATE KEY", "a PKCS#8 key", "PRIVATE KEY"),
        (plain(label("", "DSA ")), "DSA PRIVATE KEY", "a PKCS#8 key", "PRIVATE KEY"),
        (plain(label("", "OPENSSH ")), "OPENSSH PRIVATE KEY", "a PKCS#8 key", "PRIVATE KEY"),
        (ec(label("EC ", "")), "PRIVATE KEY", "an EC key in SEC1 form", "EC PRIVATE KEY"),
        (ec(label("EC ", "RSA ")), "RSA PRIVATE KEY", "an EC key in SEC1 form", "EC PRIVATE KEY"),
        (rsa(label("RSA ", "")), "PRIVATE KEY", "an RSA key in PKCS#1 form", "RSA PRIVATE KEY"),
        (
            rsa(label("RSA ", "EC ")),
            "EC PRIVATE KEY",
            "an RSA key in PKCS#1 form",
            "RSA PRIVATE KEY",
        ),
        (
            encrypted(label("ENCRYPTED ", "")),
            "PRIVATE KEY",
            "an encrypted PKCS#8 key",
            "ENCRYPTED PRIVATE KEY",
        ),
    ];
    for (script, says, holds, right) in table {
        let workshop = Workshop::after(&script);
        assert_eq!(workshop.options().try_open().err(), Some(Outcome::KeyUnsupported), "{script}");
        let words = format!(
            "key.pem: the private key cannot be used: its section says \"{says}\" but holds {holds}; \
             write \"{right}\" in its BEGIN and END lines"
        );
        assert!(last_error().contains(&words), "{script}: {}", last_error());
    }
    for (label, right) in [("ANY ", "EC PRIVATE KEY"), ("ECDSA ", "EC PRIVATE KEY")] {
        let workshop =
            Workshop::after(&ec(format!("sed -i 's/ EC PRIVATE/ {label}PRIVATE/' key.pem")));
        assert_eq!(workshop.options().try_open().err(), Some(Outcome::KeyUnsupported));
        let words = format!(
            "its section has an unknown label and holds an EC key in SEC1 form; write \"{right}\" in"
        );
        assert!(last_error().contains(&words), "{label}: {}", last_error());
    }
    // All servers take this one. The kind of key is the reason then, if it is refused.
    Workshop::after(&plain(label("", "EC "))).options().open();
    let workshop = Workshop::after(&format!("ec secp256k1; certify; {}", label("", "EC ")));
    assert_eq!(workshop.options().try_open().err(), Some(Outcome::KeyUnsupported));
    assert!(last_error().contains("it is an EC key on the curve secp256k1"), "{}", last_error());
}

#[test]
fn g24_certificate_of_the_future_says_what_the_clock_reads() {
    let site = Site::plain(&Authority::new().issue_with(&["a.test"], in_the_future));
    let open = || Builder::new().identity(&site.chain(), &site.key()).try_open().err();
    // An hour may end in between.
    let (before, result, after) = (hour(), open(), hour());
    assert_eq!(result, Some(Outcome::CertificateNotYetValid));
    let words = |hour: &str| format!(", and the clock of this machine reads {hour}");
    let message = last_error();
    assert!([before, after].iter().any(|hour| message.contains(&words(hour))), "{message}");
}

/// The date and the hour in UTC.
fn hour() -> String {
    let date = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:"]).output().unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

#[test]
fn g24_wrong_password_names_its_file_and_its_encoding() {
    let workshop = Workshop::after(
        "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:w\u{f6}rd -out new; mv new key.pem",
    );
    let open = |password: &[u8]| {
        fs::write(workshop.path("password"), password).unwrap();
        let (builder, path) = (Builder::new(), c_path(&workshop.path("password")));
        // SAFETY: live options and a C string.
        let result = unsafe { certreload_options_set_key_password_file(builder.0, path.as_ptr()) };
        assert_eq!(result, Outcome::Ok);
        builder
            .identity(&workshop.path("chain.pem"), &workshop.path("key.pem"))
            .debounce_ms(0, 0)
            .try_open()
            .err()
    };
    assert_eq!(open("w\u{f6}rd\r\n".as_bytes()), None);
    let utf16: Vec<u8> = "\u{feff}w\u{f6}rd\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (password, key) = (workshop.path("password"), workshop.path("key.pem"));
    let table = [
        ("word\n".as_bytes(), " (parse)"),
        (
            "\u{feff}w\u{f6}rd\n".as_bytes(),
            ", which begins with a byte order mark; a byte order mark is part",
        ),
        (&utf16, ", which is UTF-16; save it as UTF-8 (parse)"),
    ];
    for (bytes, words) in table {
        assert_eq!(open(bytes), Some(Outcome::KeyPasswordWrong));
        let (message, key, password) = (last_error(), key.display(), password.display());
        let start = format!(
            "{key}: the private key cannot be decrypted with the password in {password}{words}"
        );
        assert!(message.starts_with(&start), "{message} instead of {start}");
    }
    // If the owner of the key meant the byte order mark, it is part of the password.
    workshop.run(
        r"printf '\357\273\277mark' >given; openssl pkcs8 -topk8 -in key.pem -passin pass:w\u{f6}rd -passout file:given -out new
          mv new key.pem".replace("\\u{f6}", "\u{f6}").as_str(),
    );
    assert_eq!(open("\u{feff}mark\n".as_bytes()), None);
}

#[test]
fn g24_authority_without_a_name_has_words_in_its_place() {
    let workshop = Workshop::after(
        "ec P-256; certify
         openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout root.key -subj / -days 30 \
             -addext keyUsage=critical,keyCertSign,cRLSign -out roots.pem
         touch index; printf '[ca]\ndatabase=index\ncrlnumber=number\n' >ca.cnf; echo 01 >number
         openssl ca -config ca.cnf -name ca -gencrl -keyfile root.key -cert roots.pem -md sha256 \
             -crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z -out list.pem",
    );
    let roots = workshop.path("roots.pem");
    let options = || workshop.options().client_auth(certreload_client_auth::Required, &roots);
    let list = workshop.path("list.pem");
    assert_eq!(
        options().crl(&list).try_open().err(),
        Some(Outcome::CrlExpired),
        "{}",
        last_error()
    );
    let words = "list 1, of an authority without a name, expired at 2020-02-01T00:00:00Z";
    assert!(last_error().contains(words), "{}", last_error());
}

/// The hints for chains are given for roots as well.
#[test]
fn g24_roots_of_another_format_are_recognized() {
    let list = "touch index; printf '[ca]\ndatabase=index\ncrlnumber=number\n' >ca.cnf; echo 01 >number
         openssl ca -config ca.cnf -name ca -gencrl -keyfile root.key -cert root.pem -md sha256 -crldays 9 \
             -out list.pem";
    let der_list = format!("{list}; openssl crl -in list.pem -outform DER -out roots.pem");
    let pem_list = format!("{list}; cp list.pem roots.pem");
    let table: [Row; 7] = [
        (
            "openssl pkcs12 -export -nokeys -in root.pem -passout pass:x -out roots.pem",
            Outcome::NoCertificate,
            "ROOTS: holds no certificate: it looks like PKCS#12; extract the certificates with",
        ),
        (
            "openssl pkey -in root.key -outform DER -out roots.pem",
            Outcome::NoCertificate,
            "ROOTS: holds no certificate: it looks like a private key in DER; roots are the certificates",
        ),
        (
            "openssl crl2pkcs7 -nocrl -certfile root.pem -outform DER -out roots.pem",
            Outcome::NoCertificate,
            "ROOTS: holds no certificate: it looks like PKCS#7; extract the certificates with",
        ),
        (
            "openssl req -in root.csr -outform DER -out roots.pem",
            Outcome::NoCertificate,
            "ROOTS: holds no certificate: it looks like a certificate request in DER; install the certificate",
        ),
        (
            "cp root.key roots.pem",
            Outcome::NoCertificate,
            "ROOTS: holds no certificate: it holds a private key; roots are the certificates",
        ),
        (
            Box::leak(der_list.into_boxed_str()),
            Outcome::NoCertificate,
            "ROOTS: holds no certificate: it is a certificate revocation list",
        ),
        (
            Box::leak(pem_list.into_boxed_str()),
            Outcome::NoCertificate,
            "ROOTS: holds no certificate: it holds a certificate revocation list",
        ),
    ];
    check(&table, "ec P-256; certify; authority root root", |workshop| {
        workshop
            .options()
            .client_auth(certreload_client_auth::Required, &workshop.path("roots.pem"))
    });
}

/// list LINE...: list.pem with the extensions that the lines of a configuration have.
const LIST: &str = r#"
list() {
    printf '[ca]\ndatabase=index\ncrlnumber=number\n[e]\nauthorityKeyIdentifier=keyid\n' >ca.cnf
    printf '%s\n' "$@" >>ca.cnf; echo 01 >number
    openssl ca -config ca.cnf -name ca -gencrl -keyfile root.key -cert root.pem -md sha256 -crldays 9 -crlexts e \
        -out list.pem
}
"#;

/// CRLs that cover a part of the certificates, or others as well: rustls cannot enforce them.
#[test]
fn g24_crl_of_an_unfit_scope_says_what_it_covers() {
    let workshop = Workshop::after("ec P-256; certify; authority root root; touch index");
    let point = |field: &str| format!("list issuingDistributionPoint=critical,@p '[p]' {field}");
    let table = [
        (
            "list 2.5.29.27=critical,DER:020101".to_owned(),
            "it is a delta CRL, which lists only changes to another CRL; use the complete CRL",
        ),
        (
            point("indirectCRL=TRUE"),
            "it is an indirect CRL, which lists certificates of other issuers, too; use the CRL of each issuer",
        ),
        (
            point("onlysomereasons=keyCompromise,CACompromise"),
            "it lists only certificates that were revoked for certain reasons; use the complete CRL",
        ),
        (
            point("onlyAA=TRUE"),
            "it covers only attribute certificates, which TLS does not use; use the CRL of the other certificates",
        ),
        (
            point("onlyuser=TRUE"),
            "it covers only the certificates of end entities, and does not name its distribution point; use the \
             complete CRL, or one whose issuing distribution point has a fullName",
        ),
        (
            point("onlyCA=TRUE"),
            "it covers only the certificates of authorities, and does not name its distribution point; use the \
             complete CRL, or one whose issuing distribution point has a fullName",
        ),
        (
            point("relativename=n '[n]' CN=a"),
            "it covers one distribution point, and does not name it in full; use the complete CRL, or one whose \
             issuing distribution point has a fullName",
        ),
    ];
    for (script, words) in table {
        workshop.run(&format!("{LIST} {script}"));
        let list = workshop.path("list.pem");
        let options = workshop
            .options()
            .client_auth(certreload_client_auth::Required, &workshop.path("root.pem"))
            .crl(&list);
        assert_eq!(options.try_open().err(), Some(Outcome::CrlMalformed), "{script}");
        let expected = format!(
            "{}: certificate revocation list 1 cannot be used: {words} (parse)",
            list.display()
        );
        assert!(last_error().contains(&expected), "{script}: {}", last_error());
    }
    // A part that is named can be used.
    workshop.run(&format!("{LIST} {} onlyuser=TRUE", point("fullname=URI:http://a.test/")));
    workshop
        .options()
        .client_auth(certreload_client_auth::Required, &workshop.path("root.pem"))
        .crl(&workshop.path("list.pem"))
        .open();
}
