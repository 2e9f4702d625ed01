"""SIP: bytes become messages, transactions and dialogs. No socket, no clock: `now` is handed in.

Each line stands on those above it and imports nothing from below.

* `grammar`                      splitting, quoting, parameters; `SipParseError` with the status owed
* `address`, `via`, `cseq`       typed header values that read and print themselves
* `rack`                         the same for PRACK
* `hop`                          headers that belong to one hop or one dialog
* `message`                      a datagram as a message that leaves byte for byte
* `session_expires`              how long a session lasts without a refresh
* `validate`                     whether a message makes sense
* `framing`                      a stream of bytes as messages, however it was cut
* `body`                         the session description in a message, alone or among others
* `sdp_model`, `codecs`, `sdp`   session descriptions line by line; the edits of a B2BUA
* `crypto`                       SRTP keys in a session description
* `events`                       what the user agent tells, in the past tense
* `locating`                   the addresses of a next hop, in the order in which they are tried
* `timers`, `transaction`        the timer heap; the four machines of RFC 3261 17 as tables
* `layer`, `reply`               which transaction a message belongs to; answers
* `dialog`, `digest`             route sets, targets, CSeq; answering challenges
* `refer`                        what transfers are written with: Refer-To, Replaces, a status as a body
* `settings`, `core`, `sent`     what all legs share; what a leg remembers of a request
* `session_timer`, `reliable`    refreshes, and a call that ends without them; provisional responses with PRACK
* `asking`, `offering`, `leg`    one INVITE usage: its client half, its own offers, its server half
* `incoming`, `outgoing`         how a leg comes about: called, or calling
* `limits`, `overload`           token buckets, bans; when there is no room for one call more
* `nonces`, `digest_server`      challenges that need no memory, and what an answer to one is worth
* `incidents`, `admission`       the security log; who comes in, before anything is done for him
* `event_header`                 which package somebody subscribes to
* `watch`, `publishing`          one who watches something of ours; who may, and how many
* `door`, `ua`                   what is refused before anybody is bothered; the one face of all this
* `subscription`                 the news that the sender of a REFER is owed

`qm_sip.net.endpoint` puts it on sockets.
"""
