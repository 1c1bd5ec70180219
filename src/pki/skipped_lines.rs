//! Finds PEM sections that are not read, because their BEGIN is behind other text.
//!
//! Such a section was lost by an edit, or by a tool that put something before each line. It must not disappear without a
//! word: a root or a revocation list may be in it.

use std::path::Path;

use super::pem::{BEGIN, END, Lines, after_begin, position_of, section};
use super::warnings::{Warning, WarningKind};

/// So many digits of base64 in a row are no word and no path. A line of PEM usually has 64.
const LONG_RUN: usize = 32;

/// A line outside of the sections that has a BEGIN behind other text. What follows it, to the next END, is not read.
pub(super) struct SkippedLine<'a> {
    /// Counted from 1.
    pub(super) number: usize,
    /// This line and those to the END.
    pub(super) block: &'a [u8],
    /// Whether the END is behind the same text, because the lines were made comments.
    pub(super) is_comment: bool,
}

impl SkippedLine<'_> {
    /// Returns the warning about this line of the file at `path`.
    pub(super) fn warning(&self, path: &Path) -> Warning {
        let (path, number) = (path.display(), self.number);
        let text = format!("line {number} of {path} is skipped: {BEHIND_OTHER_TEXT}");
        Warning::new(WarningKind::PemSkipped, text)
    }
}

pub(super) const BEHIND_OTHER_TEXT: &str =
    "its BEGIN is behind other text, so what follows is not read; put it on a separate line";

/// Returns the lines of `bytes` that have a BEGIN behind other text, up to the first section that is malformed.
pub(super) fn skipped_lines(bytes: &[u8]) -> Vec<SkippedLine<'_>> {
    let mut skipped = Vec::new();
    let mut lines = Lines::of(bytes);
    loop {
        let start = lines.position;
        let Some(line) = lines.next() else { return skipped };
        if after_begin(line.text).is_some() {
            if section(&line, &mut lines).is_err() {
                return skipped;
            }
        } else if let Some(margin) = position_of(line.text, BEGIN) {
            let mut ahead = lines.clone();
            let (margin, begin) = line.text.split_at(margin);
            let found = match position_of(begin, END) {
                // The whole section is in one line, for example with line breaks that are spelled out.
                Some(end) => {
                    has_long_run(&begin[..end]).then(|| (line.end, is_comment_sign(margin)))
                }
                None => end_of_skipped(margin, begin, &mut ahead),
            };
            let Some((end, is_comment)) = found else { continue };
            skipped.push(SkippedLine {
                number: line.number,
                block: &bytes[start..end],
                is_comment,
            });
            lines = ahead;
        }
    }
}

/// Returns whether there are many digits of base64 in a row, whatever is around them: the number of the line, quotes, or
/// line breaks that are spelled out.
fn has_long_run(line: &[u8]) -> bool {
    line.split(|byte| !is_base64(*byte)).any(|run| run.len() >= LONG_RUN)
}

/// Returns whether lines that begin with `margin` are comments.
fn is_comment_sign(margin: &[u8]) -> bool {
    !margin.is_empty() && margin.iter().all(|byte| b"#;/ \t".contains(byte))
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

/// Returns where the block ends that has `begin` behind `margin` in its first line, and whether all its lines are
/// comments; `None` if no base64 follows: then the BEGIN is part of a text about PEM.
fn end_of_skipped(margin: &[u8], begin: &[u8], ahead: &mut Lines<'_>) -> Option<(usize, bool)> {
    let mut is_comment = is_comment_sign(margin);
    let mut has_base64 = has_long_run(begin);
    loop {
        let position = ahead.position;
        let before = ahead.clone();
        let Some(line) = ahead.next() else { return has_base64.then_some((position, false)) };
        // Also behind other text: so each line is read twice at most.
        if after_begin(line.text).is_some() || position_of(line.text, BEGIN).is_some() {
            *ahead = before;
            return has_base64.then_some((position, false));
        }
        is_comment &= line.text.starts_with(margin);
        let body = line.text.strip_prefix(margin).unwrap_or(line.text).trim_ascii();
        if let Some(end) = position_of(line.text, END) {
            has_base64 |= has_long_run(&line.text[..end]);
            return has_base64.then_some((line.end, is_comment));
        }
        has_base64 |=
            body.len() >= 4 && body.iter().all(|byte| is_base64(*byte)) || has_long_run(body);
    }
}
