"""Peers that stand between a phone and us: Asterisk, Kamailio, sippy's b2bua. The phone behind them is pjsua2.

What the phone does reaches us in the dialect of what stands between, which is the peer that is tried.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from qm_sip.demo import chroot
from qm_sip.demo.asterisk import SNIPPETS, Asterisk
from tests.interop.ground import BEHIND, INSIDE, PEER, RECORDER, SIP
from tests.interop.peers.phone import Pjsua2
from tests.support.recorded import until

HERE = Path(__file__).parents[1]


class Behind(Pjsua2):
    """A phone whose calls go by something else; `face` is that."""

    name: ClassVar[str]
    what: ClassVar[str]
    address = BEHIND
    inside = INSIDE  # where the phone finds it

    def start(self) -> None:
        self.launch()
        self.begin(transport="udp")

    def launch(self) -> None:
        raise NotImplementedError

    @property
    def face(self) -> str:
        return f"{self.inside}:5060"

    def fill(self, template: Path, to: Path) -> Path:
        """Write a configuration file with this ground's addresses in it."""
        text = template.read_text()
        facts = {"PEER": PEER, "INSIDE": self.inside, "BEHIND": BEHIND, "RECORDER": RECORDER, "SIP": str(SIP),
                 "TRANSPORT": self.ground.transport}  # fmt: skip
        for name, value in facts.items():
            text = text.replace(f"@{name}@", value)
        to.write_text(text)
        return to


class Kamailio(Behind):
    name = "Kamailio"
    what = "a proxy in front of us, on two Vias and two Record-Routes, a phone behind it"

    def launch(self) -> None:
        said = subprocess.run(["kamailio", "-v"], capture_output=True, text=True, check=True).stdout
        self.version = said.split()[2]
        config = self.fill(HERE / "kamailio.cfg", self.ground.work / "kamailio.cfg")
        line = [
            "kamailio",
            "-f",
            str(config),
            "-DD",
            "-E",
            "-m",
            "32",
            "-M",
            "4",
            "-Y",
            str(self.ground.work),
        ]
        self.ground.start(line, "kamailio")
        until(lambda: self._answers(), 10, "Kamailio")

    def _answers(self) -> bool:
        shown = subprocess.run(
            self.ground.network.inside(["ss", "-lun"]), capture_output=True, text=True, check=True
        )
        return f"{INSIDE}:5060" in shown.stdout


class AsteriskPeer(Behind):
    """The phone's Asterisk, with our administrator's snippet towards us."""

    series: ClassVar[str]
    inside = PEER
    quick = False
    lacks: ClassVar[dict[str, str]] = {
        "peer changes codec": "It answers its phone's offer itself and transcodes: no re-INVITE reaches us.",
        "blind transfer": "It carries out its phone's REFER itself: none reaches us.",
    }

    def launch(self) -> None:
        root = chroot.ensure(series=self.series)
        self.version = chroot.version(root)
        self.pbx: Asterisk = self.ground.enter(
            Asterisk(root, self.ground.work / "asterisk", network=self.ground.network, site=self._files())
        )
        self.pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)

    def _files(self) -> Path:
        files = Path(shutil.copytree(SNIPPETS / "site", self.ground.work / "pbx"))
        for template in (HERE / "asterisk").glob("*.conf"):
            self.fill(template, files / template.name)
        snippet = (SNIPPETS / "pjsip_qm_sip.conf").read_text()
        if self.ground.transport == "tcp":
            snippet = snippet.replace(
                "contact=sip:127.0.0.2:5080", "contact=sip:127.0.0.2:5080\\;transport=tcp"
            )
            snippet = snippet.replace("match=127.0.0.2:5080", "match=127.0.0.2")
        (files / "pjsip_qm_sip.conf").write_text(snippet)
        return files


class Asterisk22(AsteriskPeer):
    name = "Asterisk 22"
    what = "a PBX (chan_pjsip) with the shipped snippet, a phone behind it"
    series = "22"


class Asterisk16(AsteriskPeer):
    name = "Asterisk 16"
    what = "the same, older"
    series = "16"
