"""What is tried with every peer, in the order of the page."""

from __future__ import annotations

from tests.interop import calls, in_call, transfers, extensions  # isort: skip - in the page's order
from tests.interop.stage import SCENARIOS, Stage, about

__all__ = ["SCENARIOS", "Stage", "about", "calls", "extensions", "in_call", "transfers"]
