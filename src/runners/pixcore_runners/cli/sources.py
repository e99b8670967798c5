"""``pixcore sources``: list where images can come from."""

import rich_click as click

from pixcore_runners.assembly.known_sources import known_sources, licences, rate
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.observing.logs import escaped
from pixcore_runners.settings.source_names import LISTED


@click.command("sources")
@shared
def command(shell: Shell) -> None:
    """List the sources of images: what each gives, asks for and allows. Sends no request.

    The key says whether the source takes one and whether it is set, in the environment or in `.env`. Results and
    requests are the most that the source documents, with the keys that are set. Below the table are the terms of each,
    how it was tried, and what is known not to work.

    Example: `pixcore sources --json`
    """
    table = plain_table("source", "key", "results a query", "a page", "requests", "at once", "licences")
    for form in LISTED.values():
        add(table, form, "none", "all that it holds", "", "none", "", "as the list says" if "LIST" in form else "none")
    found = list(known_sources(shell.settings.user_agent))
    lines = []
    for one in found:
        about = one.about
        if about is None:
            add(table, one.form, f"cannot be used: {one.error}", "", "", "", "", "")
            continue
        form = f"{one.form} (default)" if one.by_default else one.form
        numbers = (f"{about.depth:,}", f"{about.size:,}", rate(about.limits), about.limits.concurrent)
        add(table, form, one.key, *numbers, licences(about))
        known = f"; known: {about.known}" if about.known else ""
        lines.append(escaped(f"{one.name}: {about.terms} ({about.terms_url}); tried {about.tried}{known}"))
    shell.show(
        {"version": VERSION, "sources": [one.document() for one in found], "listed": list(LISTED.values())},
        table,
        "",
        *lines,
    )
