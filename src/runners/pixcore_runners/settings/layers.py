"""Read the settings from their places, in this order: flags > environment > .env > pixcore.toml > defaults."""

import difflib
import os
import tomllib
from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import evolve, fields_dict, frozen
from dotenv.parser import parse_stream

from pixcore.errors import InvalidRequest
from pixcore.model.decisions import is_sha256
from pixcore.redaction import redacted
from pixcore_adapters.downloader.fetch.hosts import HostHeader
from pixcore_runners.settings.conversion import shown, typed
from pixcore_runners.settings.urls import SecretUrl, anchored, expanded, holds_secret
from pixcore_runners.settings.values import Settings, about

_PREFIX = "PIXCORE_"
_SECRET_KINDS = (SecretUrl | None, tuple[HostHeader, ...])
_DEFAULT = "default"

# variables of the system that pixcore replaces
_OLD_NAMES = {
    "PIXCRAWLER_CELERY_BROKER_URL": "broker",
    "PIXCRAWLER_CELERY_RESULT_BACKEND": "result_backend",
}
_AZURE_CONNECTION, _AZURE_CONTAINER, _CONTAINER = "AZURE_STORAGE_CONNECTION_STRING", "AZURE_CONTAINER_NAME", "datasets"

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@frozen
class Loaded:
    """The settings, and the origin of each by name.

    An origin is ``flag``, ``environment PIXCORE_STORE``, ``.env PIXCORE_STORE``, ``pixcore.toml`` or ``default``, with
    the path of the file as the caller gave it.
    """

    settings: Settings
    origins: Mapping[str, str]

    def shown(self) -> dict[str, Any]:
        """Return the settings by name as JSON values, with passwords masked."""
        return shown(self.settings)


@frozen
class _Given:
    """A value as written, its origin, and the folder that its relative paths start from; None is the current one."""

    value: object
    origin: str
    base: Path | None = None


def load(
    *,
    flags: Mapping[str, object] = _NOTHING,
    environ: Mapping[str, str] = _NOTHING,
    dotenv: Path | None = None,
    config: Path | None = None,
) -> Loaded:
    """Read the settings from these places and no others. Changes nothing, not even the process's environment.

    Args:
        flags: Values by the name of the setting, without flags that were not given.
        environ: Environment variables. Empty ones count as not set.
        dotenv: A ``.env`` file, which may be missing.
        config: A TOML file, which must exist.

    Raises:
        InvalidRequest: A file cannot be read, a name is no setting, or a setting cannot have the value.
    """
    given = ChainMap(_from_flags(flags), _from_variables(_variables(environ, dotenv)), _from_toml(config))
    settings = Settings()
    for name, value in given.items():
        settings = with_setting(settings, name, value.value, value.origin, value.base)
    return Loaded(settings, {name: given[name].origin if name in given else _DEFAULT for name in Settings.names()})


def load_here(*, flags: Mapping[str, object] = _NOTHING, config: Path | None = None) -> Loaded:
    """Read the settings from this process's environment and the current folder's ``.env`` and ``pixcore.toml``.

    The files may be missing. ``config`` is read instead of ``pixcore.toml``.

    Raises:
        InvalidRequest: As for ``load``.
    """
    usual = Path("pixcore.toml")
    return load(
        flags=flags,
        environ=os.environ,
        dotenv=Path(".env"),
        config=config or (usual if usual.exists() else None),
    )


def environment_here() -> Mapping[str, str]:
    """Return the variables of this process's environment, and of the current folder's ``.env``, with credentials.

    They are read on first use, so that an unreadable ``.env`` fails only adapters that look up a variable.

    Raises:
        InvalidRequest: On first use: the file cannot be read.
    """
    return _EnvironmentHere()


@frozen(eq=False)
class _EnvironmentHere(Mapping[str, str]):
    def __getitem__(self, name: str) -> str:
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)

    @cached_property
    def _read(self) -> Mapping[str, str]:
        variables = _variables(os.environ, Path(".env"))
        return {name: given.value for name, given in variables.items() if isinstance(given.value, str)}


def _from_flags(flags: Mapping[str, object]) -> dict[str, _Given]:
    _refuse_unknown(flags, Settings.names(), "flag")
    return {name: _Given(value, "flag") for name, value in flags.items()}


def _variables(environ: Mapping[str, str], dotenv: Path | None) -> Mapping[str, _Given]:
    """Return all variables that are not empty. Those of the environment win over those of the file."""
    written = _written(dotenv) if dotenv else {}
    return ChainMap(
        {name: _Given(value, f"environment {name}") for name, value in environ.items() if value},
        {name: _Given(value, f"{dotenv} {name}") for name, value in written.items() if value},
    )


def _written(dotenv: Path) -> Mapping[str, str]:
    """Return the variables of a ``.env`` file, without interpolation: a ``$`` in a password refers to no variable."""
    try:
        with dotenv.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as exc:
        raise InvalidRequest(f"{dotenv} is not UTF-8; save it as UTF-8") from exc
    except OSError as exc:
        raise InvalidRequest(f"{dotenv} cannot be read ({exc.strerror}); make it a file that you may read") from exc
    for binding in bindings:
        # the line is not quoted, as it may hold a password. Without a value, the setting would be ignored in silence
        if binding.error or (binding.value is None and (binding.key or "").startswith(_PREFIX)):
            raise InvalidRequest(
                f"{dotenv}:{binding.original.line} cannot be read; write NAME=VALUE, or begin it with #"
            )
    return {binding.key: binding.value for binding in bindings if binding.key and binding.value is not None}


def _from_variables(variables: Mapping[str, _Given]) -> dict[str, _Given]:
    """Return the settings among the variables. pixcore's names win over the old ones, whichever place they are in."""
    ours = {f"{_PREFIX}{name.upper()}": name for name in Settings.names()}
    for variable, value in variables.items():
        if variable.startswith(_PREFIX):
            _refuse_unknown([variable], ours, value.origin.removesuffix(f" {variable}"))
    given: dict[str, _Given] = {}
    if connection := variables.get(_AZURE_CONNECTION):
        # the adapter reads the connection string itself; here it only selects the store
        container = variables.get(_AZURE_CONTAINER)
        given["store"] = _Given(f"azure://{container.value if container else _CONTAINER}", connection.origin)
    for names in (_OLD_NAMES, ours):
        given |= {name: variables[variable] for variable, name in names.items() if variable in variables}
    return given


def _from_toml(config: Path | None) -> dict[str, _Given]:
    if config is None:
        return {}
    try:
        with config.open("rb") as file:
            table = tomllib.load(file)
    except OSError as exc:
        raise InvalidRequest(f"{config} cannot be read ({exc.strerror}); name an existing TOML file") from exc
    except ValueError as exc:
        raise InvalidRequest(f"{config} cannot be read as TOML: {exc}") from exc
    except RecursionError as exc:
        raise InvalidRequest(f"{config} cannot be read as TOML: its values are nested too deeply") from exc
    _refuse_unknown(table, Settings.names(), str(config))
    return {name: _Given(value, str(config), config.absolute().parent) for name, value in table.items()}


def _refuse_unknown(names: Iterable[str], known: Collection[str], origin: str) -> None:
    for name in names:
        if name not in known:
            # a high cutoff, because all variables have the same first half
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            remedy = f"did you mean {near[0]}?" if near else f"use one of: {', '.join(known)}"
            raise InvalidRequest(f"{origin}: unknown setting {name!r}; {remedy}")


def with_setting(settings: Settings, name: str, value: object, origin: object, base: Path | None) -> Settings:
    """Return the settings with another value for one of them. ``origin`` and ``base`` are as for ``_Given``.

    Messages name ``str(origin)``, which is not called otherwise.

    Raises:
        InvalidRequest: The setting cannot have that value.
    """
    kind = fields_dict(Settings)[name].type
    try:
        return evolve(settings, **{name: _anchored(typed(value, kind), base)})
    except InvalidRequest as exc:
        raise InvalidRequest(f"{origin}: {exc}") from exc
    except (TypeError, ValueError):
        quoted = "***" if kind in _SECRET_KINDS or holds_secret(repr(value)) else redacted(f"{value!r:.100}")
        # from None: the original error may quote a secret
        raise InvalidRequest(f"{origin}: {name} cannot be {quoted}; give {about(name).expects}") from None


def _anchored(value: Any, base: Path | None) -> Any:  # noqa: ANN401 - any setting's type
    match value:
        case str():
            return anchored(value, base)
        case tuple():
            return tuple(_anchored(each, base) for each in value)
        case Path() if is_sha256(value.name):  # in place of a file that lists some
            return value
        case Path():
            return (base or Path()) / expanded(value)
        case _:
            return value
