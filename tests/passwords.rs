//! Encrypted keys, and where their passwords come from (G4, G5, G17).

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::ptr;
use std::sync::Mutex;

use certreload::ffi::event::CERTRELOAD_WARNING_KEY_READABLE;
use certreload::ffi::options::key_password::*;
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use support::certificates::write_private;
use support::host::{Builder, c_path, last_error};
use support::workshop::{Workshop, warnings_at_open};

const NAME: &str = "a.test";
/// So rarely that only the kernel's notification, or a request, can have found a change.
const NEVER: u32 = 86_400_000;

fn password_file(builder: Builder, path: &Path) -> Builder {
    // SAFETY: live options and a C string.
    let result =
        unsafe { certreload_options_set_key_password_file(builder.0, c_path(path).as_ptr()) };
    assert_eq!(result, Outcome::Ok);
    builder
}

#[test]
fn encrypted_keys_are_opened_with_the_password_of_a_file() {
    let encrypt = |how: &str| {
        format!(
            "openssl pkcs8 -topk8 -in key.pem -passout pass:'p w' {how} -out new; mv new key.pem"
        )
    };
    let table = [
        ("the default", "ec P-256; certify".to_owned(), encrypt("")),
        ("RSA", "rsa 2048; certify".to_owned(), encrypt("")),
        ("Ed25519", "pkcs8 -algorithm ed25519; certify".to_owned(), encrypt("")),
        ("AES-128", "ec P-256; certify".to_owned(), encrypt("-v2 aes-128-cbc")),
        ("AES-192", "ec P-256; certify".to_owned(), encrypt("-v2 aes-192-cbc")),
        ("AES-256", "ec P-256; certify".to_owned(), encrypt("-v2 aes-256-cbc")),
        ("3DES", "ec P-256; certify".to_owned(), encrypt("-v2 des3")),
        ("SHA-1", "ec P-256; certify".to_owned(), encrypt("-v2prf hmacWithSHA1")),
        ("SHA-512", "ec P-256; certify".to_owned(), encrypt("-v2prf hmacWithSHA512")),
        ("many rounds", "ec P-256; certify".to_owned(), encrypt("-iter 600000")),
        ("scrypt", "ec P-256; certify".to_owned(), encrypt("-scrypt")),
        (
            "genpkey",
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -pass pass:'p w' -out key.pem
             certify -passin pass:'p w'"
                .to_owned(),
            String::new(),
        ),
    ];
    for (what, make, encrypt) in table {
        let workshop =
            Workshop::after(&format!("{make}\n{encrypt}\ngrep -q 'BEGIN ENCRYPTED' key.pem"));
        for ending in ["", "\n", "\r\n", "\nanother line\n"] {
            write_private(&workshop.path("password"), &format!("p w{ending}"));
            let opened = password_file(workshop.options(), &workshop.path("password")).try_open();
            let host =
                opened.unwrap_or_else(|result| panic!("{what}: {result:?}: {}", last_error()));
            assert_eq!(host.served(NAME), workshop.fingerprint("chain.pem"), "{what}");
            assert_eq!(warnings_at_open(&host).0, 0, "{what}");
        }
    }
}

#[test]
fn g17_encryption_that_is_too_old_or_too_dear_is_refused_by_its_name() {
    let table = [
        ("PBES1", "-v1 PBE-SHA1-3DES", "openssl pkcs8 -topk8"),
        ("too many rounds", "-iter 2000001", "2000001 rounds"),
    ];
    for (what, how, word) in table {
        let workshop = Workshop::after(&format!(
            "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:x {how} -out new; mv new key.pem
             echo x >password"
        ));
        let opened = password_file(workshop.options(), &workshop.path("password")).try_open();
        assert_eq!(opened.err(), Some(Outcome::KeyUnsupported), "{what}: {}", last_error());
        assert!(last_error().contains(word), "{what}: {}", last_error());
    }
}

#[test]
fn g4_a_wrong_password_is_refused_and_a_new_one_reloads_with_its_key() {
    let workshop = Workshop::after(
        "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:one -out new; mv new key.pem
         echo one >password; chmod 644 password",
    );
    let password = workshop.path("password");
    let host = password_file(workshop.options(), &password).open();
    let (bits, message) = warnings_at_open(&host);
    assert_eq!(bits, CERTRELOAD_WARNING_KEY_READABLE);
    assert!(message.contains(password.to_str().unwrap()), "{message}");
    let first = workshop.fingerprint("chain.pem");

    write_private(&password, "two");
    assert_eq!(host.reload_wait(), Outcome::KeyPasswordWrong);
    assert!(!last_error().contains("two"), "{}", last_error());
    assert_eq!(host.served(NAME), first);

    workshop.run(
        "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:two -out new; mv new key.pem",
    );
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(host.served(NAME), workshop.fingerprint("chain.pem"));

    std::fs::remove_file(&password).unwrap();
    assert_eq!(host.reload_wait(), Outcome::FileNotFound);
    assert!(last_error().contains(password.to_str().unwrap()), "{}", last_error());
    write_private(&password, "two");
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
}

#[test]
fn g1_a_password_that_lands_after_its_key_is_waited_for_and_noticed() {
    let workshop = Workshop::after(
        "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:one -out new; mv new key.pem
         echo one >password",
    );
    let builder = Builder::new().poll_ms(NEVER).debounce_ms(50, 60_000);
    let builder = builder.identity(&workshop.path("chain.pem"), &workshop.path("key.pem"));
    let host = password_file(builder, &workshop.path("password")).open();
    workshop.run(
        "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:two -out new; mv new key.pem",
    );
    assert_eq!(host.reload_wait_ms(100), Outcome::TimedOut, "waited for, as half of a change");
    write_private(&workshop.path("password"), "two");
    host.wait_until_served(NAME, &workshop.fingerprint("chain.pem"));
    host.recorder.wait_for_generation(2);
    // And a password that changes alone is a change, found by the notification.
    workshop.run(
        "openssl pkcs8 -in key.pem -passin pass:two -topk8 -passout pass:three -out new; mv new key.pem
         echo three >password",
    );
    host.recorder.wait_for_generation(3);
    assert!(host.recorder.all().iter().all(|seen| seen.result == Outcome::Ok));
}

#[test]
fn g5_a_password_that_no_key_takes_is_no_part_of_an_identity() {
    let workshop = Workshop::after("ec P-256; certify; echo x >password");
    let password = workshop.path("password");
    let host = password_file(workshop.options(), &password).open();
    write_private(&password, "y");
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    std::fs::remove_file(&password).unwrap();
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    assert_eq!(host.status().generation, 1);
}

/// What a callback answers, and for which keys it was asked.
#[derive(Default)]
struct Vault {
    answer: Mutex<Option<&'static str>>,
    asked: Mutex<Vec<String>>,
}

unsafe extern "C" fn answer(
    userdata: *mut c_void,
    key_path: *const c_char,
    password_out: *mut c_char,
    password_size: usize,
    length_out: *mut usize,
) -> bool {
    // SAFETY: the vault outlives the handle; the rest is what the callback is promised.
    let vault = unsafe { &*userdata.cast::<Vault>() };
    vault.asked.lock().unwrap().push(support::host::text(key_path));
    assert_eq!(password_size, CERTRELOAD_MAX_KEY_PASSWORD);
    let Some(password) = *vault.answer.lock().unwrap() else { return false };
    let count = password.len().min(password_size);
    // SAFETY: room for `password_size` bytes, and for one length.
    unsafe {
        ptr::copy_nonoverlapping(password.as_ptr().cast(), password_out, count);
        length_out.write(password.len());
    }
    true
}

fn ask(builder: Builder, vault: &Vault) -> Builder {
    let userdata = ptr::from_ref(vault).cast_mut().cast();
    // SAFETY: live options; the vault outlives the handle.
    let result = unsafe {
        certreload_options_set_key_password_callback(builder.0, Some(answer), userdata, None)
    };
    assert_eq!(result, Outcome::Ok);
    builder
}

#[test]
fn encrypted_keys_are_opened_with_the_password_of_a_callback() {
    let encrypt = |password: &str| {
        format!(
            "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:{password} -out new; mv new key.pem"
        )
    };
    let workshop = Workshop::after(&encrypt("one"));
    let vault = Vault::default();
    let open = || ask(workshop.options(), &vault).try_open();
    assert_eq!(open().err(), Some(Outcome::KeyEncrypted), "no password");
    *vault.answer.lock().unwrap() = Some("two");
    assert_eq!(open().err(), Some(Outcome::KeyPasswordWrong));
    *vault.answer.lock().unwrap() = Some("x".repeat(CERTRELOAD_MAX_KEY_PASSWORD + 1).leak());
    assert_eq!(open().err(), Some(Outcome::KeyEncrypted), "a length beyond the buffer");
    *vault.answer.lock().unwrap() = Some("one");

    vault.asked.lock().unwrap().clear();
    let host = open().unwrap();
    let key = workshop.path("key.pem").to_str().unwrap().to_owned();
    assert_eq!(vault.asked.lock().unwrap().as_slice(), [&*key], "asked once, with the path");
    assert_eq!(host.served(NAME), workshop.fingerprint("chain.pem"));

    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    assert_eq!(vault.asked.lock().unwrap().len(), 1, "not asked for what has not changed");
    *vault.answer.lock().unwrap() = Some("two");
    workshop.run(&encrypt("two"));
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(vault.asked.lock().unwrap().as_slice(), [&*key, &*key]);
    assert_eq!(host.served(NAME), workshop.fingerprint("chain.pem"));
    drop(host);

    // A key in the clear asks nobody.
    workshop.run("ec P-256; certify");
    vault.asked.lock().unwrap().clear();
    let _host = open().unwrap();
    assert!(vault.asked.lock().unwrap().is_empty());
}

/// A chain that looks cut short is read again and again until it is accepted.
#[test]
fn g4_the_host_is_asked_once_for_content_that_waits() {
    let encrypt = "openssl pkcs8 -topk8 -in key.pem -passout pass:one -out new; mv new key.pem";
    let issue = format!("issue a.test middle; {encrypt}");
    let workshop = Workshop::after(&format!(
        "authority root root; authority middle root; {issue}; cat leaf.pem middle.pem >chain.pem"
    ));
    let vault = Vault { answer: Mutex::new(Some("one")), ..Vault::default() };
    let options = workshop.options().watch(Watch::Auto).poll_ms(NEVER).debounce_ms(20, 1500);
    let host = ask(options, &vault).open();
    workshop.run(&format!("{issue}; mv leaf.pem chain.pem"));
    host.wait_until_served(NAME, &workshop.fingerprint("chain.pem"));
    // A notification may come between the two files: a key that does not match is another content.
    let asked = vault.asked.lock().unwrap().len();
    assert!((2..=3).contains(&asked), "asked {asked} times");
}

#[test]
fn the_last_source_of_passwords_that_was_set_is_the_one() {
    let workshop = Workshop::after(
        "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:one -out new; mv new key.pem
         echo one >right; echo two >wrong",
    );
    let vault = Vault { answer: Mutex::new(Some("one")), ..Vault::default() };
    let (right, wrong) = (workshop.path("right"), workshop.path("wrong"));
    let outcome = |builder: Builder| builder.try_open().err();
    assert_eq!(outcome(ask(password_file(workshop.options(), &wrong), &vault)), None);
    let builder = password_file(ask(workshop.options(), &vault), &wrong);
    assert_eq!(outcome(builder), Some(Outcome::KeyPasswordWrong));
    let builder = password_file(workshop.options(), &right);
    // SAFETY: live options.
    unsafe { certreload_options_set_key_password_file(builder.0, ptr::null()) };
    assert_eq!(outcome(builder), Some(Outcome::KeyEncrypted));
    let builder = password_file(workshop.options(), &right);
    // SAFETY: live options.
    unsafe { certreload_options_set_key_password_callback(builder.0, None, ptr::null_mut(), None) };
    assert_eq!(outcome(builder), Some(Outcome::KeyEncrypted));
}
