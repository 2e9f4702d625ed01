//! Sleep until a moment, or until a socket has something.

use std::os::fd::RawFd;

use crate::clock;

/// Until `until` (CLOCK_MONOTONIC), or earlier when one of the sockets can be read.
pub fn wait(sockets: &[RawFd], until: u64) {
    let left = until.saturating_sub(clock::monotonic());
    if left == 0 {
        return;
    }
    let mut polled: Vec<libc::pollfd> =
        sockets.iter().map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    let spec =
        libc::timespec { tv_sec: (left / 1_000_000_000) as i64, tv_nsec: (left % 1_000_000_000) as i64 };
    // SAFETY: the array and its length agree, both pointers live for the call, and no signal mask is given.
    unsafe { libc::ppoll(polled.as_mut_ptr(), polled.len() as u64, &spec, std::ptr::null()) };
}
