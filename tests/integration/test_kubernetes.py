"""The manifests fit the schemas of Kubernetes and KEDA."""

import subprocess
from pathlib import Path

import pytest
from servers.fixtures import had
from servers.tools import venv

pytestmark = pytest.mark.pip

ROOT = Path(__file__).parents[2]
CHECK = ROOT / "tests" / "kubernetes_schemas.py"


def faults(*files: Path) -> str:
    """Return what the check prints."""
    python = had(lambda: venv("kubernetes")) / "bin" / "python"
    return subprocess.run([python, CHECK, *files], capture_output=True, text=True, check=True).stdout


def test_every_manifest_fits_its_schema(tmp_path: Path) -> None:
    """A misspelt member is dropped by the server in silence; a copy with such members shows that they are found."""
    manifests = [path for path in (ROOT / "deploy/kubernetes").glob("*.yaml") if path.name != "kustomization.yaml"]
    assert faults(*manifests) == ""
    for name, right, wrong in (
        ("workers.yaml", "readinessProbe", "readynessProbe"),
        ("scaling.yaml", "pollingInterval", "polingInterval"),
    ):
        text = (ROOT / "deploy/kubernetes" / name).read_text()
        (tmp_path / name).write_text(text.replace(right, wrong))
    found = faults(tmp_path / "workers.yaml", tmp_path / "scaling.yaml")
    assert "workers.yaml: Deployment: " in found
    assert "scaling.yaml: ScaledObject: " in found
