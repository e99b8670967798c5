"""What differs between the kinds of databases. All other SQL in this folder runs on every one of them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Union

from attrs import frozen
from sqlalchemy import URL, Column, ColumnElement, Connection, Engine, Table

from pixcore.errors import PixcoreError

if TYPE_CHECKING:  # a program imports only the dialect that it uses
    from sqlalchemy.dialects import postgresql, sqlite


@frozen(eq=False)
class Dialect:
    """One kind of database.

    Attributes:
        names: Returns whether a URL with this dialect's scheme identifies a usable database.
        engine: Creates the engine for such a URL, in autocommit mode; does not connect.
        exists: Returns whether the database exists, or true if connecting never creates it.
        transactional: Execution options for transactions that read before they write.
        before_migration: Runs on the database before the transaction of a migration begins.
        lock: Runs first in that transaction; a concurrent migration waits here.
        now: The database's time in seconds since 1970, to the millisecond.
        number_in: Builds the SQL expression for the first whole number of a name in a column of JSON text.
        insert: Builds an INSERT that supports ON CONFLICT DO NOTHING.
        code: Returns the database's own error code for an exception of its driver, or ``""``.
        meanings: The exception class and the text for each prefix of such codes; the longest matching prefix counts.
            The text follows the database's name.
    """

    names: Callable[[URL], bool]
    engine: Callable[[URL], Engine]
    exists: Callable[[Engine], bool]
    transactional: Mapping[str, object]
    before_migration: Callable[[Connection], object]
    lock: Callable[[Connection], object]
    now: ColumnElement[float]
    number_in: Callable[[Column[str], str], ColumnElement[int]]
    insert: Callable[[Table], Union["postgresql.Insert", "sqlite.Insert"]]
    code: Callable[[BaseException], str]
    meanings: Mapping[str, tuple[type[PixcoreError], str]]
