"""One Asterisk, one server and their phones for all tests of a file, with a notice that is short.

house.begin("3001")  # a customer calls the queue, 1001 answers, the notice has been played, the tap is open

The server runs with the demo's files, and two changes: its sales line has a notice of `NOTICE_S` that is a tone of
its own, so that a test need not wait ten seconds for each call; and what `settings` replaces.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from qm_sip.demo import audio
from qm_sip.demo.asterisk import Asterisk
from qm_sip.demo.phone import Phone
from qm_sip.demo.server import EXAMPLES, TREE, Server
from tests.announce.helpers import toml
from tests.support import recorded
from tests.support.recorded import Heard, Row, until
from tests.support.site import ASTERISK, CUSTOMER, Site, Talk

RECORDER = "127.0.0.2"
NOTICE_S, NOTICE_HZ = 0.6, 480.0
# What customer and agent say before, while and after something that nothing may be kept of. In A-law a tone has
# overtones; of these, none is near another of these.
BEFORE, MEANWHILE, AFTER = (1000.0, 2000.0), (1600.0, 2500.0), (800.0, 1200.0)
NOTICE = {
    "id": "notice",
    "kind": "customer-notice",
    "text": "{identity}. Dit gesprek wordt opgenomen. Er kan worden meegeluisterd. Toets een 9.",
    "identity": "Voorbeeld Energie",
    "uses": ["record", "listen"],
    "purposes": ["coaching"],
    "says": "does",
    "keys": ["9"],
    "recorded_by": "the test",
}


class House:
    """See the module's docstring. A phone that was once asked for stays until the end."""

    def __init__(
        self, site: Site, pbx: Asterisk, work: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.site, self.pbx, self.work = site, pbx, work
        self._phones: dict[str, Phone] = {}
        self._known: set[str] = set()
        self.config = Path(shutil.copytree(EXAMPLES / "demo", work / "config"))
        self._lines = (self.config / "lines.toml").read_text()
        prompts = work / "prompts"
        shutil.copytree(TREE / "config" / "prompts", prompts, copy_function=os.symlink)
        _put_notice(prompts / "nl", NOTICE_HZ)
        _put_notice(prompts / "en", NOTICE_HZ + 10)  # two prompts may not sound the same
        self._write()
        self._usual = (self.config / "lines.toml").read_text()
        environment = {"QM_SIP_PROMPTS_DIRECTORY": str(prompts), **(environment or {})}
        self.server = Server(self.config, work / "server", network=site.network, environment=environment)

    def _write(self, more: str = "", changes: dict[str, str] | None = None) -> None:
        text = self._lines
        for old, new in {'prompt = "K2-all-short"': 'prompt = "notice"', **(changes or {})}.items():
            assert old in text, f"the demo's lines.toml has no {old}"
            text = text.replace(old, new)
        (self.config / "lines.toml").write_text(text + more)

    def settings(self, more: str = "", changes: dict[str, str] | None = None) -> None:
        """From now on lines.toml has these lines more, and these texts instead of others; without any: as before."""
        self._write(more, changes)
        self.server.ask("reload")

    def tidy(self) -> None:
        """After a test, also one that failed in mid-call: nobody is in a call, the settings are as before."""
        for phone in self._phones.values():
            phone.hang_up_all()
        self.pbx.wait_idle()
        if (self.config / "lines.toml").read_text() != self._usual:
            self.settings()

    # ---- phones

    def phone(self, user: str, *, answer_after: float | None = 0.3) -> Phone:
        """How long it rings is settled when it is asked for first."""
        if user not in self._phones:
            self._phones[user] = (
                self.site.customer() if user == CUSTOMER else self.site.phone(user, answer_after=answer_after)
            )
        return self._phones[user]

    @property
    def customer(self) -> Phone:
        return self.phone(CUSTOMER)

    def say(self, phone: Phone, hz: float, *, call: int | None = None) -> None:
        """Somebody says a tone from now on, in a call that is up."""
        phone.play(self.tone(hz), loop=True, call=call)

    def both_say(self, talk: Talk, tones: tuple[float, float]) -> None:
        """The caller the first, the called the second."""
        self.say(talk.caller, tones[0], call=talk.caller_call)
        self.say(talk.called, tones[1], call=talk.called_call)

    def tone(self, hz: float) -> Path:
        """0 Hz is silence."""
        path = self.site.sounds / f"hz-{hz:.0f}.wav"
        return path if path.exists() else audio.tone_wav(path, (hz, 5.0))

    # ---- calls

    def begin(self, number: str = "3001", agent: str = "1001", *, tap: bool = True) -> Talk:
        """A customer and an agent are connected; with `tap`: and are being recorded."""
        self.know()
        talk = self.site.connect(self.customer, number, self.phone(agent))
        if tap:
            recorded.tap(self.server)
        return talk

    def know(self) -> None:
        """The calls there are now are not the one that comes."""
        self._known = {row["call"] for row in self.server.ask("calls")["calls"]}

    @property
    def call(self) -> str:
        """The id of the call that came since."""
        return str(self.new_calls()[-1]["call"])

    def new_calls(self) -> list[Row]:
        """The calls since then, the oldest first."""
        rows = [row for row in self.server.ask("calls")["calls"] if row["call"] not in self._known]
        return list(reversed(rows))

    def ended(self, call: str = "", seconds: float = 15) -> Row:
        """A call's row, once it has ended and what it gave is sealed or gone."""
        call = call or self.call

        def look() -> Row | None:
            row = next(row for row in self.server.ask("calls")["calls"] if row["call"] == call)
            states = {one["recording"]: one["state"] for one in self.server.ask("recordings")["recordings"]}
            over = {states.get(name) for name in row["recordings"]} <= {"sealed", "failed", "destroyed"}
            return row if row["state"] == "ended" and over else None

        return until(look, seconds, "ended call")

    def explain(self, call: str, **asked: str) -> Row:
        return self.server.ask("explain", call=call, **asked)

    def opened(self, recording: str) -> Heard:
        return recorded.opened(self.server, recording, self.work)

    def listen_in(self, keys: str, user: str = "1050", *, wait: float = 0.8) -> int:
        """A supervisor dials the code and answers the menu, one key at a time as a finger does; gives his call."""
        phone = self.phone(user)
        call = phone.call(f"sip:*55@{ASTERISK}")
        phone.wait_for("confirmed", call=call)
        time.sleep(wait)
        self.press(phone, keys, call)
        return call

    @staticmethod
    def heard(phone: Phone, call: int, begin: float = 0.0, end: float = math.inf) -> audio.Samples:
        """What a phone heard in a call that has ended, between two instants (monotonic)."""
        began = recording_began(phone, call)
        samples = audio.read_wav(phone.recording_path(call))
        first, last = ((at - began) * audio.RATE for at in (begin, end))
        return samples[round(max(first, 0)) : round(min(max(last, 0), len(samples)))]

    @staticmethod
    def press(phone: Phone, keys: str, call: int) -> None:
        for key in keys:
            phone.dtmf(key, call=call)
            time.sleep(0.3)


def recording_began(phone: Phone, call: int) -> float:
    """The instant (monotonic) of the first sample of a phone's recording."""
    return float(next(h["at"] for h in phone.happened if h["event"] == "recording" and h["call"] == call))


def _put_notice(directory: Path, hz: float) -> None:
    sidecar = {"language": directory.name, **NOTICE}
    (directory / "notice.toml").write_text("".join(f"{k} = {toml(v)}\n" for k, v in sidecar.items()))
    audio.write_wav(directory / "notice.wav", audio.tone(hz, NOTICE_S, dbfs=-16))
