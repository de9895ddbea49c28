//! One file that is being read: how far it was read, how far its lines were settled, and what it was before.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::checkpoint::{Head, KnownFile, Previous};
use super::file::{CHUNK_BYTES, HEAD_BYTES, Inode, OpenFile, Seen};
use crate::io::lines::{Line, Lines};
use crate::push::intake::{Labels, Message, Refusal};

/// Bytes of the lines of one list.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that are read for one list. A line without an end can be as long as a disk: other files have their turn meanwhile,
/// and a stop is seen.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The end of a line.
#[derive(Clone, Copy, Debug)]
pub(in crate::push) struct LineEnd {
    /// The number of the file in this process.
    pub(super) file: u64,
    /// How often its content was replaced: the offset counts in one content alone.
    generation: u64,
    offset: u64,
}

/// Lines on their way to acceptance.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) messages: Vec<Message<LineEnd>>,
    /// With what ids begin.
    id: &'a str,
    lines_max: usize,
    bytes: usize,
    /// Bytes that were read, also of lines that have not ended.
    read: usize,
}

impl<'a> Batch<'a> {
    pub(super) fn new(id: &'a str, lines_max: usize) -> Self {
        Self { messages: Vec::new(), id, lines_max, bytes: 0, read: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.messages.len() >= self.lines_max || self.bytes >= BATCH_BYTES_MAX || self.read >= READ_BYTES_MAX
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// It has lines of its own.
    Own,
    /// All that it has is the beginning of the file with this number. It is not read.
    CopyOf(u64),
    /// It is new and empty, so both are possible.
    Unclear,
}

/// What a comparison with other files shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is empty.
    Nothing,
    /// It begins like the file with this number.
    CopyOf(u64),
    /// It has lines of its own from this offset on.
    Own(u64),
}

#[derive(Debug)]
pub(super) struct Tracked {
    /// Its number in this process.
    pub(super) number: u64,
    pub(super) name: Arc<str>,
    pub(super) file: OpenFile,
    pub(super) generation: u64,
    /// Where the first line begins that was not settled.
    pub(super) offset: u64,
    /// How far it was read.
    read: u64,
    /// How many bytes it has.
    pub(super) bytes: u64,
    lines: Lines,
    line_bytes: usize,
    pub(super) previous: Option<Previous>,
    /// When that was replaced, as far as this process knows.
    pub(super) replaced: Instant,
    pub(super) nature: Nature,
    /// Since when no pattern names it.
    pub(super) gone: Option<Instant>,
    /// When it last had more bytes.
    pub(super) grown: Instant,
}

impl Tracked {
    /// A file that is read from its start.
    pub(super) fn new(number: u64, name: &str, file: OpenFile, line_bytes: usize) -> Self {
        Self {
            number,
            name: name.into(),
            file,
            generation: 0,
            offset: 0,
            read: 0,
            bytes: 0,
            lines: Lines::new(line_bytes),
            line_bytes,
            previous: None,
            replaced: Instant::now(),
            nature: Nature::Own,
            gone: None,
            grown: Instant::now(),
        }
    }

    /// Goes on where an earlier look at the file ended.
    pub(super) fn resume(&mut self, known: &KnownFile) {
        (self.name, self.generation) = ((&*known.name).into(), known.generation);
        self.previous.clone_from(&known.previous);
        self.start_at(known.offset);
    }

    /// Has another content than the file that had its inode.
    pub(super) fn succeed(&mut self, known: &KnownFile) {
        self.generation = known.generation + 1;
        self.previous = Some(Previous { head: known.head.clone(), offset: known.offset });
    }

    /// Where the last line begins that may be unfinished: what comes before it is there already. A line that is longer
    /// than `line_bytes` is refused when it ends, so its beginning does not matter.
    pub(super) fn last_line(&self, line_bytes: usize) -> io::Result<u64> {
        let bytes = self.file.bytes()?;
        let start = bytes.saturating_sub(line_bytes as u64 + 2);
        let last = self.file.read_at(start, line_bytes + 2)?;
        let end = memchr::memrchr(b'\n', &last).map(|at| start + at as u64 + 1);
        Ok(end.unwrap_or(start))
    }

    /// Whether it begins like `original`, or like it was before a truncation that no scan has seen yet.
    pub(super) fn begins_like(&self, original: &Self) -> bool {
        let (head, known) = (&self.file.head, &original.file.head);
        if known.starts_with(head) {
            return true;
        }
        // What was looked at is older than the copy, and shorter.
        let Ok(live) = original.file.read_at(0, head.len()) else { return false };
        let was_replaced = !known.is_empty() && !live.starts_with(known);
        // What is as short as this may be the same by chance. Programs that rotate add to the name.
        let is_rotated = was_replaced && self.name.starts_with(&*original.name);
        head.starts_with(known) && (live == *head || is_rotated)
    }

    /// Whether all that it has is the beginning of `original`.
    pub(super) fn is_beginning_of(&self, original: &Self) -> io::Result<bool> {
        let bytes = self.file.bytes()?;
        let start = bytes.saturating_sub(HEAD_BYTES as u64);
        let end = self.file.read_at(start, HEAD_BYTES)?;
        if original.file.read_at(start, end.len())? == end {
            return Ok(true);
        }
        // An original that was replaced this moment says nothing; the next look at it tells.
        let is_same = original.file.read_at(0, original.file.head.len())? == original.file.head;
        Ok(!is_same || original.file.bytes()? < original.read)
    }

    /// Becomes what a comparison has shown.
    pub(super) fn become_(&mut self, found: Found) {
        match found {
            Found::Nothing => self.nature = Nature::Unclear,
            Found::CopyOf(original) => self.nature = Nature::CopyOf(original),
            Found::Own(offset) => self.follow(offset),
        }
    }

    /// Is no copy any more: its original was read up to `offset`. A copy is shorter if lines were written and read between
    /// its end and the truncation: it has nothing else then, and half a line at its end.
    pub(super) fn follow(&mut self, offset: u64) {
        // The last look may be older than the end of the copy.
        let bytes = self.file.bytes().unwrap_or(self.bytes);
        let has_rest = offset <= bytes;
        self.bytes = bytes;
        self.start_at(if has_rest { offset } else { self.last_line(self.line_bytes).unwrap_or(0) });
    }

    /// Reads from `offset` on.
    pub(super) fn start_at(&mut self, offset: u64) {
        (self.offset, self.read) = (offset, offset);
        self.nature = Nature::Own;
        self.lines = Lines::new(self.line_bytes);
    }

    /// Looks how long it is. Returns whether it has another content than before.
    pub(super) fn look(&mut self) -> io::Result<bool> {
        let head = Head::of(&self.file.head);
        let least = if self.nature == Nature::Own { self.read } else { 0 };
        match self.file.look(least)? {
            Seen::Same(bytes) => {
                if bytes != self.bytes {
                    (self.bytes, self.grown) = (bytes, Instant::now());
                }
                Ok(false)
            }
            Seen::Replaced => {
                self.file.accept_content()?;
                self.previous = Some(Previous { head, offset: self.offset });
                self.replaced = Instant::now();
                self.generation += 1;
                (self.bytes, self.grown) = (self.file.bytes()?, Instant::now());
                self.start_at(0);
                Ok(true)
            }
        }
    }

    /// Bytes that are not settled.
    pub(super) fn lag(&self) -> u64 {
        if self.nature == Nature::Own { self.bytes.saturating_sub(self.offset) } else { 0 }
    }

    /// Whether all of it is read, but for a line without an end.
    pub(super) fn is_read(&self) -> bool {
        self.nature != Nature::Own || self.read >= self.bytes
    }

    /// Whether a line without an end is all that is left.
    pub(super) fn has_unfinished(&self) -> bool {
        self.lines.unfinished() > 0
    }

    /// Reads a piece of the file. Returns whether there may be more.
    pub(super) fn read_lines(&mut self, batch: &mut Batch<'_>) -> io::Result<bool> {
        if self.is_read() || batch.is_full() {
            return Ok(false);
        }
        let chunk = self.file.read_at(self.read, CHUNK_BYTES)?;
        // Looked at when the bytes are there: if the file was replaced in between, they are of another line.
        match self.file.look(self.read + chunk.len() as u64)? {
            Seen::Same(bytes) => self.bytes = bytes,
            // The next scan sees it too. No line of the old content is on its way then.
            Seen::Replaced => return Ok(false),
        }
        let mut rest = &chunk[..];
        while !rest.is_empty() && !batch.is_full() {
            let start = self.read - self.lines.unfinished();
            let (line, taken) = self.lines.take(rest);
            self.read += taken as u64;
            batch.read += taken;
            rest = &rest[taken..];
            if let Some(line) = line {
                self.put(batch, start, line);
            }
        }
        Ok(!self.is_read())
    }

    /// Gives up a line whose end does not come any more: half a line is no line.
    pub(super) fn give_up(&mut self, batch: &mut Batch<'_>) {
        if self.lines.unfinished() > 0 {
            let start = self.read - self.lines.unfinished();
            self.lines = Lines::new(self.line_bytes);
            let detail = "the last line of a file that is gone has no end".to_owned();
            self.put_body(batch, start, Err(Refusal { rule: "line-unfinished", detail }));
        }
    }

    fn put(&self, batch: &mut Batch<'_>, start: u64, line: Line) {
        let body = match line {
            Line::Whole(line) => Ok(line),
            Line::TooLong => Err(Refusal::line_too_long()),
        };
        self.put_body(batch, start, body);
    }

    fn put_body(&self, batch: &mut Batch<'_>, start: u64, body: Result<Bytes, Refusal>) {
        let Inode { device, number } = self.file.inode;
        batch.bytes += body.as_ref().map_or(0, Bytes::len);
        batch.messages.push(Message {
            tag: LineEnd { file: self.number, generation: self.generation, offset: self.read },
            id: Some(format!("{}-{device:x}-{number:x}-{}-{start}", batch.id, self.generation)),
            body,
            is_redelivered: false,
            labels: Labels { file: Arc::clone(&self.name), ..Labels::default() },
        });
    }

    /// A line that ends at this offset is settled.
    pub(super) fn settle(&mut self, end: LineEnd) {
        if end.generation == self.generation {
            self.offset = self.offset.max(end.offset);
        }
    }

    /// What is to be remembered of it.
    pub(super) fn known(&self, now: u64) -> KnownFile {
        let Inode { device, number } = self.file.inode;
        KnownFile {
            name: (*self.name).to_owned(),
            device,
            inode: number,
            head: Head::of(&self.file.head),
            generation: self.generation,
            offset: self.offset,
            previous: self.previous.clone(),
            seen: now,
        }
    }
}
