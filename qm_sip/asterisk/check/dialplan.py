"""The dialplan as steps, whether it was read from extensions.conf or told by `ShowDialPlan`.

    exten => 3001,1,Set(__QM_LINE=sales)
     same => n,Queue(sales,b(qm-hdr^s^1),,,25)      Step("from-trunk", "3001", "Queue", "sales,b(...),,,25")

`include => other` is of no matter here: a step is judged where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from qm_sip.asterisk.check.conf import Section
from qm_sip.asterisk.check.fault import Where
from qm_sip.asterisk.message import Message

_APP: Final = re.compile(r"([\w-]+)\s*(?:\((.*)\))?\s*$", re.DOTALL)
_HINT: Final = "hint"


@dataclass(frozen=True)
class Step:
    """One priority of an extension; `app` is `hint` for a hint, and `data` its devices."""

    context: str
    exten: str
    app: str
    data: str
    where: Where

    @property
    def named(self) -> str:
        return f"{self.context}, {self.exten}"


def read_steps(sections: Iterable[Section]) -> list[Step]:
    """What extensions.conf says."""
    return [step for section in sections for step in _of_section(section)]


def _of_section(section: Section) -> Iterator[Step]:
    exten = ""
    for setting in section.settings:
        if setting.key == "exten":
            exten, _, rest = setting.value.partition(",")
        elif setting.key == "same":
            rest = setting.value
        else:
            continue
        priority, _, what = rest.partition(",")
        if priority.strip().lower() == _HINT:
            yield Step(section.name, exten.strip(), _HINT, what.strip(), setting.where)
        elif app := _APP.match(what.strip()):
            yield Step(section.name, exten.strip(), app[1], app[2] or "", setting.where)


def told_steps(messages: Iterable[Message]) -> list[Step]:
    """What a running Asterisk says (`ListDialplan`): also a dialplan in a database, or in AEL and Lua."""
    steps = []
    for message in messages:
        context, exten = message.get("Context"), message.get("Extension")
        if not message.get("Application") or not exten:
            continue
        app, data = message.get("Application"), message.get("AppData")
        if message.get("Priority").lower() == _HINT:
            app, data = _HINT, message.get("Application")
        steps.append(Step(context, exten, app, data, Where(f"dialplan show {exten}@{context}")))
    return steps


def arguments(data: str) -> list[str]:
    """The arguments of an application: commas in brackets do not part them."""
    found, depth, at = [""], 0, 0
    for at, char in enumerate(data):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(char, 0)
        if char == "," and depth <= 0:
            found.append("")
        else:
            found[-1] += data[at]
    return [one.strip() for one in found]


def options(text: str) -> dict[str, str]:
    """Options as letters, each with what stands in its brackets: `tb(qm-leg^s^1)` is t and b."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        letter, at, inside = text[at], at + 1, ""
        if at < len(text) and text[at] == "(":
            end = _closing(text, at)
            inside, at = text[at + 1 : end], end + 1
        found[letter] = inside
    return found


def _closing(text: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return len(text)


def matches(pattern: str, number: str) -> bool:
    """Whether an extension of the dialplan is that number, or a pattern (`_1XXX`) that it fits."""
    if not pattern.startswith("_"):
        return pattern == number
    classes = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": ".+", "!": ".*", "-": ""}
    text, at, body = "", 0, pattern[1:]
    while at < len(body):
        if body[at] == "[" and "]" in body[at:]:
            end = body.index("]", at)
            text += f"[{re.escape(body[at + 1 : end]).replace(chr(92) + '-', '-')}]"
            at = end
        else:
            text += classes.get(body[at].upper() if body[at].isalpha() else body[at], re.escape(body[at]))
        at += 1
    try:
        return re.fullmatch(text, number) is not None
    except re.error:
        return False
