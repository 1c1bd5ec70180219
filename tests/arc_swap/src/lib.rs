//! What `Current` relies on in arc-swap, with threads held inside the race windows of `load`.
//!
//! `run.sh` builds this crate with a copy of arc-swap that calls a hook in each window.

#![cfg(test)]

mod contract;
mod handles;
mod windows;
