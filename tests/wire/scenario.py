"""SIPp scenarios of the longer conversations, written step by step: cancel, hold, PRACK and UPDATE, transfer.

Lines that lose, double and swap packets make SIPp see what no scenario says. So each waits in one loop for whatever the
other side may ask, each ends its call by itself if nobody else does, and transactions have names, by which SIPp knows
a late copy of an answer.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

Step = str

_SDP = """v=0
o=sipp 53655765 {version} IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio 30000 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a={direction}
"""
_TYPE = "Content-Type: application/sdp"
_ALLOW = "Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, REFER, NOTIFY"
_TALKS = 4000  # ms after which whoever waits for the other's BYE sends his own
_LINGERS = 6000  # ms in which copies are still answered


def sdp(version: int = 1, direction: str = "sendrecv") -> str:
    return _SDP.format(version=version, direction=direction)


def say(lines: list[str], body: str = "", *, again: bool = False, **attributes: str) -> Step:
    """Send a message. `again`: until it is answered."""
    told = {**({"retrans": "500"} if again else {}), **attributes}
    whole = [*lines, *([_TYPE] if body else []), f"Content-Length: {'[len]' if body else 0}", "", body]
    return f"<send{_said(told)}><![CDATA[\n" + "\n".join(whole) + "]]></send>"


def _said(attributes: dict[str, str]) -> str:
    return "".join(f' {name.rstrip("_")}="{escape(value)}"' for name, value in attributes.items())


def hear(what: str | int, *saved: str, maybe: bool = False, **attributes: str) -> Step:
    """Receive a request or a status; `saved` headers are kept by their names in lower case."""
    kind = "response" if isinstance(what, int) else "request"
    told = {kind: str(what), **({"optional": "true"} if maybe else {}), **attributes}
    kept = "".join(_saved(name) for name in saved)
    return f"<recv{_said(told)}>" + (f"<action>{kept}</action>" if kept else "") + "</recv>"


def _saved(header: str) -> Step:
    """All of it; of a Contact only where it leads."""
    contact = header == "Contact"
    name = "there" if contact else header.lower().replace("-", "")
    what = "[0-9.]+:[0-9]+" if contact else ".*"
    return f'<ereg regexp="{what}" search_in="hdr" header="{header}" assign_to="{name}"/>'


def pause(milliseconds: int = 0) -> Step:
    """So long, or as long as the call is to last."""
    return f'<pause milliseconds="{milliseconds}"/>' if milliseconds else "<pause/>"


def label(name: int) -> Step:
    return f'<label id="{name}"/>'


LINGER = f'<timewait milliseconds="{_LINGERS}"/>'


# ---------------------------------------------------------------------- the caller


def ask(method: str, number: int, *more: str, body: str = "", again: bool = True, **attributes: str) -> Step:
    branch = attributes.pop("branch", "[branch]")
    lines = [
        f"{method} sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
        f"Via: SIP/2.0/UDP [local_ip]:5060;branch={branch}",
        "From: <sip:0612345678@[local_ip]>;tag=[call_number]",
        f"To: <sip:[service]@[remote_ip]>{'' if number == 1 and method != 'ACK' else '[peer_tag_param]'}",
        "Call-ID: [call_id]",
        f"CSeq: {number} {method}",
        "Contact: <sip:sipp@[local_ip]:5060>",
        "Max-Forwards: 70",
        *more,
    ]
    return say(lines, body, again=again, **attributes)


def offers(number: int, name: str, *more: str, body: str) -> list[Step]:
    """An INVITE, its answer and the ACK."""
    return [
        ask("INVITE", number, _ALLOW, *more, body=body, start_txn=name),
        *(hear(status, maybe=True, response_txn=name) for status in (100, 180, 183)),
        hear(200, response_txn=name),
        ask("ACK", number, again=False, ack_txn=name),
    ]


def hangs_up(number: int) -> list[Step]:
    return [ask("BYE", number, start_txn="bye"), hear(200, response_txn="bye"), LINGER]


def _caller_cancels() -> list[Step]:
    return [
        ask("INVITE", 1, body=sdp()),
        hear(100, maybe=True),
        hear(180, timeout="2500", ontimeout="1"),
        pause(300),
        label(1),
        ask("CANCEL", 1, branch="[branch-4]"),
        hear(200, maybe=True),
        hear(487),
        say(
            [
                "ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
                "Via: SIP/2.0/UDP [local_ip]:5060;branch=[branch-7]",
                *["From: <sip:0612345678@[local_ip]>;tag=[call_number]", "[last_To:]", "Call-ID: [call_id]"],
                *["CSeq: 1 ACK", "Max-Forwards: 70"],
            ]
        ),
        LINGER,
    ]


def _caller_holds() -> list[Step]:
    return [
        *offers(1, "invite", body=sdp()),
        pause(1200),  # in which the caller may be told something
        *offers(2, "hold", body=sdp(2, "sendonly")),
        pause(400),
        *offers(3, "resume", body=sdp(3)),
        pause(),
        *hangs_up(4),
    ]


def _caller_acknowledges() -> list[Step]:
    """PRACK of the 183, and an UPDATE with an offer before the answer."""
    return [
        ask("INVITE", 1, _ALLOW, "Supported: 100rel", body=sdp(), start_txn="invite"),
        hear(100, maybe=True, response_txn="invite"),
        hear(183, "RSeq", response_txn="invite"),
        ask("PRACK", 2, "RAck[$rseq] 1 INVITE", start_txn="prack"),
        hear(200, response_txn="prack"),
        ask("UPDATE", 3, body=sdp(2, "sendonly"), start_txn="update"),
        hear(200, response_txn="update"),
        hear(200, response_txn="invite"),
        ask("ACK", 1, again=False, ack_txn="invite"),
        pause(),
        *hangs_up(4),
    ]


def _caller_talks() -> list[Step]:
    """Answers whatever he is offered, until somebody hangs up, or he does."""
    return [
        *offers(1, "invite", body=sdp()),
        *_until_bye(ends=[ask("BYE", 2, start_txn="bye"), hear(200, response_txn="bye")]),
    ]


# ---------------------------------------------------------------------- whoever is called

_INVITE = ("Via", "From", "To", "Call-ID", "CSeq")


def reply(status: int, *more: str, body: str = "", again: bool = False, **attributes: str) -> Step:
    """To the request that came last."""
    named = ("Via", "From", "To", "Call-ID", "CSeq")
    return say(
        [f"SIP/2.0 {status} X", *(f"[last_{name}:]" for name in named), *more],
        body,
        again=again,
        **attributes,
    )


def answer(status: int, *more: str, body: str = "", again: bool = False) -> Step:
    """To the INVITE, whatever has come since."""
    lines = [
        f"SIP/2.0 {status} X",
        *["Via[$via]", "From[$from]", "To[$to];tag=[call_number]", "Call-ID[$callid]", "CSeq[$cseq]"],
        *["Contact: <sip:sipp@[local_ip]:5060>", _ALLOW, *more],
    ]
    return say(lines, body, again=again)


def called(number: int, method: str, *more: str) -> Step:
    """A request of whoever was called."""
    lines = [
        f"{method} sip:qm@[$there] SIP/2.0",
        "Via: SIP/2.0/UDP [local_ip]:5060;branch=[branch]",
        *["From[$to];tag=[call_number]", "To[$from]", "Call-ID[$callid]", f"CSeq: {number} {method}"],
        *["Contact: <sip:sipp@[local_ip]:5060>", "Max-Forwards: 70", *more],
    ]
    return say(lines, again=True)


def _until_bye(ends: list[Step]) -> list[Step]:
    """The loop in which everybody waits: how long is said of the first thing that may come. The labels 20 to 29 are
    its own.
    """
    return [
        label(20),
        hear("INVITE", maybe=True, next="21", timeout=str(_TALKS), ontimeout="24"),
        hear("NOTIFY", maybe=True, next="22"),
        hear("UPDATE", maybe=True, next="22"),
        hear("ACK", maybe=True, next="20"),
        hear("BYE", next="23"),
        label(21),
        reply(200, "Contact: <sip:sipp@[local_ip]:5060>", body=sdp(5), again=True),
        hear("ACK", next="20"),
        label(22),
        reply(200, next="20"),
        label(23),
        reply(200, next="29"),
        label(24),
        *ends,
        label(29),
        LINGER,
    ]


def _ends() -> list[Step]:
    return [called(9, "BYE"), hear(200)]


def _callee_rings() -> list[Step]:
    return [
        hear("INVITE", *_INVITE),
        answer(180),
        hear("CANCEL"),
        reply(200),
        answer(487, again=True),
        hear("ACK"),
        LINGER,
    ]


def _callee_talks() -> list[Step]:
    return [
        hear("INVITE", *_INVITE, "Contact"),
        answer(180),
        answer(200, body=sdp(), again=True),
        hear("ACK", maybe=True),
        *_until_bye(_ends()),
    ]


def _callee_acknowledged() -> list[Step]:
    return [
        hear("INVITE", *_INVITE, "Contact"),
        answer(183, "Require: 100rel", "RSeq: 7", body=sdp(), again=True),
        hear("PRACK"),
        reply(200),
        hear("UPDATE"),
        reply(200, "Contact: <sip:sipp@[local_ip]:5060>", body=sdp(2, "recvonly")),
        answer(200, again=True),
        hear("ACK", maybe=True),
        *_until_bye(_ends()),
    ]


def _callee_transfers() -> list[Step]:
    """Sends whoever calls 7... to 8..., which he answers himself."""
    asked = hear("INVITE", *_INVITE, "Contact")
    told = '<ereg regexp="^INVITE sip:8" search_in="msg" assign_to="second"/></action>'
    return [
        asked.replace("</action>", told),
        answer(180),
        answer(200, body=sdp(), again=True),
        hear("ACK", next="20", test="second"),
        pause(1500),  # as there
        called(1, "REFER", "Refer-To: <sip:8000@[$there]>"),
        hear("NOTIFY", maybe=True, next="22"),
        hear("INVITE", maybe=True, next="21"),
        hear(202),
        *_until_bye(_ends()),
    ]


_ALL = {
    "caller_cancels": _caller_cancels,
    "caller_holds": _caller_holds,
    "caller_acknowledges": _caller_acknowledges,
    "caller_talks": _caller_talks,
    "callee_rings": _callee_rings,
    "callee_talks": _callee_talks,
    "callee_acknowledged": _callee_acknowledged,
    "callee_transfers": _callee_transfers,
}


def written(name: str) -> str | None:
    """The scenario of that name as SIPp reads it; None: there is none here."""
    steps = _ALL.get(name)
    if steps is None:
        return None
    inside = "\n".join(steps())
    return f'<?xml version="1.0" encoding="UTF-8" ?>\n<scenario name="{name}">\n{inside}\n</scenario>\n'
