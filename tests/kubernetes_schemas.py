"""Check manifests by the schemas of Kubernetes and the models of KEDA. Prints a line for each fault.

Runs with the packages of tests/servers/locks/kubernetes.lock. Arguments: the files.
"""

import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from pydantic import ValidationError


def check(document: dict[str, Any]) -> None:
    """Raise if a document has a member that is unknown, missing or of the wrong type."""
    if not document["apiVersion"].startswith("keda.sh/"):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        return
    known = ScaledObject.model_validate(document).model_dump(by_alias=True, exclude_unset=True, mode="json")
    if known["spec"] != document["spec"]:  # unknown members are dropped
        raise ValueError(f"only this is known: {known['spec']}")


for path in map(Path, sys.argv[1:]):
    for each in yaml.safe_load_all(path.read_text()):
        try:
            check(each)
        except (kubernetes_validate.ValidationError, ValidationError, ValueError) as error:
            print(f"{path.name}: {each['kind']}: {error}")  # noqa: T201 - for the test
