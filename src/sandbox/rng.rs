//! Everything that looks random: ids, jitter and the percentage of faults, derived from the seed and a name.
//!
//! Each value is a hash of what it is for, never the next of a common sequence: so two runs agree even when their
//! requests arrive in another order.

use ring::digest;

use crate::base::text;

/// A source of derived values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance {
    seed: u64,
}

impl Chance {
    /// Returns the source for a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Returns 64 derived bits.
    pub(crate) fn bits(self, name: &str) -> u64 {
        // FNV-1a, then splitmix64's finaliser: cheap, and a name's last letter reaches every bit.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }

    /// Returns whether an event of a percentage happens.
    pub(crate) fn happens(self, percent: u8, name: &str) -> bool {
        self.bits(name) % 100 < u64::from(percent)
    }

    /// Returns the length, longer or shorter by at most a tenth.
    pub(crate) fn jitter(self, millis: u64, name: &str) -> u64 {
        let per_mille = 900 + self.bits(name) % 201;
        millis.saturating_mul(per_mille) / 1000
    }

    /// Returns so many lower-case hexadecimal digits, at most 64.
    pub(crate) fn hex(self, digits: usize, name: &str) -> String {
        let hash = digest::digest(&digest::SHA256, format!("{}/{name}", self.seed).as_bytes());
        let mut whole = text::hex(hash.as_ref());
        whole.truncate(digits);
        whole
    }

    /// Returns 19 decimal digits, as in `ecs-svc/1234567890123456789`.
    pub(crate) fn number(self, name: &str) -> String {
        // The first digit is never 0, and the whole fits in ECS's signed 64 bits.
        (1_000_000_000_000_000_000 + self.bits(name) % 8_000_000_000_000_000_000).to_string()
    }

    /// Returns so many letters and digits as ids have them, at most 32.
    pub(crate) fn id(self, alphabet: &str, length: usize, name: &str) -> String {
        let hash = digest::digest(&digest::SHA256, format!("{}:{name}", self.seed).as_bytes());
        let letters = alphabet.as_bytes();
        hash.as_ref()
            .iter()
            .take(length)
            .map(|byte| letters.get(usize::from(*byte) % letters.len().max(1)).copied().unwrap_or(b'A') as char)
            .collect()
    }

    /// Returns a UUID.
    pub(crate) fn uuid(self, name: &str) -> String {
        let hex = format!("{:016x}{:016x}", self.bits(name), self.bits(&format!("{name}/2")));
        let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
        format!("{}-{}-4{}-8{}-{}", part(0..8), part(8..12), part(13..16), part(17..20), part(20..32))
    }
}

/// The letters of access keys and role ids.
pub(crate) const KEY_LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The letters of a service deployment's id.
pub(crate) const MIXED_LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
