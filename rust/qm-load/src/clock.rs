//! The three clocks this program reads, as nanoseconds.

use std::time::Duration;

fn read(clock: libc::clockid_t) -> u64 {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is a valid timespec for the length of the call.
    unsafe { libc::clock_gettime(clock, &mut spec) };
    spec.tv_sec as u64 * 1_000_000_000 + spec.tv_nsec as u64
}

/// For pacing and time-outs.
pub fn monotonic() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// For delays: the kernel stamps what arrives (`SO_TIMESTAMPNS`) with this clock.
pub fn realtime() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// CPU used by the calling thread so far.
pub fn thread_cpu() -> u64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU used by all threads of this program so far.
pub fn process_cpu() -> u64 {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

pub fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// Keep the calling thread on one CPU, so that the program under test can have another to itself.
pub fn pin(cpu: usize) -> std::io::Result<()> {
    // SAFETY: an all-zero cpu_set_t is the empty set; CPU_SET checks its index against the set's size.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, std::mem::size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Ask the kernel to wake the calling thread without its usual 50 µs of slack.
pub fn wake_precisely() {
    // SAFETY: PR_SET_TIMERSLACK takes one integer and touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000_u64) };
}
