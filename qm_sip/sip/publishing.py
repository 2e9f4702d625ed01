"""What is shown to subscribers outside any call: an event package, who may watch what, and how many may (RFC 6665).

    SUBSCRIBE -> who is it? (porter) -> package, Accept, Expires -> may he? (package) -> is there room? -> 200, NOTIFY

| asked | answered |
|---|---|
| by a peer that may watch nothing | 403 |
| another package, or none | 489 with Allow-Events |
| a document that is not ours | 406 |
| for less than `shortest` | 423 with Min-Expires |
| for more than `longest` | granted for that long |
| for nothing at all (`Expires: 0`) | how it stands now, once, and that was it |
| what the package does not let him see | its own status |
| in more words than anybody needs | 513 |
| more than there is room for | 503 with Retry-After |

Nothing is kept of what was refused. `Watch` is one subscription; here they are found, counted and ended. What is to be
seen, the package says whenever it is asked (`state`); nobody hands us news, we are only told where to look again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from qm_sip.sip.admission import Admitted, Refused
from qm_sip.sip.core import Core
from qm_sip.sip.dialog import DialogId
from qm_sip.sip.event_header import EventHeader
from qm_sip.sip.events import Address
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.limits import source_key
from qm_sip.sip.message import Request, header
from qm_sip.sip.watch import Watch

HOUR: Final = 3600
LARGEST: Final = 8192  # characters of a SUBSCRIBE's headers: much of them is kept as long as it lasts
COME_AGAIN: Final = 60  # seconds, in the Retry-After of a 503
_DIALOG: Final = ("call-id", "to-tag", "from-tag")


class Grant(NamedTuple):
    """What somebody may watch. `by`: who he is, to count by; `entity`: the URI that he subscribed to; `right`: by what
    the package finds again whether he still may.
    """

    resource: Hashable
    by: str
    entity: str
    right: Any = None


class Wanted(NamedTuple):
    """A SUBSCRIBE that is granted, for so many seconds."""

    grant: Grant
    event: EventHeader
    seconds: int


class Package(Protocol):
    """Whoever knows what there is to see."""

    name: str
    """The event package."""
    media_type: str
    """Of its documents."""

    def welcomes(self, by: Admitted) -> bool:
        """Whether this peer may watch anything at all; else it gets 403, whatever it asks."""

    def admits(self, request: Request, by: Admitted) -> Grant | int:
        """What this SUBSCRIBE may watch, or the status it is refused with."""

    def state(self, grant: Grant) -> Hashable | None:
        """How it stands; None: he may not see it any more."""

    def document(self, grant: Grant, state: Hashable, version: int) -> bytes:
        """The same, written out."""


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """How many subscriptions there may be, how long (seconds), and how close their NOTIFYs may follow each other."""

    most: int = 2000
    of_a_source: int = 500
    of_a_watcher: int = 16
    longest: int = 600
    shortest: int = 60
    gap: float = 1.0


class Watches:
    """See the module's docstring."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.package: Package | None = None
        self.limits = WatchLimits()
        self.counts: Counter[str] = Counter()
        """NOTIFYs sent, subscriptions refused, and those that ended because nobody answered; no address in it."""
        self._dialogs: dict[DialogId, Watch] = {}
        self._showing: dict[Hashable, dict[Watch, None]] = {}
        self._sources: Counter[str] = Counter()
        self._watchers: Counter[str] = Counter()
        self._call_ids: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._dialogs)

    def has(self, call_id: str) -> bool:
        """Whether a subscription has this Call-ID."""
        return call_id in self._call_ids

    def talks_over(self, remote: Address, local: Address) -> bool:
        """Whether somebody would hear no more news without this connection."""
        return any(watch.talks_over(remote, local) for watch in self._dialogs.values())

    def find(self, request: Request) -> Watch | None:
        """The subscription whose dialog this request belongs to."""
        name = DialogId(request.call_id, request.to.tag or "", request.from_.tag or "")
        return self._dialogs.get(name)

    # ------------------------------------------------------------------ asked

    def offered(self, request: Request, source: Address, local: Address, by: Admitted, now: float) -> None:
        """A SUBSCRIBE outside any dialog, from somebody who may come in."""
        wanted = self._judged(request, source, by)
        if isinstance(wanted, Refused):
            self._refuse(request, wanted, local)
            return
        watch = Watch(self, wanted.grant, wanted.event, request, source, local, by)
        self._enter(watch)
        watch.accept(request, local, wanted.seconds, now)

    def asked_again(
        self, watch: Watch, request: Request, source: Address, local: Address, by: Admitted, now: float
    ) -> None:
        """A SUBSCRIBE in the dialog of a subscription: for longer, or no longer."""
        refused = self._unfit(request) or watch.refuses(request, by)
        if refused is not None:
            self._refuse(request, refused, local)
        else:
            watch.renew(request, source, local, self._granted(request), now)

    def _refuse(self, request: Request, refused: Refused, local: Address) -> None:
        self.counts["refused"] += 1
        self.core.refuse(request, refused.status, local, refused.headers)

    def _judged(self, request: Request, source: Address, by: Admitted) -> Refused | Wanted:
        if self.package is None or not self.package.welcomes(by):
            return Refused(403)
        if (refused := self._unfit(request)) is not None:
            return refused
        event = EventHeader.of(request)
        assert event is not None
        if event.names(*_DIALOG):
            return Refused(404)  # of one particular dialog (RFC 4235 3.2): nothing here has any
        if not request.contacts or request.from_.tag is None:
            return Refused(400)
        grant = self.package.admits(request, by)
        if isinstance(grant, int):
            return Refused(grant)
        if not self._has_room(source, grant):
            return Refused(503, (header("Retry-After", str(COME_AGAIN)),))
        return Wanted(grant, event, self._granted(request))

    def _unfit(self, request: Request) -> Refused | None:
        """What can be said without knowing who asks for what."""
        package = self.package
        if sum(len(h.raw) for h in request.headers) > LARGEST:
            return Refused(513)
        try:
            event, seconds = EventHeader.of(request), expires_of(request)
            _ = request.contacts, request.record_route
        except SipParseError as error:
            return Refused(error.status)
        if package is None or event is None or event.package != package.name:
            return Refused(489, tuple(header(*pair) for pair in self.allow_events))
        if not _reads(request, package.media_type):
            return Refused(406, (header("Accept", package.media_type),))
        if seconds is not None and 0 < seconds < min(self.limits.shortest, HOUR):
            return Refused(423, (header("Min-Expires", str(self.limits.shortest)),))
        return None

    def _granted(self, request: Request) -> int:
        asked = expires_of(request)
        return self.limits.longest if asked is None else min(asked, self.limits.longest)

    @property
    def allow_events(self) -> list[tuple[str, str]]:
        """Our Allow-Events header, if anything is shown."""
        return [("Allow-Events", self.package.name)] if self.package is not None else []

    # ------------------------------------------------------------------ how many

    def _has_room(self, source: Address, grant: Grant) -> bool:
        limits = self.limits
        return (
            len(self) < limits.most
            and self._sources[source_key(source.host)] < limits.of_a_source
            and self._watchers[grant.by] < limits.of_a_watcher
        )

    def _enter(self, watch: Watch) -> None:
        self._dialogs[watch.dialog.id] = watch
        self._showing.setdefault(watch.grant.resource, {})[watch] = None
        for counter, key in self._counted(watch):
            counter[key] += 1

    def forget(self, watch: Watch) -> None:
        """It has ended, and nothing more will be said in it."""
        if self._dialogs.pop(watch.dialog.id, None) is None:
            return
        same = self._showing[watch.grant.resource]
        same.pop(watch, None)
        if not same:
            del self._showing[watch.grant.resource]
        for counter, key in self._counted(watch):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]

    def _counted(self, watch: Watch) -> tuple[tuple[Counter[str], str], ...]:
        return (
            (self._sources, watch.source),
            (self._watchers, watch.grant.by),
            (self._call_ids, watch.dialog.call_id),
        )

    # ------------------------------------------------------------------ told where to look again

    def changed(self, resource: Hashable, now: float) -> None:
        """It may stand otherwise now."""
        for watch in list(self._showing.get(resource, ())):
            watch.look(now)

    def review(self, now: float) -> None:
        """Rights may be others now."""
        for watch in list(self._dialogs.values()):
            watch.look(now)

    def end(self, reason: str, now: float) -> None:
        """Nobody is shown anything any more."""
        for watch in list(self._dialogs.values()):
            watch.finish(reason, now)


def expires_of(request: Request) -> int | None:
    """How long somebody asks for, seconds; None: he does not say. Raises SipParseError on what is no number."""
    text = request.get("expires")
    if text is None:
        return None
    text = text.strip()
    if not (text.isascii() and text.isdigit()):
        raise SipParseError("Expires is not a number")
    return int(text) if len(text) <= 9 else 10**9


def _reads(request: Request, media_type: str) -> bool:
    """Whether its sender reads such documents; without Accept he does (RFC 4235 3.5)."""
    if request.get("accept") is None:
        return True
    kinds = {value.partition(";")[0].strip().lower() for value in request.values("accept")}
    return bool(kinds & {media_type, f"{media_type.partition('/')[0]}/*", "*/*"})
