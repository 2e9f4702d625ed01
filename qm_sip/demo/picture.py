"""One recording as a picture: both channels on one time axis; answer, announcement, recording and end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

CUSTOMER_COLOUR, AGENT_COLOUR, TOLD_COLOUR = "#1f5fa8", "#b3541e", "#f2d16b"
STEP_S = 0.01  # one column of the waveform


@dataclass(frozen=True)
class Moments:
    """When things happened, in seconds from the moment at which the caller dialled."""

    answer: float
    announcement: tuple[float, float]
    recording: tuple[float, float]
    end: float


def moments(spans: Sequence[dict[str, object]], told_seconds: float, *, answer: float, end: float) -> Moments:
    """The call's spans laid on the phones' axis: both end when somebody hung up."""

    def bound(which: str, row: dict[str, object]) -> float:
        return float(str(row[which]))

    length = max(bound("to", row) for row in spans)
    offset = end - length
    recorded = [row for row in spans if row["state"] == "recorded"]
    untold = [row for row in spans if row["state"] == "untold"]
    told_at = (bound("to", untold[-1]) if untold else bound("from", recorded[0])) + offset
    kept = (bound("from", recorded[0]) + offset, bound("to", recorded[-1]) + offset)
    return Moments(answer, (told_at - told_seconds, told_at), kept, end)


def draw(path: Path, flac: Path, at: Moments, *, title: str) -> None:
    """Write the PNG. Above the axis the customer, below it the agent: what each said, as it was recorded."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    samples, rate = soundfile.read(flac, dtype="float64", always_2d=True)
    figure, axes = pyplot.subplots(figsize=(12, 4.5), layout="constrained")
    for channel, colour, who, middle in (
        (0, CUSTOMER_COLOUR, "customer", 0.5),
        (1, AGENT_COLOUR, "agent", -0.5),
    ):
        times, peaks = envelope(samples[:, channel], rate)
        label = f"{who} ({('left', 'right')[channel]} channel)"
        axes.fill_between(
            times + at.recording[0], middle - peaks / 2, middle + peaks / 2, color=colour, label=label
        )
    axes.axvspan(*at.announcement, color=TOLD_COLOUR, alpha=0.6, label="announcement (not recorded)")
    axes.axvspan(*at.recording, color="#d62728", alpha=0.07, label="recording")
    for moment, text in ((at.answer, "answer"), (at.recording[0], "recording begins"), (at.end, "end")):
        axes.axvline(moment, color="black", linewidth=0.8)
        axes.annotate(text, (moment, 1.02), rotation=30, fontsize=9, annotation_clip=False)
    axes.set(xlim=(0, at.end + 0.5), ylim=(-1, 1), yticks=[], xlabel="seconds since the customer dialled")
    axes.legend(loc="lower left", fontsize=8)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def envelope(
    samples: npt.NDArray[np.float64], rate: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The loudest of each hundredth of a second, and the times in the middle of them."""
    size = max(1, round(rate * STEP_S))
    whole = len(samples) // size * size
    peaks = np.abs(samples[:whole]).reshape(-1, size).max(axis=1) if whole else np.zeros(0)
    return (np.arange(len(peaks)) + 0.5) * size / rate, peaks
