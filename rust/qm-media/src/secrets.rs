//! Where run, proof ids, SSRCs and keys come from.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Random octets: the operating system's in the live engine, seeded in a simulation.
pub enum Secrets {
    System,
    Seeded(Box<ChaCha20Rng>),
}

impl Secrets {
    pub fn seeded(seed: u64) -> Secrets {
        Secrets::Seeded(Box::new(ChaCha20Rng::seed_from_u64(seed)))
    }

    /// # Panics
    /// If the operating system has no randomness to give: no key may then be made.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        match self {
            Secrets::System => getrandom::fill(&mut out).expect("the operating system gives random octets"),
            Secrets::Seeded(rng) => rng.fill_bytes(&mut out),
        }
        out
    }

    /// A random id of 128 bits in hex.
    pub fn id(&mut self) -> String {
        self.bytes::<16>().iter().map(|b| format!("{b:02x}")).collect()
    }

    pub fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }
}
