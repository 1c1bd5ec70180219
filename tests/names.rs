//! Names that are required, and names that several identities have (G15).

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::ffi::CString;
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use certreload::ffi::event::{CERTRELOAD_WARNING_COMPATIBILITY, CERTRELOAD_WARNING_DUPLICATE_NAME};
use certreload::ffi::generation::{
    certreload_generation_acquire, certreload_generation_release, certreload_generation_select,
};
use certreload::ffi::identity_getters::{
    certreload_identity_name, certreload_identity_name_count, certreload_identity_sha256,
};
use certreload::ffi::options::required_name::certreload_options_require_name;
use certreload::ffi::options::start::{certreload_options_set_start, certreload_start};
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::push_identity::certreload_find_identity;
use certreload::ffi::result::certreload_result as Outcome;
use support::certificates::{Pair, Site};
use support::clock::Clock;
use support::host::{Builder, Host, last_error, text};
use support::workshop::{Workshop, warnings_at_open};

const NAME: &str = "a.test";
/// So rarely that only the kernel's notification, or a request, can have found a change.
const NEVER: u32 = 86_400_000;
const HOUR: i64 = 3600;

#[test]
fn g15_a_name_of_two_identities_with_the_same_kind_of_key_causes_a_warning() {
    let (one, two) = (Site::plain(&Pair::new(&[NAME])), Site::plain(&Pair::new(&["b.test", NAME])));
    let builder = Builder::new().watch(Watch::Off).identity(&one.chain(), &one.key());
    let host = builder.identity(&two.chain(), &two.key()).open();
    let (bits, message) = warnings_at_open(&host);
    assert_eq!(bits, CERTRELOAD_WARNING_DUPLICATE_NAME);
    for part in [NAME, one.chain().to_str().unwrap(), two.chain().to_str().unwrap()] {
        assert!(message.contains(part), "{message}");
    }

    let rsa = Workshop::after("rsa 2048; certify");
    let host = rsa.options().identity(&one.chain(), &one.key()).open();
    assert_eq!(warnings_at_open(&host).0, 0, "RSA and ECDSA side by side");
}

fn require(builder: Builder, name: &str) -> Builder {
    let name = CString::new(name).unwrap();
    // SAFETY: live options and a C string.
    let result = unsafe { certreload_options_require_name(builder.0, name.as_ptr()) };
    assert_eq!(result, Outcome::Ok);
    builder
}

#[test]
fn g15_a_required_name_that_is_missing_keeps_the_handle_from_opening() {
    let site = Site::plain(&Pair::new(&[NAME, "*.wild.test"]));
    let open = |name: &str| {
        let builder = Builder::new().watch(Watch::Off).identity(&site.chain(), &site.key());
        require(builder, name).try_open().map(|_| ())
    };
    assert_eq!(open("A.test"), Ok(()));
    assert_eq!(open("x.wild.test"), Ok(()));
    assert_eq!(open("*.wild.test"), Ok(()));
    assert_eq!(open("other.test"), Err(Outcome::NameMissing));
    assert!(last_error().contains("other.test"), "{}", last_error());
    assert_eq!(open("y.x.wild.test"), Err(Outcome::NameMissing));
}

/// An operator sees all that is missing, and finds the typing error by what is there.
#[test]
fn g24_missing_names_are_listed_with_those_that_are_there() {
    let mut site = Site::plain(&Pair::new(&["1.test", "2.test", "3.test", "4.test", "5.test"]));
    let all = |last: &[&str]| {
        let builder = Builder::new().watch(Watch::Off).debounce_ms(0, 0);
        last.iter()
            .fold(builder.identity(&site.chain(), &site.key()), |all, name| require(all, name))
    };
    let present = "; the identities have 1.test, 2.test, 3.test (and 2 more)";
    assert_eq!(all(&["1.test", "a.test"]).try_open().err(), Some(Outcome::NameMissing));
    let words = "no identity has the required name a.test";
    assert!(last_error().starts_with(&format!("{words}{present} (validate)")), "{}", last_error());
    let many = ["a.test", "b.test", "c.test", "d.test"];
    assert_eq!(all(&many).try_open().err(), Some(Outcome::NameMissing));
    let words = "no identity has the required names a.test, b.test, c.test (and 1 more)";
    assert!(last_error().starts_with(words), "{}", last_error());

    let host = all(&["1.test", "2.test"]).open();
    site.renew(&Pair::new(&["x.test"]));
    assert_eq!(host.reload_wait(), Outcome::NameMissing);
    let words = "names 1.test, 2.test; the new certificate has x.test (validate)";
    assert!(last_error().contains(words), "{}", last_error());
}

#[test]
fn g15_a_change_that_loses_a_required_name_is_refused_and_others_are_published() {
    let mut one = Site::plain(&Pair::new(&[NAME]));
    let mut two = Site::plain(&Pair::new(&["b.test"]));
    let builder = Builder::new().watch(Watch::Off).debounce_ms(0, 0);
    let builder = builder.identity(&one.chain(), &one.key()).identity(&two.chain(), &two.key());
    let host = require(builder, NAME).open();

    let (without, renewed) = (Pair::new(&["c.test"]), Pair::new(&["b.test"]));
    let before = host.served(NAME);
    one.renew(&without);
    two.renew(&renewed);
    assert_eq!(host.reload_wait(), Outcome::NameMissing);
    assert!(last_error().contains(one.chain().to_str().unwrap()), "{}", last_error());
    assert_eq!(host.served(NAME), before);
    assert_eq!(host.served("b.test"), renewed.sha256, "the other identity is renewed");
    let failure = &host.recorder.wait_for_failures(1)[0];
    assert_eq!(failure.result, Outcome::NameMissing);

    // Told once; and when another identity takes the name over, the change is good.
    assert_eq!(host.reload_wait(), Outcome::NameMissing);
    let both = Pair::new(&["b.test", NAME]);
    two.renew(&both);
    while host.reload_wait() != Outcome::Unchanged {}
    assert_eq!(host.served("c.test"), without.sha256);
    assert_eq!(host.served(NAME), both.sha256);
    assert_eq!(host.recorder.wait_for_failures(1).len(), 1);
}

#[test]
fn g4_a_required_name_may_move_from_one_identity_to_another() {
    let (first, renewed) = (Pair::new(&[NAME]), Pair::new(&["c.test"]));
    let mut one = Site::plain(&first);
    let mut two = Site::plain(&Pair::new(&["b.test"]));
    let builder = Builder::new().poll_ms(NEVER).debounce_ms(50, 60_000);
    let builder = builder.identity(&one.chain(), &one.key()).identity(&two.chain(), &two.key());
    let host = require(builder, NAME).open();
    one.renew(&renewed);
    assert_eq!(host.reload_wait_ms(100), Outcome::TimedOut, "waited for, as half of a change");
    assert_eq!(host.served(NAME), first.sha256);
    let both = Pair::new(&["b.test", NAME]);
    two.renew(&both);
    host.wait_until_served("c.test", &renewed.sha256);
    assert_eq!(host.served(NAME), both.sha256);
    assert!(host.recorder.all().iter().all(|seen| seen.result == Outcome::Ok));
}

/// The names of the identity that the host serves to a client that asks for `name`.
fn names_selected(host: &Host, name: &str) -> Vec<String> {
    let name = CString::new(name).unwrap();
    // SAFETY: an open handle and a C string; what is borrowed is copied before the release.
    unsafe {
        let generation = certreload_generation_acquire(host.handle);
        let identity = certreload_generation_select(generation, name.as_ptr());
        let count = certreload_identity_name_count(identity);
        let names = (0..count).map(|index| text(certreload_identity_name(identity, index)));
        let names = names.collect();
        certreload_generation_release(generation);
        names
    }
}

fn index_of(host: &Host, name: &str) -> Option<usize> {
    let (name, mut index) = (CString::new(name).unwrap(), usize::MAX);
    // SAFETY: an open handle, a C string and a place to write.
    let result = unsafe { certreload_find_identity(host.handle, name.as_ptr(), &raw mut index) };
    (result == Outcome::Ok).then_some(index)
}

const SPIFFE_ID: &str = "spiffe://example.test/ns/Prod/sa/web";

/// A host name, then a workload without any, then two addresses without one: certificates of SPIFFE, and such as Let's
/// Encrypt issues for six days.
fn mixed() -> Workshop {
    Workshop::after(&format!(
        "pair() {{ ec P-256; openssl req -x509 -key key.pem -days $2 -subj / -addext \"subjectAltName=critical,$3\" \
             -addext basicConstraints=critical,CA:FALSE -out $1.pem; mv key.pem $1.key; }}
         pair host 30 DNS:a.test; pair workload 1 URI:{SPIFFE_ID}; pair address 6 IP:192.0.2.1,IP:2001:db8::1"
    ))
}

fn mixed_options(workshop: &Workshop) -> Builder {
    let builder = Builder::new().watch(Watch::Off).debounce_ms(0, 0);
    ["host", "workload", "address"].into_iter().fold(builder, |all, name| {
        let path = |end: &str| workshop.path(&format!("{name}.{end}"));
        all.identity(&path("pem"), &path("key"))
    })
}

#[test]
fn addresses_and_uris_are_names_that_are_shown_and_found() {
    let workshop = mixed();
    let host = mixed_options(&workshop).open();
    let (warnings, message) = warnings_at_open(&host);
    assert_eq!(warnings, 0, "{message}");
    for part in ["a.test, valid", SPIFFE_ID, "192.0.2.1 (and 1 more)"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    for (name, index) in [
        ("a.test", Some(0)),
        (SPIFFE_ID, Some(1)),
        ("192.0.2.1", Some(2)),
        ("2001:db8::1", Some(2)),
        ("2001:DB8::1", Some(2)),
        ("2001:DB8:0::1", Some(2)),
        ("2001:db8::2", None),
        ("spiffe://example.test/ns/prod/sa/web", None),
        ("example.test", None),
    ] {
        assert_eq!(index_of(&host, name), index, "{name}");
    }
}

#[test]
fn g15_addresses_and_uris_can_be_required() {
    let workshop = mixed();
    let all = ["192.0.2.1", "2001:DB8:0::1", SPIFFE_ID, "a.test"];
    let host = all.into_iter().fold(mixed_options(&workshop), require).open();
    for missing in ["192.0.2.2", "spiffe://example.test/ns/prod/sa/web", "urn:a.test"] {
        let result = require(mixed_options(&workshop), missing).try_open();
        assert_eq!(result.err(), Some(Outcome::NameMissing), "{missing}");
        assert!(last_error().contains(missing), "{}", last_error());
    }
    let before = host.identity_sha256(1);
    workshop.run(
        "ec P-256; mv key.pem workload.key
         openssl req -x509 -key workload.key -days 1 -subj /CN=x -addext subjectAltName=URI:spiffe://other.test/x \
             -out workload.pem",
    );
    assert_eq!(host.reload_wait(), Outcome::NameMissing);
    assert!(last_error().contains(SPIFFE_ID), "{}", last_error());
    assert_eq!(host.identity_sha256(1), before);
}

/// TLS has no server name but a DNS name (RFC 6066 section 3): what a client sends otherwise, and what a host selects
/// by, leads to the default identity.
#[test]
fn an_address_or_a_uri_is_no_server_name_for_the_handshake_nor_for_select() {
    let workshop = mixed();
    let host = mixed_options(&workshop).open();
    for name in ["192.0.2.1", "2001:db8::1", SPIFFE_ID, ""] {
        assert_eq!(names_selected(&host, name), ["a.test"], "{name}");
    }
    let default = host.sha256();
    for name in ["192.0.2.1", "2001:db8::1", "a.test", "other.test"] {
        assert_eq!(shown_to_openssl(&host, name), default, "{name}");
    }
}

/// The fingerprint of what `openssl s_client` is shown that sends `name`, whatever that is.
fn shown_to_openssl(host: &Host, name: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = host.config();
    let serving = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = rustls::ServerConnection::new(config).unwrap();
        let _ = connection.complete_io(&mut socket);
    });
    let script = format!(
        "openssl s_client -connect {address} -servername {name} </dev/null 2>&1 | \
         openssl x509 -noout -fingerprint -sha256 | cut -d= -f2 | tr -d : | tr A-F a-f"
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    serving.join().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A DNS name in a certificate that is an address in truth is none: no client that connects to the address accepts it.
#[test]
fn an_address_in_the_place_of_a_dns_name_is_no_name() {
    let workshop = Workshop::after(
        "ec P-256; openssl req -x509 -key key.pem -days 9 -subj /CN=192.0.2.7 -addext subjectAltName=DNS:192.0.2.7 \
             -addext basicConstraints=critical,CA:FALSE -out chain.pem",
    );
    let host = workshop.options().open();
    assert_eq!(index_of(&host, "192.0.2.7"), None);
    let (warnings, message) = warnings_at_open(&host);
    assert_eq!(warnings, CERTRELOAD_WARNING_COMPATIBILITY, "{message}");
    assert!(message.contains("192.0.2.7 is an address in the place of a DNS name"), "{message}");
}

/// Of two identities with one name, an expired one gives way: at once, and when it expires while the server runs.
#[test]
fn of_two_identities_with_one_name_the_valid_one_is_served() {
    let clock = Clock::new();
    let (short, long) = (clock.pair_for(NAME, -HOUR, HOUR), clock.pair_for(NAME, -HOUR, 2 * HOUR));
    let (one, two) = (Site::plain(&short), Site::plain(&long));
    let builder = Builder::new().watch(Watch::Off).debounce_ms(0, 0);
    let builder = builder.identity(&one.chain(), &one.key());
    let host = builder.identity(&two.chain(), &two.key()).open();
    let (bits, message) = warnings_at_open(&host);
    assert_ne!(bits & CERTRELOAD_WARNING_DUPLICATE_NAME, 0, "{message}");
    assert!(message.contains(" serves a.test only when the certificate of "), "{message}");
    assert_eq!(host.served(NAME), short.sha256);
    clock.set(HOUR + 1);
    assert_eq!(host.served(NAME), long.sha256, "the first has expired");
    assert_eq!(selected(&host, NAME), long.sha256);
    assert_eq!(host.served("other.test"), short.sha256, "the default identity stays");
    clock.set(2 * HOUR + 1);
    assert_eq!(host.served(NAME), short.sha256, "both have expired");
    clock.set(0);
    assert_eq!(host.served(NAME), short.sha256, "both are valid again");
}

fn selected(host: &Host, name: &str) -> String {
    let name = CString::new(name).unwrap();
    // SAFETY: an open handle and a C string; what is borrowed is copied before the release.
    unsafe {
        let generation = certreload_generation_acquire(host.handle);
        let identity = certreload_generation_select(generation, name.as_ptr());
        let sha256 = text(certreload_identity_sha256(identity));
        certreload_generation_release(generation);
        sha256
    }
}

/// One that is valid at a time at which others are not is kept, whichever of them expires first.
#[test]
fn of_several_identities_with_one_name_none_that_is_valid_is_lost() {
    let clock = Clock::new();
    let pairs = [
        clock.pair_for(NAME, -2 * HOUR, HOUR),
        clock.pair_for(NAME, -HOUR, 3 * HOUR),
        clock.pair_for(NAME, 2 * HOUR, 5 * HOUR),
        clock.pair_for(NAME, -HOUR, 2 * HOUR),
    ];
    let sites: Vec<_> = pairs.iter().map(Site::plain).collect();
    let builder = started(Builder::new().watch(Watch::Off).debounce_ms(0, 0));
    let all = |all: Builder, site: &Site| all.identity(&site.chain(), &site.key());
    let host = sites.iter().fold(builder, all).open();
    for (at, expected) in [(0, 0), (HOUR + 1, 1), (2 * HOUR + 1, 1), (3 * HOUR + 1, 2)] {
        clock.set(at);
        assert_eq!(host.served(NAME), pairs[expected].sha256, "after {at} s");
    }
    // The first is not valid yet, and ends last: the second serves until then.
    let sites = [&pairs[2], &pairs[1]].map(Site::plain);
    clock.set(0);
    let builder = started(Builder::new().watch(Watch::Off).debounce_ms(0, 0));
    let host = sites.iter().fold(builder, all).open();
    assert_eq!(host.served(NAME), pairs[1].sha256);
    let (_, message) = warnings_at_open(&host);
    assert!(message.contains(" serves a.test, because "), "{message}");
    clock.set(3 * HOUR + 1);
    assert_eq!(host.served(NAME), pairs[2].sha256);
}

fn started(builder: Builder) -> Builder {
    // SAFETY: live options.
    let result =
        unsafe { certreload_options_set_start(builder.0, certreload_start::Available as u32) };
    assert_eq!(result, Outcome::Ok);
    builder
}

/// A push must not replace the wildcard while the identity that has the name itself has not been loaded.
#[test]
fn a_name_leads_to_no_wildcard_while_an_identity_is_missing() {
    let (mut one, two) =
        (Site::plain(&Pair::new(&["x.wild.test"])), Site::plain(&Pair::new(&["*.wild.test"])));
    std::fs::remove_file(one.chain()).unwrap();
    let builder = started(Builder::new().watch(Watch::Off).debounce_ms(0, 0));
    let builder = builder.identity(&one.chain(), &one.key()).identity(&two.chain(), &two.key());
    let host = builder.open();
    assert_eq!(index_of(&host, "x.wild.test"), None);
    assert!(last_error().contains("some have not been loaded"), "{}", last_error());
    assert_eq!(index_of(&host, "*.wild.test"), Some(1));
    one.renew(&Pair::new(&["x.wild.test"]));
    assert_eq!(host.reload_wait(), Outcome::Ok, "{}", last_error());
    assert_eq!(index_of(&host, "x.wild.test"), Some(0));
    assert_eq!(index_of(&host, "y.wild.test"), Some(1));
}
