"""The settings: four TOML files of one directory, read once, checked whole, never changed afterwards.

`load(directory)` gives a `Config` or raises a `ConfigError` that names file, line, key and what to do:

- `.server`      qm_sip.toml      addresses, peers, routes, keys, storage    (config/server.py)
- `.lines`       lines.toml       numbers to kinds, what customers hear      (config/lines.py)
- `.people`      people.toml      agents and those who may play recordings   (config/people.py)
- `.regulation`  regulation.toml  purposes, grounds, consent, clocks         (config/regulation.py)
- `.versions`    SHA-256 of the last three;  `.index`  the tables calls are looked up in (config/index.py)
"""

from qm_sip.config.advice import advise
from qm_sip.config.duration import Duration
from qm_sip.config.lines import Customer, Line, Lines
from qm_sip.config.network import Listen, PeerAddress, SocketAddress
from qm_sip.config.people import Agent, Monitor, People
from qm_sip.config.regulation import PurposeRule, RegulationFile
from qm_sip.config.server import Peer, Route, Server
from qm_sip.config.whole import FILES, Config, Versions, load, load_all_errors, load_server

__all__ = [
    "FILES",
    "Agent",
    "Config",
    "Customer",
    "Duration",
    "Line",
    "Lines",
    "Listen",
    "Monitor",
    "Peer",
    "PeerAddress",
    "People",
    "PurposeRule",
    "RegulationFile",
    "Route",
    "Server",
    "SocketAddress",
    "Versions",
    "advise",
    "load",
    "load_all_errors",
    "load_server",
]
