//! From bytes to lines: whole ones, those that are too long, and the rest that has no end yet.

use bytes::Bytes;

/// A line that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Without its end, `\n` or `\r\n`.
    Whole(Bytes),
    TooLong,
}

/// Cuts bytes into lines. It keeps the beginning of a line whose end is still to come.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Bytes of one line, without its end.
    most: usize,
    rest: Vec<u8>,
    /// Bytes of a line that is too long, which are not kept.
    dropped: u64,
}

impl Lines {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, rest: Vec::new(), dropped: 0 }
    }

    /// Bytes of a line whose end is still to come.
    pub(crate) fn unfinished(&self) -> u64 {
        self.rest.len() as u64 + self.dropped
    }

    /// Takes bytes up to the end of one line. Returns that line, and how many bytes were taken; without a line all of them
    /// are.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> (Option<Line>, usize) {
        match memchr::memchr(b'\n', bytes) {
            None => {
                self.keep(bytes);
                (None, bytes.len())
            }
            Some(end) => (Some(self.finish(&bytes[..end])), end + 1),
        }
    }

    /// The line that the bytes end with, if there is one without an end.
    pub(crate) fn end(&mut self) -> Option<Line> {
        (self.unfinished() > 0).then(|| self.finish(&[]))
    }

    fn keep(&mut self, bytes: &[u8]) {
        // One byte more may be the `\r` of the end.
        if self.dropped > 0 || self.rest.len() + bytes.len() > self.most + 1 {
            self.dropped += (self.rest.len() + bytes.len()) as u64;
            self.rest = Vec::new();
        } else {
            self.rest.extend_from_slice(bytes);
        }
    }

    fn finish(&mut self, end: &[u8]) -> Line {
        self.keep(end);
        let is_too_long = std::mem::take(&mut self.dropped) > 0;
        let mut line = std::mem::take(&mut self.rest);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if is_too_long || line.len() > self.most { Line::TooLong } else { Line::Whole(line.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a text that comes in pieces of every size.
    fn check(most: usize, text: &[u8], expected: &[&str], unfinished: u64) {
        for size in 1..=text.len() {
            let (mut lines, mut found) = (Lines::new(most), Vec::new());
            for mut piece in text.chunks(size) {
                while !piece.is_empty() {
                    let (line, taken) = lines.take(piece);
                    found.extend(line.map(|line| match line {
                        Line::Whole(line) => String::from_utf8_lossy(&line).into_owned(),
                        Line::TooLong => "TOO LONG".to_owned(),
                    }));
                    piece = &piece[taken..];
                }
            }
            assert_eq!(
                (found, lines.unfinished()),
                (expected.iter().map(|&l| l.to_owned()).collect(), unfinished)
            );
        }
    }

    #[test]
    fn lines_end_with_or_without_a_carriage_return() {
        check(10, b"ab\n\r\ncd\r\n\n", &["ab", "", "cd", ""], 0);
        check(10, b"a\rb\nrest", &["a\rb"], 4);
    }

    #[test]
    fn a_line_may_have_the_most_bytes_and_not_one_more() {
        check(3, b"abc\nabcd\nabc\r\nab\n", &["abc", "TOO LONG", "abc", "ab"], 0);
        check(3, b"abcdefgh", &[], 8);
    }
}
