"""Lamps: what an agent's phone shows by its keys (BLF) of what is done with his calls. RFC 4235, RFC 6665.

    private-1001     the call is private: nothing of it is kept or heard
    recording-1001   what is said now is kept
    heard-1001       somebody listens now
    preset-1001      the next call will be private, or every one until that is switched off

* `lamp`       which lamps there are, and how a phone names one
* `glow`       a call as it is, and what it lights: the one pure rule
* `rights`     who may see which
* `document`   a lamp as dialog-info XML
* `press`      an agent's key that is pressed: private, now or for the next call
* `board`      all lamps of the switchboard, as an event package that phones subscribe to (`qm_sip/sip/publishing.py`)
"""
