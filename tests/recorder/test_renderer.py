"""A renderer answers every line with a line, and says no more than it must."""

import io
import json
from pathlib import Path

import pytest

from qm_sip.recorder import renderer
from qm_sip.recorder.jobs import RenderJob, RenderResult
from qm_sip.recorder.journal import JournalError, read_key
from tests.recorder.facts import RECIPIENT
from tests.recorder.stage import put, store_in


def job(tmp_path: Path, **changes: object) -> dict[str, object]:
    store = store_in(tmp_path)
    put(store, "rec-1")
    made = RenderJob(
        "rec-1",
        store.journal("rec-1"),
        store.key("rec-1"),
        store.new_sealed("rec-1"),
        {"coaching": [RECIPIENT]},
    )
    return {**made.to_json(), **changes}


def test_each_line_is_answered_and_a_bad_one_ends_nothing(tmp_path: Path) -> None:
    sink = io.StringIO()
    lines = ["not json\n", json.dumps({}) + "\n", json.dumps(job(tmp_path)) + "\n"]
    renderer.serve(io.StringIO("".join(lines)), sink)
    answers = [json.loads(line) for line in sink.getvalue().splitlines()]
    assert [answer["ok"] for answer in answers] == [False, False, True]
    assert RenderResult.from_json(answers[2]).frames == 8000


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"recording": "rec-2"}, "journal"),
        ({"recipients": {}}, "journal"),
        ({"recipients": {"coaching": ["age1x"]}}, "journal"),
        ({"journal": "/nonexistent"}, "missing"),
        ({"key": "/nonexistent"}, "missing"),
        ({"output": "/nonexistent/x.flac.age"}, "storage"),
        ({"recipients": 5}, "bug"),
    ],
)
def test_what_went_wrong_has_a_name(tmp_path: Path, changes: dict[str, object], code: str) -> None:
    answer = renderer.answer(json.dumps(job(tmp_path, **changes)))
    assert (answer["ok"], answer["error"]) == (False, code)


def test_a_key_of_another_length_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"12345")
    with pytest.raises(JournalError):
        read_key(tmp_path / "k")
