"""Via: the way back (RFC 3261 20.42, 18.2.1, RFC 3581)."""

from __future__ import annotations

from typing import NamedTuple

from qm_sip.sip.grammar import (
    Params,
    SipParseError,
    format_host,
    format_params,
    is_token,
    param,
    parse_params,
    split_host_port,
    split_outside,
)

MAGIC_COOKIE = "z9hG4bK"


def default_port(transport: str) -> int:
    """Where a transport is heard if no port is named (18.2.2, 19.1.2)."""
    return 5061 if transport.lower() == "tls" else 5060


class Via(NamedTuple):
    """One hop: transport, sent-by and parameters."""

    transport: str
    host: str
    port: int | None
    params: Params = ()
    version: str = "2.0"

    @classmethod
    def parse(cls, text: str) -> Via:
        """`SIP / 2.0 / UDP host:port;params`, white space allowed round the slashes (25.1)."""
        head, *raw = split_outside(text, ";")
        parts = head.split("/", 2)
        if len(parts) != 3 or parts[0].strip().upper() != "SIP":
            raise SipParseError("a Via is not of SIP")
        words = parts[2].split(None, 1)
        if len(words) != 2 or not is_token(words[0]):
            raise SipParseError("a Via has no sent-by")
        host, port = split_host_port(words[1])
        params = parse_params(raw)
        if "<" in text and any(value and "<" in value and value[0] != '"' for _, value in params):
            raise SipParseError("a Via has a bracket in it")  # it would hide what we add
        return cls(words[0].upper(), host, port, params, parts[1].strip())

    @property
    def branch(self) -> str:
        """The branch, or "" (then RFC 2543 matching applies, 17.2.3)."""
        return param(self.params, "branch") or ""

    @property
    def sent_by(self) -> tuple[str, int]:
        """Host (without case) and port, the transport's own if none is named."""
        return self.host.lower(), self.port if self.port is not None else default_port(self.transport)

    def received_from(self, host: str, port: int, *, always: bool = False) -> Via:
        """As the server must mark it: rport filled in when asked for (or always), received when it differs (18.2.1,
        3581 4).
        """
        wants_rport = always or param(self.params, "rport") is not None
        kept = tuple(p for p in self.params if p[0].lower() not in ("rport", "received"))
        marks: Params = (("rport", str(port)), ("received", host)) if wants_rport else ()
        if not wants_rport and self.host.lower() != host.lower():
            marks = (("received", host),)
        return self._replace(params=(*kept, *marks))

    def reply_to(self) -> tuple[str, int]:
        """Where responses go (18.2.2 with RFC 3581): received and rport, else sent-by. maddr is not followed. An IPv6
        address in received has no brackets (25.1), but often it has.
        """
        host = (param(self.params, "received") or self.host).removeprefix("[").removesuffix("]")
        rport = param(self.params, "rport")
        if rport and rport.isascii() and rport.isdigit():
            return host, int(rport)
        return host, self.sent_by[1]

    def __str__(self) -> str:
        port = f":{self.port}" if self.port is not None else ""
        return (
            f"SIP/{self.version}/{self.transport} {format_host(self.host)}{port}{format_params(self.params)}"
        )
