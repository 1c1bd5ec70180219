//! What has to hold of any bytes at all: the bodies of the fuzz targets in `fuzz/`.
//!
//! Compiled for them alone. Each function takes the fuzzer's bytes and panics where a promise is
//! broken: that the loaders are pure functions of the bytes, that an identity that was loaded can be
//! served, and that no message quotes what may be a key (G18).

#![allow(clippy::missing_panics_doc, reason = "a panic is how a finding is told")]
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

use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use zeroize::Zeroizing;

use crate::error::{Cause, Error};
use crate::ffi::handle::certreload_check;
use crate::ffi::last_error::certreload_last_error;
use crate::ffi::options::{
    certreload_options_add_identity, certreload_options_free, certreload_options_new,
};
use crate::ffi::result::certreload_result;
use crate::options::{ClientAuth, Role, TrustOptions};
use crate::pki;
use crate::pki::fuzzing::{Crl, StapleFacts};
use crate::pki::{Identity, IdentityInput, Password, Staple, TicketFile, TicketKeys};
use crate::pki::{Trust, TrustFile, TrustInput};
use crate::tls;

/// What separates the files of one input.
const SEPARATOR: &[u8] = b"\n=====\n";

/// A time at which the seeds are valid; an input means the same for ever.
const NOW: i64 = 1_800_000_000;

/// Certificates and a private key, out of bytes.
pub fn pem(bytes: &[u8]) {
    let certificates = pki::fuzzing::certificates(bytes);
    assert_eq!(certificates, pki::fuzzing::certificates(bytes), "not a function of its bytes");
    match &certificates {
        Ok(chain) => {
            let again: String = chain.iter().map(|der| armour("CERTIFICATE", der)).collect();
            let again = pki::fuzzing::certificates(again.as_bytes());
            assert_eq!(again.as_ref(), Ok(chain), "the DER was not what the PEM says");
        }
        Err(cause) => must_not_quote(bytes, &cause.to_string()),
    }
    let provider = default_provider();
    let load = || pki::fuzzing::load_key(Path::new("key"), bytes, &provider, &ask_password);
    match (load(), load()) {
        (Ok(key), Ok(again)) => assert_eq!(key.public_key(), again.public_key()),
        (Err(error), Err(again)) => {
            assert_eq!(error, again);
            must_not_quote(bytes, &error.to_string());
        }
        _ => panic!("not a function of its bytes"),
    }
}

/// The password of the seeds.
#[allow(clippy::unnecessary_wraps, reason = "as whoever asks wants it")]
fn ask_password() -> Result<Option<Password>, Error> {
    Ok(Some(Zeroizing::new(b"secret".to_vec())))
}

/// A chain, a key and a staple; without a separator, a chain and a key in one file. What looks like
/// DER is put into PEM first: in base64, a fuzzer does not get far into what the DER says.
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

/// An OCSP response.
pub fn ocsp(bytes: &[u8]) {
    let parse = pki::fuzzing::parse_ocsp;
    match (parse(bytes), parse(bytes)) {
        (Ok(response), Ok(again)) => {
            assert_eq!(format!("{response:?}"), format!("{again:?}"));
            assert!(bytes.len() <= pki::fuzzing::MAX_RESPONSE);
            assert!(parse(&bytes[..bytes.len() - 1]).is_err(), "cut off");
            assert!(parse(&[bytes, b"\0"].concat()).is_err(), "with a tail");
        }
        (Err(error), Err(again)) => assert_eq!(error, again),
        _ => panic!("not a function of its bytes"),
    }
}

/// A bundle of roots.
pub fn roots(bytes: &[u8]) {
    trusted(bytes, &[]);
}

/// Lists of revoked certificates.
pub fn crl(bytes: &[u8]) {
    let file = trust_file(bytes);
    let crls = || {
        let crls = pki::fuzzing::crls(&file)?;
        let told = crls.iter().map(facts_of_list).collect::<Vec<_>>();
        let again: String = crls.iter().map(|crl| armour("X509 CRL", &crl.der)).collect();
        Ok::<_, Cause>((told, again))
    };
    match (crls(), crls()) {
        (Ok((told, again)), Ok(second)) => {
            assert_eq!((&told, &again), (&second.0, &second.1));
            let again = pki::fuzzing::crls(&trust_file(again.as_bytes())).unwrap();
            assert!(again.iter().map(facts_of_list).eq(told), "another list as PEM");
        }
        (Err(cause), Err(again)) => {
            assert_eq!(cause, again);
            must_not_quote(bytes, &cause.to_string());
        }
        _ => panic!("not a function of its bytes"),
    }
}

fn facts_of_list(crl: &Crl) -> String {
    let dates = (crl.this_update, crl.next_update);
    format!("{:?}", (&crl.der, &crl.issuer_title, &crl.number, dates, crl.entries))
}

/// Roots and lists.
pub fn trust(bytes: &[u8]) {
    let (roots, lists) = split(bytes);
    trusted(roots, lists.unwrap_or_default());
}

fn trusted(roots: &[u8], lists: &[u8]) {
    let place = || PathBuf::from("roots");
    let options = TrustOptions {
        client_auth: ClientAuth::Required,
        client_roots: Some(place()),
        crls: if lists.is_empty() { Vec::new() } else { vec![place()] },
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
    let load = |before: Option<&Trust>| Trust::new(&parts, &options, &provider, NOW, before);
    match (load(None), load(None)) {
        (Ok(trust), Ok(again)) => {
            assert_eq!(trust.fingerprint(), again.fingerprint());
            assert_eq!(trust.warnings(), again.warnings());
            assert!((1..=pki::MAX_ROOTS).contains(&trust.client_root_count()));
            let after = load(Some(&trust)).expect("what serves may serve on");
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

/// A file of ticket keys.
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
            assert!(bytes.len() >= 48 * different.len(), "more keys than there is room for");
        }
        (Err(error), Err(again)) => {
            assert_eq!(error, again);
            must_not_quote(bytes, &error.to_string());
        }
        _ => panic!("not a function of its bytes"),
    }
}

/// What a client sends for a ticket, and what rustls writes of a session.
pub fn ticket(bytes: &[u8]) {
    tls::fuzzing::ticket(bytes);
}

/// A chain and a key in two files, through the C functions, up to the handshake.
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
        let (first, words) = check(chain, key);
        let (second, words_again) = check(chain, key);
        assert_eq!(first as u32, second as u32, "not a function of the files");
        if first == certreload_result::Ok {
            return;
        }
        assert_eq!(words, words_again);
        assert!(!words.is_empty(), "a failure without words");
        assert!(first != certreload_result::Panic, "{words}");
        must_not_quote(bytes, &words);
    });
}

/// The dry run of open, and what it says.
fn check(chain: &Path, key: &Path) -> (certreload_result, String) {
    let path = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    let (chain, key) = (path(chain), path(key));
    #[allow(unsafe_code, reason = "the C functions are called as C would")]
    // SAFETY: options that are freed once, C strings that outlive the calls, and a text that is
    // copied before this thread's next call.
    unsafe {
        let options = certreload_options_new();
        certreload_options_add_identity(options, chain.as_ptr(), key.as_ptr(), ptr::null());
        let result = certreload_check(options);
        let words = CStr::from_ptr(certreload_last_error()).to_string_lossy().into_owned();
        certreload_options_free(options);
        (result, words)
    }
}

/// A directory of this process's own. `fuzz/run.sh` says where, and clears up.
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
    let told = (identity.staple(), identity.warnings());
    (identity.names(), dates, identity.serial(), identity.sha256(), chain, told)
}

/// As it came, and not past its end.
fn must_be_stapled_whole(der: &[u8], staple: &StapleFacts) {
    assert!(pki::fuzzing::parse_ocsp(der).is_ok());
    assert_eq!(digest(&SHA256, der).as_ref(), staple.sha256);
    assert!(staple.next_update.is_none_or(|at| NOW < at));
    assert!(
        staple.expiring_from.is_none_or(|from| staple.next_update.is_some_and(|at| from <= at))
    );
}

/// Valid now, within its limits, and the key is the one that the leaf names.
fn must_be_servable(identity: &Identity) {
    assert!((identity.not_before()..=identity.not_after()).contains(&NOW));
    assert!((1..=pki::MAX_CERTIFICATES).contains(&identity.chain().len()));
    if let Some(key) = identity.certified_key().key.public_key() {
        let leaf = x509_parser::parse_x509_certificate(&identity.chain()[0]).unwrap().1;
        assert_eq!(key, SubjectPublicKeyInfoDer::from(leaf.public_key().raw), "another's key");
    }
}

/// No run of base64 of the input may be in `message`: it may be a piece of a key (G18).
fn must_not_quote(bytes: &[u8], message: &str) {
    const TELLING: usize = 16;
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    for word in message.as_bytes().split(|byte| !is_base64(byte)) {
        for piece in word.windows(TELLING) {
            let quoted = bytes.windows(TELLING).any(|window| window == piece);
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
