"""The texts that are shipped keep the rules; each rule, broken, is found."""

from pathlib import Path

import pytest

from qm_sip.announce.lint import length_fault, lint, notice_fault
from qm_sip.announce.prompts import HONOURED_KEYS, Sidecar, read_sidecar

CONFIG = Path(__file__).parents[2] / "config"
SHIPPED = sorted([*CONFIG.glob("prompts/*/*.toml"), *CONFIG.glob("examples/*/prompts/*/*.toml")])

GOOD = {
    "id": "K",
    "language": "nl",
    "kind": "customer-notice",
    "text": "Welkom bij {identity}. Dit gesprek kan worden opgenomen om te coachen. "
    "Liever niet? Toets een 9.",
    "identity": "Voorbeeld Energie",
    "uses": ["record"],
    "purposes": ["coaching"],
    "says": "may",
    "keys": ["9"],
}


def faults(**changed: object) -> list[int]:
    return [fault.rule for fault in lint(Sidecar.model_validate({**GOOD, **changed}))]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_shipped_text_keeps_the_rules(path: Path) -> None:
    assert lint(read_sidecar(path)) == []


def test_every_shipped_text_is_there_in_both_languages() -> None:
    ids = {lang: {p.stem for p in CONFIG.glob(f"prompts/{lang}/*.toml")} for lang in ("nl", "en")}
    assert (
        ids["nl"]
        == ids["en"]
        >= {"K1-short", "K1-long", "K1-all-short", "K2-short", "K6", "K7", "K11", "K11-all"}
    )


def test_a_good_text_has_no_fault() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("rule", "changed"),
    [
        (1, {"text": "Dit gesprek kan worden opgenomen om te coachen. {identity}. Toets een 9."}),
        (
            1,
            {
                "kind": "agent",
                "identity": "",
                "text": "Hallo {identity}.",
                "uses": [],
                "purposes": [],
                "keys": [],
            },
        ),
        (2, {"purposes": ["coaching", "assessment"]}),
        (
            2,
            {"purposes": ["assessment"], "text": GOOD["text"].replace("coachen", "coachen en te beoordelen")},
        ),
        (2, {"text": GOOD["text"].replace("te coachen", "te coachen en voor kwaliteitsdoeleinden")}),
        (2, {"purposes": ["coaching", "marketing"]}),
        (3, {"says": "does"}),
        (3, {"text": GOOD["text"].replace("kan worden opgenomen", "wordt opgenomen")}),
        (4, {"uses": ["record", "listen"]}),
        (4, {"text": GOOD["text"].replace("coachen.", "coachen en een coach kan meeluisteren.")}),
        (5, {"keys": []}),
        (5, {"keys": ["9", "8"]}),
        (5, {"text": GOOD["text"] + " Dank u."}),
        (6, {"text": GOOD["text"].replace("Liever", "Alles is gewist. Liever")}),
        (8, {"text": GOOD["text"].replace("Liever", "Wil je dat liever")}),
        (8, {"kind": "agent", "text": "De klant hoort u niet.", "uses": [], "purposes": [], "keys": []}),
        (8, {"kind": "supervisor", "text": "U luistert mee.", "uses": [], "purposes": [], "keys": []}),
        (8, {"kind": "customer-confirmation", "text": "Je opname is gewist.", "uses": [], "keys": []}),
        (5, {"kind": "customer-confirmation", "text": "Toets een 9.", "uses": [], "keys": []}),
        (1, {"kind": "customer-confirmation", "text": "Via {website}.", "uses": [], "keys": []}),
    ],
)
def test_each_rule_broken_is_found(rule: int, changed: dict[str, object]) -> None:
    assert rule in faults(**changed)


def test_english_has_the_same_rules() -> None:
    text = "Welcome to {identity}. This call may be recorded to coach our staff. Rather not? Press 9."
    assert faults(language="en", text=text) == []
    assert faults(language="en", text=text.replace("may be", "is")) == [3, 3]


def test_a_language_without_word_tables_is_judged_by_what_needs_no_words() -> None:
    assert faults(language="fr", text="Bienvenue chez {identity}. Appel enregistré.") == []
    assert faults(language="fr", text="Appel enregistré.") == [1]


def test_short_where_an_agent_waits() -> None:
    assert length_fault(10.0, agent_waits=True) is None
    assert length_fault(12.0, agent_waits=True) is not None
    assert length_fault(12.0, agent_waits=False) is None


def test_a_notice_in_the_agents_ear_lasts_three_seconds_at_most() -> None:
    assert notice_fault(3.0) is None
    fault = notice_fault(3.2)
    assert fault is not None
    assert fault.rule == 7


def test_a_menu_of_staff_names_its_key_before_what_it_does() -> None:
    sidecar = {"id": "W", "language": "en", "kind": "supervisor", "text": "Press 1 to wait.", "keys": ["1"]}
    assert lint(Sidecar.model_validate(sidecar)) == []


def test_no_text_promises_a_key_that_is_not_obeyed() -> None:
    notices = [sidecar for path in SHIPPED if (sidecar := read_sidecar(path)).kind == "customer-notice"]
    assert {key for notice in notices for key in notice.keys} == HONOURED_KEYS == {"8", "9"}
