"""What a supervisor is asked on the phone (W0): the extension, the purpose, his code; and what his keys mean. Pure."""

from __future__ import annotations

from dataclasses import dataclass

PURPOSES = {"1": "coaching", "2": "assessment"}
PAUSE = 4.0  # seconds after the last digit of an extension that end it, as # does
PATIENCE = 20.0  # seconds without any key: he is not there


@dataclass(frozen=True)
class Asked:
    """All he was asked: whom, why, and his code."""

    extension: str
    purpose: str
    code: str


class Menu:
    """One pass through the questions. `question` is the prompt to say; the answer is complete when it is None."""

    def __init__(self, code_length: int, *, extension: str = "", purpose: str = "") -> None:
        self._length = code_length
        self.extension, self.purpose, self.code = extension, purpose, ""
        self._digits = ""

    @property
    def question(self) -> str | None:
        """The id of the prompt that asks for what is still wanting."""
        if not self.extension:
            return "W0-extension"
        if not self.purpose:
            return "W0-purpose"
        return "W0-code" if len(self.code) < self._length else None

    @property
    def half(self) -> bool:
        """Whether an extension has been begun, which a pause would end."""
        return not self.extension and bool(self._digits)

    def press(self, key: str) -> None:
        """One key. What means nothing here is ignored; * begins the question again."""
        if key == "*":
            self._digits, self.code = "", ""
        elif not self.extension:
            if key == "#":
                self.pause()
            elif key.isdigit():
                self._digits = (self._digits + key)[:20]
        elif not self.purpose:
            self.purpose = PURPOSES.get(key, "")
        elif key.isdigit():
            self.code += key

    def pause(self) -> None:
        """He has stopped: the extension is what he has dialled."""
        if self.half:
            self.extension, self._digits = self._digits, ""

    @property
    def asked(self) -> Asked:
        return Asked(self.extension, self.purpose, self.code)
