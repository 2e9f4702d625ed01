"""The demo: real phones, a real Asterisk 22 and `qm-sip serve`, each in a process of its own, on loopback.

- `chroot`     builds the Asterisk 22 tree once
- `namespace`  a private network namespace, so that nothing here meets what else runs on the machine
- `asterisk`   starts and stops that Asterisk with a site's configuration
- `phone`      a softphone in a process of its own (GPL code stays out of the server's process)
- `counter`    counts the RTP packets of an address from the outside

Nothing in this package is imported by `qm-sip serve`.
"""
