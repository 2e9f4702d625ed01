"""Bodies: the session description in a message, alone or as one part of several (RFC 5621, RFC 2046 5.1)."""

from __future__ import annotations

from collections.abc import Iterator

from qm_sip.sip.message import Request, Response

_DEEPEST = 3  # multipart within multipart


def description(message: Request | Response) -> bytes | None:
    """The bytes of the session description, or None if the message brings none."""
    kind = message.get("content-type") or ("application/sdp" if message.body.startswith(b"v=") else "")
    return _find(kind, message.body, _DEEPEST) if message.body else None


def _find(kind: str, body: bytes, depth: int) -> bytes | None:
    name = kind.partition(";")[0].strip().lower()
    if name == "application/sdp":
        return body
    boundary = _boundary(kind)
    if not name.startswith("multipart/") or not boundary or not depth:
        return None
    found = (_find(*part, depth - 1) for part in _parts(body, boundary))
    return next((part for part in found if part is not None), None)


def _boundary(kind: str) -> bytes:
    for parameter in kind.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "boundary":
            return value.strip().strip('"').encode("utf-8", "surrogateescape")
    return b""


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[str, bytes]]:
    """Each part's Content-Type and content."""
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:]:
        if part.startswith(b"--"):
            return
        head, _, content = part.partition(b"\r\n\r\n")
        lines = (line.partition(b":") for line in head.split(b"\r\n"))
        kinds = (value for name, _, value in lines if name.strip().lower() == b"content-type")
        yield next(kinds, b"").decode("utf-8", "replace"), content
