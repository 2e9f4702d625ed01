//! The socket to Python: one JSON object a packet, never waited for.

use crate::protocol::Event;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use zeroize::Zeroize as _;

/// Longer commands are cut and thereby malformed.
const LARGEST: usize = 256 * 1024;

pub struct Control {
    fd: OwnedFd,
    buffer: Vec<u8>,
    /// Of the message in it.
    length: usize,
    waiting: VecDeque<Vec<u8>>,
    gone: bool,
}

impl Control {
    pub fn new(fd: OwnedFd) -> Control {
        Control { fd, buffer: vec![0; LARGEST], length: 0, waiting: VecDeque::new(), gone: false }
    }

    /// The next command, if there is one now.
    pub fn receive(&mut self) -> Option<&[u8]> {
        loop {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => self.gone = true,
                Ok(length) => {
                    self.length = length;
                    return Some(&self.buffer[..length]);
                }
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => {}
                Err(_) => self.gone = true,
            }
            return None;
        }
    }

    /// The message that was received last is read: a command may bring keys.
    pub fn forget(&mut self) {
        self.buffer[..self.length].zeroize();
        self.length = 0;
    }

    pub fn is_gone(&self) -> bool {
        self.gone
    }

    pub fn say(&mut self, event: &Event) {
        if let Ok(message) = serde_json::to_vec(event) {
            self.waiting.push_back(message);
        }
    }

    /// Send what waits, as far as Python takes it; the rest goes in a later round.
    pub fn flush(&mut self) {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        while let Some(message) = self.waiting.front() {
            match send(self.fd.as_raw_fd(), message, flags) {
                Ok(_) => drop(self.waiting.pop_front()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => return,
                // Gone, or a message too long to ever leave; the end of the socket is seen by `receive`.
                Err(_) => drop(self.waiting.pop_front()),
            }
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
