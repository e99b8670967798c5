"""What can be set, what it means, and what applies when nobody says otherwise."""

import os
import tempfile
from pathlib import Path

from attrs import Attribute, field, fields, fields_dict, frozen
from attrs.validators import and_, deep_iterable, ge, gt, in_, le, matches_re

from pixcore import DatasetRequest, InvalidRequest, LeaseTerms, NearRule, Policies, Quality
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.validator.picture import Limits
from pixcore_runners.registry.tables import ARCHIVERS
from pixcore_runners.settings.source_names import LICENSES, OPEN
from pixcore_runners.settings.urls import SecretUrl, holds_secret, holds_user, is_url

_TERMS, _NEAR, _QUALITY, _LIMITS, _FETCH = LeaseTerms(), NearRule(), Quality(), Limits(), FetchPolicy()
_COUNT = "a whole number, at least 1"
_SECONDS = "a number of seconds above 0"
_SWITCH = "true or false"
_BITS = "a whole number from 0 to 64"
_BROKER = "a URL such as redis://host:6379/0"


@frozen
class About:
    """What people are told about a setting: one line of help, what a value must be, and whether it has a flag."""

    help: str
    expects: str
    flag: bool = False


def about(name: str) -> About:
    """What people are told about the setting of that name."""
    told: About = fields_dict(Settings)[name].metadata["about"]
    return told


def _about(text: str, expects: str, *, flag: bool = False) -> dict[str, About]:
    return {"about": About(text, expects, flag)}


def _store_url(_: object, attribute: "Attribute[str]", url: str) -> None:
    if holds_secret(url) or holds_user(url):
        raise InvalidRequest(
            f"{attribute.name} holds a credential, but URLs are shown and stored; leave it out there and keep it where"
            " the store's own tools look for it, such as AZURE_STORAGE_CONNECTION_STRING"
        )
    if not is_url(url):
        raise ValueError(url)


def _status_url(_: object, attribute: "Attribute[str]", url: str) -> None:
    if holds_secret(url):
        raise InvalidRequest(
            f"{attribute.name} holds a password, but URLs are shown; leave it out there and set PGPASSWORD or write it"
            " into ~/.pgpass"
        )
    if not is_url(url):
        raise ValueError(url)


def _archive_kind(_: object, __: object, kind: str) -> None:
    if kind not in ARCHIVERS:
        raise ValueError(kind)


def _work() -> Path:
    return Path(tempfile.gettempdir()) / f"pixcore-{os.geteuid()}"


@frozen(kw_only=True)
class Settings:
    """Everything that can be set; holds no secret except inside a ``SecretUrl``. The help of each is in its metadata.

    Raises:
        ValueError: A value out of its range; InvalidRequest where it holds a credential.
    """

    store: str = field(
        default="file:./pixcore-data/blobs",
        validator=_store_url,
        metadata=_about("Where archives are stored.", "a URL such as file:./out", flag=True),
    )
    create_container: bool = field(
        default=False,
        metadata=_about("Make the store's container or bucket where it is missing.", _SWITCH, flag=True),
    )
    status: str = field(
        default="sqlite:///./pixcore-data/status.db",
        validator=_status_url,
        metadata=_about("The status database.", "a URL such as sqlite:///./status.db", flag=True),
    )
    source: tuple[str, ...] = field(
        default=OPEN,
        metadata=_about("Where images come from.", "one or more sources such as folder:./photos", flag=True),
    )
    license: tuple[str, ...] = field(
        default=(),
        validator=deep_iterable(in_(LICENSES)),
        metadata=_about(
            "Licences that images may have, such as cc0,by-sa; for sources that tell them.",
            f"one or more of: {', '.join(LICENSES)}",
            flag=True,
        ),
    )
    keep_pages: Path | None = field(
        default=None,
        metadata=_about(
            "Folder for the pages of a source that could not be read, to be sent along with a report.",
            "the path of a folder",
            flag=True,
        ),
    )
    archive: str = field(
        default="zip",
        validator=_archive_kind,
        metadata=_about("What a chunk's images are packed into.", f"one of: {', '.join(ARCHIVERS.builtin)}"),
    )
    work: Path = field(
        factory=_work,
        metadata=_about("Folder for the work directories of running chunks; yours alone.", "the path of a folder"),
    )
    workers: int = field(
        default=1,
        validator=ge(1),
        metadata=_about("How many chunks are worked on at a time.", _COUNT, flag=True),
    )
    chunk_size: int = field(
        default=fields(DatasetRequest).chunk_size.default,
        validator=ge(1),
        metadata=_about("How many images a chunk is to have.", _COUNT, flag=True),
    )
    lease_ttl: float = field(
        default=_TERMS.ttl,
        validator=gt(0),
        metadata=_about("Seconds after which the chunk of a worker that died may be claimed by another.", _SECONDS),
    )
    chunk_deadline: float = field(
        default=_TERMS.deadline,
        validator=gt(0),
        metadata=_about("Seconds that one attempt at a chunk may take in all.", _SECONDS),
    )
    max_failures: int = field(
        default=Policies().chunk.attempts,
        validator=ge(1),
        metadata=_about("How many failed attempts a chunk may have before it has failed for good.", _COUNT),
    )
    min_width: int = field(
        default=_QUALITY.min_width,
        validator=ge(1),
        metadata=_about("Images narrower than this many pixels are rejected.", _COUNT),
    )
    min_height: int = field(
        default=_QUALITY.min_height,
        validator=ge(1),
        metadata=_about("Images lower than this many pixels are rejected.", _COUNT),
    )
    near_phash: int = field(
        default=_NEAR.phash,
        validator=and_(ge(0), le(64)),
        metadata=_about(
            "Most bits, of 64, in which the phashes of near-duplicates differ; near_dhash must hold too.", _BITS
        ),
    )
    near_dhash: int = field(
        default=_NEAR.dhash,
        validator=and_(ge(0), le(64)),
        metadata=_about(
            "Most bits, of 64, in which the dhashes of near-duplicates differ; near_phash must hold too.", _BITS
        ),
    )
    max_bytes: int = field(
        default=_LIMITS.max_bytes,
        validator=ge(1),
        metadata=_about("Files larger than this many bytes are left out.", _COUNT),
    )
    max_pixels: int = field(
        default=_LIMITS.max_pixels,
        validator=ge(1),
        metadata=_about("Images of more pixels, all frames together, are rejected.", _COUNT),
    )
    max_frames: int = field(
        default=_LIMITS.max_frames,
        validator=ge(1),
        metadata=_about("Animations and documents of more frames or pages are rejected.", _COUNT),
    )
    decode_seconds: float = field(
        default=10.0,
        validator=gt(0),
        metadata=_about("Images that take longer than this many seconds to decode are rejected.", _SECONDS),
    )
    user_agent: str = field(
        default=_FETCH.user_agent,
        metadata=_about(
            "How pixcore introduces itself to web sites; add an address at which you can be reached.",
            "a product name and a comment, such as pixcore/1.0 (+https://example.org/contact)",
        ),
    )
    in_flight: int = field(
        default=_FETCH.in_flight,
        validator=ge(1),
        metadata=_about("How many images of a chunk are fetched at a time.", _COUNT),
    )
    per_host: int = field(
        default=_FETCH.per_host,
        validator=ge(1),
        metadata=_about("How many of them from one host.", _COUNT),
    )
    per_host_rate: float = field(
        default=_FETCH.per_host_rate,
        validator=ge(0),
        metadata=_about("How many fetches may start a second at one host; 0 for no limit.", "a number, at least 0"),
    )
    fetch_seconds: float = field(
        default=_FETCH.seconds,
        validator=gt(0),
        metadata=_about("Seconds that one attempt at fetching an image may take, redirects included.", _SECONDS),
    )
    private_hosts: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Hosts, as host or host:port, that may be fetched from although their addresses are not public.",
            "one or more hosts such as images.intranet:8080",
            flag=True,
        ),
    )
    ignore_opt_out: bool = field(
        default=_FETCH.ignore_opt_out,
        metadata=_about("Fetch what robots.txt or X-Robots-Tag ask to leave alone.", _SWITCH, flag=True),
    )
    proxy_from_environment: bool = field(
        default=_FETCH.proxy_from_environment,
        metadata=_about("Fetch through the proxies that HTTP_PROXY and the like name.", _SWITCH),
    )
    broker: SecretUrl | None = field(
        default=None,
        metadata=_about("The queue's broker; the direct runner needs none.", _BROKER),
    )
    result_backend: SecretUrl | None = field(
        default=None,
        metadata=_about("Where the queue keeps results; the broker itself if it is a Redis.", _BROKER),
    )
    queue: str = field(
        default="pixcore",
        validator=matches_re(r"[\w.-]{1,100}"),
        metadata=_about("Name of the queue at the broker.", "1 to 100 letters, digits, '_', '.' or '-'"),
    )
    metrics_dir: Path | None = field(
        default=None,
        metadata=_about("Folder of this machine for counting metrics; without one, none.", "the path of a folder"),
    )

    @property
    def near(self) -> NearRule:
        """When two images are near-duplicates."""
        return NearRule(self.near_phash, self.near_dhash)

    @property
    def quality(self) -> Quality:
        """What a dataset that is planned now asks of its images."""
        return Quality(self.min_width, self.min_height, self.near)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The settings, in the order in which people are shown them."""
        return tuple(fields_dict(cls))
