"""``pixcore apply``: rebuild the archives that decisions or changed rules touch, from what is stored."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import rich_click as click
from attrs import define, field

from pixcore import ChunkRecord, InvalidRequest, Status, StoreConflict, StoreNotFound
from pixcore.chunk.events import silent
from pixcore.chunk.unfilled import allocations_of, is_worth_a_retry
from pixcore.errors import one_line
from pixcore.model.decisions import Decided
from pixcore.model.quality import Quality
from pixcore.stored.placeholders import placeholders
from pixcore.stored.revisions import ChangesFinder, ChunkChanges
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.assembly.imaging import validating
from pixcore_runners.cli.changes import changes_document, changes_table, sentences
from pixcore_runners.cli.commands import DONE, PARTIAL
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.dataset_arguments import placeholder_options
from pixcore_runners.cli.direct import run_options, run_records
from pixcore_runners.cli.item_progress import item_progress
from pixcore_runners.cli.shell import Shell, shared, with_options
from pixcore_runners.planning.changed_rules import differences
from pixcore_runners.planning.dataset_plan import dataset_records, require_chunks
from pixcore_runners.planning.new_rules import SETTINGS, NewRules, rules_of_file, rules_of_options
from pixcore_runners.planning.placeholders import undecided
from pixcore_runners.settings.values import about

_POLL = 0.5  # seconds between two looks at a chunk whose lease is to expire

_rules = with_options(
    *(
        click.option(f"--{name.replace('_', '-')}", name, metavar=metavar, help=about(name).help)
        for name, metavar in {
            "min_width": "PIXELS",
            "min_height": "PIXELS",
            "min_sharpness": "N",
            "max_aspect": "RATIO",
            "near": "RULE",
            "near_phash": "BITS",
            "near_dhash": "BITS",
        }.items()
    ),
    click.option("--drop", "dropped", metavar="FLAGS", help=f"{about('drop').help} `none` for no flag."),
    click.option("--filters", "named", metavar="NAMES", help=f"{about('filters').help} `none` for no filter."),
    click.option("--keep-rejected/--no-keep-rejected", default=None, help=about("keep_rejected").help),
    placeholder_options,
)


@click.command("apply")
@click.argument("dataset", metavar="DATASET | DATASET.toml", shell_complete=dataset_names)
@_rules
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--fill", is_flag=True, help="Then fetch further candidates of the lists, until no chunk is short.")
@run_options
@shared
def command(shell: Shell, dataset: str, *, dropped: str | None, named: str | None, dry_run: bool, fill: bool) -> None:
    """Apply decisions and changed rules to the stored images of DATASET. Without --fill, nothing is fetched.

    The rules are those of DATASET.toml, or the present ones changed by the options. Chunks that they touch are rebuilt
    from their archives and from kept rejects; all others stay as they are. An image that is acceptable again comes back
    if its bytes were kept (--keep-rejected). First prints what will change. When it was interrupted, repeat it.

    Exits with 3 if a chunk could not be rebuilt, for example because a worker holds it.

    Example: `pixcore apply red-panda --min-width 300 --dry-run`
    """
    new = _new_rules(shell, dataset, dropped, named)
    assembly = assemble(shell.settings)
    require_chunks(new.dataset, assembly.status)
    assembly.require_dataset(new.dataset)
    applying = _Applying(shell, assembly, new)
    applying.find(waits=not dry_run)
    applying.show()
    if not dry_run:
        applying.apply()
        if fill:
            applying.fill()
    applying.end(dry_run=dry_run)


def _new_rules(shell: Shell, dataset: str, dropped: str | None, named: str | None) -> NewRules:
    given = {name: shell.loaded.origins[name] == "flag" for name in SETTINGS}
    if not dataset.endswith(".toml"):
        return rules_of_options(dataset, shell.settings, given, dropped, named)
    flags = given | {"drop": dropped is not None, "filters": named is not None}
    flags["placeholders"] = shell.loaded.origins["placeholders"] == "flag"
    if used := [name.replace("_", "-") for name, is_given in flags.items() if is_given]:
        raise InvalidRequest(f"--{used[0]} cannot be used with a DATASET.toml; write it into {dataset}")
    return rules_of_file(Path(dataset), shell.settings)


@define(eq=False)
class _Applying:
    """One call of the command.

    Attributes:
        shell, assembly, new: What it works with.
        found: What changes in each chunk that has an archive.
        waiting: The chunks without an archive, or that have to run anyway: they follow the new rules when they run.
        problems: A line for each chunk that cannot be rebuilt, by its id.
        rebuilt: The ids of the chunks that were rebuilt.
    """

    shell: Shell
    assembly: Assembly
    new: NewRules
    found: list[ChunkChanges] = field(init=False, factory=list[ChunkChanges])
    waiting: list[ChunkRecord] = field(init=False, factory=list[ChunkRecord])
    problems: dict[int, str] = field(init=False, factory=dict[int, str])
    rebuilt: list[int] = field(init=False, factory=list[int])

    def find(self, *, waits: bool) -> None:
        """Find what changes. With ``waits``, wait for the lease of an interrupted call to expire."""
        shell, assembly = self.shell, self.assembly
        records = dataset_records(self.new.dataset, assembly.status)
        decided = self._decided(records, recording=waits)
        with (
            validating(shell.settings) as validator,
            assembly.pipeline(silent, validator=validator) as pipeline,
            item_progress(shell, "chunks examined", len(records)) as done,
        ):
            finder = ChangesFinder(assembly.archives, decided, pipeline)
            for known in records:
                record = self._after_lease(known) if waits else known
                if _is_held(record):
                    self.problems[record.chunk.id] = (
                        "a worker holds the chunk; repeat the command when it has ended, or after"
                        f" {record.lease_left:.0f} s if it died"
                    )
                elif record.result is None or _runs_anyway(record):
                    self.waiting.append(record)
                else:
                    self._find(finder, record)
                done()

    def show(self) -> None:
        """Print what changes."""
        if self.shell.as_json:
            return
        lines = sentences(self.found, self._rules(), len(self.waiting), keeps=all(map(self._keeps, self.found)))
        if any(each.is_touched for each in self.found):
            self.shell.show({}, changes_table(self.found), *lines)
        else:
            for line in lines:
                click.echo(line)

    def apply(self) -> None:
        """Give all chunks their rules, and rebuild those that are touched."""
        status = self.assembly.status
        touched: list[ChunkRecord] = []
        for record, is_touched in [
            *((each.record, each.is_touched) for each in self.found),
            *((record, False) for record in self.waiting),
        ]:
            quality = self._quality(record)
            if not is_touched and quality == record.chunk.request.quality == record.followed:
                continue
            if not status.revise(record.chunk.key, quality, attempt=record.attempt, rebuild=is_touched):
                self.problems[record.chunk.id] = "the chunk has changed meanwhile; repeat the command"
            elif is_touched:
                touched.append(record)
        if touched:
            again = [status.get(record.chunk.key) for record in touched]
            run_records(self.shell, self.assembly, self.new.dataset, again, only_these=True)
        for record in touched:
            self._settle(record, status.get(record.chunk.key))

    def fill(self) -> None:
        """Run the short chunks of lists that may gain images. This fetches."""
        status, allocations = self.assembly.status, allocations_of(self.assembly.status)
        short = [
            record
            for record in status.find(self.new.dataset, Status.COMPLETED)
            if record.result and record.result.shortfall and record.chunk.id not in self.problems
        ]
        searched = [record for record in short if not all(slice_.snapshot for slice_ in record.chunk.slices)]
        filled = [
            record for record in short if record not in searched and is_worth_a_retry(record, allocations(record))
        ]
        if searched:
            self.shell.say(
                "short chunks of searches, which are not filled, because another search may give other results:"
                f" {len(searched)}; to search again: pixcore retry {self.new.dataset}"
            )
        keys = [record.chunk.key for record in filled if status.reopen(record.chunk.key)]
        if keys:
            run_records(self.shell, self.assembly, self.new.dataset, [status.get(key) for key in keys])
        added = 0
        for before in filled:
            after = status.get(before.chunk.key)
            if after.status is Status.FAILED:
                self.problems[after.chunk.id] = after.error
            added += after.progress.accepted - before.progress.accepted
        self.shell.say(f"dataset {self.new.dataset}: chunks run again: {len(keys)}, images added: {added}")

    def end(self, *, dry_run: bool) -> NoReturn:
        """Print how it ended, and exit."""
        dataset, touched = self.new.dataset, sum(each.is_touched for each in self.found)
        if self.shell.as_json:
            document = changes_document(
                dataset,
                self.found,
                rules=self._rules(),
                waiting=self.waiting,
                problems=self.problems,
                rebuilt=self.rebuilt,
            )
            self.shell.show(document, changes_table(self.found))
        for chunk, problem in sorted(self.problems.items()):
            self.shell.say(f"chunk {chunk}: {problem}")
        if dry_run:
            self.shell.say(f"dataset {dataset}: nothing was changed (--dry-run)")
        elif touched:
            self.shell.say(f"dataset {dataset}: chunks rebuilt: {len(self.rebuilt)} of {touched}")
        elif not self.problems:
            self.shell.say(f"dataset {dataset}: its archives follow the rules and decisions; nothing was rebuilt")
        sys.exit(PARTIAL if self.problems else DONE)

    # -- single chunks --------------------------------------------------------------------------------------------

    def _decided(self, records: Sequence[ChunkRecord], *, recording: bool) -> Decided:
        """Return the decisions, with those about placeholders that were not known; with ``recording``, record these.

        If the number of URLs is lowered, they are counted in the outcomes of all chunks.
        """
        dataset, decisions = self.new.dataset, self.assembly.decisions
        limits = {
            limit
            for record in records
            if (limit := self._quality(record).placeholder_urls) and not 0 < record.followed.placeholder_urls <= limit
        }
        found = placeholders(records, self.assembly.archives, min(limits)) if limits else {}
        why = {sha256: f"{count} URLs led to these bytes" for sha256, count in found.items()}
        new = undecided(dataset, {**why, **self.new.placeholders}, decisions)
        if recording:
            decisions.record(new)
        return Decided.of([*decisions.read(dataset), *new])

    def _after_lease(self, record: ChunkRecord) -> ChunkRecord:
        """Wait until a rebuilding that was interrupted no longer holds the chunk, unless its lease is renewed."""
        if not (record.rebuild and _is_held(record)):
            return record
        self.shell.say(
            f"chunk {record.chunk.id}: another `pixcore apply` holds it; if that died, its lease expires in"
            f" {record.lease_left:.0f} s"
        )
        before = record
        while _is_held(record) and record.lease_left <= before.lease_left:
            time.sleep(min(_POLL, record.lease_left))
            before, record = record, self.assembly.status.get(record.chunk.key)
        return record

    def _find(self, finder: ChangesFinder, record: ChunkRecord) -> None:
        try:
            self.found.append(finder.find(record, self._quality(record)))
        except (InvalidRequest, StoreNotFound, StoreConflict) as error:
            self.problems[record.chunk.id] = one_line(error)

    def _settle(self, before: ChunkRecord, after: ChunkRecord) -> None:
        """Record how the rebuilding of a chunk has ended."""
        if after.status is Status.COMPLETED and after.result and after.result.attempt > before.attempt:
            self.rebuilt.append(after.chunk.id)
        else:
            self.problems[after.chunk.id] = after.error or f"it was not rebuilt; it is {after.status}"

    def _quality(self, record: ChunkRecord) -> Quality:
        return self.new.rules(record.chunk.request.quality)

    def _keeps(self, changes: ChunkChanges) -> bool:
        return not changes.removed or self._quality(changes.record).keep_rejected

    def _rules(self) -> list[str]:
        """Return the rules that change, each with both values."""
        records = [*(each.record for each in self.found), *self.waiting]
        return sorted({each for record in records for each in differences(self._quality(record), record.followed)})


def _runs_anyway(record: ChunkRecord) -> bool:
    """Return whether a chunk is to collect its images again, so that it will follow the rules and decisions."""
    return record.status in (Status.PENDING, Status.PROCESSING) and not record.rebuild


def _is_held(record: ChunkRecord) -> bool:
    return record.status is Status.PROCESSING and record.lease_left > 0
