"""The bench: how many recorded calls one core carries, beside what bare forwarding costs on the same machine.

`python -m bench` (`make bench`) measures in one run, with the load program of `rust/qm-load`:

- the *wall*: the same packets through a bare forwarder (`probes.py`)
- *recorded calls*: `qm-sip serve` with `config/examples/load`, many calls held together (`recorded.py`)
- *set-ups*: calls of no length, one after the other (`setups.py`)
- *set-ups beside others*: the same calls through qm_sip, Asterisk 22 and sippy (`compare.py`, `rivals.py`)
- with `--engine` the media engine alone, driven without SIP (`engine.py`)

CPU is that of the program under test alone, read from /proc for its whole process tree (`processes.py`). The
load program runs on one CPU, the program under test on another (`machine.py`). Targets, table: `report.py`.
"""
