"""Where settings are written, and which place wins: flags > environment > .env > pixcore.toml > defaults."""

import difflib
import os
import tomllib
from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import evolve, fields_dict, frozen
from dotenv import dotenv_values

from pixcore.errors import InvalidRequest
from pixcore_runners.settings.conversion import shown, typed
from pixcore_runners.settings.urls import SecretUrl, anchored, expanded, holds_secret
from pixcore_runners.settings.values import Settings, about

_PREFIX = "PIXCORE_"
_DEFAULT = "default"

# the names of the system that pixcore replaces
_OLD_NAMES = {
    "PIXCRAWLER_CELERY_BROKER_URL": "broker",
    "PIXCRAWLER_CELERY_RESULT_BACKEND": "result_backend",
}
_AZURE_CONNECTION, _AZURE_CONTAINER, _CONTAINER = "AZURE_STORAGE_CONNECTION_STRING", "AZURE_CONTAINER_NAME", "datasets"

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@frozen
class Loaded:
    """The settings, and of each by name where it was set.

    An origin reads ``flag``, ``environment PIXCORE_STORE``, ``.env PIXCORE_STORE``, ``pixcore.toml`` or ``default``;
    the two files as they were named.
    """

    settings: Settings
    origins: Mapping[str, str]

    def shown(self) -> dict[str, Any]:
        """The settings by name as JSON takes them, passwords masked."""
        return shown(self.settings)


@frozen
class _Given:
    """A value as it was written, where, and the folder that its relative paths start from; None is the current one."""

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
    """Read the settings from these places and no others; nothing is changed, the process's environment least of all.

    Args:
        flags: By the name of the setting; what was not given is left out.
        environ: Environment variables. Empty ones count as not set.
        dotenv: A ``.env`` file, which may be missing.
        config: A TOML file, which must be there.

    Raises:
        InvalidRequest: A file that cannot be read, a name that is no setting, or a value that a setting cannot have.
    """
    given = ChainMap(_from_flags(flags), _from_variables(_variables(environ, dotenv)), _from_toml(config))
    settings = Settings()
    for name, what in given.items():
        settings = placed(settings, name, what.value, what.origin, what.base)
    return Loaded(settings, {name: given[name].origin if name in given else _DEFAULT for name in Settings.names()})


def load_here(*, flags: Mapping[str, object] = _NOTHING, config: Path | None = None) -> Loaded:
    """``load`` with this process's environment and the current folder's ``.env``, and ``pixcore.toml`` if it is there.

    ``config`` is read instead of ``pixcore.toml``.

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
    """What credentials are looked for in: this process's environment, then the current folder's ``.env``.

    Raises:
        InvalidRequest: The file cannot be read.
    """
    return {
        name: what.value for name, what in _variables(os.environ, Path(".env")).items() if isinstance(what.value, str)
    }


def _from_flags(flags: Mapping[str, object]) -> dict[str, _Given]:
    _refuse_unknown(flags, Settings.names(), "flag")
    return {name: _Given(value, "flag") for name, value in flags.items()}


def _variables(environ: Mapping[str, str], dotenv: Path | None) -> Mapping[str, _Given]:
    """All variables that are not empty, those of the environment before those of the file."""
    try:
        # without interpolation: a "$" in a password is a "$", and no other variable is looked at
        written = dotenv_values(dotenv, interpolate=False) if dotenv else {}
    except UnicodeDecodeError as exc:
        raise InvalidRequest(f"{dotenv} is not UTF-8; save it as UTF-8") from exc
    except OSError as exc:
        raise InvalidRequest(f"{dotenv} cannot be read ({exc.strerror}); give yourself the right to") from exc
    return ChainMap(
        {name: _Given(value, f"environment {name}") for name, value in environ.items() if value},
        {name: _Given(value, f"{dotenv} {name}") for name, value in written.items() if value},
    )


def _from_variables(variables: Mapping[str, _Given]) -> dict[str, _Given]:
    """The settings among the variables. Our own names beat the old ones, whichever of the two places they stand in."""
    ours = {f"{_PREFIX}{name.upper()}": name for name in Settings.names()}
    for variable, what in variables.items():
        if variable.startswith(_PREFIX):
            _refuse_unknown([variable], ours, what.origin.removesuffix(f" {variable}"))
    given: dict[str, _Given] = {}
    if connection := variables.get(_AZURE_CONNECTION):
        # the adapter reads the connection string itself: here it only says that Azure is meant
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
        raise InvalidRequest(f"{config} cannot be read ({exc.strerror}); name a TOML file that is there") from exc
    except ValueError as exc:
        raise InvalidRequest(f"{config} cannot be read as TOML: {exc}") from exc
    _refuse_unknown(table, Settings.names(), str(config))
    return {name: _Given(value, str(config), config.absolute().parent) for name, value in table.items()}


def _refuse_unknown(names: Iterable[str], known: Collection[str], origin: str) -> None:
    for name in names:
        if name not in known:
            # strict, because all variables are alike in their first half
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            remedy = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise InvalidRequest(f"{origin}: {name!r} is no setting; {remedy}")


def placed(settings: Settings, name: str, value: object, origin: str, base: Path | None) -> Settings:
    """The settings with another value for one of them, as it was written at ``origin``; ``base`` as for ``_Given``.

    Raises:
        InvalidRequest: The setting cannot have that value.
    """
    kind = fields_dict(Settings)[name].type
    try:
        return evolve(settings, **{name: _anchored(typed(value, kind), base)})
    except InvalidRequest as exc:
        raise InvalidRequest(f"{origin}: {exc}") from exc
    except (TypeError, ValueError):
        quoted = "***" if kind == SecretUrl | None or holds_secret(repr(value)) else f"{value!r:.100}"
        # from None: what lies below may quote the value
        raise InvalidRequest(f"{origin}: {name} cannot be {quoted}; give {about(name).expects}") from None


def _anchored(value: Any, base: Path | None) -> Any:  # noqa: ANN401 - any setting's type
    match value:
        case str():
            return anchored(value, base)
        case tuple():
            return tuple(anchored(url, base) for url in value)
        case Path():
            return (base or Path()) / expanded(value)
        case _:
            return value
