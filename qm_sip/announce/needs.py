"""Which prompts a configuration needs beside its notices: all that a key, a code or a listener makes heard.

A confirmation that is missing when a finger asks for it is silence in somebody's ear. So a missing one stops the start.
A load test needs none: it has nobody who presses a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from qm_sip.announce.choose import agent_hears, language_of_staff
from qm_sip.announce.lint import notice_fault
from qm_sip.announce.prompts import NO_LANGUAGE, PromptLibrary, folder_of
from qm_sip.config import Config
from qm_sip.config.lines import Line
from qm_sip.errors import ConfigError
from qm_sip.policy.facts import LineKind, Use

LISTENERS = ("A8", "A9", "A10", "A11")  # who is about to listen: heard to its end before he does
MENU = (
    "W0-extension",
    "W0-purpose",
    "W0-code",
    *(f"S{n}" for n in range(1, 5)),
    *(f"W{n}" for n in range(1, 14)),
)


@dataclass(frozen=True)
class Need:
    """A prompt that must be there, and what would go unsaid without it."""

    id: str
    language: str
    why: str

    @property
    def place(self) -> tuple[str, str]:
        """Folder and name of its files."""
        return folder_of(self.language), self.id


def uses_of(line: Line) -> frozenset[Use]:
    """The uses of live audio that a line asks for."""
    asked = {Use.RECORD: line.capture != "none", Use.LISTEN: line.listen}
    return frozenset(use for use, wanted in asked.items() if wanted and line.kind is LineKind.CUSTOMER_FACING)


def stoppable(line: Line) -> frozenset[Use]:
    """The uses that a customer of this line can stop: listening always, recording where he may object (WP-26)."""
    kept = frozenset() if line.opt_out else {Use.RECORD}
    return uses_of(line) - kept


def needs(config: Config, library: PromptLibrary) -> list[Need]:
    """Every prompt that these settings may make heard, beside the notices; each once."""
    lines = [line for line in config.lines.line.values() if uses_of(line)]
    if config.server.unsafe.load_test:
        return []
    wanted = [need for line in lines for need in (*_customer(line, library), *_agent(config, line))]
    if any(line.listen for line in lines):
        wanted += _all(MENU, language_of_staff(config), "supervisors may listen")
    return list({need.place: need for need in reversed(wanted)}.values())[::-1]


def _all(ids: Iterable[str], language: str, why: str) -> list[Need]:
    return [Need(prompt_id, language, why) for prompt_id in ids]


def _customer(line: Line, library: PromptLibrary) -> Iterator[Need]:
    """What the customer hears when he presses a key, or when the agent does something for him."""
    for language in line.languages:
        yield from _all(_answers(line), language, "customers may object")
        if Use.RECORD in uses_of(line):
            yield from _all(("K18", "K19"), language, "a recording can be paused")
        notice = library.find(line.prompt, language)
        if notice and line.info_key in notice.keys:
            yield Need("K21", language, f"{notice.id} offers more information")


def _answers(line: Line) -> Iterator[str]:
    """The answers to an objection: what was stopped, or why not (FAQ-B.12)."""
    stops = stoppable(line)
    if Use.RECORD in stops:
        yield from ("K14", "K15")
    if stops:
        yield "K15b"
        if "contract_evidence" in line.purposes:
            yield "K17"
    if line.legal_duty or "legal_duty" in line.purposes:
        yield "K16"


def _agent(config: Config, line: Line) -> Iterator[Need]:
    """What the agent hears: of the recording, of his private line, of listeners."""
    language, uses = language_of_staff(config, line), uses_of(line)
    yield from _all(("A4", "A5", "A6", "A7", "B1"), language, "a phone may be private")
    talking = {"A4": "a call may turn private", "A7": "a call may turn private"}
    if Use.RECORD in uses:
        talking |= dict.fromkeys(("A14", "A15"), "a recording can fail")
        talking |= (
            {"A1": "agents hear that it records"} if config.regulation.notices.agent_recording_tone else {}
        )
    if Use.RECORD in stoppable(line):
        talking["A3"] = "customers may object"
    if Use.LISTEN in uses:
        talking |= dict.fromkeys((*LISTENERS, "A12"), "agents are told of a listener")
    for prompt_id, why in talking.items():
        heard = agent_hears(config, prompt_id, talking=True)
        yield Need(heard, language if heard == prompt_id else NO_LANGUAGE, why)


def check_needs(config: Config, library: PromptLibrary) -> list[ConfigError]:
    """What is missing, an error for each folder and reason; and each notice to an agent that is too long."""
    wanted = needs(config, library)
    missing: dict[tuple[str, str], list[str]] = {}
    for need in wanted:
        if library.find(need.id, need.language) is None:
            missing.setdefault((folder_of(need.language), need.why), []).append(need.id)
    return [_missing(library, *place, ids) for place, ids in missing.items()] + list(
        _too_long(library, wanted)
    )


def _missing(library: PromptLibrary, folder: str, why: str, ids: list[str]) -> ConfigError:
    are = "are" if len(ids) > 1 else "is"
    build = f"qm-sip prompts build --directory {library.directory} {' '.join(ids)}"
    return ConfigError(
        f"{', '.join(ids)} {are} not there, and {why}",
        file=library.directory / folder / f"{ids[0]}.toml",
        remedy=f"copy what comes with the program into {folder}/, then {build}",
    )


def _too_long(library: PromptLibrary, wanted: Iterable[Need]) -> Iterator[ConfigError]:
    """While he is told, an agent's ear is taken: a notice of a listener lasts 3 s at most."""
    for need in wanted:
        prompt = library.find(need.id, need.language)
        fault = notice_fault(prompt.duration) if prompt and need.id.removeprefix("T-") in LISTENERS else None
        if prompt and fault:
            yield ConfigError(
                f"{fault.text} (rule {fault.rule})", file=prompt.path, remedy="say it in fewer words"
            )
