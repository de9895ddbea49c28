//! The directory of the log: who has it, what is in it, and the file `lives`.
//!
//! Names: `lock`, `lives` (or `left-behind`), `history`, `deleted`, `push-<epoch>-<n>.log`, `session-<epoch>-<n>.log`. Everything else is not
//! ours and is left alone.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use super::OpenRefusal;
use super::lives::{LIVES_BYTES_MAX, Lives};
use super::names::{PUSHES, SESSIONS, format_name, parse_name, sync_names};

const LIVES: &str = "lives";
/// `lives` of a server that went on without this directory. A rename is the one change that a full disk still takes.
const LEFT_BEHIND: &str = "left-behind";
const LIVES_NEW: &str = "lives.new";
const LOCK: &str = "lock";
pub(super) const HISTORY: &str = "history";
pub(super) const HISTORY_NEW: &str = "history.new";

pub(super) const DELETED: &str = "deleted";
pub(super) const DELETED_NEW: &str = "deleted.new";

/// Time between two attempts to lock.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of what the holder of the lock says of itself.
const HOLDER_BYTES_MAX: u64 = 100;

/// File systems that other machines write to, or that promise less than the kernel's own, by the numbers of `statfs(2)`.
const NETWORK_FILE_SYSTEMS: [(u32, &str); 5] = [
    (0x6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
];

/// A directory that this server alone has, as long as the value lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    handle: File,
    _lock: File,
}

/// One push file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PushFile {
    pub(super) epoch: u64,
    pub(super) place: u64,
}

impl PushFile {
    fn name(self) -> String {
        format_name(PUSHES, self.epoch, self.place)
    }

    fn of(name: &str) -> Option<Self> {
        parse_name(PUSHES, name).map(|(epoch, place)| Self { epoch, place })
    }
}

/// What a directory has.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// In the order of their names.
    pub(super) pushes: Vec<PushFile>,
    pub(super) sessions: Vec<PathBuf>,
}

/// What stands in the place of `lives`.
#[derive(Debug)]
pub(super) enum Mark {
    None,
    Lives(Vec<u8>),
    LeftBehind(Vec<u8>),
}

impl Directory {
    /// Makes the directory if it is missing and takes its lock, for which it waits up to `wait`. `holder` is what
    /// another server is told meanwhile.
    ///
    /// # Errors
    /// Another server has it, it cannot be written to, or the disk fails.
    pub(super) fn lock(path: &Path, holder: &str, wait: Duration) -> Result<Self, OpenRefusal> {
        let refused = |error| OpenRefusal::of(path, error);
        make(path).map_err(refused)?;
        let handle = File::open(path).map_err(refused)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let mut lock = options.open(path.join(LOCK)).map_err(refused)?;
        let end = Instant::now() + wait;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < end => pause(),
                Err(TryLockError::WouldBlock) => {
                    return Err(OpenRefusal::Held { directory: path.to_owned(), by: holder_of(&mut lock) });
                }
                Err(TryLockError::Error(error)) => return Err(refused(error)),
            }
        }
        // It is for a message alone, and a full disk takes no more bytes.
        let _unsaid = lock.set_len(0).and_then(|()| lock.write_all(holder.as_bytes()));
        refuse_what_is_no_file(path)?;
        Ok(Self { path: path.to_owned(), handle, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The files of the session writer, in the order of their names.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn session_files(&self) -> io::Result<Vec<PathBuf>> {
        self.list().map(|listing| listing.sessions)
    }

    /// Makes names that were made or removed survive a loss of power.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    /// Marks the directory as one that a server goes on without, so that no later start takes it for whole.
    ///
    /// # Errors
    /// The disk takes not even that. Until it does, nothing may be accepted.
    pub(crate) fn mark_left_behind(&self) -> io::Result<()> {
        match fs::rename(self.path.join(LIVES), self.path.join(LEFT_BEHIND)) {
            // It was marked before, or has no log at all.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.sync()
    }

    pub(super) fn push_path(&self, file: PushFile) -> PathBuf {
        self.path.join(file.name())
    }

    pub(super) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(file) = PushFile::of(name) {
                listing.pushes.push(file);
            } else if parse_name(SESSIONS, name).is_some() {
                listing.sessions.push(self.path.join(name));
            }
        }
        listing.pushes.sort_unstable();
        listing.sessions.sort_unstable();
        Ok(listing)
    }

    pub(super) fn mark(&self) -> io::Result<Mark> {
        if let Some(lives) = self.read(LIVES)? {
            return Ok(Mark::Lives(lives));
        }
        Ok(self.read(LEFT_BEHIND)?.map_or(Mark::None, Mark::LeftBehind))
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match File::open(self.path.join(name)) {
            Ok(file) => file.take(LIVES_BYTES_MAX).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(bytes))
    }

    /// Puts these `lives` in the place of whatever stood there, for good.
    pub(super) fn replace_lives(&self, lives: &Lives) -> io::Result<()> {
        let new = self.path.join(LIVES_NEW);
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        file.write_all(&lives.encode())?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(LIVES))?;
        self.sync()?;
        // With `lives` beside it, it says nothing any more, so it may also stay.
        let _stays = fs::remove_file(self.path.join(LEFT_BEHIND));
        Ok(())
    }

    /// Removes a file that is not needed. One that stays takes room, and the next start tries again.
    pub(super) fn remove(&self, file: PushFile) -> io::Result<()> {
        match fs::remove_file(self.push_path(file)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// What an operator should know of this directory.
    pub(super) fn warnings(&self) -> Vec<String> {
        let path = self.path.display();
        let mut warnings = Vec::new();
        let kind = rustix::fs::fstatfs(&self.handle).ok();
        // The numbers have 32 bits, the field has as many as the machine.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the numbers have 32 bits"
        )]
        let kind = kind.map(|kind| kind.f_type as u32);
        if let Some((_, name)) = NETWORK_FILE_SYSTEMS.iter().find(|(number, _)| Some(*number) == kind) {
            warnings.push(format!(
                "log.directory {path} is on {name}: two servers may both get its lock, and a sync may promise less than on a local disk"
            ));
        }
        if self.handle.metadata().is_ok_and(|metadata| metadata.mode() & 0o077 != 0) {
            warnings.push(format!(
                "log.directory {path} is open to other users: its files are not, but chmod 700 {path} hides their names too"
            ));
        }
        warnings
    }
}

/// Makes the directory if it is missing, for good: after a loss of power it is there.
fn make(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_names(parent.unwrap_or(Path::new(".")))
}

/// A start waits for the process that was killed before it, before there is a worker that could be blocked.
#[expect(clippy::disallowed_methods, reason = "no worker runs yet")]
fn pause() {
    thread::sleep(LOCK_PAUSE);
}

/// Refuses a pipe or a link under a name of ours: a start that opens a pipe waits for ever.
fn refuse_what_is_no_file(path: &Path) -> Result<(), OpenRefusal> {
    let refused = |error| OpenRefusal::of(path, error);
    for entry in fs::read_dir(path).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| {
            let is_numbered = [PUSHES, SESSIONS].iter().any(|kind| parse_name(kind, name).is_some());
            let others = [LOCK, LIVES, LIVES_NEW, LEFT_BEHIND, HISTORY, HISTORY_NEW, DELETED, DELETED_NEW];
            is_numbered || others.contains(&name)
        });
        if is_ours && !entry.file_type().map_err(refused)?.is_file() {
            let (directory, name) = (path.to_owned(), name.to_string_lossy().into_owned());
            return Err(OpenRefusal::NoFile { directory, name });
        }
    }
    Ok(())
}

/// What the holder of the lock says of itself, as far as it can be printed.
fn holder_of(lock: &mut File) -> String {
    let mut bytes = Vec::new();
    // A holder that says nothing is still one.
    let _unknown = lock.take(HOLDER_BYTES_MAX).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    if text.is_empty() { "unknown".to_owned() } else { text }
}

/// What the lock says of this process.
pub(super) fn holder(listen: std::net::SocketAddr) -> String {
    format!("process {}, listen = {listen}", process::id())
}

/// The boot of the machine. Within one, everything that was written is still there, synced or not.
pub(super) fn boot_id() -> Option<String> {
    let mut text = String::new();
    let file = File::open("/proc/sys/kernel/random/boot_id").ok()?;
    file.take(64).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}
