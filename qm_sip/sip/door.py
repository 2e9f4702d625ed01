"""The door: what of a new request is looked at before anybody is bothered with it (RFC 3261 8.2).

Each check gives the answer owed and its headers, or None; the order is that of the RFC, after the
question whether the sender may come in at all.
"""

from __future__ import annotations

from typing import Final

from qm_sip.sip.asking import has_sdp
from qm_sip.sip.core import Core
from qm_sip.sip.message import Header, Request, header
from qm_sip.sip.session_expires import SessionExpires, knows_timers
from qm_sip.sip.settings import Prack

Refusal = tuple[int, list[Header]]

# Methods that exist (RFC 3261, 3262, 3265, 3311, 3428, 3515, 3903, 6086). What is not here is not known: 501.
_METHODS: Final = frozenset(
    "INVITE ACK CANCEL BYE OPTIONS REGISTER PRACK SUBSCRIBE NOTIFY UPDATE MESSAGE REFER PUBLISH INFO".split()  # noqa: SIM905
)
_IN_DIALOG_ONLY: Final = frozenset({"BYE", "UPDATE", "INFO", "PRACK", "NOTIFY"})


def new_request(core: Core, request: Request, prack: Prack = Prack.YES) -> Refusal | None:
    """For a request outside any dialog."""
    return (
        _method(core, request)
        or _in_dialog_only(request)
        or _loop(core, request)
        or extensions(core, request, prack)
        or _interval(core, request)
        or _hops(request)
        or content(request)
        or _accepts(request)
    )


def dialog_request(core: Core, request: Request, prack: Prack = Prack.YES) -> Refusal | None:
    """For a request in a dialog of ours."""
    return (
        _method(core, request)
        or extensions(core, request, prack)
        or _interval(core, request)
        or content(request)
    )


def _method(core: Core, request: Request) -> Refusal | None:
    if request.method in core.settings.allow:
        return None
    return (405 if request.method in _METHODS else 501), [core.allow()]


def _in_dialog_only(request: Request) -> Refusal | None:
    if request.method == "MESSAGE":
        return 403, []  # nobody here takes one outside a call (RFC 3428 7)
    if request.method == "REFER":
        return 403, []  # RFC 3515 allows it; here nobody is sent anywhere but out of a call he is in
    return (481, []) if request.method in _IN_DIALOG_ONLY else None


def _loop(core: Core, request: Request) -> Refusal | None:
    """8.2.2.2 a copy that took another path; 16.3 item 4 one that was here before."""
    return (482, []) if core.layer.merged(request) or core.looped(request) else None


def extensions(core: Core, request: Request, prack: Prack) -> Refusal | None:
    """8.2.2.3: what the peer requires and we do not do. That we require something of him (421) is not asked of those
    who call us.
    """
    required = request.values("require")
    if not required:
        return None
    ours = set(core.settings.supported) - ({"100rel"} if prack is Prack.NO else set())
    missing = [tag for tag in required if tag.lower() not in ours]
    return (420, [header("Unsupported", ", ".join(missing))]) if missing else None


def _interval(core: Core, request: Request) -> Refusal | None:
    """RFC 4028 9: a session interval that is too short for us; if its sender would understand a 422."""
    if request.method not in ("INVITE", "UPDATE"):
        return None
    says = SessionExpires.of(request)
    if says is None or says.seconds >= core.settings.min_se or not knows_timers(request):
        return None
    return 422, [header("Min-SE", str(core.settings.min_se))]


def _hops(request: Request) -> Refusal | None:
    """A back-to-back user agent passes calls on, so it counts hops like a proxy (RFC 7332). An OPTIONS
    ends here.
    """
    return (483, []) if request.max_forwards == 0 and request.method == "INVITE" else None


def content(request: Request) -> Refusal | None:
    """8.2.3: a body of a kind we cannot read, unless its sender calls it optional."""
    if request.method not in ("INVITE", "UPDATE", "PRACK") or not request.body or has_sdp(request):
        return None
    if "handling=optional" in (request.get("content-disposition") or "").replace(" ", "").lower():
        return None
    if request.content_type.startswith("multipart/"):
        return None
    return 415, [header("Accept", "application/sdp")]


def _accepts(request: Request) -> Refusal | None:
    """20.1: an INVITE whose sender reads no session description cannot be answered with one: 406."""
    if request.method != "INVITE" or request.get("accept") is None:
        return None
    kinds = {value.partition(";")[0].strip().lower() for value in request.values("accept")}
    return None if kinds & {"application/sdp", "application/*", "*/*"} else (406, [])
