"""The settings: names, types, defaults, permitted values and help texts."""

import os
import tempfile
from pathlib import Path

from attrs import Attribute, field, fields, fields_dict, frozen
from attrs.validators import and_, deep_iterable, ge, gt, in_, le, matches_re

from pixcore import DatasetRequest, InvalidRequest, LeaseTerms, NearRule, Policies, Quality
from pixcore.model.measures import FLAGS
from pixcore.model.quality import TwinRule
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.lists.options import FORMATS, ListOptions
from pixcore_adapters.validator.picture import Limits
from pixcore_runners.registry.tables import ARCHIVERS
from pixcore_runners.settings.described import About
from pixcore_runners.settings.described import described as _about
from pixcore_runners.settings.described import option as _option
from pixcore_runners.settings.source_names import LICENSES, OPEN
from pixcore_runners.settings.urls import SecretUrl, holds_secret, holds_user, is_url

_TERMS, _NEAR, _QUALITY, _LIMITS, _FETCH = LeaseTerms(), NearRule(), Quality(), Limits(), FetchPolicy()
_NEAR_CHOICES = tuple(str(rule) for rule in TwinRule if rule is not TwinRule.HASHES)
_COUNT = "a whole number, at least 1"
_LEAST = "a whole number, at least 0"
_SECONDS = "a number of seconds above 0"
_SWITCH = "true or false"
_COLUMN, _NAMES = "the name of a column", "one or more names of columns"
_BITS = "a whole number from 0 to 64"
_BROKER = "a URL such as redis://host:6379/0"


def about(name: str) -> About:
    """Return what users read about a setting."""
    text: About = fields_dict(Settings)[name].metadata["about"]
    return text


def _store_url(_: object, attribute: "Attribute[str]", url: str) -> None:
    if holds_secret(url) or holds_user(url):
        raise InvalidRequest(
            f"{attribute.name} holds a credential, but URLs are shown and stored; remove it and set it where the"
            " store's own tools read it, such as in AZURE_STORAGE_CONNECTION_STRING"
        )
    if not is_url(url):
        raise ValueError(url)


def _status_url(_: object, attribute: "Attribute[str]", url: str) -> None:
    if holds_secret(url):
        raise InvalidRequest(
            f"{attribute.name} holds a password, but URLs are shown; remove it, and set PGPASSWORD or write it into"
            " ~/.pgpass"
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
    """All settings. The help text of each is in its metadata. Only a ``SecretUrl`` holds secrets.

    Raises:
        ValueError: A value is out of range; InvalidRequest if it holds a credential.
    """

    store: str = field(
        default="file:./pixcore-data/blobs",
        validator=_store_url,
        metadata=_about("Where archives are stored.", "a URL such as file:./out", flag=True),
    )
    create_container: bool = field(
        default=False,
        metadata=_about("Create the store's container or bucket if it does not exist.", _SWITCH, flag=True),
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
            "Collect only images under these licences, such as cc0,by-sa; for sources that give licences.",
            f"one or more of: {', '.join(LICENSES)}",
            flag=True,
        ),
    )
    list_format: str | None = _option("Format of lists. Default: as the name says.", f"one of: {', '.join(FORMATS)}")
    list_encoding: str | None = _option("Encoding of lists. Default: UTF-8 or UTF-16.", "such as latin-1")
    url_column: str | None = _option("Column of the URLs. Default: url, image_url and similar names.", _COLUMN)
    caption_column: str | None = _option("Column of the captions. Default: caption, text, alt or title.", _COLUMN)
    label_column: str | None = _option("Column of the labels. Default: label.", _COLUMN)
    license_column: str | None = _option("Column of the licences. Default: license.", _COLUMN)
    columns: tuple[str, ...] = _option("Columns of lists without a header, in order.", _NAMES, ())
    keep_columns: tuple[str, ...] = _option("The only further columns of lists to keep. Default: all.", _NAMES, ())
    drop_columns: tuple[str, ...] = _option("Columns of lists not to keep.", _NAMES, ())
    accept_junk: bool = _option("Go on if more than 1 % of the rows of a list are faulty.", _SWITCH, default=False)
    verify_hash: str | None = _option("Reject images without the checksum of a column.", "sha256:COLUMN or md5:COLUMN")
    label_from: str = _option("Label of images in sub-folders: the folder's name.", "folder or none", "folder")
    keep_pages: Path | None = field(
        default=None,
        metadata=_about(
            "Folder for result pages that could not be parsed, for bug reports.",
            "the path of a folder",
            flag=True,
        ),
    )
    archive: str = field(
        default="zip",
        validator=_archive_kind,
        metadata=_about(
            "Kind of archive that the images of a chunk are packed into.", f"one of: {', '.join(ARCHIVERS.builtin)}"
        ),
    )
    work: Path = field(
        factory=_work,
        metadata=_about(
            "Folder for the work directories of running chunks; must belong to you.", "the path of a folder"
        ),
    )
    workers: int = field(
        default=1,
        validator=ge(1),
        metadata=_about("How many chunks run at a time.", _COUNT, flag=True),
    )
    chunk_size: int = field(
        default=fields(DatasetRequest).chunk_size.default,
        validator=ge(1),
        metadata=_about("How many images a chunk is planned for.", _COUNT, flag=True),
    )
    lease_ttl: float = field(
        default=_TERMS.ttl,
        validator=gt(0),
        metadata=_about("Seconds after which another worker may claim the chunk of a worker that died.", _SECONDS),
    )
    chunk_deadline: float = field(
        default=_TERMS.deadline,
        validator=gt(0),
        metadata=_about("Seconds that one attempt at a chunk may take.", _SECONDS),
    )
    max_failures: int = field(
        default=Policies().chunk.attempts,
        validator=ge(1),
        metadata=_about("Number of failed attempts after which a chunk has failed permanently.", _COUNT),
    )
    min_width: int = field(
        default=_QUALITY.min_width,
        validator=ge(1),
        metadata=_about("Reject images narrower than this many pixels.", _COUNT, flag=True),
    )
    min_height: int = field(
        default=_QUALITY.min_height,
        validator=ge(1),
        metadata=_about("Reject images shorter than this many pixels.", _COUNT, flag=True),
    )
    min_sharpness: int = field(
        default=_QUALITY.min_sharpness,
        validator=ge(0),
        metadata=_about("Reject images less sharp than this; sharp photographs have 540 to 1000.", _LEAST),
    )
    max_aspect: float = field(
        default=_QUALITY.max_aspect,
        validator=ge(0),
        metadata=_about(
            "Reject images of which one side is more than this many times as long as the other; 0 for no limit.",
            "a number, at least 0",
        ),
    )
    drop: tuple[str, ...] = field(
        default=_QUALITY.drop,
        validator=deep_iterable(in_(FLAGS)),
        metadata=_about(
            "Reject images with these flags, such as blurry,dark.", f"one or more of: {', '.join(FLAGS)}", flag=True
        ),
    )
    filters: tuple[str, ...] = field(
        default=_QUALITY.filters,
        metadata=_about("Filters of installed packages that reject images.", "the names of one or more filters"),
    )
    near: str = field(
        default=str(_QUALITY.twins),
        validator=in_(_NEAR_CHOICES),
        metadata=_about(
            "What a chunk does with copies of one picture: drop the worse ones, report the pairs, or nothing (off).",
            f"one of: {', '.join(_NEAR_CHOICES)}",
            flag=True,
        ),
    )
    near_phash: int = field(
        default=_NEAR.phash,
        validator=and_(ge(0), le(64)),
        metadata=_about(
            "Largest number of bits, of 64, by which phashes of near-duplicates in reports and splits differ.",
            _BITS,
        ),
    )
    near_dhash: int = field(
        default=_NEAR.dhash,
        validator=and_(ge(0), le(64)),
        metadata=_about(
            "Largest number of bits, of 64, by which their dhashes differ; both must hold.",
            _BITS,
        ),
    )
    max_bytes: int = field(
        default=_LIMITS.max_bytes,
        validator=ge(1),
        metadata=_about("Skip files larger than this many bytes.", _COUNT),
    )
    max_pixels: int = field(
        default=_LIMITS.max_pixels,
        validator=ge(1),
        metadata=_about("Reject images with more pixels than this, all frames together.", _COUNT),
    )
    max_frames: int = field(
        default=_LIMITS.max_frames,
        validator=ge(1),
        metadata=_about("Reject animations and documents with more frames or pages than this.", _COUNT),
    )
    decode_seconds: float = field(
        default=10.0,
        validator=gt(0),
        metadata=_about("Reject images that take longer than this many seconds to decode.", _SECONDS),
    )
    user_agent: str = field(
        default=_FETCH.user_agent,
        metadata=_about(
            "The User-Agent that pixcore sends to web sites; add a contact address.",
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
        metadata=_about("How many images are fetched from one host at a time.", _COUNT),
    )
    per_host_rate: float = field(
        default=_FETCH.per_host_rate,
        validator=ge(0),
        metadata=_about("How many fetches from one host may start per second; 0 for no limit.", "a number, at least 0"),
    )
    fetch_seconds: float = field(
        default=_FETCH.seconds,
        validator=gt(0),
        metadata=_about("Seconds that one attempt to fetch an image may take, including redirects.", _SECONDS),
    )
    private_hosts: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "Hosts, as host or host:port, that may be fetched from although their addresses are private.",
            "one or more hosts such as images.intranet:8080",
            flag=True,
        ),
    )
    ignore_opt_out: bool = field(
        default=_FETCH.ignore_opt_out,
        metadata=_about("Fetch even what robots.txt or X-Robots-Tag forbid.", _SWITCH, flag=True),
    )
    proxy_from_environment: bool = field(
        default=_FETCH.proxy_from_environment,
        metadata=_about("Fetch through the proxies that HTTP_PROXY and similar variables name.", _SWITCH),
    )
    broker: SecretUrl | None = field(
        default=None,
        metadata=_about("The broker of the queue; the direct runner needs none.", _BROKER),
    )
    result_backend: SecretUrl | None = field(
        default=None,
        metadata=_about("Where the queue stores results; by default the broker if it is a Redis.", _BROKER),
    )
    queue: str = field(
        default="pixcore",
        validator=matches_re(r"[\w.-]{1,100}"),
        metadata=_about("Name of the queue at the broker.", "1 to 100 letters, digits, '_', '.' or '-'"),
    )
    metrics_dir: Path | None = field(
        default=None,
        metadata=_about(
            "Folder of this machine for metrics; if it is not set, none are counted.", "the path of a folder"
        ),
    )

    @property
    def near_rule(self) -> NearRule:
        """Which stored hashes are near: for reports across chunks, and for splits."""
        return NearRule(self.near_phash, self.near_dhash)

    @property
    def lists(self) -> ListOptions:
        """How lists and folders are to be read; the licences are those of a keyword.

        Raises:
            InvalidRequest: An option has an invalid value.
        """
        return ListOptions(
            self.list_format or "",
            self.list_encoding or "",
            self.url_column or "",
            self.caption_column or "",
            self.label_column or "",
            self.license_column or "",
            self.columns,
            self.keep_columns,
            self.drop_columns,
            self.accept_junk,
            self.verify_hash or "",
            label_from=self.label_from,
        )

    @property
    def quality(self) -> Quality:
        """The quality that a newly planned dataset requires of its images."""
        return Quality(
            min_width=self.min_width,
            min_height=self.min_height,
            near=self.near_rule,
            twins=TwinRule(self.near),
            min_sharpness=self.min_sharpness,
            max_aspect=self.max_aspect,
            drop=self.drop,
            filters=self.filters,
        )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all settings, in the order in which they are shown."""
        return tuple(fields_dict(cls))
