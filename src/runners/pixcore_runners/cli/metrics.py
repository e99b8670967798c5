"""``pixcore metrics``: what Prometheus asks for."""

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

import rich_click as click

from pixcore_runners.assembly.assembly import assemble_for_worker
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.registry.table import needing


@click.command("metrics")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; whoever gets there can read.")
@click.option("--port", type=click.IntRange(0, 65535), default=9464, show_default=True, help="0 for any that is free.")
@shared
def command(shell: Shell, host: str, port: int) -> None:
    """Serve metrics to Prometheus until told to stop: of the status database, and of this machine's workers.

    What workers and `pixcore run` do is counted where the setting metrics_dir names a folder, the same one for all of
    them and for this command. One of it on each machine is enough.

    Example: `PIXCORE_METRICS_DIR=/run/pixcore-metrics pixcore metrics`
    """
    with needing("metrics"):
        from pixcore_runners.observing.metrics import serve  # noqa: PLC0415 - an extra, and the help of all commands is quick
    assembly = assemble_for_worker(shell.settings)
    folder = shell.settings.metrics_dir
    with _ending() as until_told:
        found = serve(assembly.status, folder, host, port)
        shell.say(f"metrics at http://{f'[{host}]' if ':' in host else host}:{found}/metrics")
        if not folder:
            shell.say("metrics_dir is not set: only what the status database knows is served")
        until_told()


@contextmanager
def _ending() -> Generator[Callable[[], object]]:
    """Gives what waits for Ctrl-C or SIGTERM, which end nothing else meanwhile, threads begun in the block included."""
    numbers = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield lambda: signal.sigwait(numbers)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
