"""A phone's half of SRTP (RFC 3711, RFC 7714), by hand on `cryptography`: shares nothing with the engine's.

No replay window and a rollover counter of zero: tests are shorter than 65,536 packets.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

SIZES = {
    "AES_CM_128_HMAC_SHA1_80": (16, 14, 10),
    "AES_CM_128_HMAC_SHA1_32": (16, 14, 4),
    "AES_256_CM_HMAC_SHA1_80": (32, 14, 10),
    "AES_256_CM_HMAC_SHA1_32": (32, 14, 4),
    "AEAD_AES_128_GCM": (16, 12, 16),
    "AEAD_AES_256_GCM": (32, 12, 16),
}


class NotAuthentic(Exception):
    """Not of who has the key."""


def new_key(suite: str) -> str:
    """As it stands after `inline:`."""
    key, salt, _ = SIZES[suite]
    return base64.b64encode(os.urandom(key + salt)).decode()


def _keystream(key: bytes, iv: bytes, data: bytes) -> bytes:
    encryptor = Cipher(AES(key), CTR(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


class Half:
    """Session keys of one direction, for RTP or RTCP."""

    def __init__(self, suite: str, inline: str, *, rtcp: bool = False) -> None:
        master = base64.b64decode(inline)
        length, salt, tag = SIZES[suite]
        self.gcm, self.tag = salt == 12, 10 if rtcp and salt != 12 else tag
        self._master, self._salt = master[:length], master[length:].ljust(14, b"\0")
        first = 3 if rtcp else 0
        self.key, self.auth, self.salt = (
            self._derive(first, length),
            self._derive(first + 1, 20),
            self._derive(first + 2, salt),
        )

    def _derive(self, label: int, length: int) -> bytes:
        salt = bytearray(self._salt + b"\0\0")
        salt[7] ^= label
        return _keystream(self._master, bytes(salt), bytes(length))

    def _iv(self, ssrc: int, index: int) -> bytes:
        if self.gcm:
            plain = b"\0\0" + struct.pack("!IHI", ssrc, index >> 32, index & 0xFFFFFFFF)
        else:
            plain = b"\0" * 4 + struct.pack("!IHI", ssrc, index >> 32, index & 0xFFFFFFFF)
        mixed = bytes(a ^ b for a, b in zip(plain, self.salt, strict=True))
        return mixed if self.gcm else mixed + b"\0\0"

    def _mac(self, data: bytes) -> bytes:
        return hmac.new(self.auth, data, hashlib.sha1).digest()[: self.tag]

    def seal(self, packet: bytes) -> bytes:
        """An RTP packet, protected."""
        head, text = packet[:12], packet[12:]
        sequence, ssrc = struct.unpack("!2xH4xI", head)
        if self.gcm:
            return head + AESGCM(self.key).encrypt(self._iv(ssrc, sequence), text, head)
        sealed = head + _keystream(self.key, self._iv(ssrc, sequence), text)
        return sealed + self._mac(sealed + b"\0" * 4)

    def open(self, packet: bytes) -> bytes:
        """The same back. Raises NotAuthentic."""
        head, text = packet[:12], packet[12:]
        sequence, ssrc = struct.unpack("!2xH4xI", head)
        if self.gcm:
            try:
                return head + AESGCM(self.key).decrypt(self._iv(ssrc, sequence), text, head)
            except InvalidTag:
                raise NotAuthentic from None
        sealed, tag = packet[: -self.tag], packet[-self.tag :]
        if self._mac(sealed + b"\0" * 4) != tag:
            raise NotAuthentic
        return head + _keystream(self.key, self._iv(ssrc, sequence), sealed[12:])

    def seal_rtcp(self, packet: bytes, index: int) -> bytes:
        """A compound of RTCP, protected."""
        head, text = packet[:8], packet[8:]
        (ssrc,), word = struct.unpack("!4xI", head), struct.pack("!I", index | 1 << 31)
        if self.gcm:
            return head + AESGCM(self.key).encrypt(self._iv(ssrc, index), text, head + word) + word
        sealed = head + _keystream(self.key, self._iv(ssrc, index), text) + word
        return sealed + self._mac(sealed)

    def open_rtcp(self, packet: bytes) -> bytes:
        """The same back. Raises NotAuthentic."""
        (ssrc,) = struct.unpack("!4xI", packet[:8])
        if self.gcm:
            word = packet[-4:]
            index = struct.unpack("!I", word)[0] & 0x7FFFFFFF
            try:
                text = AESGCM(self.key).decrypt(self._iv(ssrc, index), packet[8:-4], packet[:8] + word)
            except InvalidTag:
                raise NotAuthentic from None
            return packet[:8] + text
        sealed, tag = packet[: -self.tag], packet[-self.tag :]
        if self._mac(sealed) != tag:
            raise NotAuthentic
        index = struct.unpack("!I", sealed[-4:])[0] & 0x7FFFFFFF
        return packet[:8] + _keystream(self.key, self._iv(ssrc, index), sealed[8:-4])


class Srtp:
    """A phone with a key of its own (`ours`) and the other side's (`theirs`)."""

    def __init__(self, suite: str, ours: str = "", theirs: str = "") -> None:
        self.suite, self.ours, self.theirs = suite, ours or new_key(suite), theirs or new_key(suite)
        self._out, self._in = Half(suite, self.ours), Half(suite, self.theirs)
        self._out_rtcp = Half(suite, self.ours, rtcp=True)
        self._in_rtcp = Half(suite, self.theirs, rtcp=True)
        self._reports = 0

    def seal(self, packet: bytes) -> bytes:
        return self._out.seal(packet)

    def open(self, packet: bytes) -> bytes:
        return self._in.open(packet)

    def seal_rtcp(self, packet: bytes) -> bytes:
        self._reports += 1
        return self._out_rtcp.seal_rtcp(packet, self._reports)

    def open_rtcp(self, packet: bytes) -> bytes:
        return self._in_rtcp.open_rtcp(packet)
