"""A call: two legs, one state, and what may be kept of it.

- `states`: the table of joint states, with its theory. Read it first.
- `call`: the call itself; takes SIP and media events and `now`, acts on the user agent, the engine, the book.
- `session`, `media_plan`, `exchange`: the SDP of one leg; relay or direct; offers during the call.
- `early`: what the callee's ends say before the answer, and what the caller is told of it.
- `capture`, `recording`: the gate (closed, telling, open, refused), and the taps asked for through it.
- `book`, `spans`: what is written down of a call, which adds up to its length and has one outcome.
- `words`, `reasons`, `headers`: what a call asks to be kept; why it was not recorded; what crosses the legs.
- `transfer`, `target`, `referral`, `joining`: a REFER, and whom it leads to.
- `replacing`, `seat`: how one leg takes another's place.
- `way`: where a call leads, what crosses on the way, and what we are called on each side.
- `switchboard`, `desk`: who is calling, where it goes, and which call an event belongs to.

No sockets, no clock, no threads: a day of calls runs in a test in a second.
"""
