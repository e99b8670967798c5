"""What is known of each searched source before any request: for ``pixcore sources`` and the documents."""

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from pixcore.errors import one_line
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.sources.search import About, Limits
from pixcore_runners.assembly.sources import search_named
from pixcore_runners.registry.tables import SEARCHES
from pixcore_runners.settings import environment_here
from pixcore_runners.settings.source_names import OPEN, QUERIED


@frozen
class KnownSource:
    """A searched source.

    Attributes:
        name: Its name.
        about: What is known of it; None if it cannot be used.
        unset: The variables of its credentials that are not set; ``user_agent`` if it lacks a contact address.
        error: Why it cannot be used; ``""`` if it can.
    """

    name: str
    about: About | None
    unset: Sequence[str] = ()
    error: str = ""

    @property
    def form(self) -> str:
        """How users write it."""
        return QUERIED.get(self.name, self.name)

    @property
    def by_default(self) -> bool:
        """Whether it is searched if no source is named."""
        return self.name in OPEN

    @property
    def key(self) -> str:
        """Which credentials it takes, and whether they are set."""
        if self.about is None:
            return ""
        if credentials := self.about.credentials:
            needed = "needed" if any(each.required for each in credentials) else "optional"
            named = ", ".join(each.variable for each in credentials)
        elif self.about.contact:
            needed, named = "needed", "a contact address in user_agent"
        else:
            return "none"
        return f"{named}: {needed}, {'not set' if self.unset else 'set'}"

    def document(self) -> Mapping[str, object]:
        """Return all that is known, as JSON values. Limits that the source does not document are 0."""
        known: dict[str, object] = {
            "source": self.name,
            "form": self.form,
            "by_default": self.by_default,
            "error": self.error,
        }
        if about := self.about:
            known |= {
                "credentials": [
                    {
                        "variable": each.variable,
                        "required": each.required,
                        "set": each.variable not in self.unset,
                        "url": each.url,
                    }
                    for each in about.credentials
                ],
                "needs_contact": about.contact,
                "results_a_query": about.depth,
                "results_a_page": about.size,
                "requests_at_once": about.limits.concurrent,
                "requests_a_minute": about.limits.minute,
                "requests_a_day": about.limits.day,
                "licenses": sorted(about.licenses),
                "terms": about.terms,
                "terms_url": about.terms_url,
                "tried": about.tried,
                "known": about.known,
            }
        return known


def known_sources(user_agent: str = "") -> Iterator[KnownSource]:
    """Yield every searched source, those of plug-ins too, for clients with this user agent. Sends no request."""
    environ = environment_here()
    for name in SEARCHES:
        try:
            about = search_named(name).about
        except Exception as error:  # noqa: BLE001 - of a plug-in, which must not hide the others
            yield KnownSource(name, None, error=one_line(error))
        else:
            unset = [each.variable for each in about.credentials if not environ.get(each.variable)]
            if about.contact and not (user_agent and FetchPolicy(user_agent).contact):
                unset.append("user_agent")
            yield KnownSource(name, about, unset)


def rate(limits: Limits) -> str:
    """Return the documented limits of requests, such as ``20 a minute, 200 a day``; ``not documented`` without any."""
    parts = [f"{count:,} a {unit}" for count, unit in ((limits.minute, "minute"), (limits.day, "day")) if count]
    return ", ".join(parts) or "not documented"


def licences(about: About) -> str:
    """Return the licences that results can be limited to."""
    return ", ".join(sorted(about.licenses)) or "none stated"
