//! Random bytes from the kernel.

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Fills `bytes`, at most 256, with random bytes. Returns whether the kernel gave them.
///
/// Reads of up to 256 bytes are not interrupted once the kernel's generator is ready (`getrandom(2)`).
pub(crate) fn fill_from_kernel(bytes: &mut [u8]) -> bool {
    let length = bytes.len();
    loop {
        match getrandom(&mut *bytes, GetRandomFlags::empty()) {
            Err(Errno::INTR) => {}
            read => return read.is_ok_and(|filled| filled == length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_fills_all_bytes_with_different_ones_each_time() {
        let mut all = [[0; 32]; 2];
        assert!(all.iter_mut().all(|bytes| fill_from_kernel(bytes)));
        assert!(all[0] != all[1] && all.iter().all(|bytes| bytes[16..] != [0; 16]));
    }
}
