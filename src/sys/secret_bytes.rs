//! Bytes that may be a key or a password: a forked child finds zeros in their place, and they are wiped when dropped.
//!
//! Files are read outside of the sections that forks wait for ([`without_fork`](super::without_fork)), because reading
//! can block. A fork during the read must not leave a copy of the bytes in the child, which would never wipe it (G18).

#![allow(unsafe_code, reason = "slices of mapped memory; each block is argued for")]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

use zeroize::{Zeroize, Zeroizing};

use super::memory_across_fork::{map_wiped_bytes, unmap};

/// A buffer of a fixed capacity.
pub(crate) struct SecretBytes {
    memory: Memory,
    length: usize,
}

enum Memory {
    /// Memory pages that nothing else uses.
    Pages(Pages),
    /// The heap, if the kernel maps no pages. A forked child has a copy then.
    Heap(Zeroizing<Vec<u8>>),
}

struct Pages {
    start: NonNull<u8>,
    capacity: usize,
}

// SAFETY: the pages belong to this value alone, as the heap memory of a `Vec` does.
unsafe impl Send for Pages {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Pages {}

impl SecretBytes {
    /// Returns `length` zeros.
    pub(crate) fn zeroed(length: usize) -> Self {
        let capacity = length.max(1);
        let memory = match map_wiped_bytes(capacity) {
            Some(start) => Memory::Pages(Pages { start, capacity }),
            None => Memory::Heap(Zeroizing::new(vec![0; capacity])),
        };
        Self { memory, length }
    }

    /// Returns a copy of `bytes`.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }

    /// Shortens the value to `length` bytes. The others are wiped with it.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Deref for SecretBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            // SAFETY: `length` is at most `capacity`, the number of bytes that are mapped from `start` on; they are
            // initialised, and live as long as `self`.
            Memory::Pages(pages) => unsafe {
                slice::from_raw_parts(pages.start.as_ptr(), self.length)
            },
            Memory::Heap(bytes) => &bytes[..self.length],
        }
    }
}

impl DerefMut for SecretBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            // SAFETY: as in `deref`; `self` is borrowed exclusively.
            Memory::Pages(pages) => unsafe {
                slice::from_raw_parts_mut(pages.start.as_ptr(), self.length)
            },
            Memory::Heap(bytes) => &mut bytes[..self.length],
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `map_wiped_bytes` mapped these bytes, and nothing refers to them any more.
        unsafe {
            slice::from_raw_parts_mut(self.start.as_ptr(), self.capacity).zeroize();
            unmap(self.start, self.capacity);
        }
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes")
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_fork::is_true_in_child;
    use super::*;

    #[test]
    fn g18_a_forked_child_finds_zeros() {
        let secret = SecretBytes::copy_of(b"secret");
        assert!(is_true_in_child(|| secret[..] == [0; 6]));
        assert_eq!(&secret[..], b"secret");
    }

    #[test]
    fn bytes_are_kept_up_to_the_new_length() {
        let mut bytes = SecretBytes::copy_of(&[7; 10_000]);
        bytes.truncate(5_000);
        assert_eq!(bytes[..], [7; 5_000]);
        assert!(SecretBytes::zeroed(0).is_empty());
        assert_eq!(format!("{bytes:?}"), "SecretBytes");
    }
}
