//! The thread that makes prompts ready in codecs that take time: some 15 ms of Opus for a prompt of eight seconds, in which
//! no packet would pass.

use crate::codec::Codec;
use crate::prompt::Prompt;
use crossbeam_channel::{Sender, unbounded};
use std::io;
use std::sync::Arc;
use std::thread;

type Work = (Arc<Prompt>, Vec<Codec>);

pub struct Prompts {
    work: Sender<Work>,
}

impl Prompts {
    /// It ends with the last of its senders.
    pub fn start() -> io::Result<Prompts> {
        let (work, waiting) = unbounded::<Work>();
        thread::Builder::new().name("prompts".into()).spawn(move || {
            for (prompt, codecs) in waiting {
                codecs.iter().for_each(|codec| prompt.sound.prepare(*codec));
            }
        })?;
        Ok(Prompts { work })
    }

    pub fn prepare(&self, prompt: &Arc<Prompt>, codecs: &[Codec]) {
        // Without the thread a prompt is made ready when it is played.
        let _ = self.work.send((Arc::clone(prompt), codecs.to_vec()));
    }
}
