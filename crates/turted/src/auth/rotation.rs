//! Keys of JSON Web Tokens that change while the server runs. They are read again from their file, and the
//! former keys are remembered: a client with an old token is told to get a new one, and is not taken for a
//! guesser.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use turted_core::auth::Verified;
use turted_core::command::Ident;
use turted_core::limits::{JWT_KEY_FILE_BYTES_MAX, JWT_KEYS_MAX};
use turted_core::secret::Secret;
use turted_core::time::UnixTime;

use super::jwt::{JwtRefusal, JwtRule};
use super::keys::{JwtKeyRefusal, JwtKeys, VerifyingKey};

/// The rule for JSON Web Tokens, whose keys are read again by [`reload`](Self::reload). Cheap to clone: all clones
/// change together.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Read once per IDENT, written by [`reload`](Self::reload).
    current: Arc<RwLock<Arc<Known>>>,
}

#[derive(Debug)]
struct Known {
    rule: JwtRule,
    /// Keys that counted earlier in the life of this server, the latest first.
    former: Vec<VerifyingKey>,
}

impl Rotation {
    pub(super) fn new(rule: JwtRule) -> Self {
        let known = Known { rule, former: Vec::new() };
        Self { current: Arc::new(RwLock::new(Arc::new(known))) }
    }

    /// Reads the keys again: tokens are verified with what the file holds now. A client that is a user stays
    /// one until its token expires. Returns how many keys there are; `None` if they did not come from a file.
    /// Blocks on the file system.
    ///
    /// # Errors
    /// The file cannot be read or holds no such keys; the old ones stay in use.
    pub fn reload(&self) -> Result<Option<usize>, KeysError> {
        let known = self.current();
        let Some(file) = known.rule.keys.file() else { return Ok(None) };
        let fail = |source| KeysError { path: file.to_owned(), source };
        let text = read_key_file(file).map_err(|error| fail(error.into()))?;
        let keys = JwtKeys::new(known.rule.algorithm, text).map_err(|refusal| fail(refusal.into()))?;
        let keys = keys.from_file(file);
        let retired = known.rule.keys.all().iter().chain(&known.former);
        let former = retired.filter(|key| !keys.all().contains(key)).take(JWT_KEYS_MAX).cloned().collect();
        let count = keys.count();
        let fresh = Known { rule: JwtRule { keys, ..known.rule.clone() }, former };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(Some(count))
    }

    /// Decides at `now` which user the token of `ident` proves.
    pub(super) fn verify(&self, ident: &Ident<'_>, now: UnixTime) -> Result<Verified, JwtRefusal> {
        let known = self.current();
        let refusal = match known.rule.verify(ident, now) {
            Err(refusal @ (JwtRefusal::Signature | JwtRefusal::UnknownKey)) => refusal,
            decided => return decided,
        };
        let token = ident.token.as_ref().map_or("", Secret::reveal);
        let is_former = !known.former.is_empty() && known.rule.is_signed_by(token, &known.former);
        Err(if is_former { JwtRefusal::FormerKey } else { refusal })
    }

    pub(super) fn is_strong(&self) -> bool {
        self.current().rule.is_strong()
    }

    fn current(&self) -> Arc<Known> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The text of a file of keys, without the newline at its end, which is no part of a secret.
///
/// # Errors
/// It cannot be read, is not UTF-8 or too long for keys.
pub(crate) fn read_key_file(path: &Path) -> io::Result<Secret> {
    let (mut text, most) = (String::new(), JWT_KEY_FILE_BYTES_MAX as u64);
    let read = File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if read > JWT_KEY_FILE_BYTES_MAX {
        let reason = format!("a file of keys has at most {JWT_KEY_FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::from(line.strip_suffix('\r').unwrap_or(line)))
}

/// Why keys were not read again.
#[derive(Debug, thiserror::Error)]
#[error("cannot take the keys of {path}: {source}")]
pub struct KeysError {
    /// The file.
    path: PathBuf,
    /// What is wrong with it.
    source: KeysFault,
}

/// What is wrong with a file of keys.
#[derive(Debug, thiserror::Error)]
enum KeysFault {
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    #[error(transparent)]
    Refused(#[from] JwtKeyRefusal),
}
