"""The lexical ground: splitting, quoting and parameters, each one pass over the text, no backtracking.

RFC 3261 section 25. Everything here runs on what a stranger sent, so nothing may take more than linear time.
"""

from __future__ import annotations

import functools
import re
from ipaddress import ip_address
from typing import Final

from qm_sip.errors import QmSipError

Params = tuple[tuple[str, str | None], ...]

# One character class each, so a match is a single linear scan.
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9.\-_]+\Z")  # underscores: Docker and Windows names occur in the wild
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?\Z")


class SipParseError(QmSipError):
    """What arrived is not SIP as it should be. `status` is the answer owed, if an answer can be sent at
    all.
    """

    def __init__(self, problem: str, status: int = 400) -> None:
        self.problem, self.status = problem, status
        super().__init__(problem)


def is_token(text: str) -> bool:
    """RFC 3261 25.1: token."""
    return _TOKEN.match(text) is not None


def split_outside(text: str, separator: str) -> list[str]:
    """Split at `separator` where it stands outside "quotes" and <angle brackets>; the parts are stripped."""
    if separator not in text:
        return [text.strip()]
    if '"' not in text and "<" not in text:
        return [part.strip() for part in text.split(separator)]
    parts, start = [], 0
    for position in positions_outside(text, separator):
        parts.append(text[start:position].strip())
        start = position + 1
    parts.append(text[start:].strip())
    return parts


def positions_outside(text: str, wanted: str) -> list[int]:
    """Where the character `wanted` stands outside quotes and angle brackets. Raises on an open quote."""
    found = []
    quoted = escaped = angled = False
    for position, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = char == "\\"
            quoted = char != '"'
        elif char == wanted and not angled:
            found.append(position)
        elif char == '"':
            quoted = True
        elif char == "<":
            angled = True
        elif char == ">":
            angled = False
    if quoted:
        raise SipParseError("a quoted string does not end")
    return found


def closing_quote(text: str) -> int:
    """Where the quoted string that `text` begins with ends, or -1."""
    escaped = False
    for position in range(1, len(text)):
        char = text[position]
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            return position
    return -1


def unquote(text: str) -> str:
    """The content of a quoted-string, or the text itself."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return _unescape(text[1:-1])
    return text


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    out, escaped = [], False
    for char in text:
        if char == "\\" and not escaped:
            escaped = True
        else:
            out.append(char)
            escaped = False
    return "".join(out)


def quote(text: str) -> str:
    """A quoted-string holding `text`."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_params(parts: list[str]) -> Params:
    """`name[=value]` pairs in order, values as they stood. An empty part is skipped (a stray `;`)."""
    pairs: list[tuple[str, str | None]] = []
    for part in parts:
        if not part:
            continue
        name, equals, value = part.partition("=")
        name = name.rstrip()
        if not is_token(name):
            raise SipParseError("a parameter name is not a token")
        pairs.append((name, value.lstrip() if equals else None))
    return tuple(pairs)


def param(params: Params, name: str) -> str | None:
    """A parameter's value, unquoted; "" for a flag, None if absent. Names compare without case (7.3.1)."""
    for key, value in params:
        if key.lower() == name:
            return unquote(value) if value else ""
    return None


def format_params(params: Params) -> str:
    """`;name=value` for each."""
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params)


def split_host_port(text: str) -> tuple[str, int | None]:
    """`host[:port]`, IPv6 in brackets; the host comes back without them. Raises on what is neither."""
    text = text.strip()
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or not _IPV6.match(host):
            raise SipParseError("a bracketed host is not an IPv6 address")
        rest = rest.strip()
        if rest and not rest.startswith(":"):
            raise SipParseError("something stands between host and port")
        return host, _port(rest[1:]) if rest else None
    host, colon, port = text.partition(":")
    host = host.rstrip()
    if not _HOST.match(host):
        raise SipParseError("a host name has characters that no host name has")
    return host, _port(port) if colon else None


def _port(text: str) -> int:
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 5 or int(text) > 65535:
        raise SipParseError("a port is not a number from 0 to 65535")
    return int(text)


@functools.lru_cache(maxsize=1024)
def is_ip_address(host: str) -> bool:
    """Whether it is an address as it stands. All else a socket would look up, and everybody would wait for that; of
    `010.0.0.1` it would even find another (octal), and a zone (`%`) is of nobody's network but its sender's.
    """
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def format_host(host: str) -> str:
    """A host as it stands in a URI or Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def digits(text: str, limit: int, what: str) -> int:
    """A decimal number no larger than `limit`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= limit):
        raise SipParseError(f"{what} is not a number up to {limit}")
    return int(text)
