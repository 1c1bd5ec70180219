//! Provides the memory in which a process and the processes forked from it agree on session ticket keys
//! (`tls::sessions::seeds_across_fork`).

use std::sync::atomic::AtomicU64;

use super::memory_across_fork::{OnFork, map_words};
use super::set_once::SetOnce;

/// The number of words in the shared memory: as many as the layout in `tls::sessions::seeds_across_fork` needs.
pub(crate) const SHARED_WORDS: usize = 16;

/// The words in the shared memory, each zero at first.
pub(crate) type SharedWords = [AtomicU64; SHARED_WORDS];

/// Returns the words that this process shares with those that it was forked from and that it forks from now on.
///
/// If the kernel maps no shared memory, the words are private: a forked process then has a copy, and sees no changes.
pub(crate) fn shared_words() -> &'static SharedWords {
    static WORDS: SetOnce<SharedWords> = SetOnce::new();
    WORDS.get().unwrap_or_else(|| {
        let words = map_words(OnFork::Shared);
        WORDS.set(words.unwrap_or_else(|| Box::leak(Box::default())))
    })
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn shared_words_of_a_process_are_always_the_same() {
        assert!(ptr::eq(shared_words(), shared_words()));
    }
}
