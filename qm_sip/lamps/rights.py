"""Who may see which lamp (KSF15-3.9, 3.3.2, 6.4c).

| | private, preset | recording | heard |
|---|---|---|---|
| the agent, at any phone of his | yes | yes | yes |
| a monitor with `watch`, at his own phone, a valid grant, for the agents he is named for | no | yes | yes |
| anybody else, and everybody at a peer without `watch` | no | no | no |

Nobody but the agent sees whether he is private, or wants to be: no right can be given for it. Who may not see a lamp is
answered the same whether it exists or not.

Whose phone it is says the password, for a peer that asks for one and is not trusted: its user is the extension. Of a
trusted peer it is what the peer asserts, as for the codes that are dialled.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from qm_sip.call.headers import identities, user_of
from qm_sip.config.numbers import normal
from qm_sip.lamps.lamp import OWN, Lamp
from qm_sip.policy.grants import grant_lacks
from qm_sip.sip.admission import Admitted
from qm_sip.sip.digest_server import user_of as shown_by

if TYPE_CHECKING:
    from qm_sip.config import Config
    from qm_sip.sip.message import Request


def watcher_of(config: Config, request: Request, by: Admitted) -> str | None:
    """Whose phone asks, as an extension; None: nobody can say."""
    return _device_of(config, request, by) if may_come(config, by) else None


def presser_of(config: Config, request: Request, peer: str) -> str | None:
    """Whose phone dials the name of a lamp, as an extension; None: nobody can say. The door has seen its password."""
    found = config.server.peers.get(peer)
    if found is None or not {"watch", "toggle"} & set(found.may):
        return None
    return _device_of(config, request, Admitted(peer, shown_by(request, found.realm)))


def _device_of(config: Config, request: Request, by: Admitted) -> str | None:
    peer = config.server.peers[by.account]
    asserted = next(iter(identities(request, peer)), None) or user_of(request.get("From"))
    said = asserted if peer.trusted else by.user if by.user in peer.users else None
    return normal(said, config.lines.numbering) if said else None


def may_come(config: Config, by: Admitted) -> bool:
    """Whether that peer, and that user of it, may watch anything."""
    peer = config.server.peers.get(by.account)
    return peer is not None and "watch" in peer.may and (peer.trusted or by.user in peer.users)


def may_see(config: Config, device: str, lamp: Lamp, today: date) -> bool:
    """Whether whoever has that phone may see this lamp today."""
    if config.index.persons.get(device) == lamp.person:
        return True
    return lamp.kind not in OWN and _may_watch(config, device, lamp, today)


def _may_watch(config: Config, device: str, lamp: Lamp, today: date) -> bool:
    person = config.index.monitors.get(device)
    account = config.people.monitor.get(person) if person is not None else None
    if person is None or account is None or "watch" not in account.may:
        return False
    named = "*" in account.agents or lamp.person in account.agents
    return named and grant_lacks(account, person, today) is None
