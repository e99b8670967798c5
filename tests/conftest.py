"""How the tests run: property tests without a clock, contract suites with readable asserts, real servers."""

import os
import signal

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None)  # a slow machine is no failure
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")

pytest.register_assert_rewrite("contract")  # the suites are libraries, not test modules


def pytest_configure(config: pytest.Config) -> None:
    """Have the servers' fixtures in every folder, that of the documents too; and let Ctrl-C be sent."""
    config.pluginmanager.import_plugin("servers.fixtures")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # a shell has what it starts in the background ignore it, and with it all that the tests start
        signal.signal(signal.SIGINT, signal.default_int_handler)
