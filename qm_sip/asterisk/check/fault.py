"""One thing that is wrong with an Asterisk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Where(NamedTuple):
    """A line of a file; or, live, what showed it, and no line."""

    file: str
    line: int = 0


@dataclass(frozen=True)
class Fault:
    """`error`: the guarantee does not hold. `advice`: it may not, or a phone shows less than it could."""

    where: Where
    problem: str
    remedy: str
    level: Literal["error", "advice"] = "error"
