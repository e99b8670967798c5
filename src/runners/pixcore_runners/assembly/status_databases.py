"""Status databases by the scheme of their URL.

They do not plug in: one database serves four ports, ``StatusRepo``, ``SeenImages``, ``Decisions`` and ``Datasets``,
and has migrations for all of them.
"""
# ruff: noqa: PLC0415 - SQLAlchemy and Alembic are slow to import

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pixcore import Datasets, Decisions, InvalidRequest, SeenImages, StatusRepo
from pixcore_runners.settings import Settings

# Connects to what the setting `status` names; the flag says whether to create a database that does not exist.
_Connect = Callable[[Settings, bool], tuple[StatusRepo, SeenImages, Decisions, Datasets]]


def connect(settings: Settings, *, create: bool) -> tuple[StatusRepo, SeenImages, Decisions, Datasets]:
    """Connect to the status database; see ``pixcore_runners.assembly.assembly.assemble``.

    Raises:
        InvalidRequest: An unknown scheme or a malformed URL.
        StatusUnavailable: The status database cannot be reached.
    """
    scheme = urlsplit(settings.status).scheme
    if scheme not in _DATABASES:
        raise InvalidRequest(
            f"unknown status database {settings.status!r}; use sqlite:///FILE, postgresql+psycopg://USER@HOST/DB or"
            " memory://"
        )
    return _DATABASES[scheme](settings, create)


def check(settings: Settings) -> None:
    """Refuse an SQL status database that a worker cannot use.

    Raises:
        InvalidRequest: It does not exist, or has another version of the schema.
        StatusUnavailable: It cannot be reached.
    """
    from pixcore_adapters.status_repo.database import engine_at
    from pixcore_adapters.status_repo.upgrade import check as check_version

    check_version(engine_at(settings.status))


def _sql(settings: Settings, create: bool) -> tuple[StatusRepo, SeenImages, Decisions, Datasets]:
    from pixcore_adapters.status_repo.database import file_of
    from pixcore_adapters.status_repo.sql import SqlStatusRepo
    from pixcore_adapters.status_repo.sql_datasets import SqlDatasets
    from pixcore_adapters.status_repo.sql_decisions import SqlDecisions
    from pixcore_adapters.status_repo.sql_seen_images import SqlSeenImages
    from pixcore_adapters.status_repo.upgrade import is_set_up, migrate

    status = SqlStatusRepo(settings.status, settings.max_failures)
    if not (create or is_set_up(status.engine)):
        return _memory(settings, create)
    if status.engine.dialect.name == "sqlite":
        _make_folder(file_of(status.engine).parent)
    migrate(status.engine)
    return status, SqlSeenImages(status.engine), SqlDecisions(status.engine), SqlDatasets(status.engine)


def _memory(settings: Settings, _: bool) -> tuple[StatusRepo, SeenImages, Decisions, Datasets]:
    from pixcore_adapters.decisions.memory import MemoryDecisions
    from pixcore_adapters.seen_images.memory import MemorySeenImages
    from pixcore_adapters.status_repo.memory import MemoryStatusRepo
    from pixcore_adapters.status_repo.memory_datasets import MemoryDatasets

    status = MemoryStatusRepo(max_failures=settings.max_failures)
    seen, decisions = MemorySeenImages(status), MemoryDecisions()
    return status, seen, decisions, MemoryDatasets(status, seen, decisions)


_DATABASES: Mapping[str, _Connect] = {
    "sqlite": _sql,
    "postgresql+psycopg": _sql,
    "memory": _memory,
}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InvalidRequest(
            f"the folder of the status database, {folder}, cannot be created ({exc.strerror}); name another database"
            " with --status"
        ) from exc
