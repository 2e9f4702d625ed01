"""Sight into signalling: which messages made up a call, for whoever must find out why it failed.

    endpoint -> Tap -> Store -> redact -> ladder, pcap (`qm-sip trace`), HEP3 (`net/collector.py`)

* `Tap` is told of every message that comes or goes, and at the end of each turn of the loop asks whose each was
  (`Calls`). Of a confidential call, an emergency call and a one-leg call nothing goes further (I8).
* `Store` holds references to the bytes, in memory alone and bounded; of a private call only the bare ladder.
* `redact` says a message again without anybody in it: by allow-list, each person and host under one pseudonym.
* `ladder`, `pcap` and `hep` are three ways to write down what `redact` gave.

All of it is sans-IO: bytes and `now` in, bytes and lines out.
"""
