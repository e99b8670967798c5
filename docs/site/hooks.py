"""Steps of MkDocs that build the site from pages that are also read in the repository.

Pages of the project outside of ``docs/`` become pages of the site. Links between them lead to the pages of the site.
Links to other files of the repository, such as ``compose.yaml``, become the name of the file, because the site does not
hold them. Links to the web are listed in ``external-links.txt`` of the site; they are not fetched.
"""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

# Pages of the site that are elsewhere in the repository.
ELSEWHERE = {
    "benchmarks.md": "benchmarks/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
}
_PLACES = {path: page for page, path in ELSEWHERE.items()} | {"README.md": "index.md"}
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")

_log = logging.getLogger("mkdocs.plugins.pixcore")
_external: dict[str, list[str]] = {}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are elsewhere in the repository."""
    for page, path in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:  # noqa: ANN401 - whatever MkDocs passes
    """Make links to the repository links of the site."""
    here = page.file.src_uri
    folder = posixpath.dirname(ELSEWHERE.get(here, f"docs/{here}"))

    def linked(found: re.Match[str]) -> str:
        picture, text, target, anchor = found.groups(default="")
        path = posixpath.normpath(posixpath.join(folder, target))
        place = _PLACES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
        if not place:
            if not (ROOT / path).exists():
                _log.warning("%s links %s, which does not exist", here, target)
            return f"`{path}`" if text.strip("`") in path else f"{text} (`{path}`)"
        return f"{picture}[{text}]({posixpath.relpath(place, posixpath.dirname(here) or '.')}{anchor})"

    return _outside_code(markdown, linked)


def _outside_code(markdown: str, linked: Any) -> str:  # noqa: ANN401 - as `re.sub` takes it
    parts = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if number % 2 else _LINK.sub(linked, part) for number, part in enumerate(parts))


def on_page_content(html: str, page: Page, **_: Any) -> str:  # noqa: ANN401 - whatever MkDocs passes
    """Note the links of a page that lead to the web, and remove click's sign for an option without a default."""
    for url in re.findall(r"(?:href|src)=\"(https?://[^\"]+)\"", html):
        _external.setdefault(url, []).append(page.file.src_uri)
    return html.replace("<code>Sentinel.UNSET</code>", "")


def on_post_build(config: MkDocsConfig) -> None:
    """List the links that lead to the web."""
    lines = (f"{url} ({', '.join(sorted(set(pages)))})\n" for url, pages in sorted(_external.items()))
    Path(config.site_dir, "external-links.txt").write_text("".join(lines))
    _log.info("%d links lead to the web; external-links.txt lists them. They are not fetched.", len(_external))
