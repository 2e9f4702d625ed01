"""Tests of `qm_sip/asterisk` that need no Asterisk; `tests/asterisk` has those that run beside a real one.

`streams/` holds what the manager of a real Asterisk 22.10.1 sent while the demo's phones did what the file's name says.
"""
