"""The book of a call where failure is late, or the next moment never comes."""

from __future__ import annotations

from qm_sip.call import reasons
from qm_sip.call.book import Book
from qm_sip.call.words import FinishRow, NoteSpans, Word
from qm_sip.policy.facts import CallId, Outcome, SpanState


class Notes:
    """A keeper that only remembers."""

    def __init__(self) -> None:
        self.words: list[Word] = []

    def keep(self, word: Word) -> None:
        self.words.append(word)

    def last(self, kind: type[Word]) -> Word:
        return [word for word in self.words if isinstance(word, kind)][-1]


def recorded() -> tuple[Book, Notes]:
    notes = Notes()
    book = Book(CallId("c"), notes, SpanState.UNTOLD, (), 10.0)
    book.span(SpanState.TOLD, 11.0, "told")
    book.span(SpanState.RECORDED, 11.5, "recorded")
    return book, notes


def test_what_begins_is_noted_before_it_has_lasted() -> None:
    """A crash a moment later must not forget that the call was being recorded."""
    _, notes = recorded()
    said = notes.last(NoteSpans)
    assert isinstance(said, NoteSpans)
    last = said.spans[-1]
    assert (last.state, last.from_ms, last.to_ms) == (SpanState.RECORDED, 1500, 1500)


def test_a_journal_that_fails_while_it_is_closed_is_the_outcome() -> None:
    """The call has ended; its last chunk finds no room (I9: never silent)."""
    book, notes = recorded()
    book.end(20.0)
    book.add_reason(reasons.JOURNAL_FAILED)
    book.span(SpanState.FAILED, 20.1, reasons.JOURNAL_FAILED.code)
    book.finish()
    row = notes.last(FinishRow)
    assert isinstance(row, FinishRow)
    assert row.outcome is Outcome.FAILED
    assert [(span.state, span.from_ms, span.to_ms) for span in row.spans] == [
        (SpanState.UNTOLD, 0, 1000),
        (SpanState.TOLD, 1000, 1500),
        (SpanState.RECORDED, 1500, 10_000),
        (SpanState.FAILED, 10_000, 10_000),
    ]
