"""What each kind of database does in its own way; all else in this folder is SQL that every one of them reads."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Union

from attrs import frozen
from sqlalchemy import URL, ColumnElement, Connection, Engine, Table

from pixcore.errors import PixcoreError

if TYPE_CHECKING:  # a program that uses one of them has no need to wait for the other
    from sqlalchemy.dialects import postgresql, sqlite


@frozen(eq=False)
class Dialect:
    """One kind of database.

    Attributes:
        names: Whether a URL with its scheme names such a database.
        engine: The engine for such a URL, on which every statement is a transaction of its own; does not connect.
        exists: Whether it is there, or else might be made by connecting to it.
        transactional: Options of an engine whose transactions may read before they write.
        before_migration: Run on the database before the transaction of a migration begins.
        lock: Run first in that transaction: a second migration waits here.
        now: The database's time in seconds since 1970, to the millisecond.
        insert: An INSERT that can be told to pass over what is there.
        code: The database's own code for one of its driver's exceptions, or ``""``.
        meanings: What such codes mean, by how they begin; the longest match counts. The text goes on after the
            database's name.
    """

    names: Callable[[URL], bool]
    engine: Callable[[URL], Engine]
    exists: Callable[[Engine], bool]
    transactional: Mapping[str, object]
    before_migration: Callable[[Connection], object]
    lock: Callable[[Connection], object]
    now: ColumnElement[float]
    insert: Callable[[Table], Union["postgresql.Insert", "sqlite.Insert"]]
    code: Callable[[BaseException], str]
    meanings: Mapping[str, tuple[type[PixcoreError], str]]
