//! Tests of the queues without threads: which reader runs which read.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::entry::Next;
use super::mounts::Mounts;
use super::queues::{MAX_STUCK, Queues};
use super::read::{Group, Item, PATIENCE, Read, ReadId};
use super::reader::{Blocked, Progress, Reader};
use crate::sys::Mutex;

const HANDLE: u64 = 1;

/// Returns a path on a file system that is not known to be local. `None`, with a message, if there is none.
fn path_that_is_not_local() -> Option<&'static str> {
    let paths = ["/dev/pts/0", "/sys/fs/cgroup/cpu/x", "/dev/mqueue/x", "/sys/kernel/debug/x"];
    let mounts = Mounts::recent();
    let found = paths.into_iter().find(|path| !mounts.is_local(Path::new(path)));
    if found.is_none() {
        println!("NOT TESTED: all mounts are local");
    }
    found
}

/// A read that records its delivery.
struct Noted(Arc<Mutex<Vec<bool>>>);

impl Read for Noted {
    fn run(&mut self) {}

    fn deliver(self: Box<Self>, is_late: bool) {
        self.0.lock().push(is_late);
    }
}

struct Fixture {
    queues: Queues,
    delivered: Arc<Mutex<Vec<bool>>>,
}

impl Fixture {
    fn new() -> Self {
        Self { queues: Queues::default(), delivered: Arc::default() }
    }

    fn add(&mut self, count: usize) -> (Vec<ReadId>, Arc<Group>) {
        let read = || -> Box<dyn Read> { Box::new(Noted(self.delivered.clone())) };
        let reads = (0..count).map(|_| read()).collect();
        self.queues.add(HANDLE, reads)
    }

    /// Starts the general reader with the next read.
    fn start(&mut self) -> (Arc<Reader>, Item) {
        let (reader, is_general) = self.queues.missing_readers().pop().unwrap();
        assert!(is_general);
        let item = self.run(&reader);
        (reader, item)
    }

    fn run(&mut self, reader: &Arc<Reader>) -> Item {
        match self.queues.next(reader) {
            Next::Run(item) => item,
            Next::Wait | Next::End => panic!("nothing to run"),
        }
    }

    /// Lets `reader` be stuck on `path`.
    fn hang(&mut self, reader: &Arc<Reader>, path: &str) {
        reader.enter_file(Path::new(path));
        thread::sleep(2 * PATIENCE);
        self.queues.detach_stuck(Instant::now());
    }

    fn delivered(&self) -> Vec<bool> {
        self.delivered.lock().clone()
    }
}

#[test]
fn g21_read_that_hangs_is_late_and_the_next_one_gets_another_reader() {
    let mut fixture = Fixture::new();
    let (ids, group) = fixture.add(2);
    let (stuck, item) = fixture.start();
    fixture.hang(&stuck, "/proc/self");
    assert!(!group.is_done());
    let (other, next) = fixture.start();
    fixture.queues.finish(&other, next);
    assert!(group.is_done(), "one is late and one has ended");
    assert!(matches!(fixture.queues.progress(ids[0]), Progress::NotAnswering { .. }));
    stuck.leave();
    fixture.queues.finish(&stuck, item);
    assert_eq!(fixture.delivered(), [false, true]);
    assert_eq!(fixture.queues.progress(ids[0]), Progress::Ended);
    assert!(matches!(fixture.queues.next(&stuck), Next::End));
}

/// The reader of a slow mount may be needed for longer by a callback: its mount gets another reader.
#[test]
fn g21_callback_of_a_slow_read_does_not_keep_its_mount() {
    let mut fixture = Fixture::new();
    fixture.add(2);
    let (stuck, _item) = fixture.start();
    fixture.hang(&stuck, "/proc/self");
    stuck.leave();
    let (general, next) = fixture.start();
    let blocked = fixture.queues.gate(&general, Path::new("/proc/self"));
    let Some(why @ Blocked::Mount(_)) = blocked else { panic!("{blocked:?}") };
    general.block(why);
    fixture.queues.finish(&general, next);
    assert!(fixture.queues.missing_readers().is_empty(), "the mount has a reader");
    assert_eq!(fixture.queues.enter_host(&stuck), None);
    let readers = fixture.queues.missing_readers();
    assert!(matches!(fixture.queues.next(&readers[0].0), Next::Run(_)));
}

#[test]
fn g21_read_that_is_stuck_on_another_mount_frees_its_own() {
    let Some(remote) = path_that_is_not_local() else { return };
    let mut fixture = Fixture::new();
    fixture.add(2);
    let (stuck, _item) = fixture.start();
    fixture.hang(&stuck, "/proc/self");
    let (general, next) = fixture.start();
    general.block(fixture.queues.gate(&general, Path::new("/proc/self")).unwrap());
    fixture.queues.finish(&general, next);
    assert_eq!(fixture.queues.gate(&stuck, Path::new(remote)), None);
    let readers = fixture.queues.missing_readers();
    assert!(matches!(fixture.queues.next(&readers[0].0), Next::Run(_)), "of /proc");
}

/// The general reader that parks a read and ends must not make the read due again.
#[test]
fn parked_read_waits_until_a_stuck_reader_ends() {
    let Some(remote) = path_that_is_not_local() else { return };
    let mut fixture = Fixture::new();
    let mut stuck = Vec::new();
    for _ in 0..MAX_STUCK - 1 {
        fixture.add(1);
        stuck.push(fixture.start());
        fixture.hang(&stuck.last().unwrap().0, remote);
    }
    let (ids, group) = fixture.add(1);
    let (general, item) = fixture.start();
    general.block(Blocked::NoReader);
    fixture.queues.finish(&general, item);
    assert!(group.is_done());
    fixture.queues.remove(&general);
    assert!(fixture.queues.missing_readers().is_empty());
    assert_eq!(fixture.queues.progress(ids[0]), Progress::NoReader);
    for (reader, item) in stuck {
        reader.leave();
        fixture.queues.finish(&reader, item);
        fixture.queues.remove(&reader);
    }
    let (_, item) = fixture.start();
    assert_eq!(item.id, ids[0]);
}

#[test]
fn g12_read_of_a_closed_handle_is_not_queued_again() {
    let mut fixture = Fixture::new();
    let (ids, group) = fixture.add(1);
    let (reader, item) = fixture.start();
    reader.block(Blocked::NoReader);
    assert!(fixture.queues.forget(HANDLE).is_empty());
    fixture.queues.finish(&reader, item);
    assert!(group.is_done());
    assert_eq!(fixture.queues.progress(ids[0]), Progress::Ended);
    assert!(fixture.delivered().is_empty());
}

#[test]
fn g21_only_some_callbacks_run_at_once() {
    let mut fixture = Fixture::new();
    let mut readers = Vec::new();
    loop {
        let (ids, _) = fixture.add(1);
        let (reader, item) = fixture.start();
        if let Some(why) = fixture.queues.enter_host(&reader) {
            assert_eq!(why, Blocked::HostCalls);
            reader.block(why);
            fixture.queues.finish(&reader, item);
            assert!(matches!(fixture.queues.progress(ids[0]), Progress::InHostCall { .. }));
            break;
        }
        reader.enter_host();
        thread::sleep(PATIENCE);
        fixture.queues.detach_stuck(Instant::now());
        readers.push((reader, item));
    }
    assert_eq!(readers.len(), 4);
    fixture.queues.leave_host(&readers[0].0);
    assert_eq!(fixture.queues.missing_readers().len(), 0, "the general reader is there");
}
