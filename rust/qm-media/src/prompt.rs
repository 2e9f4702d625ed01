//! Prompts as they are played, and the proof that one has been.

use crate::codec::Codec;
use crate::codec::sound::{RATE, Sound};
use crate::protocol::{LegName, LoadPrompt, Nanos, Play, Use};
use crate::wav;
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;

/// One loaded prompt.
#[derive(Debug)]
pub struct Prompt {
    pub digest: String,
    pub identity: String,
    pub language: String,
    pub uses: Vec<Use>,
    pub purposes: Vec<String>,
    pub sound: Sound,
}

impl Prompt {
    /// Check the file against its digest and make it ready in G.711, which costs nothing. The error is a stable word.
    pub fn load(command: LoadPrompt, file: &[u8]) -> Result<Prompt, &'static str> {
        let digest: String = Sha256::digest(file).iter().map(|b| format!("{b:02x}")).collect();
        if !digest.eq_ignore_ascii_case(&command.prompt) {
            return Err("digest-differs");
        }
        let sound = Sound::new(wav::read(file)?);
        [Codec::Pcma, Codec::Pcmu].into_iter().for_each(|codec| sound.prepare(codec));
        Ok(Prompt {
            digest: command.prompt,
            identity: command.identity,
            language: command.language,
            uses: command.uses,
            purposes: command.purposes,
            sound,
        })
    }

    pub fn duration_ms(&self) -> u64 {
        self.sound.len() as u64 * 1000 / u64::from(RATE)
    }
}

/// A prompt on its way to one leg.
#[derive(Debug)]
pub struct Playing {
    pub order: Play,
    pub prompt: Arc<Prompt>,
    /// Where all of it goes. Another destination means that nobody has heard the whole: it begins again.
    pub sent_to: SocketAddr,
    pub began: Nanos,
    pub packets: u64,
    /// Samples of 8 kHz that have been sent.
    at: usize,
}

impl Playing {
    pub fn new(order: Play, prompt: Arc<Prompt>, sent_to: SocketAddr) -> Playing {
        Playing { order, prompt, sent_to, began: 0, packets: 0, at: 0 }
    }

    pub fn again_to(&mut self, destination: SocketAddr) {
        (self.sent_to, self.began, self.packets, self.at) = (destination, 0, 0, 0);
    }

    /// The next packet's audio: `count` samples of 8 kHz; how many octets they are.
    pub fn next(&self, codec: Codec, count: usize, out: &mut [u8]) -> usize {
        self.prompt.sound.fill(codec, self.at, count, out)
    }

    /// Whether a packet of so many samples is the last.
    pub fn ends_within(&self, count: usize) -> bool {
        self.prompt.sound.len().saturating_sub(self.at) <= count
    }

    /// Where the next packet begins.
    pub fn at(&self) -> usize {
        self.at
    }

    /// That packet has been sent.
    pub fn sent(&mut self, samples: usize, now: Nanos) {
        if self.packets == 0 {
            self.began = now;
        }
        (self.packets, self.at) = (self.packets + 1, self.at + samples);
    }

    pub fn proof(&self, id: String, leg: LegName, ended: Nanos) -> Proof {
        Proof {
            id,
            leg,
            overlay: self.order.overlay,
            for_tap: self.order.for_tap.clone(),
            receipt: None,
            prompt: Arc::clone(&self.prompt),
            sent_to: self.sent_to,
            ended,
            void: false,
        }
    }
}

/// What the engine hands out when it has sent the last packet of a prompt to a leg. It lives in the call it was made in
/// and so binds to this run, call and leg; prompt, uses and purposes are those of the moment it began.
#[derive(Debug)]
pub struct Proof {
    pub id: String,
    pub leg: LegName,
    /// It was mixed under speech.
    pub overlay: bool,
    /// It was an agent's notice for this listening tap.
    pub for_tap: Option<String>,
    /// The receipt that was made of it, and falls with it.
    pub receipt: Option<String>,
    pub prompt: Arc<Prompt>,
    pub sent_to: SocketAddr,
    pub ended: Nanos,
    pub void: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(digest: &str) -> LoadPrompt {
        LoadPrompt {
            prompt: digest.into(),
            path: String::new(),
            identity: "Voorbeeld".into(),
            language: "nl".into(),
            uses: vec![Use::Record],
            purposes: vec![],
        }
    }

    #[test]
    fn a_file_that_differs_from_its_digest_is_refused() {
        assert_eq!(Prompt::load(command("00"), b"RIFF").err(), Some("digest-differs"));
    }
}
