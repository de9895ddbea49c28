//! What Redis does in one step, in Lua.
//!
//! `append.lua` appends a push with its key, `begin.lua` begins an epoch, `change.lua` changes a value, `last.lua` tells the last
//! id of the log, `rename.lua` gives a reign to a process that has another name, and `rights.lua` names what the user may not do.

use sha1::{Digest, Sha1};

/// A script.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let hash = Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, hash }
    }

    /// The command that runs it, without its keys and values. Its text goes with the first of a pipeline, so that the
    /// others find it whatever became of it before.
    pub(super) fn run(&self, is_first: bool) -> [&str; 2] {
        if is_first { ["EVAL", self.text] } else { ["EVALSHA", &self.hash] }
    }

    /// The command that runs it alone.
    pub(super) fn run_alone(&self) -> [&str; 2] {
        self.run(true)
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) append: Script,
    pub(super) begin: Script,
    pub(super) change: Script,
    pub(super) last: Script,
    pub(super) rename: Script,
    pub(super) rights: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            append: Script::new(include_str!("append.lua")),
            begin: Script::new(include_str!("begin.lua")),
            change: Script::new(include_str!("change.lua")),
            last: Script::new(include_str!("last.lua")),
            rename: Script::new(include_str!("rename.lua")),
            rights: Script::new(include_str!("rights.lua")),
        }
    }
}
