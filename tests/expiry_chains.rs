//! An intermediate that expires while it is served is reported as the leaf is, if the chain offers no other path (G20).

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::ffi::c_char;
use std::ptr;
use std::time::Duration;

use certreload::ffi::event::CERTRELOAD_WARNING_CHAIN_EXPIRED;
use certreload::ffi::event::certreload_event_kind::{self as Kind, Expired, Expiring, Reloaded};
use certreload::ffi::metrics::certreload_write_metrics;
use certreload::ffi::options::watch::certreload_watch;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use support::certificates::{Pair, Site, sha256};
use support::clock::{Clock, NAME};
use support::host::{Builder, Host};

const DAY: i64 = 24 * 3600;

/// Valid from and until so many days after the beginning of the test.
type Days = (i64, i64);

/// An authority, of which others may certify the key.
struct Party(CertificateParams, Issuer<'static, KeyPair>);

impl Party {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(params.clone(), Issuer::new(params, KeyPair::generate().unwrap()))
    }

    /// Its certificate by `issuer`, in PEM.
    fn by(&self, issuer: &Self, clock: &Clock, days: Days) -> String {
        let params = dated(self.0.clone(), clock, days);
        params.signed_by(self.1.key(), &issuer.1).unwrap().pem()
    }

    fn by_itself(&self, clock: &Clock, days: Days) -> String {
        dated(self.0.clone(), clock, days).self_signed(self.1.key()).unwrap().pem()
    }

    /// A pair for [`NAME`] with `beside` after the leaf.
    fn issue(&self, clock: &Clock, days: Days, beside: &[&str]) -> Pair {
        let params = dated(CertificateParams::new(vec![NAME.to_owned()]).unwrap(), clock, days);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.1).unwrap();
        let chain = leaf.pem() + &beside.concat();
        Pair { chain, key: key.serialize_pem(), sha256: sha256(leaf.der()) }
    }
}

fn dated(mut params: CertificateParams, clock: &Clock, (from, until): Days) -> CertificateParams {
    let at = |days| {
        let since_1970 = u64::try_from(clock.opened_at + days * DAY).unwrap();
        date_time_ymd(1970, 1, 1) + Duration::from_secs(since_1970)
    };
    (params.not_before, params.not_after) = (at(from), at(until));
    params
}

/// Nothing scans the files but requests: what is reported comes from the clock.
fn quiet(site: &Site) -> Builder {
    Builder::new().identity(&site.chain(), &site.key()).watch(certreload_watch::Off)
}

/// Waits for as many events as are expected, and checks that they are these.
fn reported(host: &Host, expected: &[Kind]) {
    let all = host.recorder.wait_until("events", |seen| seen.len() >= expected.len());
    let all: Vec<_> = all.iter().map(|seen| seen.kind).collect();
    assert_eq!(all, expected);
}

fn metrics(host: &Host) -> String {
    let mut buffer = vec![0_u8; 64 * 1024];
    let (start, mut needed) = (buffer.as_mut_ptr().cast::<c_char>(), 0);
    // SAFETY: an open handle, and room as stated.
    let result = unsafe {
        certreload_write_metrics(host.handle, start, buffer.len(), ptr::from_mut(&mut needed))
    };
    assert_eq!(result, Outcome::Ok);
    String::from_utf8(buffer[..needed - 1].to_vec()).unwrap()
}

#[test]
fn g20_an_intermediate_of_the_only_path_is_reported_like_the_leaf() {
    let clock = Clock::new();
    let [root, lower] = ["root", "lower"].map(Party::new);
    let intermediate = lower.by(&root, &clock, (-300, 60));
    let mut site = Site::plain(&lower.issue(&clock, (-80, 200), &[&intermediate]));
    let host = quiet(&site).open();
    let leaf_ends = host.identity_status(0).not_after;
    let chain_ends = clock.opened_at + 60 * DAY;
    assert_eq!(host.status().health, Health::Ok);
    let ends = |at: i64| format!("name=\"{NAME}\"}} {at}");
    assert!(metrics(&host).contains(&ends(chain_ends)), "{}", metrics(&host));

    clock.set(31 * DAY);
    reported(&host, &[Reloaded, Expiring]);
    let status = host.status();
    assert_eq!((status.health, status.health_since), (Health::Expiring, chain_ends - 30 * DAY));
    assert_eq!(status.expiring_from, chain_ends - 30 * DAY);
    assert_eq!(status.earliest_not_after, leaf_ends, "that of the leaf");
    let expiring = host.recorder.of(Expiring).remove(0);
    let expected = format!(
        "{}: the intermediate \"lower\" in the chain of {NAME} expires in 29 days, at ",
        site.chain().display()
    );
    assert!(expiring.message.starts_with(&expected), "{}", expiring.message);
    assert_eq!(expiring.warnings, 0);

    clock.set(61 * DAY);
    reported(&host, &[Reloaded, Expiring, Expired]);
    let status = host.status();
    assert_eq!((status.health, status.health_since), (Health::Expired, chain_ends));
    assert_eq!(host.identity_status(0).health, Health::Expired);
    assert_ne!(host.identity_status(0).warnings & CERTRELOAD_WARNING_CHAIN_EXPIRED, 0);
    let expired = host.recorder.of(Expired).remove(0);
    assert_eq!(expired.warnings, CERTRELOAD_WARNING_CHAIN_EXPIRED);
    assert!(expired.message.contains("clients reject it"), "{}", expired.message);
    assert!(metrics(&host).contains("state=\"expired\"} 1"), "{}", metrics(&host));

    let intermediate = lower.by(&root, &clock, (-1, 400));
    site.renew(&lower.issue(&clock, (-80, 300), &[&intermediate]));
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(host.status().health, Health::Ok);
    reported(&host, &[Reloaded, Expiring, Expired, Reloaded]);
}

#[test]
fn g20_an_intermediate_beside_another_path_is_not_reported() {
    let clock = Clock::new();
    let [root, old_root, lower] = ["root", "old root", "lower"].map(Party::new);
    let expired = lower.by(&old_root, &clock, (-300, -1));
    let cross = lower.by(&old_root, &clock, (-300, 60));
    let good = lower.by(&root, &clock, (-300, 300));
    // A root in the file: clients use their own copy of it.
    let anchor = root.by_itself(&clock, (-300, 70));
    for beside in [
        &[&cross, &good][..],
        &[&good, &cross],
        &[&expired, &good],
        &[&good, &expired, &anchor],
        &[&cross, &good, &anchor],
    ] {
        let beside: Vec<_> = beside.iter().map(|pem| pem.as_str()).collect();
        clock.set(0);
        let site = Site::plain(&lower.issue(&clock, (-80, 200), &beside));
        let host = quiet(&site).open();
        for day in [0, 61, 71, 150] {
            clock.set(day * DAY);
            assert_eq!(host.reload_wait(), Outcome::Unchanged);
            assert_eq!(host.status().health, Health::Ok, "{day}");
        }
        reported(&host, &[Reloaded]);
        // The leaf itself is reported as ever.
        clock.set(201 * DAY);
        reported(&host, &[Reloaded, Expired]);
    }
}

#[test]
fn g20_the_end_of_the_last_path_is_reported() {
    let clock = Clock::new();
    let [root, old_root, lower] = ["root", "old root", "lower"].map(Party::new);
    let (cross, good) =
        (lower.by(&old_root, &clock, (-300, 60)), lower.by(&root, &clock, (-300, 120)));
    let site = Site::plain(&lower.issue(&clock, (-80, 200), &[&cross, &good]));
    let host = quiet(&site).expiry_warning(u32::try_from(5 * DAY).unwrap()).open();
    clock.set(61 * DAY);
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    reported(&host, &[Reloaded]);
    clock.set(116 * DAY);
    reported(&host, &[Reloaded, Expiring]);
    clock.set(121 * DAY);
    reported(&host, &[Reloaded, Expiring, Expired]);
    assert_eq!(host.status().health_since, clock.opened_at + 120 * DAY);
}

#[test]
fn g20_an_intermediate_that_has_expired_before_open_is_reported() {
    let clock = Clock::new();
    let [root, lower] = ["root", "lower"].map(Party::new);
    let intermediate = lower.by(&root, &clock, (-300, -1));
    let site = Site::plain(&lower.issue(&clock, (-80, 200), &[&intermediate]));
    let host = quiet(&site).open();
    reported(&host, &[Reloaded, Expired]);
    assert_eq!(host.status().health, Health::Expired);
}
