"""Load datasets with the tools that users have: ``tests/loading.py`` runs in environments of their own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from servers.fixtures import had
from servers.tools import venv

_SCRIPT = Path(__file__).parent / "loading.py"


def load(environment: str, what: list[list[str]], spare: Path) -> Any:  # noqa: ANN401 (whatever JSON holds)
    """Load in an environment with the tools of users, without network."""
    python = had(lambda: venv(environment)) / "bin" / "python"
    settings = {"HF_HOME": str(spare), "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "HOME": str(spare)}
    ran = subprocess.run(
        [python, "-I", _SCRIPT],
        input=json.dumps(what),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **settings},
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
