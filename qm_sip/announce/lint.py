"""The rules for a text that people hear (docs/commands.md, "Texts"), as far as a machine can judge them.

Each rule is a function from a sidecar to the faults it finds; `RULES` is the list, in the rules' own order.
Languages whose words are not in the tables below are judged only by the rules that need no words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qm_sip.announce.prompts import NOTICE_MS, SLOT, WEBSITE, PromptKind, Sidecar
from qm_sip.policy.facts import Use

SHORT_SECONDS, LONG_SECONDS = 10.0, 15.0

CUSTOMER = {PromptKind.CUSTOMER_NOTICE, PromptKind.CUSTOMER_INSERT, PromptKind.CUSTOMER_CONFIRMATION}
STAFF = {PromptKind.AGENT, PromptKind.SUPERVISOR}

# The words that name a purpose plainly. A purpose without a row here is looked for by its own name.
PURPOSE_WORDS: dict[str, dict[str, str]] = {
    "coaching": {"nl": r"coachen|begeleiden", "en": r"\bcoach\b|guide"},
    "process_improvement": {"nl": r"service te verbeteren", "en": r"improve our service"},
    "assessment": {"nl": r"beoordel", "en": r"assess"},
    "training_material": {"nl": r"op te leiden|opleiding", "en": r"\btrain\b|training"},
    "contract_evidence": {"nl": r"bewijs", "en": r"proof|evidence"},
    "legal_duty": {"nl": r"wet verplicht|wettelijk verplicht", "en": r"law requires|required by law"},
    "complaint": {"nl": r"klacht", "en": r"complaint"},
    "technical_fault": {"nl": r"storing", "en": r"\bfault\b"},
}
# A sentence in which the call may be, or is, recorded.
SAYS_WORDS = {
    ("may", Use.RECORD): {"nl": r"\bkan\b[^.;]*\bop(ge)?n[eo]men\b", "en": r"\bmay (be recorded|record)\b"},
    ("does", Use.RECORD): {
        "nl": r"\bwordt\b[^.;]*\bopgenomen\b|verplicht ons dit gesprek op te nemen|\bneemt?\b[^.;]*\bop\b",
        "en": r"\bis recorded\b|requires us to record|\brecords\b",
    },
}
LISTEN_WORDS = {"nl": r"meeluister|luistert mee", "en": r"\blisten"}
KEY_WORDS = {"nl": r"[Tt]oets een (\d)", "en": r"[Pp]ress (\d)"}
# Words that say nothing to whoever hears them: "Wat betekent dat" asks the source itself.
EMPTY_WORDS = {"nl": r"kwaliteitsdoeleinden|trainingsdoeleinden", "en": r"quality purposes|training purposes"}
UNDONE_WORDS = {"nl": r"\bgewist\b", "en": r"\berased\b"}
FORMAL, INFORMAL = re.compile(r"\b(u|uw)\b", re.I), re.compile(r"\b(je|jij|jou|jouw)\b", re.I)


@dataclass(frozen=True)
class Fault:
    """One rule that a text breaks. `rule` is its number in docs/commands.md."""

    rule: int
    text: str


def lint(sidecar: Sidecar) -> list[Fault]:
    """Every fault of a text. A tone has none."""
    if sidecar.tone:
        return []
    return [Fault(rule, fault) for rule, check in RULES for fault in check(sidecar)]


def length_fault(seconds: float, *, agent_waits: bool) -> Fault | None:
    """Rule 7: short where an agent waits, long where nobody does."""
    most = SHORT_SECONDS if agent_waits else LONG_SECONDS
    if seconds <= most:
        return None
    return Fault(7, f"lasts {seconds:.1f} s; aim at {most:.0f} s at most")


def notice_fault(seconds: float) -> Fault | None:
    """Rule 7 for the agent's ear: while he talks to a customer, nothing lasts longer than 3 s."""
    most = NOTICE_MS / 1000
    return None if seconds <= most else Fault(7, f"lasts {seconds:.1f} s; {most:.0f} s at most")


def _has(words: dict[str, str], sidecar: Sidecar) -> bool | None:
    """Whether the text has such words; None if the language's words are not known here."""
    pattern = words.get(sidecar.language)
    return None if pattern is None else bool(re.search(pattern, sidecar.spoken))


def _name_first(sidecar: Sidecar) -> Iterator[str]:
    """1. First the name (KSF15-6.6a)."""
    first = re.split(r"(?<=[.!?:])\s", sidecar.text)[0]
    if sidecar.kind is PromptKind.CUSTOMER_NOTICE and SLOT not in first:
        yield f"the first sentence does not say {SLOT}"
    if SLOT in sidecar.text and not sidecar.identity:
        yield f"the text has {SLOT}, but identity is empty"
    if WEBSITE in sidecar.text and not sidecar.website:
        yield f"the text has {WEBSITE}, but website is empty"


def _every_purpose(sidecar: Sidecar) -> Iterator[str]:
    """2. Every purpose, in plain words."""
    for purpose in sorted(sidecar.purposes):
        own_name = {sidecar.language: re.escape(purpose.replace("_", " "))}
        if _has(PURPOSE_WORDS.get(purpose, own_name), sidecar) is False:
            yield f"purpose {purpose} is not in the text"
    for purpose in sorted(set(PURPOSE_WORDS) - sidecar.purposes):
        if sidecar.kind is PromptKind.CUSTOMER_NOTICE and _has(PURPOSE_WORDS[purpose], sidecar):
            yield f"the text names purpose {purpose}, the sidecar does not"
    if _has(EMPTY_WORDS, sidecar):
        yield "says 'quality purposes' or the like: say what is done, and for what"


def _may_or_does(sidecar: Sidecar) -> Iterator[str]:
    """3. "May" when sampled, "is" when all are; a false "may" is as wrong as a false "is"."""
    if Use.RECORD not in sidecar.uses or sidecar.says is None:
        return
    other = "does" if sidecar.says == "may" else "may"
    if _has(SAYS_WORDS[sidecar.says, Use.RECORD], sidecar) is False:
        yield f"the sidecar says {sidecar.says!r} of recording, the text does not"
    if _has(SAYS_WORDS[other, Use.RECORD], sidecar):
        yield f"the text says {other!r} of recording, the sidecar {sidecar.says!r}"


def _listening(sidecar: Sidecar) -> Iterator[str]:
    """4. Listening in live is said as such, and only where it is meant."""
    named = _has(LISTEN_WORDS, sidecar)
    if sidecar.kind is not PromptKind.CUSTOMER_NOTICE or named is None:
        return
    if Use.LISTEN in sidecar.uses and not named:
        yield "use listen is not in the text"
    if named and Use.LISTEN not in sidecar.uses:
        yield "the text says that somebody may listen in, the sidecar does not"


def _choice_last(sidecar: Sidecar) -> Iterator[str]:
    """5. The choice comes last, and the keys are those of the sidecar. A menu of staff reads the other way round."""
    pattern = KEY_WORDS.get(sidecar.language)
    if pattern is None or sidecar.kind in STAFF:
        return
    said = tuple(re.findall(pattern, sidecar.spoken))
    if set(said) != set(sidecar.keys):
        in_text, in_sidecar = ", ".join(said) or "none", ", ".join(sidecar.keys) or "none"
        yield f"keys in the text: {in_text}; in the sidecar: {in_sidecar}"
    if said and not re.search(rf"({pattern})\.?$", sidecar.spoken):
        yield "something follows the choice"


def _only_what_is_true(sidecar: Sidecar) -> Iterator[str]:
    """6. "Erased" is spoken after the destruction, so only by a confirmation."""
    before = (PromptKind.CUSTOMER_NOTICE, PromptKind.CUSTOMER_INSERT)
    if sidecar.kind in before and _has(UNDONE_WORDS, sidecar):
        yield "a notice cannot say that something has been erased"


def _address(sidecar: Sidecar) -> Iterator[str]:
    """8. `u` to customers, `je` to staff."""
    if sidecar.language != "nl":
        return
    if sidecar.kind in CUSTOMER and INFORMAL.search(sidecar.text):
        yield "a customer is addressed with u"
    if sidecar.kind in STAFF and FORMAL.search(sidecar.text):
        yield "staff are addressed with je"


RULES: list[tuple[int, Callable[[Sidecar], Iterator[str]]]] = [
    (1, _name_first),
    (2, _every_purpose),
    (3, _may_or_does),
    (4, _listening),
    (5, _choice_last),
    (6, _only_what_is_true),
    (8, _address),
]
