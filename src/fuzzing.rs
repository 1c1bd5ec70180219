//! The bodies of the fuzz targets in `fuzz/`, compiled for them alone.
//!
//! Each function takes the fuzzer's bytes, and panics if a property does not hold. The loaders must be pure functions
//! of the bytes. A loaded identity can be served. No message quotes bytes that may be a key (G18).

#![allow(clippy::missing_panics_doc, reason = "a panic reports a finding")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "as above")]

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;

use crate::error::{Cause, Error};
use crate::ffi::handle::certreload_check;
use crate::ffi::last_error::certreload_last_error;
use crate::ffi::options::{
    certreload_options_add_identity, certreload_options_free, certreload_options_new,
};
use crate::ffi::result::certreload_result;
use crate::options::{ClientAuth, Role, TlsStack, TrustOptions};
use crate::pki;
use crate::pki::fuzzing::{Crl, StapleFacts};
use crate::pki::{GivenPassword, Identity, IdentityInput, Staple, TicketFile, TicketKeys};
use crate::pki::{Trust, TrustContext, TrustFile, TrustInput};
use crate::sys::SecretBytes;
use crate::tls;

/// Separates the files of one input.
const SEPARATOR: &[u8] = b"\n=====\n";

/// A time at which the seeds are valid. It is constant, so that the result for an input never changes.
const NOW: i64 = 1_800_000_000;

/// Checks the PEM reader: `bytes` as certificates, and as a private key.
pub fn pem(bytes: &[u8]) {
    let certificates = pki::fuzzing::certificates(bytes);
    assert_eq!(certificates, pki::fuzzing::certificates(bytes), "not a function of its bytes");
    match &certificates {
        Ok(chain) => {
            let again: String = chain.iter().map(|der| armour("CERTIFICATE", der)).collect();
            let again = pki::fuzzing::certificates(again.as_bytes());
            assert_eq!(again.as_ref(), Ok(chain), "the DER differs from the PEM");
        }
        Err(cause) => must_not_quote(bytes, &cause.to_string()),
    }
    let provider = default_provider();
    let rules = pki::fuzzing::KeyRules { provider: &provider, tls: TlsStack::Rustls };
    let load = || pki::fuzzing::load_key(Path::new("key"), bytes, rules, &ask_password);
    match (load(), load()) {
        (Ok(keys), Ok(again)) => {
            let public_keys = |loaded: pki::fuzzing::LoadedKeys| {
                loaded
                    .keys
                    .iter()
                    .map(|key| key.signing.public_key().map(|key| key.to_vec()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(public_keys(keys), public_keys(again));
        }
        (Err(error), Err(again)) => {
            assert_eq!(error, again);
            must_not_quote(bytes, &error.to_string());
        }
        _ => panic!("not a function of its bytes"),
    }
}

/// Returns the password of the encrypted keys in the seed corpus.
#[allow(clippy::unnecessary_wraps, reason = "the type of a password callback")]
fn ask_password<'a>() -> Result<Option<GivenPassword<'a>>, Error> {
    Ok(Some(GivenPassword::of_callback(SecretBytes::copy_of(b"secret"))))
}

/// Checks the identity loader: `bytes` as a chain, a key and a staple, or without a separator as a chain and a key in
/// one file.
///
/// DER is converted to PEM first. A fuzzer cannot change DER in a useful way while it is encoded in base64.
pub fn identity(bytes: &[u8]) {
    let (chain, rest) = split(bytes);
    let (key, staple) = rest.map_or((chain, None), split);
    let (chain, key) = (&in_pem("CERTIFICATE", chain), &in_pem("PRIVATE KEY", key));
    let load = || {
        let parts = IdentityInput {
            role: Role::Server,
            chain: (Path::new("chain"), chain),
            key: (Path::new("key"), key),
            password: &ask_password,
            staple: staple.map_or(Staple::NotAskedFor, |der| Staple::Bytes(Path::new("ocsp"), der)),
            accepts_any_date: false,
            tls: TlsStack::Rustls,
            exports_key: false,
            index: 0,
        };
        Identity::new(&parts, &default_provider(), NOW)
    };
    match (load(), load()) {
        (Ok(identity), Ok(again)) => {
            assert_eq!(format!("{:?}", facts(&identity)), format!("{:?}", facts(&again)));
            must_be_servable(&identity);
            if let (Some(der), Some(staple)) = (staple, identity.staple()) {
                must_be_stapled_whole(der, staple);
            }
            for warning in identity.warnings() {
                must_not_quote(key, &format!("{warning:?}"));
            }
        }
        (Err(error), Err(again)) => {
            assert_eq!(error, again);
            must_not_quote(chain, &error.to_string());
            must_not_quote(key, &error.to_string());
        }
        _ => panic!("not a function of its bytes"),
    }
}

/// Checks the OCSP parser.
pub fn ocsp(bytes: &[u8]) {
    let parse = pki::fuzzing::parse_ocsp;
    match (parse(bytes), parse(bytes)) {
        (Ok(response), Ok(again)) => {
            assert_eq!(format!("{response:?}"), format!("{again:?}"));
            assert!(bytes.len() <= pki::fuzzing::MAX_RESPONSE);
            assert!(parse(&bytes[..bytes.len() - 1]).is_err(), "cut off");
            assert!(parse(&[bytes, b"\0"].concat()).is_err(), "with a byte appended");
        }
        (Err(error), Err(again)) => assert_eq!(error, again),
        _ => panic!("not a function of its bytes"),
    }
}

/// Checks the loader of root certificates.
pub fn roots(bytes: &[u8]) {
    check_trust(bytes, &[]);
}

/// Checks the parser of certificate revocation lists.
pub fn crl(bytes: &[u8]) {
    let file = trust_file(bytes);
    let crls = || {
        let crls = pki::fuzzing::crls(&file)?;
        let facts = crls.iter().map(facts_of_crl).collect::<Vec<_>>();
        let again: String = crls.iter().map(|crl| armour("X509 CRL", &crl.der)).collect();
        Ok::<_, Cause>((facts, again))
    };
    match (crls(), crls()) {
        (Ok((facts, again)), Ok(second)) => {
            assert_eq!((&facts, &again), (&second.0, &second.1));
            let again = pki::fuzzing::crls(&trust_file(again.as_bytes())).unwrap();
            assert!(again.iter().map(facts_of_crl).eq(facts), "the DER differs from the PEM");
        }
        (Err(cause), Err(again)) => {
            assert_eq!(cause, again);
            must_not_quote(bytes, &cause.to_string());
        }
        _ => panic!("not a function of its bytes"),
    }
}

fn facts_of_crl(crl: &Crl) -> String {
    let dates = (crl.this_update, crl.next_update);
    format!("{:?}", (&crl.der, &crl.issuer_title, &crl.number, dates, crl.entries))
}

/// Checks the trust store loader: `bytes` as root certificates and revocation lists.
pub fn trust(bytes: &[u8]) {
    let (roots, lists) = split(bytes);
    check_trust(roots, lists.unwrap_or_default());
}

fn check_trust(roots: &[u8], lists: &[u8]) {
    let path = || PathBuf::from("roots");
    let options = TrustOptions {
        client_auth: ClientAuth::Required,
        client_roots: Some(path()),
        crls: if lists.is_empty() { Vec::new() } else { vec![path()] },
        ..TrustOptions::default()
    };
    let crls = if lists.is_empty() { Vec::new() } else { vec![trust_file(lists)] };
    let parts = TrustInput {
        client_roots: Some(vec![trust_file(roots)]),
        server_roots: None,
        crls,
        issuers: Vec::new(),
    };
    let provider = Arc::new(default_provider());
    let load = |before: Option<&Trust>| {
        Trust::new(
            &parts,
            &TrustContext {
                options: &options,
                provider: &provider,
                tls: TlsStack::Rustls,
                now: NOW,
                previous: before,
            },
        )
    };
    match (load(None), load(None)) {
        (Ok(trust), Ok(again)) => {
            assert_eq!(trust.fingerprint(), again.fingerprint());
            assert_eq!(trust.warnings(), again.warnings());
            assert!((1..=pki::MAX_ROOTS).contains(&trust.client_root_count()));
            let after = load(Some(&trust)).expect("an unchanged trust store is accepted");
            assert_eq!(trust.fingerprint(), after.fingerprint());
        }
        (Err(error), Err(again)) => {
            assert_eq!(error, again);
            must_not_quote(roots, &error.to_string());
            must_not_quote(lists, &error.to_string());
        }
        _ => panic!("not a function of its bytes"),
    }
}

fn trust_file(bytes: &[u8]) -> TrustFile<'_> {
    TrustFile { path: Path::new("roots"), bytes, is_in_directory: false }
}

/// Checks the parser of ticket key files.
pub fn ticket_keys(bytes: &[u8]) {
    let path = Path::new("keys");
    let file = TicketFile { path, bytes, is_readable_by_others: false, modified: NOW };
    let load = || TicketKeys::new(&file, NOW, None);
    let names = |keys: &TicketKeys| keys.keys().iter().map(|key| key.name).collect::<Vec<_>>();
    match (load(), load()) {
        (Ok(keys), Ok(again)) => {
            assert_eq!(names(&keys), names(&again));
            let different: HashSet<_> = names(&keys).into_iter().collect();
            assert!((1..=64).contains(&different.len()) && different.len() == keys.keys().len());
            assert!(bytes.len() >= 48 * different.len(), "more keys than bytes");
        }
        (Err(error), Err(again)) => {
            assert_eq!(error, again);
            must_not_quote(bytes, &error.to_string());
        }
        _ => panic!("not a function of its bytes"),
    }
}

/// Checks the ticket decoder and the session parser.
pub fn ticket(bytes: &[u8]) {
    tls::fuzzing::ticket(bytes);
}

/// Checks `certreload_check` with a chain and a key in two files, up to the handshake.
pub fn pair(bytes: &[u8]) {
    thread_local! {
        static FILES: RefCell<Option<(PathBuf, PathBuf)>> = const { RefCell::new(None) };
    }
    FILES.with_borrow_mut(|files| {
        let (chain, key) = files.get_or_insert_with(|| {
            let directory = scratch();
            (directory.join("chain"), directory.join("key"))
        });
        let (chain_bytes, key_bytes) = split(bytes);
        fs::write(&*chain, chain_bytes).unwrap();
        match key_bytes {
            Some(key_bytes) => fs::write(&*key, key_bytes).unwrap(),
            None => fs::write(&*key, chain_bytes).unwrap(),
        }
        let (first, message) = check(chain, key);
        let (second, second_message) = check(chain, key);
        assert_eq!(first as u32, second as u32, "not a function of the files");
        if first == certreload_result::Ok {
            return;
        }
        assert_eq!(message, second_message);
        assert!(!message.is_empty(), "a failure without a message");
        assert!(first != certreload_result::Panic, "{message}");
        must_not_quote(bytes, &message);
    });
}

/// Calls `certreload_check`, and returns its result and its message.
fn check(chain: &Path, key: &Path) -> (certreload_result, String) {
    let path = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    let (chain, key) = (path(chain), path(key));
    #[allow(unsafe_code, reason = "the C functions are called as from C")]
    // SAFETY: the options are freed once, the C strings outlive the calls, and the message is copied before this
    // thread's next call.
    unsafe {
        let options = certreload_options_new();
        certreload_options_add_identity(options, chain.as_ptr(), key.as_ptr(), ptr::null());
        let result = certreload_check(options);
        let message = CStr::from_ptr(certreload_last_error()).to_string_lossy().into_owned();
        certreload_options_free(options);
        (result, message)
    }
}

/// Returns the directory of this process for its files. `fuzz/run.sh` sets `TMPDIR`, and removes it afterwards.
fn scratch() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("certreload-fuzz-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn split(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match bytes.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        Some(at) => (&bytes[..at], Some(&bytes[at + SEPARATOR.len()..])),
        None => (bytes, None),
    }
}

fn facts(identity: &Identity) -> impl std::fmt::Debug + '_ {
    let dates = (identity.not_before(), identity.not_after());
    let chain: Vec<&[u8]> = identity.chain().iter().map(AsRef::as_ref).collect();
    let status = (identity.staple(), identity.warnings());
    (identity.names(), dates, identity.serial(), identity.sha256(), chain, status)
}

/// Checks that a staple is the unmodified response, and has not expired.
fn must_be_stapled_whole(der: &[u8], staple: &StapleFacts) {
    assert!(pki::fuzzing::parse_ocsp(der).is_ok());
    assert_eq!(pki::sha256(der), staple.sha256);
    assert!(staple.next_update.is_none_or(|at| NOW < at));
    assert!(
        staple.expiring_from.is_none_or(|from| staple.next_update.is_some_and(|at| from <= at))
    );
}

/// Checks that an identity is valid now, is within the limits, and has the key of its leaf certificate.
fn must_be_servable(identity: &Identity) {
    assert!((identity.not_before()..=identity.not_after()).contains(&NOW));
    assert!((1..=pki::MAX_CERTIFICATES).contains(&identity.chain().len()));
    if let Some(key) = identity.certified_key().key.public_key() {
        let leaf = x509_parser::parse_x509_certificate(&identity.chain()[0]).unwrap().1;
        let is_own = pki::fuzzing::is_same_key(&key, leaf.public_key().raw);
        assert!(is_own, "the key of another certificate");
    }
}

/// Checks that `message` contains no long base64 text of the input, which could be a part of a key (G18).
fn must_not_quote(bytes: &[u8], message: &str) {
    const MIN_QUOTE: usize = 16;
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    for text in message.as_bytes().split(|byte| !is_base64(byte)) {
        for piece in text.windows(MIN_QUOTE) {
            let quoted = bytes.windows(MIN_QUOTE).any(|window| window == piece);
            assert!(!quoted, "the message quotes the input: {message}");
        }
    }
}

fn in_pem<'a>(label: &str, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    if bytes.starts_with(&[0x30]) {
        Cow::Owned(armour(label, bytes).into_bytes())
    } else {
        Cow::Borrowed(bytes)
    }
}

fn armour(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(der))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() / 3 * 4 + 4);
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | usize::from(*chunk.get(i).unwrap_or(&0)));
        for digit in 0..4 {
            let known = digit <= chunk.len();
            text.push(if known { DIGITS[bits >> (18 - 6 * digit) & 63].into() } else { '=' });
        }
    }
    text
}
