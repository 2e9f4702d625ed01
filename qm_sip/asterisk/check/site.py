"""One Asterisk as far as it is known: from its files, or live. And which of its endpoints are us."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qm_sip.asterisk.check.conf import Section, read
from qm_sip.asterisk.check.dialplan import Step, read_steps
from qm_sip.asterisk.check.fault import Where
from qm_sip.errors import ConfigError

if TYPE_CHECKING:
    from qm_sip.config import Config

_HOST: Final = re.compile(r"sips?:(?:[^@]*@)?(\[[^\]]+\]|[^:;>]+)(?::(\d+))?")
USUAL: Final = frozenset({"qm-sip", "qm-trunk"})


@dataclass(frozen=True)
class Member:
    """One who answers a queue: how he is called, and whose device says whether he is free."""

    queue: str
    interface: str
    state_interface: str
    where: Where


@dataclass(frozen=True)
class Site:
    """What is None is not known."""

    ours: frozenset[str]  # endpoints that are qm_sip
    back: frozenset[str]  # contexts where its calls arrive
    steps: tuple[Step, ...] = ()
    members: tuple[Member, ...] = ()
    queues: tuple[Section, ...] = ()
    endpoints: Mapping[str, Section] = field(default_factory=dict)
    identified: frozenset[str] = frozenset()
    manager: tuple[Section, ...] | None = None
    features: tuple[Section, ...] | None = None
    modules: tuple[Section, ...] | None = None
    home: Path | None = None

    def by_us(self, interface: str) -> bool:
        """Whether whoever is called so is called through us."""
        return interface.rpartition("@")[2] in self.ours


def read_site(config: Config, directory: Path) -> Site:
    """What the files of a directory say. Raises ConfigError."""
    if not directory.is_dir():
        raise ConfigError(
            "is not a directory", file=directory, remedy="Asterisk's is /etc/asterisk, as a rule"
        )
    pjsip = [section for section in read(directory, "pjsip.conf") if not section.template]
    kinds = {kind: _of_type(pjsip, kind) for kind in ("endpoint", "aor", "identify")}
    ours = _ours(config, kinds["endpoint"], kinds["aor"])
    queues = tuple(read(directory, "queues.conf"))
    return Site(
        ours=ours,
        back=frozenset(kinds["endpoint"][name].value("context") for name in ours & set(kinds["endpoint"])),
        steps=tuple(read_steps(read(directory, "extensions.conf"))),
        members=tuple(member for queue in queues if not queue.template for member in _members(queue)),
        queues=queues,
        endpoints=kinds["endpoint"],
        identified=frozenset(section.value("endpoint") for section in kinds["identify"].values()),
        manager=tuple(read(directory, "manager.conf")),
        features=tuple(read(directory, "features.conf")),
        modules=tuple(read(directory, "modules.conf")),
        home=directory,
    )


def _of_type(sections: list[Section], kind: str) -> dict[str, Section]:
    return {section.name: section for section in sections if section.value("type") == kind}


def _ours(config: Config, endpoints: Mapping[str, Section], aors: Mapping[str, Section]) -> frozenset[str]:
    """Those whose contact is an address we listen on; if there is none, those of the usual names."""
    here = {(at.host, at.port) for at in config.server.sip.listen}
    here |= {(config.server.sip.external_address or "", at.port) for at in config.server.sip.listen}
    found = set()
    for name, endpoint in endpoints.items():
        contacts = [
            setting.value
            for aor in endpoint.value("aors").split(",")
            if aor.strip() in aors
            for setting in aors[aor.strip()].all("contact")
        ]
        if any(_place(contact) in here for contact in contacts):
            found.add(name)
    return frozenset(found) | (USUAL & set(endpoints)) or USUAL


def _place(contact: str) -> tuple[str, int]:
    found = _HOST.match(contact)
    return (found[1].strip("[]"), int(found[2] or 5060)) if found else ("", 0)


def _members(queue: Section) -> list[Member]:
    found = []
    for setting in queue.all("member"):
        fields = [part.strip() for part in setting.value.split(",")]
        state = fields[3] if len(fields) > 3 else ""
        found.append(Member(queue.name, fields[0], state, setting.where))
    return found
