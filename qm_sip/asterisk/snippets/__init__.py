"""What an administrator adds to Asterisk, written for one configuration: `qm-sip asterisk snippets`.

| file | says | where it goes |
|---|---|---|
| `pjsip_qm_sip.conf` | the endpoint qm-sip, where qm_sip listens | `#include` in pjsip.conf |
| `pjsip_qm_trunk.conf` | the same on the trunk side, if a route of ours leads there | `#include` in pjsip.conf |
| `extensions_qm_sip.conf` | headers, codes, the way around us: the same everywhere | `#include` in extensions.conf |
| `extensions_qm_lines.conf` | our lines, the agents' extensions, what is kept away, lamps | the same, after it |
| `queues_qm_sip.conf` | the agents as members, through us and past us | `#include` in queues.conf |
| `features_qm_sip.conf` | Asterisk's own codes away, the record key | last line of features.conf |
| `manager_qm_sip.conf` | our user, if `[asterisk]` asks the manager | `#include` in manager.conf |

Nothing in them is secret, and no name of a person: agents are called by their ids. `check --asterisk` has nothing to
say of a site that is made of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from qm_sip.asterisk.snippets import dialplan, endpoints, manager, queues
from qm_sip.asterisk.snippets.place import place_of

if TYPE_CHECKING:
    from qm_sip.config import Config

FIXED: Final = Path(__file__).with_name("extensions.conf")


def written(config: Config, peer: str | None = None, *, trunk: str = "trunk") -> dict[str, str]:
    """Each file's name and text. `peer`: which one Asterisk is; `trunk`: its endpoint for calls outside. Raises
    ConfigError where the settings do not say enough.
    """
    place = place_of(config, peer)
    files = {"features_qm_sip.conf": manager.features(config)}
    if place.loops:
        files["pjsip_qm_sip.conf"] = endpoints.loop(place)
        files["extensions_qm_sip.conf"] = FIXED.read_text(encoding="utf-8")
        files["extensions_qm_lines.conf"] = dialplan.lines(config, place, trunk)
        files["queues_qm_sip.conf"] = queues.members(config)
    if place.trunk_side:
        files["pjsip_qm_trunk.conf"] = endpoints.trunk_side(place)
    if config.server.asterisk.address is not None:
        files["manager_qm_sip.conf"] = manager.user(config)
    return dict(sorted(files.items()))
