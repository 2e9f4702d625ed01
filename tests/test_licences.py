"""What `qm-sip serve` runs never imports the GPL phones, nor age's library, which holds the GIL."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import qm_sip

PACKAGE = Path(qm_sip.__file__).parent
PHONES = {"pjsua2", "pyVoIP"}
OUTSIDE = {"demo"}  # folders that `serve` does not import


def test_the_serving_process_loads_no_phone_and_no_age() -> None:
    program = "import qm_sip.app, sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & (PHONES | {"pyrage", "matplotlib"})
    assert "qm_sip.demo" not in done.stdout.split()


def test_only_the_demo_names_a_phone() -> None:
    naming = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if {name.partition(".")[0] for name in names} & PHONES:
                naming.add(path.relative_to(PACKAGE).parts[0])
    assert naming <= OUTSIDE
