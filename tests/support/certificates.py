"""Certificates made in the test: an authority, and whoever it vouches for."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Whoever signs. `ca` is the file to believe it by."""

    def __init__(self, home: Path, name: str = "ca") -> None:
        self.home, self.name = home, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _named(name)
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        builder = _builder(self._subject, self._subject, self._key, timedelta(days=365))
        certificate = builder.add_extension(constraint, critical=True).sign(self._key, hashes.SHA256())
        self.ca = home / f"{name}.pem"
        self.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, file: str, *names: str, cn: str = "", lasts: timedelta = timedelta(days=90)) -> Pair:
        """A certificate for `sip:domain` URIs, DNS names and IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named(cn or file), self._subject, key, lasts)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        pair = Pair(self.home / f"{file}.pem", self.home / f"{file}.key")
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        pair.key.chmod(0o600)
        return pair


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, lasts: timedelta) -> x509.CertificateBuilder:
    ends = datetime.now(UTC) + lasts
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(ends, datetime.now(UTC)) - timedelta(days=2))
        .not_valid_after(ends)
    )


def _alternative(name: str) -> x509.GeneralName:
    if ":" in name and not name.startswith("::"):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
