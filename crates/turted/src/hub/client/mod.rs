//! What a client may ask, whatever it speaks.

pub(crate) mod commands;
pub(crate) mod identity;
pub(crate) mod place;
pub(crate) mod resume;
pub(crate) mod replay;
