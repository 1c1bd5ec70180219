//! Faults of the system around: served all the while, told, and recovered from without anybody's
//! help (G3, G12, G19). What a fault touches is the whole process's, so each test has a process of
//! its own, and namespaces of its own where limits are set or file systems mounted.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]
#![allow(clippy::wildcard_imports, reason = "one C name after another")]

mod alone;
mod descriptors;
mod inotify_limits;
mod mounts;
#[path = "../support/mod.rs"]
mod support;
mod writers;

use std::path::Path;

use certreload::ffi::event::{certreload_event_kind as Kind, certreload_trigger as Trigger};
use support::certificates::{Pair, Site};
use support::host::{Builder, Host, Seen};

const NAME: &str = "a.test";
/// So rarely that only the kernel's notification, or a request, can have found a change.
const NEVER: u32 = 86_400_000;

fn options(site: &Site) -> Builder {
    identity(&site.chain(), &site.key())
}

fn identity(chain: &Path, key: &Path) -> Builder {
    Builder::new().identity(chain, key)
}

fn wait_for(host: &Host, kind: Kind) -> Seen {
    let of_kind = |seen: &&Seen| seen.kind == kind;
    let seen =
        host.recorder.wait_until(&format!("{kind:?}"), |seen| seen.iter().any(|s| of_kind(&s)));
    seen.into_iter().rfind(|seen| seen.kind == kind).unwrap()
}

/// A renewal that is served, and what found it.
fn renew(host: &Host, site: &mut Site) -> Trigger {
    let next = Pair::new(&[NAME]);
    let generation = host.status().generation;
    site.renew(&next);
    host.wait_until_served(NAME, &next.sha256);
    host.recorder.wait_for_generation(generation + 1);
    host.recorder.of(Kind::Reloaded).last().unwrap().trigger
}

/// The poll is not so frequent that it always comes first.
fn notifications_are_back(host: &Host, site: &mut Site) {
    assert!((0..100).any(|_| renew(host, site) == Trigger::Watch), "found by polling alone");
}
