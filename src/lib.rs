//! Wallcast: the event daemon for wall tablets in a Home Assistant house.

pub mod app;
pub mod cli;
pub mod config;
pub mod logging;
