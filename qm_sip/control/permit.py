"""In whose name is asked, and who may see who phoned whom (KSF15-1.1a).

The kernel says which Unix user is connected. Root and the user the server runs as may name anybody; any other
user only the person whose `unix_user` he is. Whether that person may have a recording is `policy.playback`'s.
"""

from __future__ import annotations

import os
import pwd
from typing import Any

from qm_sip.config import Config
from qm_sip.control.requests import BadRequest
from qm_sip.control.server import PeerCredentials
from qm_sip.errors import Refused
from qm_sip.policy.facts import PersonId


def speaker(config: Config, request: dict[str, Any], peer: PeerCredentials) -> PersonId:
    """The person in whose name is asked, if this Unix user may ask in it."""
    person = request.get("as")
    if not isinstance(person, str) or not person:
        raise BadRequest("this needs --as PERSON")
    if peer.uid in (0, os.geteuid()):
        return PersonId(person)
    known = (config.people.monitor.get(person), config.people.agent.get(person))
    users = {one.unix_user for one in known if one is not None and one.unix_user}
    if _user_name(peer.uid) not in users:
        raise Refused("not-you", f"the Unix user who asks is not {person} (people.toml: unix_user)")
    return PersonId(person)


def _user_name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def may_see_parties(config: Config, person: PersonId) -> None:
    """Who phoned whom is for the privacy officer; anybody else is Refused."""
    if not person or person != config.regulation.regulation.officer:
        raise Refused("not-the-officer", "who phoned whom is for the privacy officer only (KSF15-1.1a)")


def oversees(config: Config, person: PersonId) -> bool:
    """Whether he may know who listened to whom: the privacy officer and the works council (KSF15-3.3)."""
    regulation = config.regulation.regulation
    return bool(person) and (person == regulation.officer or person in regulation.council)
