"""Writes docs/headers.md from the table: `python -m qm_sip.call.headers.document > docs/headers.md`."""

from __future__ import annotations

import sys

from qm_sip.call.headers.table import TABLE, Does, In, Rule
from qm_sip.sip import hop

_INTRO = """# Which headers cross

A call through qm_sip is two dialogs. A header of one leg reaches the other only if a row of this table says so;
whatever is not named here is stripped. Three ways to cross are told apart by `trusted` of the two peers:

- **within**: both peers are trusted, such as Asterisk on both sides.
- **out**: from a trusted peer to one that is not, such as a carrier.
- **in**: from a peer that is not trusted, to any.

This page is written from the program: `python -m qm_sip.call.headers.document > docs/headers.md`.

| header | messages | within | out | in | why |
|---|---|---|---|---|---|
"""

_MEANS = {
    Does.COPY: "every line, in order, as it came.",
    Does.STRIP: "it ends here.",
    Does.LISTED: "stripped, unless the peer that is not trusted names it in its `carry`; if neither is, both must.",
    Does.ASSERT: "with `send_identity` of the peer it goes to: the user at our own address, a tel URI as it is.",
    Does.TOKENS: "only the words that the RFC knows.",
    Does.CAUSE: "protocol and cause of each value, no text.",
    Does.NUMBER: "the number of seconds, nothing else.",
    Does.IDENTITY: "with `remote_party_id` of the peer it comes from, where no P-Asserted-Identity stands beside it.",
    Does.OURS: "written here.",
    Does.MAPPED: "the dialog it names is put in terms of the other leg by what carries a transfer out; else stripped.",
}

_PRIVACY = """## Privacy

A caller is *nameless* if his message says `Privacy: id`, `user` or `header`, if his From is at `anonymous.invalid`, or
if an older peer says `Remote-Party-ID: ...;privacy=full`; `Privacy: none` overrules all of that. Towards a peer that
is not trusted his From then is `"Anonymous" <sip:anonymous@anonymous.invalid>`, and no header marked \\* goes out,
listed or not. `Privacy: history` keeps History-Info from going out in the same way. Where a listed Diversion,
History-Info or Referred-By goes out, the addresses in it stand at our own host.

`Privacy: session` is met by a call whose media is relayed here. With `critical`, a wish that cannot be met on the way
out (session privacy on a direct call, a word nobody knows) is answered 500 instead of a call without it (RFC 3323 5).
Whoever calls an emergency number is not hidden, and not refused for any of this.
"""

_BODIES = """## Bodies

| kind | what becomes of it |
|---|---|
| `application/sdp` | read, and written anew for the other leg, at its place among what goes along |
| `application/dtmf-relay`, `application/dtmf` | in INFO: a code of ours is obeyed, any other key goes on |
| `application/pidf+xml` | where a caller is: goes along on an emergency call, whoever the peers are |
| any other | goes along if both peers are trusted and one names it in `bodies` (INVITE, 18x, 200, INFO); else dropped |

A multipart body is read to its third level and sixteenth part, and of `multipart/alternative` the last that can be read
counts. A part that says `handling=required` and does not go along is answered 415; one that says nothing is taken as
optional, which is kinder than RFC 3261 20.11.

## Requests in a call

| request | what becomes of it |
|---|---|
| INFO with `Info-Package` | within trust, to a side whose Recv-Info names it: it answers. Else 469, and what it takes |
| INFO of another kind | as the table of bodies says; else 415. Without a body 200 |
| MESSAGE | within trust, and the other side answers; else 403. Past 1300 bytes over UDP 513. Outside a call 403 |
| UPDATE without SDP | 200; within trust a new P-Asserted-Identity goes on to a side that takes UPDATE |

With `sip.messages = "refused"` every MESSAGE is 405. What it says, and which key was pressed, is written nowhere.
"""

_SETTINGS = """## What settings add

- `sip.carry_headers`: headers of a new call that go along within trust, and that rules may read.
- `peers.NAME.carry`: headers of a new call that also cross to and from this peer. It opens rows that say *if listed*,
  and adds headers that have no row. A peer that is not trusted cannot send an `X-QM-` header.
- `peers.NAME.strip`: headers that never cross to or from this peer.
- `peers.NAME.bodies`: kinds of body that cross within trust.
- `peers.NAME.send_identity`, `peers.NAME.remote_party_id`: see above.

A header of one hop or one dialog cannot be carried, and one that has a rule of its own cannot be opened: `qm-sip check`
names file, key and line.

"""


def document() -> str:
    """Return the whole page."""
    rows = [_row(rule) for rule in sorted(TABLE, key=lambda rule: rule.name)]
    means = [f"- *{does.value}*: {text}" for does, text in _MEANS.items()]
    own = ", ".join(f"`{name}`" for name in sorted(hop.OURS))
    notes = "\\* names a person. † is copied on an emergency call, whoever the peers are."
    ours = f"## Written anew on each leg\n\n{own}, and everything that begins with `Proxy-`."
    return "\n".join(
        [_INTRO + "\n".join(rows), "", notes, "", *means, "", _PRIVACY, _BODIES, _SETTINGS + ours, ""]
    )


def _row(rule: Rule) -> str:
    marks = ("\\*" if rule.personal else "") + (" †" if rule.emergency else "")
    does = " | ".join(one.value for one in (rule.within, rule.out, rule.in_))
    return f"| `{rule.name}`{marks} | {_messages(rule)} | {does} | {rule.why} |"


def _messages(rule: Rule) -> str:
    if rule.messages == frozenset(In):
        return "all"
    return "; ".join(one.value for one in In if one in rule.messages)


if __name__ == "__main__":
    sys.stdout.write(document())
