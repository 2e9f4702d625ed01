"""The settings: four TOML files of one directory, read once, checked whole, never changed afterwards.

`load(directory)` gives a `Config` or raises a `ConfigError` that names file, line, key and what to do:

- `.server`      qm_sip.toml      addresses, peers, routes, keys, storage    (config/server.py)
- `.lines`       lines.toml       numbers to kinds, what customers hear      (config/lines.py)
- `.people`      people.toml      agents, and those who may listen or play   (config/people.py)
- `.regulation`  regulation.toml  purposes, grounds, consent, plans, clocks  (config/regulation.py)
- `.versions`    SHA-256 of the last three;  `.index`  the tables calls are looked up in (config/index.py)
"""

from qm_sip.config.advice import advise
from qm_sip.config.duration import Duration
from qm_sip.config.features import Feature, FeatureKind
from qm_sip.config.lines import Customer, Line, Lines, Trigger
from qm_sip.config.network import Listen, NextHop, PeerAddress, SocketAddress
from qm_sip.config.people import Agent, Capacity, Monitor, People
from qm_sip.config.regulation import Plan, PurposeRule, RegulationFile
from qm_sip.config.server import Peer, Route, Server
from qm_sip.config.whole import FILES, Config, Versions, load, load_all_errors, load_server

__all__ = [
    "FILES",
    "Agent",
    "Capacity",
    "Config",
    "Customer",
    "Duration",
    "Feature",
    "FeatureKind",
    "Line",
    "Lines",
    "Listen",
    "Monitor",
    "NextHop",
    "Peer",
    "PeerAddress",
    "People",
    "Plan",
    "PurposeRule",
    "RegulationFile",
    "Route",
    "Server",
    "SocketAddress",
    "Trigger",
    "Versions",
    "advise",
    "load",
    "load_all_errors",
    "load_server",
]
