//! The media engine of qm_sip: bytes and time in, bytes and time out.
//!
//! The core ([`engine::Engine`]) holds calls of two legs, passes RTP and RTCP between them, plays prompts, hands out a
//! proof for each prompt it has sent to its last packet, and opens a tap only against such proofs. It has no socket, no
//! thread and no clock: [`shell::Shell`] is all it knows of the outside.
//!
//! * [`protocol`]  what Python says, what the engine answers
//! * [`engine`]    calls, legs, commands, packets, timers
//! * [`gate`]      may this tap open?
//! * [`receipt`]   what was told in another call
//! * [`tap`]       hold-back, pauses, chunks
//! * [`secure`]    the keys of a leg
//! * [`srtp`]      encrypted and authenticated RTP
//! * [`mix`]       what a listener hears
//! * [`watch`]     codes on the keys
//! * [`journal`]   records, sealed
//! * [`sim`]       the same engine on virtual time
//! * `io`          the live shell: epoll, sockets, three threads (feature `io`)
#![forbid(unsafe_code)]

#[cfg(all(feature = "io", feature = "mutants"))]
compile_error!("guards can be removed only where no socket can be opened");

pub mod codec;
pub mod dtmf;
pub mod engine;
pub mod gate;
pub mod guard;
#[cfg(feature = "io")]
pub mod io;
pub mod journal;
pub mod leg;
pub mod mix;
pub mod prompt;
pub mod protocol;
pub mod receipt;
pub mod rtp;
pub mod secrets;
pub mod secure;
pub mod shell;
pub mod sim;
pub mod srtp;
pub mod tap;
pub mod watch;
pub mod wav;
