"""Sockets and the clock: the asyncio shell round `qm_sip.sip`."""
