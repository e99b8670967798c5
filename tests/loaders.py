"""Load datasets with common tools: run ``tests/loading.py`` in separate environments."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from servers.fixtures import had
from servers.tools import venv

_SCRIPT = Path(__file__).parent / "loading.py"


def load(environment: str, wanted: list[list[str]], spare: Path) -> Any:  # noqa: ANN401 (any JSON value)
    """Load each pair of loader and path in an environment with these tools, without network."""
    ran = loading(had(lambda: venv(environment)), wanted, spare)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def loading(environment: Path, wanted: list[list[str]], spare: Path) -> "subprocess.CompletedProcess[str]":
    """Run ``loading.py`` in an environment, with its caches in the folder ``spare``."""
    settings = {
        "HF_HOME": str(spare),
        "HF_HUB_OFFLINE": "1",
        "PYTHONWARNINGS": "ignore",
        "HOME": str(spare),
        "RAY_TMPDIR": "/tmp",  # noqa: S108 (its sockets need a short path)
    }
    return subprocess.run(
        [environment / "bin" / "python", "-I", _SCRIPT],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **settings},
    )
