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
from tests.interop.ground import BEHIND, INSIDE, PEER, RECORDER, SIP, SIP_TLS
from tests.interop.peers.phone import Pjsua2
from tests.support.recorded import until

HERE = Path(__file__).parents[1]
TLS = """
[tls]
type=transport
protocol=tls
bind={peer}:5061
method=tlsv1_2
cert_file=@RUN@/etc/certificate.pem.conf
priv_key_file=@RUN@/etc/key.pem.conf
ca_list_file=@RUN@/etc/ca.pem.conf
verify_server=yes
verify_client=yes
require_client_cert=yes
"""


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

    def _keys(self) -> dict[str, str]:
        return {name.upper(): path for name, path in self.ground.files().items()}

    def fill(self, template: Path, to: Path) -> Path:
        """Write a configuration file with this ground's addresses in it."""
        text = template.read_text()
        tls = self.ground.transport == "tls"
        facts = {"PEER": PEER, "INSIDE": self.inside, "BEHIND": BEHIND, "RECORDER": RECORDER,
                 "SIP": str(SIP_TLS if tls else SIP), "PORT": "5061" if tls else "5060",
                 "TRANSPORT": self.ground.transport, **(self._keys() if tls else {})}  # fmt: skip
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
        line += ["-A", "WITH_TLS"] if self.ground.transport == "tls" else []
        self.ground.start(line, "kamailio")
        until(lambda: self._answers(), 10, "Kamailio")

    def _answers(self) -> bool:
        shown = subprocess.run(
            self.ground.network.inside(["ss", "-lun"]), capture_output=True, text=True, check=True
        )
        return f"{INSIDE}:5060" in shown.stdout


class AsteriskPeer(Behind):
    """The phone's Asterisk, with our administrator's snippet towards us, and more of RFC 3262 and 4028 than it has."""

    series: ClassVar[str]
    hundred_rel: ClassVar[str]
    inside = PEER
    quick = False
    joins_itself = True
    transcodes = True

    def launch(self) -> None:
        root = chroot.ensure(series=self.series)
        self.version = chroot.version(root)
        self.pbx: Asterisk = self.ground.enter(
            Asterisk(root, self.ground.work / "asterisk", network=self.ground.network, site=self._files())
        )
        self.pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)

    def refer(self, number: str) -> None:
        """By its dialplan: the application Transfer, in the channel that leads to us."""
        channels = self.pbx.rx("core show channels concise").split()
        (ours,) = (name for line in channels if (name := line.partition("!")[0]).startswith("PJSIP/qm-sip-"))
        self.pbx.rx(f"channel redirect {ours} transferred,{number},1")

    def _files(self) -> Path:
        files = Path(shutil.copytree(SNIPPETS / "site", self.ground.work / "pbx"))
        for template in (HERE / "asterisk").glob("*.conf"):
            self.fill(template, files / template.name)
        with (files / "modules.conf").open("a") as modules:
            modules.write("load=app_transfer.so\nload=res_clioriginate.so\n")
        more = f"moh_passthrough=yes\n100rel={self.hundred_rel}\ntimers=always\ntimers_sess_expires=90\n"
        snippet = (SNIPPETS / "pjsip_qm_sip.conf").read_text().replace("moh_passthrough=yes", more)
        if self.ground.transport != "udp":
            contact = self.ground.face.replace(";", "\\;")
            snippet = snippet.replace("contact=sip:127.0.0.2:5080", f"contact=sip:{contact}")
            snippet = snippet.replace("match=127.0.0.2:5080", "match=127.0.0.2")
        (files / "pjsip_qm_sip.conf").write_text(snippet)
        if self.ground.transport == "tls":
            self._take_certificates(files)
        return files

    def _take_certificates(self, files: Path) -> None:
        """The testbed brings in what is called `.conf`."""
        for name, path in self.ground.files().items():
            shutil.copy(path, files / f"{name}.pem.conf")
        with (files / "pjsip.conf").open("a") as pjsip:
            pjsip.write(TLS.format(peer=PEER))


class Asterisk22(AsteriskPeer):
    name = "Asterisk 22"
    what = "a PBX (chan_pjsip) with the shipped snippet, `100rel` and `timers` on; a phone behind it"
    series = "22"
    hundred_rel = "peer_supported"


class Asterisk16(AsteriskPeer):
    name = "Asterisk 16"
    what = "the same, older (`100rel=required`: it has no `peer_supported`)"
    series = "16"
    hundred_rel = "required"
