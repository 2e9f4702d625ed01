"""The demo's configuration in a directory of its own, with prompts of silence and keys for coaching."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyrage

from qm_sip import config as settings
from qm_sip.config import Config
from tests.announce.helpers import put, put_rest

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
NOTICES = {  # what the demo's lines play, and the uses it names
    "K1-all-short-key": ["record"],
    "K2-all-short": ["record", "listen"],
    "K2-all-long": ["record", "listen"],
    "K11-all-key": ["record"],
}
NOBODY_LISTENS = ("listen = true", "listen = false")  # site(..., lines=NOBODY_LISTENS)
RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())


def site(tmp_path: Path, *, prompts: bool = True, **replaced: tuple[str, str]) -> Path:
    """Copy the demo; in `lines`, `people` ... put one text in the place of another. Returns its directory."""
    home = tmp_path / "site"
    shutil.copytree(EXAMPLES / "demo", home, ignore=shutil.ignore_patterns("*.wav"))
    rewrite(home / "qm_sip.toml", 'directory = "../../prompts"', 'directory = "prompts"')
    rewrite(home / "qm_sip.toml", "recipients = []", f'recipients = ["{RECIPIENT}"]')
    for name, (old, new) in replaced.items():
        assert old in (home / f"{name}.toml").read_text()
        rewrite(home / f"{name}.toml", old, new)
    if prompts:
        put_rest(home / "prompts")
        for prompt, uses in NOTICES.items():
            for language in ("nl", "en"):
                put(home / "prompts", prompt, language, seconds=5.0, uses=uses)
    return home


def rewrite(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def load(home: Path) -> Config:
    return settings.load(home, environ(home))


def environ(home: Path) -> dict[str, str]:
    """Everything a server writes lies below the site."""
    return {
        "PATH": os.environ["PATH"],
        "QM_SIP_STORAGE_DIRECTORY": str(home / "storage"),
        "QM_SIP_STORAGE_KEY_DIRECTORY": str(home / "keys"),
        "QM_SIP_STORAGE_HOST_KEY": str(home / "host.key"),
        "QM_SIP_CONTROL_SOCKET": str(home / "run" / "control"),
    }
