"""The identity of a store is created once, is the same for all, and stays with a copy."""

import shutil
from pathlib import Path

import pytest

from pixcore import StoreConflict
from pixcore.stored.identity import KEY, identify, identity_of
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_runners.settings import SecretUrl


def test_a_store_keeps_its_identity(tmp_path: Path) -> None:
    """Whoever asks first gives it one, and a copy at another place is the same store."""
    store = LocalBlobStore(tmp_path / "one")
    assert identity_of(store) == ""
    identity = identify(store)
    assert identity
    assert identify(store) == identity == identity_of(store)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert identity_of(LocalBlobStore(tmp_path / "two")) == identity
    assert identify(LocalBlobStore(tmp_path / "three")) != identity


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    """Two workers that plan at once must agree."""
    store = LocalBlobStore(tmp_path)

    class Overtaken:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def put(self, *args: object, **kwargs: object) -> object:
            identify(store)
            return store.put(*args, **kwargs)

    assert identify(Overtaken()) == identity_of(store)


def test_a_foreign_blob_of_that_name_is_an_error(tmp_path: Path) -> None:
    """It must be neither trusted nor replaced."""
    (tmp_path / KEY).write_text("[1, 2]")
    with pytest.raises(StoreConflict, match="move it elsewhere"):
        identify(LocalBlobStore(tmp_path))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("rediss://ann:secret@LOCALHOST:6379/", "redis://localhost:6379/0"),
        ("redis://:secret@host:7000/3?socket_timeout=2", "redis://host:7000/3"),
        ("amqp://ann:secret@host:5672/v", "amqp://host:5672/v"),
        ("amqp://ann:secret@[::1]/v;amqp://ann:secret@other/v", "amqp://[::1]/v;amqp://other/v"),
    ],
)
def test_the_name_of_a_broker_holds_no_credential(url: str, place: str) -> None:
    """It is stored with every chunk. Users with other passwords share the broker."""
    assert SecretUrl(url).place == place
