//! A program that runs, and what it says on stdout and stderr, in one stream.

use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Ends when this is dropped.
pub(super) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<PipeReader>,
}

impl Running {
    /// Starts `program`; a minute is all that it gets.
    pub(super) fn start(program: &str, set_up: impl FnOnce(&mut Command)) -> Self {
        let (output, told) = io::pipe().unwrap();
        let mut command = Command::new("timeout");
        command.args(["60", program]);
        set_up(&mut command);
        command.stdin(Stdio::piped()).stdout(told.try_clone().unwrap()).stderr(told);
        let mut child = command.spawn().unwrap();
        Self { input: child.stdin.take(), child, output: BufReader::new(output) }
    }

    /// It may have gone, and its last words tell why.
    pub(super) fn tell(&mut self, text: &str) {
        let _ = self.input.as_mut().unwrap().write_all(text.as_bytes());
    }

    /// What it says up to a line that has one of `words` in it, or to its end.
    pub(super) fn listen_for(&mut self, words: &[&str]) -> String {
        let mut said = String::new();
        let mut from = 0;
        while !words.iter().any(|word| said[from..].contains(word)) {
            from = said.len();
            if self.output.read_line(&mut said).unwrap() == 0 {
                break;
            }
        }
        said
    }

    /// Says no more to it, and hears it out.
    pub(super) fn hear_out(mut self) -> String {
        drop(self.input.take());
        let mut said = String::new();
        self.output.read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.input.take());
        let child = i32::try_from(self.child.id()).unwrap();
        // SAFETY: a child of ours that has not been waited for. `timeout` passes it on.
        unsafe { libc::kill(child, libc::SIGTERM) };
        let _ = self.child.wait();
    }
}
