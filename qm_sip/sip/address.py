"""URIs and name-addrs: who a message is from and to (RFC 3261 19.1, 20.10, 25.1)."""

from __future__ import annotations

import re
from typing import NamedTuple

from qm_sip.sip.grammar import (
    Params,
    SipParseError,
    closing_quote,
    format_host,
    format_params,
    is_token,
    param,
    parse_params,
    positions_outside,
    quote,
    split_host_port,
    split_outside,
    unquote,
)

# Letters, digits and marks (25.1), and +: what needs no escape in a user part. The rest keeps its own.
_ESCAPED = re.compile(r"%(2[1789aAbBdDeE]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aAeE])")
_FOREIGN = re.compile("[\udc80-\udcff]")  # what was no UTF-8 (surrogateescape)
_WHITE = frozenset(' \t\r\n<>"')
# What nearly all addresses look like, read in one scan: a display name in quotes, user, host, port, tag. Whatever it
# does not match is read by the grammar, part by part; where it matches, both say the same (tests/sip/test_address.py).
_PLAIN = re.compile(
    r"""(?:"([A-Za-z0-9 .,'+*#()-]*)"\ )?
    <((sips?):(?:([A-Za-z0-9.,'+*#()=&$_~!%-]+)@)?([A-Za-z0-9.-]+)(?::([0-9]{1,4}))?)>
    (?:;tag=([A-Za-z0-9.!%*_+`'~-]+))?\Z""",
    re.VERBOSE,
)


def unescaped(user: str) -> str:
    """An escaped letter or digit is the same as the bare one (19.1.4): %31900 calls 1900. An octet that is no UTF-8 is
    escaped: what is shown and stored is text.
    """
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), user)
    return plain if plain.isascii() else _FOREIGN.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", plain)


class Uri(NamedTuple):
    """A URI. Of schemes other than sip and sips only `scheme` and `text` mean anything.

    `text` is what stood on the wire, and what is written again.
    """

    scheme: str
    user: str | None
    host: str
    port: int | None
    params: Params
    headers: str
    text: str

    @classmethod
    def parse(cls, text: str) -> Uri:
        """Any absolute URI; sip and sips in full (19.1.1)."""
        scheme, colon, rest = text.partition(":")
        scheme = scheme.lower()
        if not colon or not rest or not is_token(scheme) or not scheme[0].isalpha():
            raise SipParseError("a URI has no scheme")
        if not _WHITE.isdisjoint(text):
            raise SipParseError("a URI has white space or brackets in it")
        if scheme not in ("sip", "sips"):
            return cls(scheme, None, "", None, (), "", text)
        return cls._parse_sip(scheme, rest, text)

    @classmethod
    def _parse_sip(cls, scheme: str, rest: str, text: str) -> Uri:
        # The user part may hold ; and ? (semiuri of RFC 4475), but no bare @: the first @ ends it.
        user, at, tail = rest.partition("@")
        if not at:
            user, tail = "", rest
        elif not user:
            raise SipParseError("a SIP URI has an empty user")
        tail, _, headers = tail.partition("?")
        host_port, *raw = tail.split(";")
        host, port = split_host_port(host_port)
        return cls(scheme, user if at else None, host, port, parse_params(raw), headers, text)

    @classmethod
    def sip(cls, host: str, port: int | None = None, user: str | None = None, params: Params = ()) -> Uri:
        """A SIP URI of our own making."""
        place = format_host(host) + (f":{port}" if port is not None else "")
        user = user.replace("@", "%40") if user else user  # of a tel URI; it would begin the host
        text = "sip:" + (f"{user}@" if user else "") + place + format_params(params)
        return cls("sip", user, host, port, params, "", text)

    def param(self, name: str) -> str | None:
        """A URI parameter ("" for a flag such as lr), or None."""
        return param(self.params, name)

    @property
    def number(self) -> str:
        """The user part without password, without the parameters of a telephone-subscriber, and without escapes."""
        user = self.text.partition(":")[2] if self.scheme == "tel" else (self.user or "").partition(":")[0]
        return unescaped(user.partition(";")[0])

    def __str__(self) -> str:
        return self.text


class NameAddr(NamedTuple):
    """`"Display" <uri>;params`, as in From, To, Contact, Route, P-Asserted-Identity."""

    display: str
    uri: Uri
    params: Params = ()

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """name-addr or addr-spec; the parameters of a bare addr-spec are the header's (20.10)."""
        if (plain := _PLAIN.match(text)) is None:
            return cls.parse_any(text.strip())
        display, whole, scheme, user, host, port, tag = plain.groups()
        uri = Uri(scheme, user, host, int(port) if port else None, (), "", whole)
        return cls(display or "", uri, (("tag", tag),) if tag else ())

    @classmethod
    def parse_any(cls, text: str) -> NameAddr:
        """The same by the grammar alone: all that is lawful."""
        opened = _first_bracket(text)
        if opened < 0:
            spec, *raw = text.split(";")
            if "?" in spec or "," in spec:
                raise SipParseError("a URI with ? or , must stand in angle brackets")  # 20.10
            return cls("", Uri.parse(spec.strip()), parse_params([p.strip() for p in raw]))
        display = _display(text[:opened].strip())
        uri, closed, rest = text[opened + 1 :].partition(">")
        rest = rest.strip()
        if not closed or (rest and not rest.startswith(";")):
            raise SipParseError("an address in angle brackets does not end well")
        raw = split_outside(rest[1:], ";") if rest else []
        return cls(display, Uri.parse(uri.strip()), parse_params(raw))

    @property
    def tag(self) -> str | None:
        """The tag parameter (19.3)."""
        return param(self.params, "tag")

    def param(self, name: str) -> str | None:
        """A header parameter, or None."""
        return param(self.params, name)

    def __str__(self) -> str:
        display = f"{quote(self.display)} " if self.display else ""
        return f"{display}<{self.uri}>{format_params(self.params)}"


def _first_bracket(text: str) -> int:
    """Where the URI's < stands, or -1; one inside a quoted display name does not count."""
    if '"' not in text:
        return text.find("<")
    return next(iter(positions_outside(text, "<")), -1)


def _display(text: str) -> str:
    """A quoted display name, or words. Words that are not tokens are taken as they are (RFC 4475
    3.1.2.15).
    """
    if not text.startswith('"'):
        if '"' in text or ">" in text:
            raise SipParseError("a display name is half quoted")
        return text
    if closing_quote(text) != len(text) - 1:
        raise SipParseError("a display name is half quoted")
    return unquote(text)
