"""Targets, table, page and process accounting: the bench's own sums."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from bench import page, processes, report
from bench.recorded import rendering_of_a_call


def delay(p99: float) -> dict[str, float]:
    return {"count": 1000, "p50_ms": 0.1, "p99_ms": p99, "p999_ms": p99, "max_ms": p99}


def row(name: str, per_core: float) -> dict[str, Any]:
    return {
        "name": name,
        "does": f"what {name} does",
        "version": "",
        "cpu_ms_per_setup": 1000 / per_core,
        "cpu_ms_carried": 1000 / per_core,
        "setups_per_core": per_core,
        "carried_rate": 200.0,
        "steps": [{"answered_p99_ms": 5.0}],
        "memory_idle_mib": 80.0,
        "memory_kib_per_call": 40.0,
    }


def figures(
    calls_per_core: float = 400.0,
    lost: int = 0,
    p99: float = 2.0,
    setups: float = 150.0,
    direct: float = 310.0,
    asterisk: float = 150.0,
) -> dict[str, Any]:
    clean = {"doubles": 0, "strangers": 0, "damaged": 0}
    probe = {
        "calls": 300,
        "connected_sockets": False,
        "cpu_us_per_packet": 10.0,
        "calls_per_core": 1000.0,
        "delay": delay(1.5),
        "losses": {"lost": 0, **clean},
        "doubts": [],
    }
    cpu = {
        "carrying_s_per_call_minute": 60 / calls_per_core,
        "rendering_s_per_call_minute": 0.01,
        "rendering_s_per_recording": 0.02,
        "minutes_per_recording": 1.0,
        "calls_per_core": calls_per_core,
        "calls_per_core_with_rendering": 60 / (60 / calls_per_core + 0.01),
    }
    run = {
        "calls": 300,
        "connected": 300,
        "failures": {},
        "losses": {"lost": lost, **clean},
        "delay": delay(p99),
        "cpu": cpu,
        "doubts": [],
        "rendered": True,
    }
    # A longer run beside it: 0.01 s a recording by itself, 0.01 s a minute.
    longer = {"minutes_per_recording": 3.0, "rendering_s_per_recording": 0.04}
    other = run | {"calls": 100, "connected": 100, "cpu": cpu | longer}
    setup = {
        "rate": 100.0,
        "attempted": 1000,
        "connected": 1000,
        "achieved_per_s": 99.0,
        "cpu_ms_per_setup": 1000 / setups,
        "setups_per_core": setups,
        "answered": delay(5),
        "latency": delay(1100),
    }
    machine = {
        "cpu": "A CPU",
        "cpus": 2,
        "memory_gib": 8,
        "kernel": "6.1",
        "python": "3.11",
        "date": "2026-01-01",
        "pinned": {"load": 0, "tested": 1},
        "other_work": 0.0,
    }
    compared = {
        "common_rate": 60.0,
        "seconds": 5.0,
        "standing": 500,
        "rows": [row("qm_sip, direct", direct), row("asterisk", asterisk), row("sippy", 150.0)],
        "missing": {},
    }
    return {
        "machine": machine,
        "main_calls": 300,
        "probes": [probe],
        "recorded": [other, run],
        "setups": setup,
        "compared": compared,
        "seconds": 100.0,
    }


def met(found: dict[str, Any]) -> list[bool]:
    return [target.met for target in report.targets(found)]


def test_all_targets_met() -> None:
    assert met(figures()) == [True] * 8


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"calls_per_core": 299.0}, [0, 1]),
        ({"calls_per_core": 305.0}, [1]),  # carried, but not with rendering
        ({"lost": 1}, [2]),
        ({"p99": 3.1}, [3]),
        ({"setups": 99.0}, [4]),
        ({"direct": 299.9, "asterisk": 140.0}, [5, 7]),
        ({"asterisk": 160.0}, [6]),
    ],
)
def test_each_target_can_be_missed(change: dict[str, Any], missed: list[int]) -> None:
    assert [n for n, is_met in enumerate(met(figures(**change))) if not is_met] == missed


def test_rendering_of_a_long_call_is_what_its_minutes_cost_and_a_share_of_the_recording() -> None:
    runs = figures()["recorded"]
    assert rendering_of_a_call(runs, 1.0) == pytest.approx(0.02)
    assert rendering_of_a_call(runs, 10.0) == pytest.approx(0.011)
    assert rendering_of_a_call(runs[:1], 1.0) is None


def test_what_was_not_measured_is_not_met() -> None:
    found = figures() | {"recorded": [], "setups": None}
    assert met(found | {"compared": found["compared"] | {"rows": []}}) == [False] * 8
    found.pop("compared")
    assert met(found) == [False] * 5
    assert all(target.value is None for target in report.targets(found))


def test_the_ratio_is_taken_to_the_probe_of_as_many_calls_on_unconnected_sockets() -> None:
    found = figures()
    other = found["probes"][0]
    probes = [other | {"calls": 100, "delay": delay(1.0)}, other | {"connected_sockets": True}, other]
    assert report.delay_ratio({"calls": 300, "delay": delay(3.0)}, probes) == pytest.approx(2.0)


def test_who_is_compared_and_what_he_does_is_said_and_who_is_missing_too() -> None:
    compared = figures()["compared"] | {"missing": {"sippy": "it is not installed"}}
    text = report.compared_table(compared)
    assert "asterisk: what asterisk does" in text and "sippy is missing: it is not installed" in text


def test_the_page_keeps_what_stands_around_the_figures() -> None:
    before = f"# Title\n{page.BEGIN}\nold\n{page.END}\nmore\n"
    after = page.replaced(before, figures())
    assert after.startswith("# Title\n") and after.endswith("\nmore\n")
    assert "old" not in after and "NOT MET" not in after and "recorded calls per core" in after
    assert page.replaced(after, figures()) == after


def test_a_page_without_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="marks"):
        page.replaced("nothing", figures())


def test_the_shipped_page_has_the_marks() -> None:
    text = page.PAGE.read_text()
    assert page.BEGIN in text and page.END in text


def test_cpu_of_a_process_and_its_children_is_counted() -> None:
    """A parent that waits while its child works for half a second of CPU."""
    child = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True); time.sleep(30)"
    parent = f"import subprocess,sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = processes.usage(process.pid)
        family = [one.pid for one in processes.tree(process.pid)]
        for pid in reversed(family):
            subprocess.run(["kill", str(pid)], check=False)
    assert len(family) == 2
    assert used.by_role["other"] >= 0.45
    assert used.carrying >= 0.45 and used.rendering == 0


def test_a_window_is_a_difference() -> None:
    earlier = processes.Usage({"server": 1.0}, {"server/main": 1.0})
    later = processes.Usage({"server": 1.5, "renderer": 0.25}, {"server/main": 1.5})
    used = later.since(earlier)
    assert used.carrying == pytest.approx(0.5) and used.rendering == pytest.approx(0.25)


def test_a_process_that_has_gone_uses_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    time.sleep(0.01)
    assert processes.read_process(process.pid) is None
