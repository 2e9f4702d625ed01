"""The Python face of the media engine, which moves the packets in a process of its own.

* `protocol`  the two word lists: what to do, what happened
* `client`    `MediaEngine`: the live engine, started, leased and watched
* `engine`    that process' entry
* `sim`       `SimEngine`: the same engine on virtual time

The engine itself (Rust, `rust/qm-media`) relays RTP between a call's two legs, plays prompts, hands out a
proof when it has sent a prompt to its last packet, and opens a tap only against such proofs. What a recording tap keeps
goes sealed into a journal (`rust/qm-media/src/journal/mod.rs` draws it), which `qm_sip.recorder` renders; what a
listening tap hears goes to a listener's leg, live. It obeys the agent's code by itself: of a private call nothing is
kept, heard or counted.
"""
