//! `[cluster]`: the other servers that this one shares its log with.
//!
//! | file | what |
//! |---|---|
//! | `model` | the cluster as the rest of the program reads it |
//! | `keys` | the keys as they were written, and which of them mean something |
//! | `check` | what the keys mean together |
//! | `redis` | where Redis is: `url`, `sentinels`, and who turted is there |

pub(super) mod model;
pub(super) mod keys;
mod check;
mod redis;

pub(super) use check::{infer_store, resolve};
