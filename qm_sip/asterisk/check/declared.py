"""Rules about what Asterisk's files declare: our endpoints, the manager, codes, hints, modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from qm_sip.asterisk.check.conf import Section
from qm_sip.asterisk.check.dialplan import matches
from qm_sip.asterisk.check.fault import Fault, Where
from qm_sip.asterisk.check.site import Site
from qm_sip.asterisk.lamps import devices
from qm_sip.config.clashes import clash, legs

if TYPE_CHECKING:
    from qm_sip.config import Config

READ: Final = ("call", "user", "system")
WRITE: Final = ("call", "reporting")
POWERS: Final = ("all", "system", "originate", "command", "call")


def our_endpoints(config: Config, site: Site) -> Iterator[Fault]:
    for name in sorted(site.ours & set(site.endpoints)):
        endpoint = site.endpoints[name]
        if endpoint.yes("direct_media", "yes"):
            problem = f"direct_media is not no ({name}): Asterisk's own re-INVITEs bring a private call's audio back"
            yield Fault(_at(endpoint, "direct_media"), problem, "direct_media=no")
        if not endpoint.yes("send_pai") and not endpoint.yes("send_rpid"):
            problem = f"neither send_pai nor send_rpid ({name}): we are never told of a transfer"
            yield Fault(_at(endpoint, "send_pai"), problem, "send_pai=yes")
        if not endpoint.yes("trust_id_outbound"):
            problem = (
                f"trust_id_outbound is not yes ({name}): of whoever withholds his number we are told nothing"
            )
            yield Fault(_at(endpoint, "trust_id_outbound"), problem, "trust_id_outbound=yes")
        if not endpoint.yes("trust_id_inbound"):
            problem = f"trust_id_inbound is not yes ({name}): phones are shown no caller"
            yield Fault(_at(endpoint, "trust_id_inbound"), problem, "trust_id_inbound=yes", "advice")
        if not endpoint.yes("moh_passthrough") and name == "qm-sip" and not config.server.asterisk.address:
            problem = (
                f"moh_passthrough is not yes ({name}): a hold is not told, and what is said in it is recorded"
            )
            yield Fault(_at(endpoint, "moh_passthrough"), problem, "moh_passthrough=yes")
        if name not in site.identified and "ip" in endpoint.value("identify_by", "username,ip"):
            problem = f"nothing identifies {name} by address: whoever sends its name is taken for us"
            yield Fault(endpoint.where, problem, "an identify section with match=our address", "advice")


def _at(section: Section, key: str) -> Where:
    setting = section.get(key)
    return section.where if setting is None else setting.where


def the_manager(config: Config, site: Site) -> Iterator[Fault]:
    if site.manager is None:
        return
    general = _section(site.manager, "general")
    for section in site.manager:
        if (setting := section.get("channelvars")) and "CHANNEL(" in setting.value:
            problem = "channelvars with CHANNEL(...): it hangs calls"
            yield Fault(setting.where, problem, "channelvars=QM_LEG,QM_PARENT")
        powers = {word.strip() for word in section.value("write").split(",")} & set(POWERS)
        if powers and section.name not in ("general", config.server.asterisk.user):
            problem = f"[{section.name}] may {', '.join(sorted(powers))}: whoever has its secret can record any call"
            yield Fault(_at(section, "write"), problem, "give it less, or know who it is", "advice")
    if config.server.asterisk.address is not None:
        yield from _our_user(config, site, general)


def _our_user(config: Config, site: Site, general: Section | None) -> Iterator[Fault]:
    user = _section(site.manager or (), config.server.asterisk.user)
    nowhere = Where(str(site.home / "manager.conf") if site.home else "manager.conf")
    if general is None or not general.yes("enabled"):
        yield Fault(general.where if general else nowhere, "the manager is not enabled", "enabled=yes")
        return
    if not general.yes("timestampevents"):
        problem = "without timestampevents no event is in time: a change of agent is then of nobody we know"
        yield Fault(_at(general, "timestampevents"), problem, "timestampevents=yes")
    names = [name.strip() for setting in general.all("channelvars") for name in setting.value.split(",")]
    if "QM_LEG" not in names:
        problem = "channelvars lacks QM_LEG: no event is known to be of a call of ours"
        yield Fault(_at(general, "channelvars"), problem, "channelvars=QM_LEG,QM_PARENT")
    if user is None:
        problem = f"there is no [{config.server.asterisk.user}], which asterisk.user names"
        yield Fault(nowhere, problem, "qm-sip asterisk snippets writes one")
        return
    for key, wanted in (("read", READ), ("write", WRITE)):
        has = [word.strip() for word in user.value(key).split(",")]
        lacks = [word for word in wanted if word not in has and "all" not in has]
        if lacks:
            yield Fault(_at(user, key), f"{key} lacks {', '.join(lacks)}", f"{key}={','.join(wanted)}")
    if user.get("permit") is None and user.get("acl") is None:
        problem = "our user may come from any address"
        yield Fault(user.where, problem, "deny=0.0.0.0/0.0.0.0 and permit=qm_sip's address", "advice")


def _section(sections: tuple[Section, ...], name: str) -> Section | None:
    return next((section for section in sections if section.name == name), None)


def our_legs_are_known(config: Config, site: Site) -> Iterator[Fault]:
    """With the manager: each context where our calls arrive puts QM_LEG and QM_PARENT."""
    if config.server.asterisk.address is None:
        return
    for context in sorted(site.back):
        steps = [step for step in site.steps if step.context == context]
        for exten in sorted({step.exten for step in steps if step.app.lower() == "dial"}):
            mine = [step for step in steps if step.exten == exten]
            said = " ".join(step.data for step in mine if step.app.lower() in ("set", "mset"))
            if "QM_LEG=" not in said:
                problem = f"sets no QM_LEG ({context}, {exten}): who is in this call's bridge is not known"
                yield Fault(mine[0].where, problem, "Set(QM_LEG=${CHANNEL(pjsip,call-id)})")


def the_record_key(config: Config, site: Site) -> Iterator[Fault]:
    if site.features is None or config.server.asterisk.address is None:
        return
    entries = [s for section in site.features if section.name == "applicationmap" for s in section.settings]
    if not any("QMPrivate" in setting.value for setting in entries):
        where = Where(str(site.home / "features.conf") if site.home else "features.conf")
        problem = "no code of applicationmap raises QMPrivate: the record key of a phone does nothing"
        yield Fault(where, problem, 'qmpriv => #77,self,UserEvent,"QMPrivate,Leg: ${QM_PARENT}"', "advice")
    for setting in entries:
        if any(f",{app}" in setting.value for app in ("MixMonitor", "Monitor", "Record", "ChanSpy")):
            yield Fault(setting.where, f"the code {setting.key} makes Asterisk itself record", "take it out")


def no_key_of_ours_is_held_back(config: Config, site: Site) -> Iterator[Fault]:
    """A code that begins with the same key as ours, and goes on differently: both work, after a while."""
    pressed = {one.code for leg in legs(config.lines) for one in leg}
    for section in site.features or ():
        for setting in section.settings if section.name in ("featuremap", "applicationmap") else ():
            code = setting.value.partition(",")[0].strip()
            held = sorted(
                o for o in pressed if code and len(o) > 1 and o[0] == code[0] and not clash(o, code)
            )
            if held and setting is section.get(setting.key):
                problem = (
                    f"{setting.key} is {code}: Asterisk waits for what follows {code[0]}, so {held[0]} comes late, and"
                    " nobody hears the other for up to a second"
                )
                yield Fault(setting.where, problem, "let it begin with another key", "advice")


def keys_that_record(config: Config, site: Site) -> Iterator[Fault]:
    for section in site.features or ():
        for key in ("automon", "automixmon"):
            if section.name == "featuremap" and (setting := section.get(key)) and setting.value:
                problem = f"{key} is {setting.value}: with option x or w a key makes Asterisk itself record"
                yield Fault(setting.where, problem, f"{key} =>", "advice")


def lamps_have_hints(config: Config, site: Site) -> Iterator[Fault]:
    hints = [step for step in site.steps if step.app == "hint"]
    lacking = [
        name for _, name in devices(config) if not any(_shows(step.exten, step.data, name) for step in hints)
    ]
    if lacking and site.steps:
        kind, _, _ = lacking[0].removeprefix("Custom:").partition("-")
        where = Where(str(site.home / "extensions.conf") if site.home else "dialplan show")
        problem = f"{len(lacking)} lamp(s) have no hint, {kind}-... among them: no phone can show them"
        yield Fault(where, problem, "qm-sip asterisk snippets writes them", "advice")


def _shows(exten: str, data: str, device: str) -> bool:
    if data == device:
        return True
    name = device.removeprefix("Custom:")
    return exten.startswith("_") and data.startswith("Custom:") and "${EXTEN" in data and matches(exten, name)


def recorders_are_loaded(config: Config, site: Site) -> Iterator[Fault]:
    if site.modules is None:
        return
    section = _section(site.modules, "modules")
    if section is None or not section.yes("autoload", "yes"):
        return
    away = {setting.value for setting in section.all("noload")}
    loaded = [
        name
        for name in ("app_mixmonitor.so", "app_chanspy.so", "res_stasis_snoop.so")
        if not {name, name.removesuffix(".so")} & away
    ]
    if loaded:
        problem = f"{', '.join(loaded)} can be used by anybody with Asterisk's console or manager"
        remedy = "noload => each, if nothing of yours needs it: the strongest measure there is"
        yield Fault(section.where, problem, remedy, "advice")


RULES: Final[tuple[Callable[[Config, Site], Iterator[Fault]], ...]] = (
    our_endpoints,
    the_manager,
    our_legs_are_known,
    the_record_key,
    no_key_of_ours_is_held_back,
    keys_that_record,
    lamps_have_hints,
    recorders_are_loaded,
)
