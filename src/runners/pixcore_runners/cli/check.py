"""``pixcore check``: try everything that is configured."""

import sys

import rich_click as click

from pixcore import TransientError
from pixcore.errors import one_line
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.assembly.probes import probes
from pixcore_runners.cli.commands import DONE, FAILED, USAGE
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, container_option, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.queueing.runner import RUNNERS


@click.command("check")
@container_option
@shared
def command(shell: Shell) -> None:
    """Connect to everything that is configured and try each permission. Removes what it writes.

    It creates what the first run would create, such as the status database. Exits with 1 if something cannot be reached
    now, with 2 if a permission is missing.

    Example: `pixcore check --store s3://bucket/prefix`
    """
    table = plain_table("part", "right", "works", "seconds", "what to do")
    document = []
    errors = []
    for probe in probes(assemble(shell.settings, create=True), RUNNERS):
        message = one_line(probe.error) if probe.error else ""
        works = "NO" if probe.error else "yes"
        add(table, probe.part, probe.right, works, f"{probe.seconds:.3f}", message or probe.note)
        document.append(
            {
                "part": probe.part,
                "right": probe.right,
                "works": not message,
                "seconds": probe.seconds,
                "error": message,
                "note": probe.note,
            }
        )
        errors += [probe.error] if probe.error else []
    shell.show(
        {"version": VERSION, "store": shell.settings.store, "status": shell.settings.status, "probes": document}, table
    )
    if any(not isinstance(error, TransientError) for error in errors):
        sys.exit(USAGE)
    sys.exit(FAILED if errors else DONE)
