//! Small repeatable randomness for made-up data, and the one door to the system's own.

/// SplitMix64: the same seed gives the same throws. For made-up data only, never for a secret.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Dice of a text: FNV-1a over its bytes.
    pub(super) fn of_text(text: &str) -> Dice {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Dice(text.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of `from..until`.
    pub(super) fn between(&mut self, from: u64, until: u64) -> u64 {
        from + self.next() % (until - from)
    }

    pub(super) fn pick<'t, T: ?Sized>(&mut self, choices: &[&'t T]) -> &'t T {
        let at = self.next() % choices.len() as u64;
        choices[at as usize]
    }

    /// A telephone number of the range that is kept free for made-up data.
    pub(super) fn number(&mut self) -> String {
        format!("+1213555{:04}", self.between(100, 200))
    }

    /// Hex digits, for ids inside bodies.
    pub(super) fn hex(&mut self) -> String {
        format!("{:016x}", self.next())
    }
}

/// 64 bits from the system; falls back to the clock where the system has none to give, as made-up ids need no secrecy.
pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => u64::from_le_bytes(bytes),
        _ => {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            Dice::new(since.map_or(0, |since| since.as_nanos() as u64)).next()
        }
    }
}
