"""Write the types of columns as loaders take them, for the card of an export."""

from collections.abc import Mapping


def pandas_types(columns: Mapping[str, str]) -> str:
    """Return the argument ``dtype`` of pandas' readers, as Python code."""
    return repr({column: "int64" if kind == "integer" else "str" for column, kind in columns.items()})


def duckdb_columns(columns: Mapping[str, str]) -> str:
    """Return the argument ``columns`` of DuckDB's readers, as SQL."""
    typed = (
        f"{_sql_text(column)}: '{'BIGINT' if kind == 'integer' else 'VARCHAR'}'" for column, kind in columns.items()
    )
    return f"{{{', '.join(typed)}}}"


def _sql_text(text: str) -> str:
    quoted = text.replace("'", "''")
    return f"'{quoted}'"
