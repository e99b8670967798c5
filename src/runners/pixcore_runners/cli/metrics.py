"""``pixcore metrics``: serve metrics to Prometheus."""

from functools import partial

import rich_click as click

from pixcore import PixcoreError, StatusRepo
from pixcore.errors import one_line
from pixcore_runners.assembly.assembly import assemble_for_worker
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.until_signal import until_signal
from pixcore_runners.registry.table import needing


@click.command("metrics")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at; everyone who reaches it can read the metrics.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9464,
    show_default=True,
    help="Port to listen at; 0 for any free one.",
)
@shared
def command(shell: Shell, host: str, port: int) -> None:
    """Serve metrics to Prometheus until a signal stops it: of the status database, the queues, and the workers here.

    Workers and `pixcore run` count their work in the folder of the setting metrics_dir, which must be the same for them
    and for this command. Run one `pixcore metrics` on each machine.

    Example: `PIXCORE_METRICS_DIR=/run/pixcore-metrics pixcore metrics`
    """
    with needing("metrics"):
        # an extra, and the help of all commands is quick
        from pixcore_runners.observing.gauges import StatusGauges  # noqa: PLC0415
        from pixcore_runners.observing.page import serve  # noqa: PLC0415
        from pixcore_runners.queueing.gauges import queue_gauges  # noqa: PLC0415
    shell = shell.logging()
    assembly = assemble_for_worker(shell.settings)
    folder = shell.settings.metrics_dir
    with until_signal() as wait_for_signal:
        collectors = (StatusGauges(assembly.status), queue_gauges(shell.settings))
        bound = serve(collectors, folder, host, port, partial(_away, assembly.status))
        shell.say(f"metrics at http://{f'[{host}]' if ':' in host else host}:{bound}/metrics")
        if not folder:
            shell.say("metrics_dir is not set, so only metrics of the status database are served")
        wait_for_signal()


def _away(status: StatusRepo) -> str:
    """Return why the status database cannot be read, or ``""``."""
    try:
        _ = status.identity
    except PixcoreError as error:
        return one_line(error)
    return ""
