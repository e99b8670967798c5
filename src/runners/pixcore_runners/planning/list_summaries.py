"""How a list was read, as text."""

from collections.abc import Iterator, Mapping
from typing import Any

from pixcore_runners.observing.logs import escaped


def described(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that describe a list: format, encoding, columns, rows, faults and samples."""
    encoding = f", {summary['encoding']}" if summary["encoding"] else ""
    separator = {"\t": "tab", ",": ""}.get(summary["delimiter"], summary["delimiter"])
    separated = f" separated by {separator}" if separator and summary["format"] == "csv" else ""
    files = f", {summary['files']} files" if summary["files"] > 1 else ""
    yield escaped(f"list {summary['list']}: {summary['format']}{separated}{encoding}{files}")
    used = ", ".join(f"{role} from {column}" for role, column in summary["columns"].items())
    yield escaped(f"  columns used: {used or 'none, each line is a URL'}; kept: {', '.join(summary['kept']) or 'none'}")
    licenses = summary["rows_under_other_licenses"]
    left_out = f", {licenses} under other licences" if licenses else ""
    yield f"  rows: {summary['rows']}, {summary['rows_without_url']} without a URL{left_out}"
    yield from faults(summary)
    for sample in summary["samples"]:
        values = {key: value for key, value in sample.items() if key != "listed"} | dict(sample.get("listed", {}))
        yield escaped(f"  sample: {', '.join(f'{key}={value!r}' for key, value in values.items())}")


def faults(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that describe the faults of a list; none if it has none."""
    if summary["faults"]:
        counts = ", ".join(f"{reason}: {count}" for reason, count in summary["faults"].items())
        yield escaped(f"  faulty rows of {summary['list']}: {counts}")
    for fault in summary["first_faults"]:
        file = f"{fault['file']} " if fault["file"] else ""
        yield escaped(f"    {file}line {fault['line']}: {fault['reason']}: {fault['text'][:100]!r}")
