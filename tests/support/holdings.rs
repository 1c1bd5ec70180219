//! What this process holds: memory, threads, descriptors.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

/// A measurement.
#[derive(Clone, Copy, Debug)]
pub struct Holdings {
    resident: u64,
    threads: usize,
    descriptors: usize,
}

impl Holdings {
    /// What is held now, when what is free has been given back to the system.
    pub fn measure() -> Self {
        // SAFETY: no pointers; it only gives free memory back.
        unsafe { libc::malloc_trim(0) };
        let statm = fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        let count = |directory| fs::read_dir(directory).unwrap().count();
        Self {
            resident: pages * 4096,
            threads: count("/proc/self/task"),
            descriptors: count("/proc/self/fd"),
        }
    }

    /// Threads and descriptors are equal, and memory has not grown by more than so much.
    pub fn assert_flat_since(&self, before: &Self, percent: u64) {
        assert_eq!((self.threads, self.descriptors), (before.threads, before.descriptors));
        let limit = before.resident + before.resident * percent / 100;
        assert!(self.resident <= limit, "memory grew: {before} to {self}");
    }

    /// Measures until it is at rest: what is being closed takes a moment.
    pub fn at_rest() -> Self {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut last = Self::measure();
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_millis(300) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            let now = Self::measure();
            if (now.threads, now.descriptors) != (last.threads, last.descriptors) {
                since = Instant::now();
            }
            last = now;
        }
        last
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = self.resident / 1024;
        write!(f, "{kib} KiB, {} threads, {} descriptors", self.threads, self.descriptors)
    }
}
