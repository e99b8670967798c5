"""The files for containers and for Kubernetes fit the command and its settings, and each service is probed."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from shown_commands import parse, shown

from pixcore_runners.observing.pulse import LATE
from pixcore_runners.settings import Settings
from pixcore_runners.settings.urls import Address

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
KUBERNETES = ROOT / "deploy" / "kubernetes"
VARIABLES = {f"PIXCORE_{name.upper()}" for name in Settings.names()}


# -- compose.yaml and Dockerfile -----------------------------------------------------------------------------------


@pytest.fixture
def containers() -> dict[str, Any]:
    """Return the services of compose.yaml that run pixcore."""
    return {name: service for name, service in COMPOSE["services"].items() if service["image"] == "pixcore"}


def test_every_container_runs_a_valid_command(containers: dict[str, Any]) -> None:
    """The commands in the comment at the top of the file must be valid too."""
    assert {"prepare", "worker", "worker-rq", "reaper"} <= containers.keys()
    for service in containers.values():
        parse(service["command"])
    commands = list(shown((ROOT / "compose.yaml").read_text()))
    assert len(commands) == 2
    for command in commands:
        parse(shlex.split(command))


def test_every_variable_of_a_container_is_a_setting(containers: dict[str, Any]) -> None:
    """An unknown variable would stop every container at its start."""
    names = {name for service in containers.values() for name in service["environment"] if name.startswith("PIXCORE_")}
    assert names <= VARIABLES


def test_every_service_has_a_health_check_and_waits_for_healthy_ones(containers: dict[str, Any]) -> None:
    """A worker that starts before its database would only be restarted; one that rests must be seen."""
    for name, service in COMPOSE["services"].items():
        assert "healthcheck" in service
        assert {each["condition"] for each in service.get("depends_on", {}).values()} <= {
            "service_healthy",
            "service_completed_successfully",
        }, name
    for name, service in containers.items():
        assert service["depends_on"]
        port = 9464 if name == "metrics" else Address(service["environment"]["PIXCORE_HEALTH"]).parts[1]
        assert name == "prepare" or f"http://127.0.0.1:{port}/readyz" in service["healthcheck"]["test"][-1]


def test_no_password_is_in_the_compose_file() -> None:
    """Each password comes from the environment, without a default, and no port is published."""
    for service in COMPOSE["services"].values():
        assert "ports" not in service
        for name, value in service["environment"].items():
            if "PASSWORD" in f"{name}{value}":
                assert re.search(r"\$\{\w+_PASSWORD:\?\}", value)


def test_the_extras_and_files_of_the_image_exist() -> None:
    """The ignore file must let exactly the copied files through to the builder."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    (extras,) = re.findall(r"^ARG EXTRAS=(\S+)$", dockerfile, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    let_through = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE) for name in line.split()[:-1]
    ]
    assert sorted(copied) == sorted(let_through)
    assert all((ROOT / name).exists() for name in copied)


# -- Kubernetes ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    """Return the documents of all files that kustomization.yaml names."""
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    names = {path.name for path in KUBERNETES.iterdir()}
    assert names == {"kustomization.yaml", *kustomization["resources"]}
    return [each for name in kustomization["resources"] for each in yaml.safe_load_all((KUBERNETES / name).read_text())]


@pytest.fixture(scope="module")
def pods(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the templates of pods, by the name of their workload."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in manifests
        if each["kind"] in ("Deployment", "Job")
    }


def test_every_pod_runs_a_valid_command(pods: dict[str, Any]) -> None:
    """The commands in the comment of kustomization.yaml must be valid too."""
    assert {pod["containers"][0]["args"][0] for pod in pods.values()} == {"check", "worker", "reap", "metrics"}
    for pod in pods.values():
        parse(pod["containers"][0]["args"])
    (command,) = shown((KUBERNETES / "kustomization.yaml").read_text())
    parse(shlex.split(command))


def test_every_variable_is_a_setting_and_comes_by_reference(
    manifests: list[dict[str, Any]], pods: dict[str, Any]
) -> None:
    """An unknown variable would stop every pod; credentials are only in the Secret, which is in no file."""
    (config,) = [each["data"] for each in manifests if each["kind"] == "ConfigMap"]
    assert config.keys() <= VARIABLES
    assert not any(re.search(r"BROKER|PASSWORD|SECRET|KEY", name) for name in config)
    assert not any(each["kind"] == "Secret" for each in manifests)
    for pod in pods.values():
        assert pod["containers"][0]["envFrom"] == [
            {"configMapRef": {"name": "pixcore"}},
            {"secretRef": {"name": "pixcore"}},
        ]
        assert pod["enableServiceLinks"] is False  # a service named pixcore-metrics adds PIXCORE_METRICS_PORT
    Settings(**{name.removeprefix("PIXCORE_").lower(): config[name] for name in ("PIXCORE_STORE", "PIXCORE_STATUS")})


def test_probes_reach_the_address_that_is_set(manifests: list[dict[str, Any]], pods: dict[str, Any]) -> None:
    """A probe of another port would restart healthy pods for ever."""
    (config,) = [each["data"] for each in manifests if each["kind"] == "ConfigMap"]
    for name, pod in pods.items():
        container = pod["containers"][0]
        if name == "pixcore-prepare":
            continue
        (port,) = container["ports"]
        listens = Address(config["PIXCORE_HEALTH"]).parts[1] if port["name"] == "health" else 9464
        assert port["containerPort"] == listens
        for probe, path in {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}.items():
            assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": port["name"]}


def test_no_pod_has_more_rights_than_it_needs(pods: dict[str, Any]) -> None:
    """Workers decode images of strangers."""
    for pod in pods.values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_workers_have_as_long_to_stop_as_elsewhere(pods: dict[str, Any]) -> None:
    """Compose, systemd and Kubernetes must not differ in when they kill a worker that uploads."""
    seconds = pods["pixcore-worker"]["terminationGracePeriodSeconds"]
    assert COMPOSE["services"]["worker"]["stop_grace_period"] == f"{seconds // 60}m"
    assert f"TimeoutStopSec={seconds}" in (ROOT / "docs/operations.md").read_text()
    assert seconds < LATE


def test_workers_scale_on_the_series_of_their_queue(manifests: list[dict[str, Any]], pods: dict[str, Any]) -> None:
    """A series that nothing serves would scale to nothing, and one queue's workers must not scale for another's."""
    (scaling,) = [each["spec"] for each in manifests if each["kind"] == "ScaledObject"]
    (config,) = [each["data"] for each in manifests if each["kind"] == "ConfigMap"]
    name = scaling["scaleTargetRef"]["name"]
    words = pods[name]["containers"][0]["args"]
    (service,) = [each for each in manifests if each["kind"] == "Service"]
    url = f"http://{service['metadata']['name']}.pixcore:{service['spec']['ports'][0]['port']}/metrics"
    wanted = [trigger["metadata"] for trigger in scaling["triggers"]]
    assert {each["url"] for each in wanted} == {url}
    of = f'runner="{words[1]}",queue="{config["PIXCORE_QUEUE"]}"'
    assert {each["valueLocation"]: each["targetValue"] for each in wanted} == {
        f"pixcore_queue_deliveries{{{of}}}": words[words.index("--workers") + 1],
        f'pixcore_queue_workers{{{of},state="busy"}}': "1",
    }
