//! Wallcast: the event daemon for wall tablets in a Home Assistant house.

pub mod protocol;
