"""Run a dataset's chunks with the direct runner, and report their state."""

import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import partial
from typing import NoReturn

import rich_click as click

from pixcore.chunk.unfilled import allocations_of
from pixcore.model.chunks import ChunkRecord, Status
from pixcore.model.conversion import CHANGES
from pixcore.ports import Validator
from pixcore_runners.assembly.assembly import Assembly
from pixcore_runners.cli.avoidable import avoidable
from pixcore_runners.cli.chunk_list import show_chunks
from pixcore_runners.cli.commands import DONE, NOTHING
from pixcore_runners.cli.document import exit_code
from pixcore_runners.cli.shell import Shell, container_option, with_options
from pixcore_runners.cli.stored_placeholders import stored_placeholders
from pixcore_runners.cli.tables import reasons
from pixcore_runners.direct.reopened import run_with_reopened
from pixcore_runners.direct.runner import DirectRunner
from pixcore_runners.direct.stopping import stopping as stopping_by
from pixcore_runners.observing import card_refresh
from pixcore_runners.observing.progress import progress
from pixcore_runners.planning.advice import Ending, held
from pixcore_runners.queueing.runner import Runner

_UNFINISHED = {Status.PENDING, Status.PROCESSING}

# The options of a command that runs chunks. All of them are settings.
run_options = with_options(
    container_option,
    click.option("--workers", type=int, metavar="N", help="Chunks that run at a time. Default: 1."),
    click.option(
        "--allow-private-hosts",
        "private_hosts",
        multiple=True,
        metavar="HOST",
        help="Fetch from HOST or HOST:PORT although its address is private. Repeatable.",
    ),
    click.option(
        "--ignore-opt-out",
        is_flag=True,
        default=None,
        help="Fetch even what robots.txt or X-Robots-Tag forbid.",
    ),
)


def run_unfinished(
    shell: Shell, assembly: Assembly, dataset: str, validator: Validator | None = None, *, is_settled: bool = True
) -> NoReturn:
    """Run the unfinished chunks of the dataset, print its document and exit with its code.

    ``is_settled`` is false if the user was told that existing chunks do not follow the rules: then something is left.

    Raises:
        KeyboardInterrupt: Ctrl-C; running chunks were given back. A second Ctrl-C kills the process.
    """
    status = assembly.status
    unfinished = _UNFINISHED & status.overview(dataset).phases.keys()
    again = {} if unfinished else avoidable(status.find(dataset), assembly.archives, shell.settings)
    if unfinished:
        if line := held(status.find(dataset, Status.PROCESSING)):
            shell.say(line)
        records = (record for record in status.find(dataset) if record.status in _UNFINISHED)
        run_records(shell, assembly, dataset, records, validator)
    elif is_settled and not again:
        shell.say(_nothing_left(assembly, dataset))
    ending = Ending(allocations_of(status))
    show_chunks(shell, dataset, ending.counted(status.find(dataset)))
    if line := stored_placeholders(assembly, dataset):
        shell.say(line)
    if changes := ", ".join(f"{name}: {ending.changed[name]}" for name in CHANGES if ending.changed[name]):
        shell.say(f"changed by the conversion: {changes}")
    code = exit_code(ending)
    if unfinished and code != NOTHING and not shell.verbose:
        shell.say(f"to see the images: pixcore report {dataset} --out {dataset}.html")
    if again:
        listed = ", ".join(f"{reason}: {count}" for reason, count in again.items())
        shell.say(
            f"the present settings may get candidates that were missed ({listed}); to try: pixcore retry {dataset}"
        )
    elif code != DONE:
        shell.say(ending.advice(f"pixcore retry {dataset}"))
    elif ending.unfilled:
        shell.say(f"all candidates were tried; images: {ending.images}, left out: {reasons(ending.left_out)}")
    sys.exit(code)


def run_records(
    shell: Shell,
    assembly: Assembly,
    dataset: str,
    records: Iterable[ChunkRecord],
    validator: Validator | None = None,
    *,
    only_these: bool = False,
) -> None:
    """Run these chunks and, unless ``only_these``, those that are reopened meanwhile; then refresh the dataset's card.

    Raises:
        KeyboardInterrupt: Ctrl-C; running chunks were given back. A second Ctrl-C kills the process.
    """
    with stopping(shell) as stop:
        runner = _direct(shell, assembly, stop, validator)

        def run(these: Iterable[ChunkRecord]) -> None:
            runner.send(these)
            runner.work(shell.settings.workers)

        if only_these:
            run(records)
        else:
            run_with_reopened(dataset, records, assembly.status, run)
    card_refresh.refresh(dataset, assembly.status, assembly.store)


def _nothing_left(assembly: Assembly, dataset: str) -> str:
    decisions = sum(not each.is_placeholder for each in assembly.decisions.read(dataset)) if dataset else 0
    new = f"; to apply new decisions, of {decisions} about its images: pixcore apply {dataset}" if decisions else ""
    return f"dataset {dataset}: no chunk is left to process{new}"


def _direct(shell: Shell, assembly: Assembly, stop: threading.Event, validator: Validator | None) -> Runner:
    return DirectRunner(
        assembly, stop, partial(progress, verbose=shell.verbose, quiet=shell.quiet), validator, quiet=shell.quiet
    )


def stopping(shell: Shell) -> AbstractContextManager[threading.Event]:
    """Give the block an event that the first Ctrl-C or SIGTERM sets. The second one kills the process."""
    return stopping_by(
        lambda: shell.say("stopping: running chunks are given back; press Ctrl-C again to kill"),
        (signal.SIGINT, signal.SIGTERM),
        afterwards=signal.SIG_DFL,
    )
