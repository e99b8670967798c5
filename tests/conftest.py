"""Configure the tests: profiles of hypothesis, readable asserts in contract suites, servers, markers."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None)  # a slow machine must not fail a test
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("fast", deadline=None, max_examples=10)  # the full run tries the usual 100
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")

pytest.register_assert_rewrite("contract")  # the suites are libraries, not test modules

# A fixture, or the value of a parameter that names one, and the markers of the tests that use it.
NEEDS = {
    "redis": ("server", "redis"),
    "postgres": ("server", "postgres"),
    "azurite": ("server", "azurite"),
    "moto": ("server", "s3"),
    "swift": ("server", "s3"),
    "ministack": ("server", "s3"),
    "juicefs": ("server", "s3"),
    "rclone": ("server", "s3"),
    "gcs": ("server", "gcs"),
    "own": ("server",),
    "chromium": ("browser",),
}
PROCESSES = (Path(__file__).parent / "integration", Path(__file__).parent / "e2e")


def pytest_configure(config: pytest.Config) -> None:
    """Load the servers' fixtures for every folder, also that of the documents, and enable Ctrl-C."""
    config.pluginmanager.import_plugin("servers.fixtures")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # commands in the background of a shell ignore SIGINT, and so would all processes that the tests start
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the servers and processes that it needs."""
    for item in items:
        if any(folder in item.path.parents for folder in PROCESSES):
            item.add_marker("process")
        parameters = (
            item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
        )
        for need in {*getattr(item, "fixturenames", ()), *(each for each in parameters if isinstance(each, str))}:
            for marker in NEEDS.get(need, ()):
                item.add_marker(marker)
