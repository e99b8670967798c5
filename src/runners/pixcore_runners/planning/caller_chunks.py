"""Chunks that the callers of a queue describe by a number and ``metadata``, without a plan.

Idempotent: the same number and metadata always mean the same chunk. Without ``slices``, a chunk takes candidates that
no other chunk of its keyword has, even if many callers describe chunks at the same moment.
"""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import cattrs
from attrs import evolve, fields_dict, frozen

from pixcore import Chunk, ChunkKey, ChunkRecord, ChunkRequest, InvalidRequest, Slice
from pixcore.chunk.retry import RetryPolicy, retrying
from pixcore.model.requests import dataset_name
from pixcore.stored.identity import identify
from pixcore_runners.assembly.assembly import Assembly
from pixcore_runners.planning.dataset_plan import plan_numbered_chunk, usable_sources
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec
from pixcore_runners.settings.conversion import typed

# Of two chunks of one keyword that are planned at the same moment, one is refused and planned again.
_CONFLICTS = RetryPolicy(attempts=30, first=0.05, longest=1.0, jitter=0.2)

_slices = cattrs.Converter(detailed_validation=False, forbid_extra_keys=True)


@frozen
class _Metadata:
    """The fields of ``metadata`` that pixcore reads, empty if they are missing. Others are the caller's own."""

    keyword: str = ""
    count: int | None = None
    dataset: str = ""
    sources: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The labels as one: a row has one label."""
        return ",".join(self.labels)

    def describes(self) -> bool:
        """Return whether the fields describe a chunk. If not, they only name a planned one."""
        return not self.dataset or bool(self.count or self.sources or self.slices)


def caller_chunk(
    chunk_id: int, metadata: Mapping[str, Any] | None, assembly: Assembly, sleep: Callable[[float], None]
) -> ChunkRecord:
    """Return the record of the chunk that a caller means, and create the chunk if it is described and does not exist.

    ``metadata`` holds ``keyword`` and optionally ``count`` (images), ``sources`` (as ``--source`` takes them),
    ``slices`` (objects with ``source``, ``query``, ``start`` and ``stop``), ``labels`` and ``dataset``. With a
    ``dataset`` and nothing else but the keyword, ``chunk_id`` is the id of a planned chunk. Otherwise it is a number of
    the caller, within the dataset if there is one.

    Raises:
        InvalidRequest: No ``keyword``, an invalid value, no such planned chunk, or a different chunk of that number.
        PixcoreError: As for planning.
    """
    fields = _read(chunk_id, metadata or {})
    record = _existing(chunk_id, fields, assembly)
    if record is None:
        chunk = retrying(_CONFLICTS, sleep)(lambda: _create(chunk_id, fields, assembly))
        record = assembly.status.get(chunk.key)
    _require_same(record.chunk.request, fields, f"chunk {record.chunk.key}")
    return record


def _read(chunk_id: int, metadata: Mapping[str, Any]) -> _Metadata:
    if type(chunk_id) is not int or chunk_id < 0:
        raise InvalidRequest(f"chunk_id cannot be {chunk_id!r:.100}; give a whole number, at least 0")
    given = {name: metadata[name] for name in fields_dict(_Metadata) if metadata.get(name) not in (None, "", [], ())}
    if not str(given.get("keyword", "")).strip():
        raise InvalidRequest(f"the metadata of chunk {chunk_id} has no `keyword`; add the word to search for")
    fields = _Metadata()
    for name, value in given.items():
        try:
            fields = evolve(fields, **{name: _typed(name, value)})
        except InvalidRequest:
            raise
        except (cattrs.BaseValidationError, cattrs.ForbiddenExtraKeysError, KeyError, TypeError, ValueError) as exc:
            raise InvalidRequest(f"the metadata of chunk {chunk_id}: `{name}` cannot be {value!r:.100}") from exc
    return evolve(fields, dataset=dataset_name(fields.dataset)) if fields.dataset else fields


def _typed(name: str, value: object) -> Any:  # noqa: ANN401 - any field's type
    if name == "slices":
        return _slices.structure(value, tuple[Slice, ...])
    return typed(value, fields_dict(_Metadata)[name].type)


def _existing(chunk_id: int, fields: _Metadata, assembly: Assembly) -> ChunkRecord | None:
    if fields.dataset and fields.describes():
        return assembly.status.numbered(fields.dataset, chunk_id)
    try:
        return assembly.status.get(ChunkKey(fields.dataset, chunk_id))
    except InvalidRequest:
        if fields.dataset:
            raise
        return None


def _create(chunk_id: int, fields: _Metadata, assembly: Assembly) -> Chunk:
    settings = assembly.settings
    if fields.slices:
        target = fields.count or sum(map(len, fields.slices))
        request = ChunkRequest(
            chunk_id, fields.keyword, target, fields.slices, fields.dataset, fields.label, quality=settings.quality
        )
        (chunk,) = assembly.status.ensure([request], store=identify(assembly.store))
        return chunk
    planned = assembly.status.planned(fields.dataset, fields.keyword)
    allocations = assembly.status.allocations(fields.dataset, fields.keyword)
    sources = fields.sources or usable_sources(settings)
    keyword = KeywordSpec(sources, fields.keyword, label=fields.label, licenses=settings.license, lists=settings.lists)
    spec = DatasetSpec([keyword], fields.count or settings.chunk_size, fields.dataset, settings.quality)
    with plan_numbered_chunk(chunk_id, spec, planned, allocations, assembly) as plan:
        (chunk,) = islice(plan.save(assembly.status, assembly.store, beside=planned.chunks), 1)
    return chunk


def _require_same(request: ChunkRequest, fields: _Metadata, name: str) -> None:
    given = {"keyword": fields.keyword, "count": fields.count, "labels": fields.label, "slices": fields.slices}
    existing = {"keyword": request.keyword, "count": request.target, "labels": request.label, "slices": request.slices}
    for field, value in given.items():
        if value and value != existing[field]:
            raise InvalidRequest(
                f"{name} already exists with {field} {existing[field]!r:.100}, not {value!r:.100}; repeat that or use"
                " another number"
            )
