"""The peers of the matrix, in the order of the page."""

from __future__ import annotations

from tests.interop.peers.baresip import Baresip
from tests.interop.peers.base import Peer
from tests.interop.peers.behind import Asterisk16, Asterisk22, Kamailio
from tests.interop.peers.linphone import Linphone
from tests.interop.peers.phone import Pjsua2
from tests.interop.peers.pyvoip import PyVoip
from tests.interop.peers.sipp import Sipp
from tests.interop.peers.sippy import Sippy

PEERS: tuple[type[Peer], ...] = (
    Asterisk22,
    Asterisk16,
    Kamailio,
    Sippy,
    Pjsua2,
    Baresip,
    Linphone,
    PyVoip,
    Sipp,
)
