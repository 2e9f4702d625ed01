"""The demo from beginning to end: scenes, what lies on disk afterwards, picture, table, report."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qm_sip.demo import picture
from qm_sip.demo.scenes import SCENES, Played, Scene, play
from qm_sip.demo.server import qm_sip
from qm_sip.demo.stage import CUSTOMER, Stage
from qm_sip.errors import QmSipError, Refused

COACH, PURPOSE = "m1", "coaching"
LOOK = """To look further, start the server again on what the demo left, and ask it:
    . {output}/look.sh
    {command} serve & sleep 3
    {command} calls ; {command} explain CALL ; {command} ledger ; kill %1"""


@dataclass
class Shown:
    """What the demo found."""

    asterisk: str  # its version; empty: phones only
    output: Path
    played: list[Played] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # of the whole, not of one call
    picture: Path | None = None
    recording: Path | None = None
    after_kill: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.problems and all(played.ok for played in self.played)

    def to_json(self) -> dict[str, Any]:
        return {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "asterisk": self.asterisk or None,
            "ok": self.ok,
            "problems": self.problems,
            "calls": [played.to_json() for played in self.played],
            "after_kill": self.after_kill,
            "picture": str(self.picture) if self.picture else None,
            "recording": str(self.recording) if self.recording else None,
            "output": str(self.output),
        }


def chosen(only: Sequence[str]) -> tuple[Scene, ...]:
    """The scenes of these names, in their order; all if none is named. Raises Refused for a name that is none."""
    known = {scene.name for scene in SCENES}
    if unknown := sorted(set(only) - known):
        raise Refused(
            "no-such-scene", f"no scene {unknown[0]!r}: {', '.join(scene.name for scene in SCENES)}"
        )
    return tuple(scene for scene in SCENES if not only or scene.name in only)


def run(output: Path, scenes: Sequence[Scene], *, phones_only: bool, console: Console) -> Shown:
    """Play these. What goes wrong with one call is told, and the others are played all the same."""
    output.mkdir(parents=True, exist_ok=True)

    def tell(text: str) -> None:
        console.print(Text(text), soft_wrap=True)

    with Stage(output, phones_only=phones_only, tell=tell) as stage:
        shown = Shown(stage.asterisk_version, output)
        for scene in scenes:
            if scene.server_killed:
                _look_at_one(stage, shown)
            if phones_only and (scene.server_killed or scene.with_asterisk):
                stage.tell("")
                stage.tell("left out, it needs Asterisk: " + scene.says)
                continue
            shown.played.append(play(stage, scene))
        if not any(scene.server_killed for scene in scenes):
            _look_at_one(stage, shown)
        killed = not phones_only and any(scene.server_killed for scene in scenes)
        _after_the_kill(stage, shown, killed=killed)
        _leave_a_way_in(stage, output)
    return shown


def _look_at_one(stage: Stage, shown: Shown) -> None:
    """Open the first recording as the coach may, with the key made for this demo, and draw it."""
    wanted = [p for p in shown.played if p.scene.outcome == "recorded" and p.scene.kept == "sealed"]
    played = next((p for p in wanted if p.recording), None)
    if played is None:
        shown.problems += ["there is no recording to look at"] if wanted else []
        return
    flac = shown.output / "recording.flac"
    flac.unlink(missing_ok=True)
    stage.tell("")
    stage.tell(f"{COACH} opens recording {played.recording} for {PURPOSE}, with the key of its holder")
    try:
        qm_sip("recordings", "export", played.recording, "--as", COACH, "--purpose", PURPOSE,
               "--identity", str(stage.server.identity), "--out", str(flac),
               "--socket", str(stage.server.socket))  # fmt: skip
        shown.recording = flac
        shown.picture = _draw(stage, shown, played, flac)
    except (QmSipError, ImportError) as error:
        shown.problems.append(f"the recording cannot be shown: {error}")


def _draw(stage: Stage, shown: Shown, played: Played, flac: Path) -> Path:
    told = stage.server.ask("explain", call=played.call)
    at = picture.moments(
        told["spans"],
        sum(float(row["seconds"]) for row in told["told"][:1]),
        answer=played.answered_at - played.dialled_at,
        end=played.ended_at - played.dialled_at,
    )
    path = shown.output / "recording.png"
    picture.draw(path, flac, at, title=f"{played.scene.says} ({played.recorded_seconds:.1f} s recorded)")
    return path


def _after_the_kill(stage: Stage, shown: Shown, *, killed: bool) -> None:
    """Start the server again, and ask what it still knows; then look whether any number stands in clear."""
    if killed:
        stage.tell("")
        stage.server.start()
        stage.tell("qm-sip serve runs again")
    ledger = stage.server.ask("ledger")
    known = {row["call"] for row in ledger["calls"]}
    lost = [p.scene.name for p in shown.played if p.call and p.call not in known]
    shown.after_kill = {
        "calls": len(known),
        "confidential": sum(int(row["count"]) for row in ledger["confidential"]),
        "recordings": {
            row["recording"]: stage.server.ask("verify", recording=row["recording"])["ok"]
            for row in stage.server.ask("recordings")["recordings"]
            if row["state"] == "sealed"
        },
    }
    shown.problems += [f"the ledger has lost the call {name}" for name in lost]
    if not all(shown.after_kill["recordings"].values()):
        shown.problems.append("a recording is no longer what was sealed")
    shown.problems += [
        f"a number stands in clear in {path}" for path in files_with(stage.server.work, CUSTOMER.user)
    ]


def files_with(directory: Path, text: str) -> list[Path]:
    """Files below a directory in which a text stands as it is, by name or by content."""
    wanted = text.encode()
    return [
        path
        for path in sorted(directory.rglob("*"))
        if text in path.name or (path.is_file() and wanted in path.read_bytes())
    ]


# --------------------------------------------------------------------------- what is printed at the end


def table(played: Sequence[Played]) -> Table:
    made = Table(title="What became of the calls", title_justify="left")
    for column in ("call", "outcome", "reason", "recorded", "RTP at qm_sip", "as it should be"):
        made.add_column(column, overflow="fold")
    for one in played:
        rtp = "not counted" if one.rtp_here is None else str(one.rtp_here)
        verdict = "yes" if one.ok else "NO: " + "; ".join(one.problems)
        made.add_row(Text(one.scene.says), one.outcome, _reason(one), _recorded(one), rtp, Text(verdict))
    return made


def _command() -> str:
    """How this program was called, so that the lines can be copied."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "qm-sip" else "qm-sip"


def _reason(played: Played) -> str:
    if played.scene.server_killed and played.connected_after is not None:
        return f"directly, {played.connected_after:.1f} s after dialling"
    if played.scene.outcome == "counted":
        return "confidential: one more today"
    return ", ".join(played.reasons)


def _recorded(played: Played) -> str:
    return f"{played.recorded_seconds:.1f} s" if played.recorded_seconds else "-"


def print_end(shown: Shown, console: Console) -> None:
    """The table, the picture, and how to look further."""
    console.print()
    console.print(table(shown.played))
    for problem in shown.problems:
        console.print(Text(f"PROBLEM: {problem}"))
    if not shown.asterisk:
        console.print(
            "Played phone to phone, without Asterisk (it needs root): so nothing could take over from qm_sip."
        )
    if shown.picture:
        console.print(Text(f"One recording as a picture:   {shown.picture}"), soft_wrap=True)
        console.print(Text(f"The same to listen to:        {shown.recording}"), soft_wrap=True)
    console.print(Text(f"Everything of this run:       {shown.output}"), soft_wrap=True)
    console.print(Text(LOOK.format(output=shown.output, command=_command())), soft_wrap=True)


def _leave_a_way_in(stage: Stage, output: Path) -> None:
    """A file to source, after which `qm-sip serve` runs on what the demo left."""
    environment = {**stage.server.environment, "QM_SIP_CONFIG": str(stage.server.config)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items())]
    memory = shlex.quote(environment["QM_SIP_STORAGE_KEY_DIRECTORY"])
    (output / "look.sh").write_text("\n".join([*lines, f"mkdir -p -m 700 {memory}", ""]))


def write_report(path: Path, shown: Shown) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(shown.to_json(), ensure_ascii=False, indent=2) + "\n")
    partial.replace(path)
