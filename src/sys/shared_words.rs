//! Words of memory that a process shares with every process forked from it.

use std::sync::atomic::AtomicU64;

use super::mapped_words::{OnFork, map_words};
use super::set_once::SetOnce;

/// How many words there are.
pub(crate) const SHARED_WORDS: usize = 16;

/// Zero at first.
pub(crate) type SharedWords = [AtomicU64; SHARED_WORDS];

/// Returns the words of this process and of those that it forks from now on.
///
/// If the kernel maps no shared memory, the words are this process's own: a forked process then has a copy.
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
