"""Chunks that a queue's callers describe themselves, by a number and ``metadata``, without a plan.

The same number and metadata name the same chunk however often they come. Without ``slices`` a chunk takes candidates
that no other chunk of its keyword has, even when many are described at once.
"""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import cattrs
from attrs import evolve, fields_dict, frozen

from pixcore import Chunk, ChunkKey, ChunkRequest, InvalidRequest, Slice
from pixcore.chunk.retry import RetryPolicy, retrying
from pixcore.model.requests import dataset_name
from pixcore_runners.assembly.assembly import Assembly
from pixcore_runners.planning.dataset_plan import Wanted, WantedKeyword, answering, proposed_chunk
from pixcore_runners.settings.conversion import typed

# Chunks of one keyword that are described at the same moment queue for its candidates.
_TURNS = RetryPolicy(attempts=30, first=0.05, longest=1.0, jitter=0.2)

_slices = cattrs.Converter(detailed_validation=False, forbid_extra_keys=True)


@frozen
class _Told:
    """What ``metadata`` says; what it leaves out is empty. Other words in it are the caller's own."""

    keyword: str = ""
    count: int | None = None
    dataset: str = ""
    sources: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """A row has one label."""
        return ",".join(self.labels)

    def describes(self) -> bool:
        """Whether the chunk is described, not only named."""
        return not self.dataset or bool(self.count or self.sources or self.slices)


def chunk_key(
    chunk_id: int, metadata: Mapping[str, Any] | None, assembly: Assembly, sleep: Callable[[float], None]
) -> ChunkKey:
    """The chunk that is meant; it is made if it is described and not there yet.

    ``metadata`` holds ``keyword`` and, as far as wanted, ``count`` (images), ``sources`` (as ``--source`` takes them),
    ``slices`` (objects with ``source``, ``query``, ``start`` and ``stop``), ``labels`` and ``dataset``. With a
    ``dataset`` and nothing but its keyword, ``chunk_id`` is the id of a planned chunk; else it is the number that the
    caller gives, within the dataset if one is named.

    Raises:
        InvalidRequest: No ``keyword``, a value that cannot be, no such planned chunk, or another chunk of that number.
        PixcoreError: As for planning.
    """
    told = _read(chunk_id, metadata or {})
    if (there := _known(chunk_id, told, assembly)) is None:
        there = retrying(_TURNS, sleep)(lambda: _made(chunk_id, told, assembly))
    _agree(there.request, told, f"chunk {there.key}")
    return there.key


def _read(chunk_id: int, metadata: Mapping[str, Any]) -> _Told:
    if type(chunk_id) is not int or chunk_id < 0:
        raise InvalidRequest(f"chunk_id cannot be {chunk_id!r:.100}; give a whole number, at least 0")
    given = {name: metadata[name] for name in fields_dict(_Told) if metadata.get(name) not in (None, "", [], ())}
    if not str(given.get("keyword", "")).strip():
        raise InvalidRequest(f"the metadata of chunk {chunk_id} has no `keyword`; name what its images show")
    told = _Told()
    for name, value in given.items():
        try:
            told = evolve(told, **{name: _typed(name, value)})
        except InvalidRequest:
            raise
        except (cattrs.BaseValidationError, cattrs.ForbiddenExtraKeysError, KeyError, TypeError, ValueError) as exc:
            raise InvalidRequest(f"the metadata of chunk {chunk_id}: `{name}` cannot be {value!r:.100}") from exc
    return evolve(told, dataset=dataset_name(told.dataset)) if told.dataset else told


def _typed(name: str, value: object) -> Any:  # noqa: ANN401 - any field's type
    if name == "slices":
        return _slices.structure(value, tuple[Slice, ...])
    return typed(value, fields_dict(_Told)[name].type)


def _known(chunk_id: int, told: _Told, assembly: Assembly) -> Chunk | None:
    if told.dataset and told.describes():
        records = assembly.status.find(told.dataset, keyword=told.keyword)
        return next((record.chunk for record in records if record.chunk.request.index == chunk_id), None)
    try:
        return assembly.status.get(ChunkKey(told.dataset, chunk_id)).chunk
    except InvalidRequest:
        if told.dataset:
            raise
        return None


def _made(chunk_id: int, told: _Told, assembly: Assembly) -> Chunk:
    settings = assembly.settings
    if told.slices:
        target = told.count or sum(map(len, told.slices))
        request = ChunkRequest(
            chunk_id, told.keyword, target, told.slices, told.dataset, told.label, quality=settings.quality
        )
        (chunk,) = assembly.status.ensure([request])
        return chunk
    known = [record.chunk.request for record in assembly.status.find(told.dataset, keyword=told.keyword)]
    sources = told.sources or answering(settings)
    keyword = WantedKeyword(sources, told.keyword, label=told.label, licenses=settings.license)
    wanted = Wanted([keyword], told.count or settings.chunk_size, told.dataset, settings.quality)
    with proposed_chunk(chunk_id, wanted, known, assembly) as proposal:
        (chunk,) = islice(proposal.write_down(assembly.status, assembly.store, beside=len(known)), 1)
    return chunk


def _agree(request: ChunkRequest, told: _Told, name: str) -> None:
    said = {"keyword": told.keyword, "count": told.count, "labels": told.label, "slices": told.slices}
    there = {"keyword": request.keyword, "count": request.target, "labels": request.label, "slices": request.slices}
    for word, value in said.items():
        if value and value != there[word]:
            raise InvalidRequest(
                f"{name} is there already with {word} {there[word]!r:.100}, not {value!r:.100}; repeat that or take"
                " another number"
            )
