"""Parts of the tests that benchmarks use: servers that stop with the run, the cache of installations, Bing's pages."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from engine_pages import bing_page, results_of
from fault_proxy import FaultProxy
from loader_cases import CASES, Case, Home, Score, home
from loaders import loading
from servers import azurite, moto, postgres, redis, swift
from servers.addresses import S3, Azure
from servers.run import servers_of_this_run
from servers.server import Setup, free_port, speaks_http, started
from servers.tools import installed, run, venv
from stores import RealStore, real_store

__all__ = [
    "CASES",
    "S3",
    "Azure",
    "Case",
    "FaultProxy",
    "Home",
    "RealStore",
    "Score",
    "Setup",
    "azurite",
    "bing_page",
    "free_port",
    "home",
    "installed",
    "loading",
    "moto",
    "postgres",
    "real_store",
    "redis",
    "results_of",
    "run",
    "servers_of_this_run",
    "speaks_http",
    "started",
    "swift",
    "venv",
]
