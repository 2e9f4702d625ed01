//! Prompts as they are played, and the proof that one has been.

use crate::codec::{self, Codec, RATE};
use crate::protocol::{LegName, LoadPrompt, Nanos, Play, Use};
use crate::wav;
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;

/// One loaded prompt, encoded once for each law.
#[derive(Debug)]
pub struct Prompt {
    pub digest: String,
    pub identity: String,
    pub language: String,
    pub uses: Vec<Use>,
    pub purposes: Vec<String>,
    alaw: Vec<u8>,
    ulaw: Vec<u8>,
}

impl Prompt {
    /// Check the file against its digest and encode it. The error is a stable word.
    pub fn load(command: LoadPrompt, file: &[u8]) -> Result<Prompt, &'static str> {
        let digest: String = Sha256::digest(file).iter().map(|b| format!("{b:02x}")).collect();
        if !digest.eq_ignore_ascii_case(&command.prompt) {
            return Err("digest-differs");
        }
        let samples = wav::read(file)?;
        Ok(Prompt {
            digest: command.prompt,
            identity: command.identity,
            language: command.language,
            uses: command.uses,
            purposes: command.purposes,
            alaw: Codec::Pcma.encode(&samples),
            ulaw: Codec::Pcmu.encode(&samples),
        })
    }

    pub fn duration_ms(&self) -> u64 {
        self.alaw.len() as u64 * 1000 / RATE
    }

    fn from(&self, codec: Codec, at: usize) -> &[u8] {
        let data = if codec == Codec::Pcmu { &self.ulaw } else { &self.alaw };
        data.get(at..).unwrap_or_default()
    }

    /// Copy one packet's worth of the prompt; what lies past its end stays silence. True if this reached the end.
    fn fill(&self, codec: Codec, at: usize, out: &mut [u8]) -> bool {
        let (rest, silence) = (self.from(codec, at), if codec == Codec::Pcmu { 0xff } else { 0xd5 });
        let (now, padding) = out.split_at_mut(rest.len().min(out.len()));
        now.copy_from_slice(&rest[..now.len()]);
        padding.fill(silence);
        rest.len() <= out.len()
    }

    /// The same, added to what is there.
    fn mix(&self, codec: Codec, at: usize, out: &mut [u8]) -> bool {
        let rest = self.from(codec, at);
        codec::mix(codec, out, rest);
        rest.len() <= out.len()
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
    at: usize,
}

impl Playing {
    pub fn new(order: Play, prompt: Arc<Prompt>, sent_to: SocketAddr) -> Playing {
        Playing { order, prompt, sent_to, began: 0, packets: 0, at: 0 }
    }

    pub fn again_to(&mut self, destination: SocketAddr) {
        (self.sent_to, self.began, self.packets, self.at) = (destination, 0, 0, 0);
    }

    /// The next packet's audio; true if it is the last.
    pub fn next(&self, codec: Codec, out: &mut [u8]) -> bool {
        self.prompt.fill(codec, self.at, out)
    }

    /// The same as an overlay: added to what the leg hears anyway.
    pub fn mix(&self, codec: Codec, out: &mut [u8]) -> bool {
        self.prompt.mix(codec, self.at, out)
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

    #[test]
    fn the_last_packet_is_padded_with_silence() {
        let prompt = Prompt {
            digest: String::new(),
            identity: String::new(),
            language: String::new(),
            uses: vec![],
            purposes: vec![],
            alaw: vec![1; 200],
            ulaw: vec![2; 200],
        };
        let mut out = [0; 160];
        assert!(!prompt.fill(Codec::Pcma, 0, &mut out));
        assert!(prompt.fill(Codec::Pcmu, 160, &mut out));
        assert_eq!((out[39], out[40], out[159]), (2, 0xff, 0xff));
    }
}
