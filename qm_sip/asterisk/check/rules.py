"""What is wrong with an Asterisk: one small function a fault, all run (docs/commands.md, `check`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from qm_sip.asterisk.check import declared
from qm_sip.asterisk.check.dialplan import Step, arguments, matches, options
from qm_sip.asterisk.check.fault import Fault
from qm_sip.asterisk.check.site import Site

if TYPE_CHECKING:
    from qm_sip.config import Config

RECORDERS: Final = (
    "MixMonitor",
    "Monitor",
    "ChanSpy",
    "ExtenSpy",
    "Record",
    "AudioSocket",
    "Stasis",
    "JACK",
    "ExternalIVR",
)
MAY_RECORD: Final = ("ConfBridge", "AGI", "EAGI", "FastAGI", "DeadAGI", "VoiceMail")
_NAMED: Final = re.compile(r"\b(" + "|".join((*RECORDERS, *MAY_RECORD)) + r")\(")
ON_KEY: Final = "xXwW"
DEAF: Final = {  # options with which the customer does not hear us though we have answered
    "A": "plays a file after the answer, instead of our announcement",
    "D": "sends keys after the answer, while our announcement plays",
    "G": "leads both sides elsewhere after the answer",
}
FAILOVER: Final = ("direct-", "_direct-", "-direct")


def faults(config: Config, site: Site) -> list[Fault]:
    """Run every rule over what is known of an Asterisk."""
    return [fault for rule in (*RULES, *declared.RULES) for fault in rule(config, site)]


# --------------------------------------------------------------------------- what keeps, or gives away


def nothing_else_records(config: Config, site: Site) -> Iterator[Fault]:
    for step in site.steps:
        for app in _apps_of(step):
            if app in RECORDERS:
                problem = (
                    f"{app} keeps or gives away what it hears, told or not, private or not ({step.named})"
                )
                yield Fault(step.where, problem, "take it out")
            elif app in MAY_RECORD:
                problem = f"{app} may keep what it hears: see what it does ({step.named})"
                yield Fault(
                    step.where, problem, "make sure that no call of a line of ours comes here", "advice"
                )


def _apps_of(step: Step) -> list[str]:
    """Its own, and those that ExecIf and the like run."""
    inside = _NAMED.findall(step.data) if step.app.lower() in ("execif", "exec", "tryexec", "set") else []
    known = {app.lower(): app for app in (*RECORDERS, *MAY_RECORD)}
    own = known.get(step.app.lower())
    return [*([own] if own else []), *inside]


def no_recording_by_a_key(config: Config, site: Site) -> Iterator[Fault]:
    for step, given in _calls(site):
        keys = sorted(set(ON_KEY) & set(given))
        if keys:
            problem = f"option {''.join(keys)}: a key makes Asterisk itself record ({step.named})"
            yield Fault(step.where, problem, "take the option out")


def queues_record_nothing(config: Config, site: Site) -> Iterator[Fault]:
    for queue in site.queues:
        if queue.name != "general" and (setting := queue.get("monitor-format")) and setting.value:
            problem = f"monitor-format: Asterisk itself records the calls of the queue {queue.name}"
            yield Fault(setting.where, problem, "take it out")


# --------------------------------------------------------------------------- on the way to us


def transfers_stay_behind_us(config: Config, site: Site) -> Iterator[Fault]:
    for step, given in _calls(site, front=True):
        if keys := sorted({"t", "T"} & set(given)):
            problem = (
                f"option {''.join(keys)} on the way to us: at a transfer by code our customer's leg is moved into"
                f" the consultation ({step.named})"
            )
            yield Fault(step.where, problem, f"put it on the Dial in [{_back(site)}]")


def the_customer_hears_us(config: Config, site: Site) -> Iterator[Fault]:
    for step, given in _calls(site, front=True):
        for key in sorted(set(DEAF) & set(given)):
            problem = f"option {key} {DEAF[key]} ({step.named})"
            yield Fault(step.where, problem, "take it out")
        if "U" in given and "announce@" not in step.data and step.app.lower() == "dial":
            problem = (
                f"option U: while its routine runs the customer does not hear our announcement ({step.named})"
            )
            yield Fault(step.where, problem, "take it out")
        for key in sorted({"r", "m"} & set(given)):
            problem = f"option {key}: early media of ours is not heard ({step.named})"
            yield Fault(step.where, problem, "take it out", "advice")
        if "I" in given:
            problem = f"option I: who answers is not told at once ({step.named})"
            yield Fault(step.where, problem, "take it out", "advice")


def queues_let_us_be_heard(config: Config, site: Site) -> Iterator[Fault]:
    through = {member.queue for member in site.members if site.by_us(member.interface)}
    for queue in site.queues:
        if queue.name not in through:
            continue
        for key in ("announce", "memberdelay"):
            if (setting := queue.get(key)) and setting.value not in ("", "0"):
                problem = f"{key}: our announcement plays to nobody in the queue {queue.name}"
                yield Fault(setting.where, problem, 'take it out, or announce = "receipt"')
        if (setting := queue.get("reportholdtime")) and queue.yes("reportholdtime"):
            problem = f"reportholdtime: the customer hears half of our announcement in the queue {queue.name}"
            yield Fault(setting.where, problem, 'take it out, or announce = "receipt"')


def members_can_be_called(config: Config, site: Site) -> Iterator[Fault]:
    for member in site.members:
        if site.by_us(member.interface) and not member.state_interface:
            problem = f"the member {member.interface} has no state_interface: it is invalid, and never called"
            yield Fault(
                member.where, problem, "add ,0,Name,PJSIP/<extension>: the phone's own device, as the fourth"
            )


# --------------------------------------------------------------------------- around us


def nobody_is_called_around_us(config: Config, site: Site) -> Iterator[Fault]:
    """An agent who may be recorded, called so that neither notice nor private line exist. By the way for when we are
    gone, which is named so, it is meant.
    """
    agents = _recorded(config)
    for step in site.steps:
        if step.app.lower() != "dial" or step.context in site.back or _is_failover(step.exten):
            continue
        for target in arguments(step.data)[0].split("&"):
            hit = _direct(target, step.exten, agents)
            if hit and not site.by_us(target):
                yield Fault(step.where, f"an agent is called past us ({step.named})", _AROUND, "advice")
                break
    for member in site.members:
        name = member.interface.rpartition("/")[2]
        if name in agents and not member.queue.endswith("-direct"):
            problem = f"the queue {member.queue} calls an agent past us"
            yield Fault(member.where, problem, _AROUND, "advice")


_AROUND: Final = (
    "PJSIP/<extension>@qm-sip; if it is for when qm_sip is gone, name it direct-... (a queue: ...-direct)"
)


def _direct(target: str, exten: str, agents: frozenset[str]) -> bool:
    technology, _, name = target.strip().partition("/")
    if technology.upper() not in ("PJSIP", "SIP", "LOCAL") or "@" in name:
        return False
    if name == "${EXTEN}":
        return any(matches(exten, agent) for agent in agents)
    return name.split("/")[0] in agents


def confidential_stay_away(config: Config, site: Site) -> Iterator[Fault]:
    numbers = frozenset(
        device for agent in config.people.agent.values() if agent.confidential for device in agent.extensions
    ) | frozenset(number for entry in config.lines.never.confidential for number in entry.numbers)
    for step in site.steps:
        for target in arguments(step.data)[0].split("&") if step.app.lower() == "dial" else ():
            name = target.strip().rpartition("/")[2].partition("@")[0]
            if site.by_us(target) and name in numbers:
                problem = f"a confidential extension is called through us ({step.named})"
                yield Fault(
                    step.where, problem, "call PJSIP/<extension> itself: best it never comes here", "advice"
                )


def our_calls_do_not_come_back_to_us(config: Config, site: Site) -> Iterator[Fault]:
    for step, _ in _calls(site, front=True):
        if step.context in site.back:
            problem = f"what we call leads to us again ({step.named})"
            yield Fault(step.where, problem, f"[{step.context}] holds the real extensions and nothing else")


# --------------------------------------------------------------------------- small things


def _calls(site: Site, *, front: bool = False) -> Iterator[tuple[Step, dict[str, str]]]:
    """Each Dial and Queue with its options; `front`: those that lead to us."""
    through = {member.queue for member in site.members if site.by_us(member.interface)}
    for step in site.steps:
        given = arguments(step.data)
        if step.app.lower() == "dial":
            leads = any(site.by_us(target.strip()) for target in given[0].split("&"))
            text = given[2] if len(given) > 2 else ""
        elif step.app.lower() == "queue":
            text = given[1] if len(given) > 1 else ""
            leads = given[0] in through or "qm-hdr" in text
        else:
            continue
        if leads or not front:
            yield step, options(text)


def _recorded(config: Config) -> frozenset[str]:
    """Extensions whose calls may be recorded or heard."""
    agents = config.people.agent.values()
    return frozenset(
        device
        for agent in agents
        if agent.monitorable and not agent.confidential
        for device in agent.extensions
    )


def _is_failover(exten: str) -> bool:
    return exten.startswith(FAILOVER[:2]) or exten.endswith(FAILOVER[2])


def _back(site: Site) -> str:
    return next(iter(sorted(site.back)), "from-qmsip")


RULES: Final[tuple[Callable[[Config, Site], Iterator[Fault]], ...]] = (
    nothing_else_records,
    no_recording_by_a_key,
    queues_record_nothing,
    transfers_stay_behind_us,
    the_customer_hears_us,
    queues_let_us_be_heard,
    members_can_be_called,
    nobody_is_called_around_us,
    confidential_stay_away,
    our_calls_do_not_come_back_to_us,
)
