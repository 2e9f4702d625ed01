"""A call: two legs, one state, and what may be kept of it.

- `states`: the table of joint states, with its theory. Read it first.
- `session`: the SDP of one leg, whose o= line is ours (RFC 3264 section 8).
- `media_plan`: relay through the engine, or direct between the two; the plan turns one leg's SDP into the
  other's.
- `capture`: the gate of a call's recording: closed, telling, open or refused. It decides with
  `qm_sip.policy`.
- `call`: the call itself; takes SIP and media events and `now`, acts on the user agent, the engine and the
  keeper.
- `switchboard`: who is calling, where it goes, and which call an event belongs to.
- `words`: what a call asks to be written down.

No sockets, no clock, no threads: a day of calls runs in a test in a second.
"""
