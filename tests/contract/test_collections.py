"""The contract of sources that are searched, for the collections."""

import collection_apis
from attrs import evolve
from collection_apis import KEY, Images

from pixcore_adapters.downloader.sources.europeana import Europeana
from pixcore_adapters.downloader.sources.inaturalist import INaturalist
from pixcore_adapters.downloader.sources.museums import ArtInstitute, Met, Smithsonian
from pixcore_adapters.downloader.sources.openverse import Openverse
from pixcore_adapters.downloader.sources.search import Search

from .source import Answers, Asked, SearchContract


class TestOpenverseWithCredentials(SearchContract):
    """Openverse with client credentials: a token, and 500 results a page."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return Openverse(f"{url}/v1/images/", KEY, KEY)

    def answers(self, count: int, image: Images) -> Answers:
        """See ``SearchContract``."""
        return collection_apis.openverse(count, image)


class TestINaturalist(SearchContract):
    """iNaturalist's API: the first licensed photo of each observation, with its species."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return INaturalist(f"{url}/v1/observations")

    def answers(self, count: int, image: Images) -> Answers:
        """See ``SearchContract``."""
        return collection_apis.inaturalist(count, image)


class TestEuropeana(SearchContract):
    """Europeana: a key in a header, and a cursor."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return Europeana(KEY, f"{url}/record/v2/search.json")

    def answers(self, count: int, image: Images) -> Answers:
        """See ``SearchContract``."""
        return collection_apis.europeana(count, image)


class TestArtInstitute(SearchContract):
    """The Art Institute of Chicago."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return ArtInstitute(f"{url}/api/v1/artworks/search")

    def image(self, number: int) -> str:
        """Return the address at a IIIF server."""
        return f"https://images.example/iiif/2/image-{number}/full/843,/0/default.jpg"

    def answers(self, count: int, image: Images) -> Answers:
        """See ``SearchContract``."""
        return collection_apis.artic(count, image)


class TestSmithsonian(SearchContract):
    """The Smithsonian: a key in a header."""

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return Smithsonian(KEY, f"{url}/openaccess/api/v1.0/search")

    def answers(self, count: int, image: Images) -> Answers:
        """See ``SearchContract``."""
        return collection_apis.smithsonian(count, image)


class SmallMet(Met):
    """The Met with small pages, and without the limit by the minute, which only its clock would show."""

    about = evolve(Met.about, size=10, limits=evolve(Met.about.limits, minute=0))


class TestMet(SearchContract):
    """The Met: pages of numbers, and a request for each object."""

    count = 25

    def search(self, url: str) -> Search:
        """See ``SearchContract``."""
        return SmallMet(f"{url}/public/collection")

    def is_page(self, asked: Asked) -> bool:
        """See ``SearchContract``."""
        return asked.path.endswith("/search")

    def answers(self, count: int, image: Images) -> Answers:
        """See ``SearchContract``."""
        return collection_apis.met(count, image)
