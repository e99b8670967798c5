"""The errors of pages and lists that could not be fetched."""

import re

from pixcore.errors import InvalidRequest, PixcoreError, SourceChanged, SourceUnavailable, one_line
from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.policy import Missed


def source_error(url: str, missed: Missed) -> PixcoreError:
    """Return the error of a page or a list at this URL: whether to retry, or what to correct."""
    shown = re.sub(r"//[^/?#]*@", "//", url).partition("?")[0]  # without password and signature
    message = one_line(
        PixcoreError(f"{shown}: {missed.reason} ({missed.detail})" if missed.detail else f"{shown}: {missed.reason}")
    )
    if missed.reason == MissReason.NOT_A_URL:
        return InvalidRequest(f"{message}; correct the address")
    if missed.reason == MissReason.ADDRESS:
        return InvalidRequest(message)
    if missed.reason in {MissReason.RATE_LIMIT, "http_429"}:
        return SourceUnavailable(f"{message}; try again later")
    if not missed.permanent or missed.reason in {MissReason.UNREACHABLE, MissReason.TLS}:
        return SourceUnavailable(f"{message}; check that this machine is online and the site is up, and try again")
    return SourceChanged(f"{message}; open the address in a browser to see what it returns")
