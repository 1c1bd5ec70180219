//! What wakes the worker costs a step of one handle, however many handles are open.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::sync::{Mutex, PoisonError};

use certreload::testing::worker_steps;
use support::certificates::{Pair, Site, replace};
use support::host::{Builder, Host};

const HANDLES: usize = 40;
const A_DAY_MS: u32 = 86_400_000;

/// The steps of a process are counted together, so the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Many handles, each with its own files, for which the worker has nothing to do.
fn many() -> Vec<(Site, Host)> {
    let open = |number: usize| {
        let site = Site::plain(&Pair::new(&[&format!("{number}.test")]));
        let builder = Builder::new().identity(&site.chain(), &site.key());
        let host = builder.poll_ms(A_DAY_MS).open();
        (site, host)
    };
    let all: Vec<_> = (0..HANDLES).map(open).collect();
    // The answer comes out of a step, so the first step of each handle is done.
    for (_, host) in &all {
        host.reload_wait();
    }
    all
}

#[test]
fn a_request_steps_one_handle() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let all = many();
    let before = worker_steps();
    all[7].1.reload_wait();
    assert_eq!(worker_steps() - before, 1);
}

#[test]
fn a_changed_file_steps_its_own_handle() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let all = many();
    let (site, host) = &all[7];
    let before = worker_steps();
    let next = Pair::new(&["7.test"]);
    replace(&site.chain(), &next.chain);
    replace(&site.key(), &next.key);
    host.wait_until_served("7.test", &next.sha256);
    // A few notifications, the quiet time after them, and perhaps a retry while only one file is new.
    let steps = worker_steps() - before;
    assert!(steps < HANDLES as u64, "{steps} steps for {HANDLES} handles");
}

#[test]
fn polls_of_one_handle_step_no_other() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let _idle = many();
    let site = Site::plain(&Pair::new(&["busy.test"]));
    let busy = Builder::new().identity(&site.chain(), &site.key()).poll_ms(10).open();
    busy.reload_wait();
    let (steps_before, polls_before) = (worker_steps(), busy.status().unchanged);
    while busy.status().unchanged < polls_before + 10 {
        std::thread::yield_now();
    }
    let polls = busy.status().unchanged - polls_before;
    let steps = worker_steps() - steps_before;
    // One more may have begun meanwhile, on either side.
    assert!(steps <= 2 * polls + 2, "{steps} steps for {polls} polls");
}
