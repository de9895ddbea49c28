//! Push connectors: how backends push.
//!
//! | file | what |
//! |---|---|
//! | `rest` | `POST /push/` |

pub(crate) mod rest;
