"""Whose a certificate is (RFC 5922 7).

A name counts as the holder's only if its SubjectAltName says so: URIs `sip:` without a user part, and only where there
is none of them the DNS names (7.1), and, as our next hops are addresses, IP addresses. The subject's CN says nothing,
nor does `*.example.com`: a wildcard is no SIP domain (7.2).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any


def canonical(name: str) -> str:
    """A domain or address in the form in which two are compared (7.2: without case)."""
    name = name.strip().removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.rstrip(".").lower()


def identities(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """All names of a verified certificate, as `ssl` shows it; none of one that was not verified."""
    alternatives: Iterable[tuple[str, str]] = (certificate or {}).get("subjectAltName", ())
    domains = {domain for kind, value in alternatives if kind == "URI" and (domain := _sip_domain(value))}
    hosts = {canonical(value) for kind, value in alternatives if kind in ("DNS", "IP Address")}
    return frozenset(domains or hosts)


def _sip_domain(uri: str) -> str:
    """The host of `sip:host`. One with a user part names a person, not a domain (7.1)."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "sip" or "@" in rest:
        return ""
    host = rest.partition(";")[0].partition("?")[0]
    if host.count(":") == 1:
        host = host.partition(":")[0]
    return canonical(host)
