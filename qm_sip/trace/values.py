"""What may be said of each header: the redactors of `redact.py`, one for each kind of value.

Each gives a new value made of known tokens, small numbers and pseudonyms, or raises SipParseError: then the value is
`redacted`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from qm_sip.sip.address import NameAddr, Uri
from qm_sip.sip.grammar import SipParseError, format_host, split_outside
from qm_sip.sip.via import Via
from qm_sip.trace.pseudonyms import Pseudonyms
from qm_sip.trace.redact_sdp import words

REDACTED: Final = "redacted"

METHODS: Final = words(
    "INVITE ACK CANCEL BYE OPTIONS REGISTER PRACK SUBSCRIBE NOTIFY UPDATE MESSAGE REFER PUBLISH INFO"
)
_OPTION_TAGS: Final = words(
    "100rel timer replaces norefersub path outbound gruu join tdialog from-change histinfo precondition"
    " privacy sec-agree eventlist ice answermode early-session multiple-refer resource-priority trickle-ice"
)
_EVENTS: Final = words("dialog presence message-summary refer conference reg call-completion talk hold")
_PRIVACY: Final = words("id header session user none critical history")
_REASON_PROTOCOLS: Final = frozenset({"SIP", "Q.850"})
_REFRESHERS: Final = frozenset({"uac", "uas"})
_DIVERSIONS: Final = words(
    "unknown user-busy no-answer unavailable unconditional time-of-day do-not-disturb deflection"
    " follow-me out-of-service away"
)
_TRANSPORTS: Final = words("udp tcp tls sctp ws wss")
_NUMBER: Final = re.compile(r"\d{1,10}", re.ASCII)

Redactor = Callable[[str, Pseudonyms], str]


# --------------------------------------------------------------------------- kinds of values


def method_of(method: str) -> str:
    """A method, if there is one of that name."""
    return method if method in METHODS else "UNKNOWN"


def uri_of(text: str, names: Pseudonyms) -> str:
    try:
        uri = Uri.parse(text)
    except SipParseError:
        return "sip:redacted.invalid"
    if uri.scheme == "tel":
        return f"tel:{names.of('user', uri.number)}"
    if uri.scheme not in ("sip", "sips"):
        return "sip:redacted.invalid"
    user = f"{names.of('user', uri.number)}@" if uri.user else ""
    port = f":{uri.port}" if uri.port is not None else ""
    return f"{uri.scheme}:{user}{format_host(names.host(uri.host))}{port}{_uri_params(uri)}"


def _uri_params(uri: Uri) -> str:
    transport = (uri.param("transport") or "").lower()
    kept = f";transport={transport}" if transport in _TRANSPORTS else ""
    kept += ";lr" if uri.param("lr") is not None else ""
    return kept + (";user=phone" if uri.param("user") == "phone" else "")


def _name_addr(value: str, names: Pseudonyms) -> str:
    if value.strip() == "*":
        return "*"
    found = NameAddr.parse(value)
    display = f'"{names.of("name", found.display)}" ' if found.display else ""
    tag, why = found.tag, found.param("reason")
    params = f";tag={names.of('tag', tag)}" if tag else ""
    params += f";reason={why}" if why in _DIVERSIONS else ""
    return f"{display}<{uri_of(str(found.uri), names)}>{params}"


def _name_addrs(value: str, names: Pseudonyms) -> str:
    return ", ".join(_name_addr(one, names) for one in split_outside(value, ",") if one)


def _vias(value: str, names: Pseudonyms) -> str:
    return ", ".join(_via(Via.parse(one), names) for one in split_outside(value, ","))


def _via(via: Via, names: Pseudonyms) -> str:
    transport = via.transport if via.transport.lower() in _TRANSPORTS else "UNKNOWN"
    port = f":{via.port}" if via.port is not None else ""
    text = f"SIP/2.0/{transport} {format_host(names.host(via.host))}{port}"
    marks = {name.lower(): value for name, value in via.params}
    if "rport" in marks:
        text += ";rport" + (f"={marks['rport']}" if _is_port(marks["rport"]) else "")
    if marks.get("received"):
        text += f";received={names.host(marks['received'] or '')}"
    return text + (f";branch=z9hG4bK-{names.of('branch', via.branch)}" if via.branch else "")


def _is_port(text: str | None) -> bool:
    return bool(text and text.isascii() and text.isdigit() and len(text) <= 5)


def _call_id(value: str, names: Pseudonyms) -> str:
    return names.of("call", value)


def cseq_of(value: str, names: Pseudonyms) -> str:
    number, _, method = value.partition(" ")
    return f"{_number(number, names)} {method_of(method.strip())}"


def _number(value: str, names: Pseudonyms) -> str:
    return value if _NUMBER.fullmatch(value) else REDACTED


def _rack(value: str, names: Pseudonyms) -> str:
    words = value.split()
    if len(words) != 3:
        return REDACTED
    return f"{_number(words[0], names)} {_number(words[1], names)} {method_of(words[2])}"


def _first_number(value: str, names: Pseudonyms) -> str:
    """`1800;refresher=uas`, `30 (comment)`: the number, and who refreshes."""
    first, *rest = re.split(r"[;\s(]", value)
    refresher = next((part[10:] for part in rest if part[:10].lower() == "refresher="), "")
    return _number(first, names) + (f";refresher={refresher}" if refresher in _REFRESHERS else "")


def _tokens(known: Iterable[str]) -> Redactor:
    allowed = frozenset(known)

    def redactor(value: str, names: Pseudonyms) -> str:
        words = [word.strip() for word in re.split(r"[,;]", value) if word.strip()]
        return ", ".join(word if word in allowed else REDACTED for word in words)

    return redactor


def _event(value: str, names: Pseudonyms) -> str:
    package = value.partition(";")[0].strip()
    return package if package in _EVENTS else REDACTED


def _reason(value: str, names: Pseudonyms) -> str:
    return ", ".join(_one_reason(one) for one in split_outside(value, ","))


def _one_reason(value: str) -> str:
    protocol, *params = (part.strip() for part in value.split(";"))
    cause = next((part[6:] for part in params if part[:6].lower() == "cause="), "")
    said = protocol if protocol in _REASON_PROTOCOLS else REDACTED
    return said + (f";cause={cause}" if re.fullmatch(r"\d{1,3}", cause, re.ASCII) else "")


def _warning(value: str, names: Pseudonyms) -> str:
    code = value[:3]
    return f'{code} {REDACTED} "{REDACTED}"' if re.fullmatch(r"\d{3}", code, re.ASCII) else REDACTED


def _scheme(value: str, names: Pseudonyms) -> str:
    return f"Digest {REDACTED}" if value[:7].lower() == "digest " else REDACTED


def _session(value: str, names: Pseudonyms) -> str:
    """RFC 7989: a UUID of our end, and that of the other; of the same form, so that programs read it."""
    ours, *params = (part.strip().lower() for part in value.split(";"))
    theirs = next((part[7:] for part in params if part.startswith("remote=")), "")
    remote = f";remote={names.number('session', theirs):032x}" if theirs else ""
    return f"{names.number('session', ours):032x}{remote}"


def _carried(value: str, names: Pseudonyms) -> str:
    return names.of("value", value)


REDACTORS: Final[dict[str, Redactor]] = {
    "via": _vias,
    "from": _name_addr,
    "to": _name_addr,
    "contact": _name_addrs,
    "route": _name_addrs,
    "record-route": _name_addrs,
    "refer-to": _name_addr,
    "referred-by": _name_addr,
    "p-asserted-identity": _name_addrs,
    "p-preferred-identity": _name_addrs,
    "remote-party-id": _name_addrs,
    "diversion": _name_addrs,
    "history-info": _name_addrs,
    "call-id": _call_id,
    "cseq": cseq_of,
    "rack": _rack,
    "rseq": _number,
    "max-forwards": _number,
    "expires": _number,
    "min-expires": _number,
    "min-se": _first_number,
    "session-expires": _first_number,
    "retry-after": _first_number,
    "allow": _tokens(METHODS),
    "supported": _tokens(_OPTION_TAGS),
    "require": _tokens(_OPTION_TAGS),
    "proxy-require": _tokens(_OPTION_TAGS),
    "unsupported": _tokens(_OPTION_TAGS),
    "accept": _tokens({"application/sdp", "multipart/mixed", "message/sipfrag"}),
    "allow-events": _tokens(_EVENTS),
    "privacy": _tokens(_PRIVACY),
    "event": _event,
    "reason": _reason,
    "warning": _warning,
    "authorization": _scheme,
    "proxy-authorization": _scheme,
    "www-authenticate": _scheme,
    "proxy-authenticate": _scheme,
    "session-id": _session,
    "x-qm-line": _carried,
    "x-qm-call": _carried,
    "x-qm-linkedid": _carried,
    "x-qm-language": _carried,
    "x-qm-parent": _carried,
}

# Every header whose name may be said; one without a redactor above loses its value.
NAMES: Final[dict[str, str]] = {
    name.lower(): name
    for name in words("""
    Via From To Contact Route Record-Route Refer-To Referred-By P-Asserted-Identity P-Preferred-Identity
    Remote-Party-ID Diversion History-Info Call-ID CSeq RAck RSeq Max-Forwards Expires Min-Expires Min-SE
    Session-Expires Retry-After Allow Supported Require Proxy-Require Unsupported Accept Allow-Events Privacy Event
    Reason Warning Authorization Proxy-Authorization WWW-Authenticate Proxy-Authenticate Session-ID X-QM-Line
    X-QM-Call X-QM-Linkedid X-QM-Language X-QM-Parent X-QM-Receipt User-Agent Server Date Subject Organization
    Timestamp Replaces Subscription-State Content-Disposition Content-Encoding MIME-Version Accept-Encoding
    Accept-Language Alert-Info Call-Info In-Reply-To Identity
    """)
}
