//! Names that are required, and names that several identities have (G15).

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::ffi::CString;

use certreload::ffi::event::CERTRELOAD_WARNING_DUPLICATE_NAME;
use certreload::ffi::options::certreload_options_require_name;
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use support::certificates::{Pair, Site};
use support::host::{Builder, last_error};
use support::workshop::{Workshop, warnings_at_open};

const NAME: &str = "a.test";
/// So rarely that only the kernel's notification, or a request, can have found a change.
const NEVER: u32 = 86_400_000;

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
