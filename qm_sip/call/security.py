"""SRTP on one leg: what its peer's settings allow, which of its keys is used, and our own key for it.

| `srtp` of the peer | we offer | we take |
|---|---|---|
| off | RTP/AVP | RTP/AVP; keys in it are passed over |
| opportunistic (RFC 8643) | RTP/AVP with keys | keys wherever they are; without them plain RTP |
| offer | RTP/SAVP | the same |
| require | RTP/SAVP | keys, wherever they are; without them nothing |

Each direction has a key of its own. Ours is made when the leg first says it, one for each suite, and stays as long as
whoever is on that leg: an offer that changes their key is answered with ours as it was, which RFC 4568 7.1.4 allows and
every peer understands, while each counts its rollovers anew after a change or does not. Whoever comes to a leg brings a
session of his own, and so gets another key.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from qm_sip.media import protocol
from qm_sip.private import Private
from qm_sip.sip.crypto import KEY_OCTETS, Crypto, offered
from qm_sip.sip.sdp import Sdp
from qm_sip.sip.sdp_model import Media

if TYPE_CHECKING:
    from qm_sip.config import Peer

Role = Literal["offer", "answer"]
PLAIN_PROFILES: Final = ("RTP/AVP", "RTP/AVPF")
SECURE_PROFILES: Final = ("RTP/SAVP", "RTP/SAVPF")


class Security:
    """See the module's docstring."""

    def __init__(
        self, policy: str = "off", suites: Sequence[str] = (), random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self.policy, self.suites = policy, tuple(suites)
        self._random = random
        self._ours: dict[str, Private[str]] = {}

    def renewed(self) -> Security:
        """The same with other keys of ours: another socket, and another count of packets."""
        return Security(self.policy, self.suites, self._random)

    # ---------------------------------------------------------------- theirs

    def chosen(self, media: Media) -> Crypto | None:
        """The first of their lines that can be obeyed: of an offer the one we answer, of an answer the only one."""
        if self.policy == "off" or media.protocol.upper() not in PLAIN_PROFILES + SECURE_PROFILES:
            return None
        return next(iter(offered(media, self.suites)), None)

    def problem(self, media: Media) -> str | None:
        """Why the engine cannot open this stream, or may not take it as it is: encrypted, unencrypted. None: it can."""
        profile = media.protocol.upper()
        if profile not in PLAIN_PROFILES + SECURE_PROFILES:
            return "encrypted"
        if self.chosen(media) is not None:
            return None
        if profile in SECURE_PROFILES:
            return "encrypted"
        return "unencrypted" if self.policy == "require" else None

    def forbids(self, sdp: Sdp | None) -> bool:
        """Whether this must not pass, whoever is to hear it: plain audio of a peer that must encrypt."""
        audio = sdp.audio if sdp else None
        return audio is not None and not audio.rejected and self._is_bare(audio)

    def _is_bare(self, audio: Media) -> bool:
        return self.policy == "require" and self.problem(audio) == "unencrypted"

    def keys(self, media: Media) -> protocol.Srtp | None:
        """What the engine must know; None: it is plain RTP."""
        crypto = self.chosen(media)
        return crypto and protocol.Srtp(crypto.suite, self._key(crypto.suite), crypto.key)

    # ---------------------------------------------------------------- ours

    def sealed(self, sdp: Sdp, role: Role, theirs: Sdp | None) -> Sdp:
        """Our description with the profile and the keys that belong in it: an offer, or the answer to `theirs`."""
        audio = sdp.audio
        if audio is None:
            return sdp
        asked = theirs.audio if theirs is not None and role == "answer" else None
        if asked is not None:
            crypto = self.chosen(asked)
            lines = [self._line(crypto.tag, crypto.suite)] if crypto else []
            profile = asked.protocol
        else:
            lines = [self._line(tag, suite) for tag, suite in enumerate(self._offers, 1)]
            secure, feedback = self.policy in ("offer", "require"), audio.protocol.upper().endswith("F")
            profile = "RTP/" + ("S" if secure else "") + "AVP" + ("F" if feedback else "")
        kind, port, _, *formats = audio.fields
        plain = (line for line in audio.lines[1:] if not line.startswith("a=crypto:"))
        media = Media((" ".join([f"m={kind}", port, profile, *formats]), *plain, *lines))
        return replace(sdp.with_media_at(sdp.media.index(audio), media))

    @property
    def _offers(self) -> tuple[str, ...]:
        return () if self.policy == "off" else self.suites

    def _line(self, tag: int, suite: str) -> str:
        return Crypto(tag, suite, self._key(suite)).line()

    def _key(self, suite: str) -> Private[str]:
        if suite not in self._ours:
            made = self._random(KEY_OCTETS[suite])
            self._ours[suite] = Private(base64.b64encode(made).decode())
        return self._ours[suite]


PLAIN: Final = Security()


def security_of(peer: Peer, transport: str) -> Security:
    """For a leg with that peer, whose signalling comes or goes by `transport`: keys go where nobody reads along, unless
    the settings say why they may go elsewhere.
    """
    if peer.srtp == "off" or (transport != "tls" and not peer.srtp_without_tls_because):
        return Security("require" if peer.srtp == "require" else "off")
    return Security(peer.srtp, peer.srtp_suites)
