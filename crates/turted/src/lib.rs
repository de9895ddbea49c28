//! turted: the universal real-time event dispatcher.

pub mod config;
pub mod logging;
