//! Bugs on purpose: a run that does not find them has proved nothing about the rest.
//!
//! `run.sh` adds this module to the instrumented library, and to no other.

#![allow(unsafe_code, missing_docs, clippy::missing_panics_doc)]

use std::cell::UnsafeCell;
use std::hint::black_box;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

struct Shared(UnsafeCell<u64>);

// SAFETY: none: this is the bug.
unsafe impl Sync for Shared {}

static COUNTER: Shared = Shared(UnsafeCell::new(0));

/// Two threads write one plain field.
#[unsafe(no_mangle)]
pub extern "C" fn planted_race() {
    let add = || {
        // SAFETY: none: nothing orders the two threads.
        unsafe { *COUNTER.0.get() += 1 }
    };
    let other = thread::spawn(add);
    add();
    drop(other.join());
}

/// A count that two threads share, as `Arc` keeps it, but for the fence before the memory is freed.
#[unsafe(no_mangle)]
pub extern "C" fn planted_release_without_acquire() {
    struct Counted {
        users: AtomicUsize,
        value: UnsafeCell<u64>,
    }
    // SAFETY: none: the last user does not see what the other one did.
    unsafe impl Sync for Counted {}
    let counted = Box::leak(Box::new(Counted { users: 2.into(), value: UnsafeCell::new(0) }));
    let counted: &'static Counted = counted;
    let give_back = move |value| {
        if value > 0 {
            // SAFETY: only one of the two writes.
            unsafe { *counted.value.get() = value };
        }
        if counted.users.fetch_sub(1, Ordering::Release) == 1 {
            // SAFETY: it came from a box, and nobody else uses it any more.
            drop(unsafe { Box::from_raw(ptr::from_ref(counted).cast_mut()) });
        }
    };
    let other = thread::spawn(move || give_back(1));
    while counted.users.load(Ordering::Relaxed) == 2 {
        thread::yield_now();
    }
    give_back(0);
    drop(other.join());
}

/// Reads what was freed.
#[unsafe(no_mangle)]
pub extern "C" fn planted_use_after_free() -> u64 {
    let value = Box::new(black_box(7_u64));
    let place = ptr::from_ref(&*value);
    drop(value);
    // SAFETY: none: the value is gone.
    unsafe { *black_box(place) }
}

/// Reads what was freed, in code of the standard library that was compiled by its makers.
#[unsafe(no_mangle)]
pub extern "C" fn planted_use_after_free_in_std() -> bool {
    let text = String::from("x".repeat(black_box(40)));
    // SAFETY: none: the text is gone before its slice.
    let dangling: &'static str = unsafe { &*ptr::from_ref(text.as_str()) };
    drop(text);
    black_box(dangling).parse::<std::net::IpAddr>().is_ok()
}

/// Forgets memory.
#[unsafe(no_mangle)]
pub extern "C" fn planted_leak() {
    // In a thread that is gone afterwards, so that no address stays behind in a register.
    fn forget() {
        black_box(Box::into_raw(Box::new([7_u8; 1000])));
    }
    drop(thread::spawn(forget).join());
}

/// No bug: what counts its users is freed by the last one, under locks that are fought for.
#[unsafe(no_mangle)]
pub extern "C" fn planted_nothing() {
    let list = Arc::new(std::sync::Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let list = list.clone();
            thread::spawn(move || (0..1000).for_each(|n| list.lock().unwrap().push(n)))
        })
        .collect();
    drop(list);
    threads.into_iter().for_each(|thread| drop(thread.join()));
}
