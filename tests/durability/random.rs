//! A random number generator that gives the same numbers for the same seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// A SplitMix64 generator.
pub struct Random(u64);

/// The seed in `WALLCAST_SEED`, or the current time in microseconds.
pub fn seed() -> u64 {
    match std::env::var("WALLCAST_SEED") {
        Ok(text) => text.parse().expect("WALLCAST_SEED is a whole number"),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock is set")
            .as_micros() as u64,
    }
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A new generator, seeded by this one.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A whole number from 0 to `limit - 1`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn one_of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
