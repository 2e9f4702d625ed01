"""What an administrator should hear about settings that are right but do less, or more, than somebody may think."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from qm_sip.config.checks import LINES, PEOPLE, REGULATION, SERVER, customers
from qm_sip.errors import ConfigError
from qm_sip.policy.purposes import QUALITY

if TYPE_CHECKING:
    from qm_sip.config.whole import Config


def advise(config: Config, today: date) -> list[ConfigError]:
    """Return advice, shaped as an error that stops nothing."""
    return [
        ConfigError(problem, file=config.directory / file, key=key, remedy=remedy)
        for one in (_review, _consent, _agents, _listeners, _plans, _numbering, _collector, _encrypted)
        for file, key, problem, remedy in one(config, today)
    ]


Advice = Iterator[tuple[str, str, str, str]]


def _review(config: Config, today: date) -> Advice:
    regulation = config.regulation.regulation
    begun = regulation.consent.from_
    if regulation.status == "in-force" and begun and regulation.review_by.after(begun) < today:
        problem = f"in force since {begun} and due for review every {regulation.review_by} (KSF15-3.12)"
        yield REGULATION, "regulation.review_by", problem, "review it and give it a new version"


def _consent(config: Config, today: date) -> Advice:
    """Lines whose quality recording is switched on, and will be refused at every call."""
    lacks = config.regulation.regulation.lacks(today)
    consented = config.regulation.regulation.consent.scope
    council = config.regulation.regulation.works_council == "required"
    for name, line in customers(config):
        if line.capture == "none" or not set(line.purposes) & QUALITY:
            continue
        if lacks:
            yield LINES, f"line.{name}.capture", f"records nothing: of the regulation, {lacks}", ""
        elif council and line.scope not in consented:
            problem = f"records nothing: the council has not consented to the scope {line.scope!r}"
            yield LINES, f"line.{name}.scope", problem, "regulation.consent.scope"


def _agents(config: Config, today: date) -> Advice:
    wanted = config.regulation.regulation.notice_to_agents
    for name, agent in config.people.agent.items():
        if not agent.monitorable:
            continue
        given = agent.notice.given
        if agent.notice.version != wanted.version or given is None:
            problem = "is not recorded for quality: the notice in use was not given"
            yield PEOPLE, f"agent.{name}.notice", problem, _give(wanted.version)
        elif (today - given).days < wanted.days_before:
            problem = (
                f"is not recorded for quality before {wanted.days_before} days have passed since {given}"
            )
            yield PEOPLE, f"agent.{name}.notice", problem, ""


def _give(version: str) -> str:
    if not version:
        return "regulation.toml: notice_to_agents names no version yet"
    return f'give it, then write version = "{version}" and the date given'


def _listeners(config: Config, today: date) -> Advice:
    """Those who may listen, and cannot."""
    for name, monitor in config.people.monitor.items():
        if "listen" not in monitor.may:
            continue
        if not monitor.code_hash:
            yield PEOPLE, f"monitor.{name}.code_hash", "is empty: he cannot listen", "qm-sip monitors code"
        if not monitor.agents:
            yield (
                PEOPLE,
                f"monitor.{name}.agents",
                "is empty: he may listen to nobody",
                'ids of agents, or ["*"]',
            )


def _plans(config: Config, today: date) -> Advice:
    """Lines that may be listened to, and no plan says so."""
    planned = {
        purpose for plan in config.regulation.plan.values() if plan.published for purpose in plan.purposes
    }
    for name, line in customers(config):
        if line.listen and not planned & set(line.purposes):
            problem = "nobody can listen: no plan for a purpose of the line was published"
            yield LINES, f"line.{name}.listen", problem, "[plan.NAME] in regulation.toml"


def _numbering(config: Config, today: date) -> Advice:
    never = config.lines.never
    if (never.confidential or never.private_reach) and not config.lines.numbering.country:
        problem = "is empty: a confidential number is found only as it is written here"
        yield LINES, "numbering.country", problem, 'for the Netherlands: country = "31"'


def _collector(config: Config, today: date) -> Advice:
    hep = config.server.hep
    if hep.collector is not None and hep.unredacted:
        problem = f"a collector outside this program sees who phones whom, because: {hep.reason}"
        yield SERVER, "hep.unredacted", problem, "unredacted = false, unless the works council knows of it"


def _encrypted(config: Config, today: date) -> Advice:
    """What goes direct is turned into nothing else: plain audio stays plain, encrypted stays encrypted."""
    peers = config.server.peers
    for route in config.server.routes:
        here, there = peers.get(route.from_), peers.get(route.to)
        if here and there and (here.srtp == "off") != (there.srtp == "off"):
            plain = route.from_ if here.srtp == "off" else route.to
            problem = f"private calls go direct, and {route.from_} and {route.to} do not both speak SRTP"
            yield SERVER, f"peers.{plain}.srtp", problem, "the same on both, else they fail with 488"
