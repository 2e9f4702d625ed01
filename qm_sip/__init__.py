"""qm_sip: a SIP back-to-back user agent beside Asterisk that records only what it may, and says why.

A call's journey, in the order of the folders it meets (docs/journey.md names the files):

- `config`       four TOML files become settings that are checked whole and never change.
- `net`          a datagram arrives; the only asyncio of signalling.
- `sip`          bytes become messages, transactions, dialogs, SDP: no sockets, no clock.
- `call`         two legs, one table of joint states; relayed through us, or direct between the two; what keys ask for.
- `privateline`  which parties and lines are confidential or private, on either side; an agent's wish, and its end.
- `policy`       facts in, a decision out, with its reasons; what no rule allows is not done.
- `announce`     the prompt that tells the customer, and what is said in it.
- `media`        the engine process and its words: it relays, plays, proves, taps (`rust/qm-media`).
- `recorder`     journal to sealed recording, catalog, recovery; what goes when, and destroying it.
- `monitor`      a supervisor's ear: the menu, the session, who waits for which agent.
- `features`     who dials a code instead of a number: private beforehand, listening, told while he waits.
- `lamps`        what phones with BLF keys are shown of all this: private, recording, heard.
- `control`      the Unix socket the command line asks through.
- `cli`, `app`   commands; the one place where real things are put together.
- `demo`         real phones and a real Asterisk, for the demo and the tests; never imported by `serve`.

Arrows point one way: a later folder may know an earlier one's values, never the reverse.
"""
