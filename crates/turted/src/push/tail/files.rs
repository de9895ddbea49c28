//! All files of a source: which are new, rotated, copied, replaced or gone.
//!
//! | what happens | what is done |
//! |---|---|
//! | a file is renamed | it is the same file, whether a pattern names it still or not |
//! | no pattern names a file any more | it is read on until nothing came for a while |
//! | a file begins otherwise, or is shorter than what was read | it has a new content, read from the start |
//! | a new file with another name begins like one that is known | it is a copy of it as long as it has nothing else, and is not read |
//! | the original of a copy has a new content | the copy is read from where the original was |

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use std::os::unix::fs::MetadataExt;

use super::checkpoint::{Checkpoint, Head, KnownFile, random_id};
use super::file::{HEAD_BYTES, Inode, OpenFile};
use super::glob;
use super::tracked::{Batch, Found, LineEnd, Nature, Tracked};
use crate::config::{StartAt, TailSource};
use crate::io::seldom::warn_seldom;
use crate::push::intake::Message;
use crate::push::source::Failure;

/// Files of one source that are open at once: half of the descriptors that are kept back from clients.
const OPEN_MAX: usize = 128;
/// Files that are read, and files that are remembered. What is there is remembered before what is gone: a file that was
/// forgotten would be read again.
const KNOWN_MAX: usize = 10_000;
/// Seconds for which a file that is not there is remembered: it may be on a disk that comes back.
const KNOWN_AGE: u64 = 24 * 60 * 60;
/// How long a short file that begins like another one may be the beginning of a copy. Copying takes less.
const COPY_WAIT: Duration = Duration::from_secs(2);
/// How long after its original was replaced, or after the start, a copy is looked for: it is made before the truncation.
const COPY_SEEN_WAIT: Duration = Duration::from_secs(60);
/// How long a file that no pattern names is read on: programs write to it until they are told that it was rotated.
const GONE_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Files {
    settings: TailSource,
    id: String,
    open: Vec<Tracked>,
    /// Those that are not open, as they were.
    known: HashMap<Inode, KnownFile>,
    directories: BTreeSet<PathBuf>,
    started: Instant,
    /// The number of the next file.
    next: u64,
    /// Which file is read first.
    turn: usize,
    /// Whether this is the first look at the first start.
    is_first: bool,
    /// Whether something is to be written down that is no settled line.
    changed: bool,
    /// Whether the last list was full before all was read.
    has_more: bool,
}

impl Files {
    /// The files of a source that has read as far as `read` says.
    pub(super) fn new(settings: &TailSource, read: Option<Checkpoint>) -> Result<Self, Failure> {
        let is_first = read.is_none();
        let (id, known) = match read {
            Some(checkpoint) => (checkpoint.id, checkpoint.files),
            None => (random_id()?, Vec::new()),
        };
        let settings = settings.clone();
        Ok(Self {
            settings,
            id,
            open: Vec::new(),
            known: known.into_iter().map(|known| (known.inode(), known)).collect(),
            directories: BTreeSet::new(),
            started: Instant::now(),
            next: 0,
            turn: 0,
            is_first,
            changed: true,
            has_more: false,
        })
    }

    /// Looks what is there. Returns how often lines were lost: a file was replaced before it was read to its end, and there
    /// is no copy of it.
    pub(super) fn scan(&mut self) -> usize {
        let mut there = HashSet::new();
        self.directories.clear();
        let patterns = self.settings.paths.clone();
        for path in patterns.iter().flat_map(|pattern| glob::paths(pattern)) {
            if there.len() == KNOWN_MAX {
                warn_seldom!(
                    most = KNOWN_MAX,
                    "the paths of a source name more files than it reads; the last ones are left out"
                );
                break;
            }
            if let Err(error) = self.find(&path, &mut there) {
                warn_seldom!(path = %path.display(), %error, "a file of a source cannot be read");
            }
        }
        self.is_first = false;
        self.clear_up();
        let mut replaced = Vec::new();
        for file in &mut self.open {
            let had_more = !file.is_read() || file.has_unfinished();
            match file.look() {
                Ok(true) => replaced.push((file.number, had_more)),
                Ok(false) => {}
                Err(error) => warn_seldom!(file = &*file.name, %error, "a file of a source cannot be read"),
            }
            let is_gone = !there.contains(&file.file.inode);
            file.gone = if is_gone { file.gone.or_else(|| Some(Instant::now())) } else { None };
        }
        self.changed |= !replaced.is_empty();
        let gaps =
            replaced.iter().filter(|(number, had_more)| !self.release_copies(*number) && *had_more).count();
        self.check_copies();
        self.forget();
        gaps
    }

    /// Looks at one path. Notes the file that it leads to.
    fn find(&mut self, path: &Path, there: &mut HashSet<Inode>) -> io::Result<()> {
        let metadata = match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            metadata => metadata?,
        };
        if let Some(parent) = path.parent().filter(|parent| !self.directories.contains(*parent)) {
            self.directories.insert(parent.to_owned());
        }
        let inode = Inode { device: metadata.dev(), number: metadata.ino() };
        if !metadata.is_file()
            || !there.insert(inode)
            || self.open.iter().any(|file| file.file.inode == inode)
        {
            return Ok(());
        }
        if self.open.len() >= OPEN_MAX && !self.make_room(inode, metadata.len()) {
            return Ok(());
        }
        let Some(file) = OpenFile::open(path)? else { return Ok(()) };
        // The path may lead elsewhere by now.
        if !self.open.iter().any(|open| open.file.inode == file.inode) {
            there.insert(file.inode);
            self.add(path, file)?;
        }
        Ok(())
    }

    /// Whether a file with this inode is to be opened although so many are: not if it was read before and has no more
    /// bytes. Another one that is read gives way.
    fn make_room(&mut self, inode: Inode, bytes: u64) -> bool {
        if let Some(known) = self.known.get_mut(&inode)
            && known.offset == bytes
        {
            known.seen = now();
            return false;
        }
        let idle = self.open.iter().enumerate().filter(|(_, file)| file.lag() == 0);
        let Some((at, _)) = idle.min_by_key(|(_, file)| file.grown) else {
            warn_seldom!(
                most = OPEN_MAX,
                "a source has more files with unread lines than it may open; they wait"
            );
            return false;
        };
        self.close(at);
        true
    }

    fn close(&mut self, at: usize) {
        let file = self.open.swap_remove(at);
        if file.nature == Nature::Own {
            self.known.insert(file.file.inode, file.known(now()));
        }
    }

    /// Begins to read a file that is not open yet.
    fn add(&mut self, path: &Path, file: OpenFile) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let line_bytes = self.settings.line_bytes;
        let mut file = Tracked::new(self.next, &name, file, line_bytes);
        self.next += 1;
        self.changed = true;
        let inode = file.file.inode;
        if let Some(known) = self.known.remove(&inode) {
            if known.head.begins(&file.file.head) {
                file.resume(&known);
            } else {
                file.succeed(&known);
            }
        } else if self.is_first {
            if self.settings.from == StartAt::End {
                let end = file.last_line(line_bytes)?;
                file.start_at(end);
            }
        } else {
            file.nature = Nature::Unclear;
            let found = self.compare(&file);
            file.become_(found);
        }
        self.open.push(file);
        Ok(())
    }

    /// Finds out what new files are that were empty until now.
    fn clear_up(&mut self) {
        for at in 0..self.open.len() {
            if self.open[at].nature == Nature::Unclear {
                // A file that cannot be read is looked at again.
                let _ = self.open[at].file.accept_content();
                let found = self.compare(&self.open[at]);
                self.changed = true;
                self.open[at].become_(found);
            }
        }
    }

    /// Finds out whether a new file is a copy of one that is known.
    fn compare(&self, file: &Tracked) -> Found {
        let (head, bytes) = (&file.file.head, file.file.bytes().unwrap_or(0));
        if head.is_empty() {
            return Found::Nothing;
        }
        // What takes the name of another file follows it: programs may begin each log alike.
        let open = || self.open.iter().filter(|open| open.name != file.name);
        let known = || self.known.values().filter(|known| *known.name != *file.name);
        let is_begun = |open: &&Tracked| open.nature == Nature::Own && file.begins_like(open);
        if let Some(original) = open().find(is_begun) {
            return Found::CopyOf(original.number);
        }
        // Only of late: what begins alike much later is another log.
        let is_recent = |since: Instant| since.elapsed() < COPY_SEEN_WAIT;
        let replaced = open().filter(|open| is_recent(open.replaced));
        let known = || known().filter(|_| is_recent(self.started));
        let previous = known().map(|known| (&*known.name, &known.previous));
        let previous = previous.chain(replaced.map(|open| (&*open.name, &open.previous)));
        let ended = previous.filter_map(|(name, of)| of.as_ref().map(|of| (name, &of.head, of.offset)));
        // What was written and read between copy and truncation is not in the copy. What only begins alike is short.
        let ended = ended.filter(|(.., offset)| *offset / 2 <= bytes);
        let closed = known().map(|known| (&*known.name, &known.head, known.offset));
        let closed = closed.filter(|(.., offset)| *offset <= bytes);
        let is_original = |(name, known, _): &(&str, &Head, u64)| {
            // What is as short as this may be the same by chance. Programs that rotate add to the name.
            let is_likely = known.bytes == HEAD_BYTES || file.name.starts_with(name);
            is_likely && known.bytes > 0 && known.begins(head)
        };
        let read = ended.chain(closed).filter(is_original).map(|(.., offset)| offset).max();
        Found::Own(read.unwrap_or(0))
    }

    /// The original of these copies has a new content: what was not read of the old one is in them. Returns whether there
    /// are any.
    fn release_copies(&mut self, original: u64) -> bool {
        let offset = self
            .open
            .iter()
            .find(|file| file.number == original)
            .and_then(|file| file.previous.as_ref().map(|previous| previous.offset));
        let mut has_copies = false;
        for copy in self.open.iter_mut().filter(|file| file.nature == Nature::CopyOf(original)) {
            copy.follow(offset.unwrap_or(0));
            has_copies = true;
        }
        has_copies
    }

    /// Looks whether what was taken for a copy has become something else.
    fn check_copies(&mut self) {
        for at in 0..self.open.len() {
            let file = &self.open[at];
            let Nature::CopyOf(number) = file.nature else { continue };
            let original = self.open.iter().find(|file| file.number == number);
            // What cannot be read is looked at again.
            let is_copy = original.is_some_and(|original| file.is_beginning_of(original).unwrap_or(true));
            let is_short = file.file.head.len() < HEAD_BYTES;
            if is_copy && !(is_short && file.grown.elapsed() >= COPY_WAIT) {
                continue;
            }
            self.changed = true;
            // With more of it there it may be the beginning of another one.
            self.open[at].nature = if is_copy || !is_short { Nature::Own } else { Nature::Unclear };
        }
    }

    /// Lets go of files that are gone and read, and of what was not there for long.
    fn forget(&mut self) {
        let is_over = |file: &Tracked| {
            let quiet = file.gone.is_some_and(|gone| gone.max(file.grown).elapsed() >= GONE_WAIT);
            quiet && file.is_read() && !file.has_unfinished() && file.lag() == 0
        };
        while let Some(at) = self.open.iter().position(is_over) {
            let number = self.open[at].number;
            let offset = self.open[at].offset;
            let copies = self.open.iter_mut().filter(|file| file.nature == Nature::CopyOf(number));
            copies.for_each(|copy| copy.follow(offset));
            self.close(at);
        }
        let now = now();
        self.known.retain(|_, known| now.saturating_sub(known.seen) < KNOWN_AGE);
        if self.known.len() > KNOWN_MAX {
            let mut seen: Vec<_> = self.known.values().map(|known| (known.seen, known.inode())).collect();
            seen.sort_unstable();
            for (_, inode) in &seen[..seen.len() - KNOWN_MAX] {
                self.known.remove(inode);
            }
        }
    }

    /// At most so many lines, of all files in turn.
    pub(super) fn read(&mut self, lines_max: usize) -> Vec<Message<LineEnd>> {
        let mut batch = Batch::new(&self.id, lines_max);
        let count = self.open.len();
        let mut has_more = true;
        while has_more && !batch.is_full() {
            has_more = false;
            for at in 0..count {
                let file = &mut self.open[(self.turn % count + at) % count];
                match file.read_lines(&mut batch) {
                    Ok(more) => has_more |= more,
                    Err(error) => {
                        warn_seldom!(file = &*file.name, %error, "a file of a source cannot be read")
                    }
                }
            }
        }
        self.has_more = has_more || batch.is_full();
        self.turn = self.turn.wrapping_add(1);
        let is_over =
            |file: &&mut Tracked| file.gone.is_some_and(|gone| gone.max(file.grown).elapsed() >= GONE_WAIT);
        self.open
            .iter_mut()
            .filter(is_over)
            .filter(|file| file.is_read())
            .for_each(|file| file.give_up(&mut batch));
        batch.messages
    }

    /// Whether there may be more lines than the last list has.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    pub(super) fn settle(&mut self, end: LineEnd) {
        if let Some(file) = self.open.iter_mut().find(|file| file.number == end.file) {
            file.settle(end);
        }
    }

    /// The directories in which files are, or were at the last scan.
    pub(super) fn directories(&self) -> impl Iterator<Item = PathBuf> {
        let patterns = self.settings.paths.iter().filter_map(|path| path.parent());
        let found = self.directories.iter().map(PathBuf::as_path);
        patterns.chain(found).map(Path::to_owned)
    }

    /// Bytes that are there and not settled.
    pub(super) fn lag(&self) -> u64 {
        self.open.iter().map(Tracked::lag).sum()
    }

    /// Whether something is to be written down that is no settled line.
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// What is to be written down.
    pub(super) fn checkpoint(&mut self) -> Checkpoint {
        self.changed = false;
        let now = now();
        let open = self.open.iter().filter(|file| file.nature == Nature::Own).map(|file| file.known(now));
        Checkpoint::new(self.id.clone(), open.chain(self.known.values().cloned()).collect())
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
impl Files {
    pub(super) fn tracked(&mut self) -> &mut [Tracked] {
        &mut self.open
    }

    pub(super) fn count(&self) -> usize {
        self.open.len()
    }
}
