"""The error of a page that could not be fetched: one line that names the source, what happened, and the remedy."""

from pixcore.errors import InvalidRequest, PixcoreError, SourceChanged, SourceUnavailable, one_line
from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.policy import Missed
from pixcore_adapters.downloader.sources.search import About, PageRequest

_REFUSED = frozenset({"http_401", "http_403"})
_SPENT = frozenset({MissReason.RATE_LIMIT, "http_429"})


def shown(request: PageRequest) -> str:
    """Return the URL of a page as messages show it: without its query, which may hold a key."""
    return request.url.partition("?")[0]


def page_error(about: About, request: PageRequest, missed: Missed) -> PixcoreError:
    """Return the error of a page: whether a later attempt may succeed, or what to correct."""
    kind, message = _described(about, request, missed)
    return kind(one_line(PixcoreError(message)))


def lacking(about: About, variable: str) -> str:
    """Return the message for a credential that is not set."""
    url = next(each.url for each in about.credentials if each.variable == variable)
    return f"{about.name} needs {variable}, which is not set; get a key at {url}, and set it in the environment or .env"


def beyond(about: About, start: int) -> str:
    """Return the message for a slice that begins behind the last result that the credentials of this worker allow."""
    variables = " and ".join(each.variable for each in about.credentials)
    return (
        f"{about.name} gives at most {about.depth} results for a query here, and this chunk begins at result {start};"
        f" set {variables} as where the dataset was planned"
    )


def _described(about: About, request: PageRequest, missed: Missed) -> tuple[type[PixcoreError], str]:
    name, reason = about.name, missed.reason
    why = f"{reason}: {missed.detail}" if missed.detail else reason
    if reason in _REFUSED:
        return SourceChanged, _refusal(about, reason, why)
    if reason in _SPENT:
        free = [each.variable for each in about.credentials if not each.required]
        more = f", or set {' and '.join(free)} for a higher limit" if free and not _is_keyed(request) else ""
        return SourceUnavailable, f"{name}: its limit of requests is spent ({why}); try again later{more}"
    if reason in {MissReason.ADDRESS, MissReason.NOT_A_URL}:
        return InvalidRequest, f"{name}: {shown(request)}: {why}; correct the address"
    if not missed.permanent or reason in {MissReason.UNREACHABLE, MissReason.TLS}:
        return (
            SourceUnavailable,
            f"{name}: {shown(request)}: {why}; check that this machine is online and the site is up, and try again",
        )
    remedy = "report it" if reason == MissReason.TOO_LARGE else "check the query, or report it"
    return SourceChanged, f"{name} gives no page of results at {shown(request)} ({why}); {remedy}"


def _refusal(about: About, reason: str, why: str) -> str:
    if not about.credentials:
        return f"{about.name} refuses the request ({why}); check the user agent and {about.terms_url}"
    variables, place = " and ".join(each.variable for each in about.credentials), about.credentials[0].url
    if reason == "http_401":
        return f"{about.name} refuses the key ({why}); check {variables}, or get a new key at {place}"
    return f"{about.name} does not allow this search ({why}); check the rights of the key in {variables} at {place}"


def _is_keyed(request: PageRequest) -> bool:
    return bool(request.grant or request.headers)
