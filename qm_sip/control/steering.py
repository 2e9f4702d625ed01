"""What a command may do to a running call: pause it, record it at the agent's request, listen to it.

Private is not here: only the agent's own key or phone makes a call private, and nothing ends that (I5). A call is named
by its id. Whoever may use the control socket may pause and may end a session, because that only ever keeps or lets hear
less; more is asked for in a person's name: a recording by the agent of that call, a session by whoever listens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from qm_sip.config import Config
from qm_sip.control.permit import oversees, speaker
from qm_sip.control.requests import BadRequest, NotFound, word
from qm_sip.control.server import Handler, PeerCredentials
from qm_sip.errors import Refused
from qm_sip.monitor.menu import PURPOSES
from qm_sip.policy.facts import PersonId

Answer = dict[str, Any]
NAMES = ("agent", "monitor")


class Steered(Protocol):
    """What the running server lets be done."""

    @property
    def config(self) -> Config: ...

    def pause(self, call: str, *, on: bool) -> bool | None:
        """Pause a call or let it go on. None: no such call; False: nothing is kept or heard of it."""

    def request_recording(self, call: str, agent: PersonId) -> bool | None:
        """As the agent's key does. None: no such call; False: it cannot be. Raises Refused if it is not his call."""

    def listen(self, monitor: PersonId, extension: str, purpose: str) -> str:
        """Call the supervisor's phone; gives the session. Raises Refused."""

    def stop_listening(self, session: str) -> bool:
        """End a session. False: there is none of that name."""

    def listeners(self) -> Sequence[Mapping[str, Any]]:
        """Sessions that run: {session, monitor, agent, purpose, step, seconds}."""


def handlers(state: Steered) -> dict[str, Handler]:
    """The requests of this page."""
    steering = Steering(state)
    return {
        "pause": steering.pause,
        "record": steering.record,
        "monitor_start": steering.start,
        "monitor_stop": steering.stop,
        "monitor_list": steering.list,
    }


class Steering:
    """See the module's docstring."""

    def __init__(self, state: Steered) -> None:
        self._state = state

    async def pause(self, request: Answer, peer: PeerCredentials) -> Answer:
        call, on = word(request, "call"), request.get("on", True)
        if not isinstance(on, bool):
            raise BadRequest("on must be true or false")
        done = self._state.pause(call, on=on)
        if done is None:
            raise NotFound(f"no running call {call!r}: see `qm-sip calls`")
        if not done and on:
            raise Refused("not-recorded", "nothing of this call could be kept or heard now")
        if not done:
            raise Refused("not-paused", "this call is not paused")
        return {"call": call, "paused": on}

    async def record(self, request: Answer, peer: PeerCredentials) -> Answer:
        """`capture-request` says that the agent asked: so nobody else may (KSF15-0.2)."""
        call, agent = word(request, "call"), speaker(self._state.config, request, peer)
        done = self._state.request_recording(call, agent)
        if done is None:
            raise NotFound(f"no running call {call!r}: see `qm-sip calls`")
        if not done:
            raise Refused(
                "not-on-request", "the line's capture mode is not on-request, or the call is private"
            )
        return {"call": call, "requested": True}

    async def start(self, request: Answer, peer: PeerCredentials) -> Answer:
        """The code is asked on the phone: who is at the terminal is not yet who listens (KSF15-3.3.1)."""
        monitor = speaker(self._state.config, request, peer)
        extension, purpose = word(request, "extension"), word(request, "purpose")
        if purpose not in PURPOSES.values():
            raise BadRequest(f"purpose must be one of {', '.join(PURPOSES.values())}")
        return {"session": self._state.listen(monitor, extension, purpose)}

    async def stop(self, request: Answer, peer: PeerCredentials) -> Answer:
        session = word(request, "session")
        if not self._state.stop_listening(session):
            raise NotFound(f"no session {session!r}: see `qm-sip monitor list`")
        return {"session": session, "stopped": True}

    async def list(self, request: Answer, peer: PeerCredentials) -> Answer:
        """That somebody listens is for everybody to see; who, and to whom, for the two and for who oversees it."""
        person = speaker(self._state.config, request, peer) if request.get("as") else PersonId("")
        sees_all = oversees(self._state.config, person)
        return {"sessions": [_shown(row, person, sees_all=sees_all) for row in self._state.listeners()]}


def _shown(row: Mapping[str, Any], person: PersonId, *, sees_all: bool) -> Answer:
    named = sees_all or (person and person in (row["agent"], row["monitor"]))
    return {name: value for name, value in row.items() if named or name not in NAMES}
