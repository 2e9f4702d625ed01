"""`people.toml`: agents as persons, apart from their devices, and who may listen or play recordings."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from qm_sip.config.base import DurationSetting, Model, Names, OptionalDate, Table
from qm_sip.config.duration import Duration
from qm_sip.policy.codes import is_hash

MonitorMode = Literal["live", "later", "together", "side-by-side", "peer", "screen"]


class Capacity(StrEnum):
    """As what somebody listens or plays."""

    MONITOR = "monitor"  # a coach or manager
    PEER = "peer"  # a colleague (KSF15-0.9)
    CLIENT = "client"  # the opdrachtgever (KSF15-6.4)
    TRAINER = "trainer"  # on the job (KSF15-4.6)


def _code_hash(text: str) -> str:
    if text and not is_hash(text):
        raise ValueError("is not what `qm-sip monitors code` prints")
    return text


class Notice(Model):
    """Which notice about monitoring a person was given, and when (KSF15-3.7.3)."""

    version: str = ""
    """Version of the notice, as in regulation.toml. Empty: none was given."""
    given: OptionalDate = None
    """When it was given. Unit: date."""


class AgentDefaults(Model):
    """`[agent.default]`: what every agent inherits."""

    monitorable: bool = False
    """Whether quality recordings of this person may be made; true needs a reason and a notice (KSF15-3.2)."""
    reason: str = ""
    """Why this person is in the population to be monitored (KSF15-3.2a)."""
    confidential: Literal["", "all-calls"] = ""
    """all-calls: every call of this person is confidential (council member, doctor, adviser; KSF15-2.1l)."""
    notice: Notice = Notice()
    """The notice given to this person."""
    manager: str = ""
    """The direct manager, who gives feedback (KSF15-4.5). Unit: id of a person."""


class Agent(AgentDefaults):
    """One person; `[agent.default]` holds what all inherit. The id is yours and appears in recordings: no
    name, no number.
    """

    extensions: Names = ()
    """The devices this person always uses."""
    unix_user: str = ""
    """The Unix user who may ask in this person's name, for his own calls. Empty: only root and the server's own."""


class MonitorDefaults(Model):
    """`[monitor.default]`: what every listener and player of recordings inherits."""

    expires: DurationSetting = Duration.parse("P6M")
    """How long a grant lasts (KSF15-3.3.2). Unit: time."""
    code_length: Annotated[int, Field(ge=4, le=12)] = 6
    """How long his code is. Unit: digits."""
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    """After so many wrong codes the account is locked for a while (KSF15-3.3.1)."""
    whisper: Literal[False] = False
    """Never: nobody speaks to the agent unheard (KSF15-0.6)."""
    join: Literal[False] = False
    """Never: nobody can hear the listener (KSF15-0.6)."""


class Monitor(MonitorDefaults):
    """Somebody who may listen live or play recordings, for named purposes; `[monitor.default]` holds what all
    inherit.
    """

    capacity: Annotated[Capacity, Field(strict=False)] = Capacity.MONITOR
    """As what: monitor (coach or manager), peer (a colleague: only to coach), client, trainer."""
    client: str = ""
    """For a client: whose calls he may hear, those on behalf of this `client` of a line (KSF15-6.3b)."""
    extensions: Names = ()
    """His own phones; he can listen from no other (KSF15-3.3.1)."""
    agents: Names = ()
    """To whose calls he may listen live, and whose lamps he may see. Unit: ids of agents; "*" for all. Empty:
    nobody's.
    """
    modes: Annotated[tuple[MonitorMode, ...], Field(min_length=1)] = ("later",)
    """In which modes he may monitor (KSF15-1.2): live (for a peer: peer) to listen, later to play."""
    code_hash: Annotated[str, AfterValidator(_code_hash)] = ""
    """What his personal code is known by; `qm-sip monitors code` prints the line. Empty: he cannot listen."""

    purposes: Names = ()
    """For which purposes. Unit: names of [purposes] tables."""
    may: Annotated[tuple[Literal["play", "export", "listen", "trace", "watch"], ...], Field(min_length=1)] = (
        "play",
    )
    """play: see and hear what exists; export: take a copy out; listen: to running calls; trace: see signalling with
    the people in it; watch: see at his own phone whether these agents are recorded or heard (docs/lamps.md), never
    whether a call is private.
    """
    granted_by: str = ""
    """The manager who granted it; never himself (KSF15-3.3.2)."""
    granted: OptionalDate = None
    """When. Unit: date."""
    secrecy_signed: OptionalDate = None
    """When the statement of secrecy was signed; empty: no access (KSF15-3.3.5). Unit: date."""
    qualified_until: OptionalDate = None
    """Until when this person is qualified to monitor (WP-14a). Unit: date. Empty: no end."""
    unix_user: str = ""
    """The Unix user who may ask in this person's name. Empty: only root and the server's own user may."""


class People(Model):
    """`people.toml` as a whole."""

    agent: Table[Agent] = Field(default_factory=dict)
    monitor: Table[Monitor] = Field(default_factory=dict)
