"""Make the files of the page, which are the same for every dataset but for its name."""

from functools import cache

from pixcore_adapters.outputs.page import parts

_PACKAGE = "pixcore_adapters.outputs.review"
_STYLE = ("base", "filters", "details", "choosing", "review")
_SCRIPT = (
    *("basics", "images", "filters", "details", "choosing", "selecting", "pairs"),
    *("server", "grid", "sides", "review"),
)

# The page runs only its own script and talks only to its own server.
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("img", "style", "script", "connect")),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def html(dataset: str) -> bytes:
    """Return the page of a dataset."""
    page = parts.page_environment(_PACKAGE).get_template("review.html")
    return page.render(dataset=dataset).encode(errors="xmlcharrefreplace")


@cache
def style() -> bytes:
    """Return its style sheet."""
    return parts.style(_PACKAGE, _STYLE).encode()


@cache
def script() -> bytes:
    """Return its script."""
    return parts.script(_PACKAGE, _SCRIPT).encode()
