//! turted: the universal real-time event dispatcher.

pub mod banner;
pub mod cli;
pub mod config;
pub mod logging;
