"""docs/prompts.md says every word that anybody hears, as the sidecars have it."""

import shutil
from pathlib import Path

from qm_sip.announce.document import document
from qm_sip.announce.prompts import read_sidecar

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config" / "prompts"


def test_the_page_of_prompts_is_what_the_sidecars_say() -> None:
    page = (ROOT / "docs/prompts.md").read_text()
    assert page == document(SHIPPED), "python -m qm_sip.announce.document docs/prompts.md"


def test_every_shipped_prompt_says_when_it_is_heard_and_stands_on_the_page() -> None:
    page = document(SHIPPED)
    for path in SHIPPED.glob("*/*.toml"):
        sidecar = read_sidecar(path)
        assert sidecar.when, path
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {sidecar.id} |")]
        assert f"| {sidecar.spoken} |" in row
        assert sidecar.when in row


def test_a_changed_word_changes_the_page(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "prompts", ignore=shutil.ignore_patterns("*.wav"))
    sidecar = tmp_path / "prompts/nl/W7.toml"
    sidecar.write_text(sidecar.read_text().replace("nu niet", "niet"))
    assert document(tmp_path / "prompts") != document(SHIPPED)


def test_languages_do_not_disagree_about_what_is_told() -> None:
    """The page shows one set of uses, purposes and keys for both."""
    for path in SHIPPED.glob("nl/*.toml"):
        here, there = read_sidecar(path), read_sidecar(SHIPPED / "en" / path.name)
        for key in ("kind", "when", "uses", "purposes", "says", "keys"):
            assert getattr(here, key) == getattr(there, key), f"{path.stem}: {key}"
