"""The lines and people as tables to look a call up in, built once when the settings are loaded.

Building the tables is also how ties are found: two lines that claim the same number for the same direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from qm_sip.config.features import Feature, features
from qm_sip.config.lines import Line, Lines, Listed, Match
from qm_sip.config.numbers import NumberRange, NumberTable, is_number, normal
from qm_sip.config.people import People
from qm_sip.config.registry import Entry, Registry
from qm_sip.policy.facts import Direction, LineKind, PersonId

Loc = tuple[str | int, ...]
Complain = Callable[[str, str, Loc], None]  # file, problem, where

LINES, PEOPLE = "lines.toml", "people.toml"

# What beats every other rule, the strongest first (docs/rules.md, rows 1, 2 and 5).
NEVER_ORDER = (LineKind.EMERGENCY, LineKind.CONFIDENTIAL, LineKind.PRIVATE)


@dataclass
class DirectionIndex:
    """How lines are recognised on calls of one direction."""

    numbers: NumberTable[str] = field(default_factory=NumberTable)
    trunks: dict[str, str] = field(default_factory=dict)


@dataclass
class Index:
    """Everything `policy/identify.py` looks up. Read only once built."""

    queues: dict[str, str] = field(default_factory=dict)
    by_direction: dict[Direction, DirectionIndex] = field(
        default_factory=lambda: {direction: DirectionIndex() for direction in Direction}
    )
    never: dict[LineKind, Registry] = field(  # either side of the call
        default_factory=lambda: {kind: Registry() for kind in NEVER_ORDER}
    )
    agreed: Registry = field(default_factory=Registry)  # customers of whom nothing is kept or heard
    internal: NumberTable[bool] = field(default_factory=NumberTable)
    persons: dict[str, PersonId] = field(default_factory=dict)  # extension -> person
    confidential_persons: frozenset[PersonId] = frozenset()
    monitors: dict[str, PersonId] = field(default_factory=dict)  # his own phone -> who may listen from it
    features: dict[str, Feature] = field(default_factory=dict)  # what is dialled instead of a number


def build_index(lines: Lines, people: People, complain: Complain) -> Index:
    """Build the tables; whatever cannot be entered, or is there already, goes to `complain`."""
    return _Builder(lines, complain).build(people)


class _Builder:
    def __init__(self, lines: Lines, complain: Complain) -> None:
        self.lines, self.index, self.complain = lines, Index(), complain

    def build(self, people: People) -> Index:
        self._enter_people(people)
        self._enter_monitors(people)
        self._enter_never()
        self._enter_internal()
        for name, line in self.lines.line.items():
            self._enter_line(name, line)
        self._enter_features()
        return self.index

    # ------------------------------------------------------------------ reading numbers

    def _numbers(self, numbers: tuple[str, ...], loc: Loc, file: str = LINES) -> Iterator[str]:
        for text in numbers:
            if is_number(text):
                yield normal(text, self.lines.numbering)
            else:
                self.complain(file, "must be digits, with or without + and separators", loc)

    def _ranges(self, ranges: tuple[str, ...], loc: Loc) -> Iterator[NumberRange]:
        for text in ranges:
            try:
                yield NumberRange.parse(text, self.lines.numbering)
            except ValueError as wrong:
                self.complain(LINES, str(wrong), loc)

    # ------------------------------------------------------------------ entering

    def _enter_people(self, people: People) -> None:
        confidential = set()
        for name, agent in people.agent.items():
            person, loc = PersonId(name), ("agent", name, "extensions")
            if agent.confidential:
                confidential.add(person)
            for number in self._numbers(agent.extensions, loc, PEOPLE):
                owner = self.index.persons.setdefault(number, person)
                if owner != person:
                    self.complain(PEOPLE, f"an extension also belongs to agent {owner}", loc)
                self.index.internal.add_number(number, True)
                if agent.confidential:
                    self.index.never[LineKind.CONFIDENTIAL].add_number(number, Entry("person"))
        self.index.confidential_persons = frozenset(confidential)

    def _enter_monitors(self, people: People) -> None:
        for name, monitor in people.monitor.items():
            person, loc = PersonId(name), ("monitor", name, "extensions")
            for number in self._numbers(monitor.extensions, loc, PEOPLE):
                owner = self.index.monitors.setdefault(number, person)
                if owner != person:
                    self.complain(PEOPLE, f"an extension also belongs to monitor {owner}", loc)
                self.index.internal.add_number(number, True)

    def _enter_features(self) -> None:
        """Codes that are dialled: each means one thing, and none is anybody's number."""
        for table, key, feature in features(self.lines):
            loc: Loc = (table, key)
            taken = self.index.features.setdefault(feature.code, feature)
            if taken is not feature:
                self.complain(LINES, f"is also the code for {taken.kind}", loc)
            if feature.code.startswith(self.lines.private.prefix):
                self.complain(LINES, f"the code for {feature.kind} begins like it", ("private", "prefix"))
            if self._is_number(feature.code):
                self.complain(LINES, "is also a number", loc)

    def _is_number(self, code: str) -> bool:
        index = self.index
        of_lines = (direction.numbers.find(code) for direction in index.by_direction.values())
        of_never = (registry.find(code) for registry in (*index.never.values(), index.agreed))
        return any(found is not None for found in (index.internal.find(code), *of_never, *of_lines))

    def _enter_never(self) -> None:
        never = self.index.never
        for number in self._numbers(self.lines.never.emergency, ("never", "emergency")):
            never[LineKind.EMERGENCY].add_number(number, Entry("emergency"))
        for key, rule, registry in (
            ("confidential", "function", never[LineKind.CONFIDENTIAL]),
            ("break_room", "break-room", never[LineKind.PRIVATE]),
            ("private_reach", "private-reach", never[LineKind.PRIVATE]),
            ("agreed", "agreed", self.index.agreed),
        ):
            for position, listed in enumerate(getattr(self.lines.never, key)):
                self._enter_listed(listed, rule, registry, ("never", key, position))

    def _enter_listed(self, listed: Listed, rule: str, registry: Registry, loc: Loc) -> None:
        entry = Entry(rule, listed.since, listed.until, listed.reason, listed.source)
        if not (listed.numbers or listed.ranges or listed.prefixes):
            self.complain(LINES, "names no number: numbers, ranges or prefixes", loc)
        if listed.since and listed.until and listed.until < listed.since:
            self.complain(LINES, "must not be before since", (*loc, "until"))
        self._enter_registry(registry, entry, listed, loc)

    def _enter_registry(self, registry: Registry, entry: Entry, of: Listed | Match, loc: Loc) -> None:
        for number in self._numbers(of.numbers, (*loc, "numbers")):
            registry.add_number(number, entry)
        for numbers in self._ranges(of.ranges, (*loc, "ranges")):
            registry.add_range(numbers, entry)
        for prefix in self._numbers(of.prefixes, (*loc, "prefixes")):
            registry.add_prefix(prefix, entry)

    def _enter_internal(self) -> None:
        internal = self.lines.internal
        for number in self._numbers(internal.extensions, ("internal", "extensions")):
            self.index.internal.add_number(number, True)
        for numbers in self._ranges(internal.ranges, ("internal", "ranges")):
            self.index.internal.add_range(numbers, True)

    def _enter_line(self, name: str, line: Line) -> None:
        loc: Loc = ("line", name, "match")
        for queue in line.match.queues:
            taken = self.index.queues.setdefault(queue, name)
            if taken != name:
                self.complain(LINES, f"the queue {queue!r} is also in line.{taken}", (*loc, "queues"))
        for number in self._numbers(line.match.extensions, (*loc, "extensions")):
            self.index.internal.add_number(number, True)
        for direction in Direction if line.match.direction is None else (line.match.direction,):
            self._enter_direction(name, line.match, direction)
        if line.kind in (LineKind.CONFIDENTIAL, LineKind.PRIVATE):
            self._enter_both_sides(name, line)

    def _enter_direction(self, name: str, match: Match, direction: Direction) -> None:
        index, loc = self.index.by_direction[direction], ("line", name, "match")
        for key in ("numbers", "extensions"):
            for number in self._numbers(getattr(match, key), (*loc, key)):
                self._tie(index.numbers.add_number(number, name), "a number is also in", (*loc, key))
                self._not_never(number, name, (*loc, key))
        for prefix in self._numbers(match.prefixes, (*loc, "prefixes")):
            self._tie(index.numbers.add_prefix(prefix, name), "a prefix is also in", (*loc, "prefixes"))
        for numbers in self._ranges(match.ranges, (*loc, "ranges")):
            self._tie(index.numbers.add_range(numbers, name), "a range overlaps one of", (*loc, "ranges"))
        for trunk in match.trunks:
            taken = index.trunks.setdefault(trunk, name)
            if taken != name:
                self.complain(LINES, f"the trunk {trunk!r} is also in line.{taken}", (*loc, "trunks"))

    def _tie(self, taken: str | None, problem: str, loc: Loc) -> None:
        if taken is not None:
            self.complain(LINES, f"{problem} line.{taken}", loc)

    def _not_never(self, number: str, name: str, loc: Loc) -> None:
        """A number of a customer-facing line that is confidential as well is a slip: nothing of it would be
        kept.
        """
        if self.lines.line[name].kind is not LineKind.CUSTOMER_FACING:
            return
        for kind, registry in self.index.never.items():
            if registry.find(number) is not None:
                self.complain(LINES, f"a number is {kind.value} elsewhere, and that wins", loc)

    def _enter_both_sides(self, name: str, line: Line) -> None:
        registry, entry, loc = (
            self.index.never[line.kind],
            Entry(f"line.{name}", reason=line.reason),
            ("line", name, "match"),
        )
        for number in self._numbers(line.match.extensions, (*loc, "extensions")):
            registry.add_number(number, entry)
        self._enter_registry(registry, entry, line.match, loc)
