"""Writes docs/prompts.md from the sidecars themselves: `python -m qm_sip.announce.document docs/prompts.md`.

A works council or a client can read there, without a program, every word that anybody hears.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from qm_sip.announce.prompts import PromptKind, Sidecar, read_sidecar

SHIPPED = Path("config/prompts")

_INTRO = """# Prompts

Every text and tone that comes with the program (`config/prompts`), when it is heard and by whom. Names and the
website are examples: put yours into the sidecars ([commands.md](commands.md), *prompts*). "(ours)" marks a variant
that was added to the texts this program was designed with. None has been approved: that is yours to do
(`approved_by`).

This page is written from the sidecars: `python -m qm_sip.announce.document docs/prompts.md`.
"""

_SECTIONS: Mapping[PromptKind, str] = {
    PromptKind.CUSTOMER_NOTICE: """## Heard by the customer: notices

Before anything of his call is used. *Names* is what the gate takes him to have been told. 9 objects, 8 tells more.
""",
    PromptKind.CUSTOMER_INSERT: """## Heard by the customer: sentences after a notice
""",
    PromptKind.CUSTOMER_CONFIRMATION: """## Heard by the customer: confirmations

By the customer only, at once, and not before what they say is true.
""",
    PromptKind.AGENT: """## Heard by the agent: speech

By the agent only. Speech is for before the conversation; in mid-call he hears the tone of the same id, unless the
works council asks for speech always. None that announces a listener lasts longer than 3 s.
""",
    PromptKind.SUPERVISOR: """## Heard by the supervisor

W0 is the menu, S1 to S4 and W13 are said on the way, W1 to W12 are refusals. W7 is one text for four reasons, so that
nobody learns by trying who is in a private or confidential call.
""",
}
_TONES = """## Heard by the agent: tones

Mixed into what he hears of the call; neither customer nor recording gets them.

| id | when | tone |
|---|---|---|
"""
_LANGUAGES = {"nl": "Nederlands", "en": "English"}


def document(directory: Path = SHIPPED) -> str:
    """Return the whole page."""
    sidecars = [read_sidecar(path) for path in directory.glob("*/*.toml")]
    spoken = [sidecar for sidecar in sidecars if not sidecar.tone]
    tones = [sidecar for sidecar in sidecars if sidecar.tone]
    parts = [_INTRO]
    for kind, intro in _SECTIONS.items():
        parts.append(intro + "\n" + _table([one for one in spoken if one.kind is kind]))
    parts.append(_TONES + "".join(f"| {t.id} | {t.when} | {t.spoken} |\n" for t in _in_order(tones)))
    return "\n".join(parts)


def _table(sidecars: Sequence[Sidecar]) -> str:
    notices = any(sidecar.uses for sidecar in sidecars)
    titles = ["id", "when", *(["names"] if notices else []), *_LANGUAGES.values()]
    rows = [titles, ["---"] * len(titles)]
    for prompt_id, texts in _by_id(sidecars):
        one = next(iter(texts.values()))
        names = [_names(one)] if notices else []
        rows.append([prompt_id, one.when, *names, *(texts[language].spoken for language in _LANGUAGES)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _names(sidecar: Sidecar) -> str:
    """What somebody who heard it was told of, and how."""
    uses = " and ".join(sorted(sidecar.uses, reverse=True))
    purposes = ", ".join(sorted(sidecar.purposes))
    return f"{sidecar.says} {uses}: {purposes}" if uses else ""


def _by_id(sidecars: Iterable[Sidecar]) -> Iterator[tuple[str, dict[str, Sidecar]]]:
    """Each id's texts by language."""
    texts: dict[str, dict[str, Sidecar]] = {}
    for sidecar in _in_order(sidecars):
        texts.setdefault(sidecar.id, {})[sidecar.language] = sidecar
    yield from texts.items()


def _in_order(sidecars: Iterable[Sidecar]) -> list[Sidecar]:
    """K2 before K10, Dutch and English of one id together, a tone where its text would be."""
    return sorted(sidecars, key=lambda one: (_number(one.id), one.language))


def _number(prompt_id: str) -> tuple[str, int, str]:
    letters, digits, rest = re.findall(r"^(?:T-)?([A-Za-z]*)(\d*)(.*)$", prompt_id)[0]
    return letters, int(digits or 0), rest


if __name__ == "__main__":
    page = document()
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)
