"""The settings: names, types, defaults, permitted values and help texts."""

import os
import tempfile
from pathlib import Path

from attrs import field, fields, fields_dict, frozen
from attrs.validators import deep_iterable, in_, matches_re

from pixcore import DatasetRequest, LeaseTerms, NearRule, Policies, Quality
from pixcore.model.measures import FLAGS
from pixcore.model.quality import TwinRule
from pixcore_adapters.downloader.fetch.hosts import HostHeader
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.lists.options import FORMATS, ListOptions
from pixcore_adapters.validator.picture import Limits
from pixcore_runners.registry.tables import ARCHIVERS
from pixcore_runners.settings.described import About
from pixcore_runners.settings.described import bits as _bits
from pixcore_runners.settings.described import choice as _choice
from pixcore_runners.settings.described import copies as _copies
from pixcore_runners.settings.described import count as _count
from pixcore_runners.settings.described import described as _about
from pixcore_runners.settings.described import least as _least
from pixcore_runners.settings.described import option as _option
from pixcore_runners.settings.described import seconds as _seconds
from pixcore_runners.settings.described import service as _service
from pixcore_runners.settings.described import several as _several
from pixcore_runners.settings.described import up_to as _up_to
from pixcore_runners.settings.permitted import (
    COLUMN,
    LEAST,
    MOST,
    NAMES,
    SWITCH,
    archive_kind,
    sources,
    status_url,
    store_url,
)
from pixcore_runners.settings.source_names import LICENSES, OPEN
from pixcore_runners.settings.urls import Address, SecretUrl

_TERMS, _NEAR, _QUALITY, _LIMITS, _FETCH = LeaseTerms(), NearRule(), Quality(), Limits(), FetchPolicy()
_FOLDER = "the path of a folder"
_NEAR_CHOICES = tuple(str(rule) for rule in TwinRule if rule is not TwinRule.HASHES)


def about(name: str) -> About:
    """Return what users read about a setting."""
    text: About = fields_dict(Settings)[name].metadata["about"]
    return text


def _work() -> Path:
    return Path(tempfile.gettempdir()) / f"pixcore-{os.geteuid()}"


@frozen(kw_only=True)
class Settings:
    """All settings. The help text of each is in its metadata. Only a ``SecretUrl`` and a ``HostHeader`` hold secrets.

    Raises:
        ValueError: A value is out of range; InvalidRequest if it holds a credential.
    """

    store: str = field(
        default="file:./pixcore-data/blobs",
        validator=store_url,
        metadata=_about("Where archives are stored.", "a URL such as file:./out", flag=True),
    )
    create_container: bool = _option(
        "Create the store's container or bucket if it does not exist.", SWITCH, default=False
    )
    status: str = field(
        default="sqlite:///./pixcore-data/status.db",
        validator=status_url,
        metadata=_about("The status database.", "a URL such as sqlite:///./status.db", flag=True),
    )
    source: tuple[str, ...] = field(
        default=OPEN,
        validator=sources,
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
    url_column: str | None = _option("Column of the URLs. Default: url, image_url and similar names.", COLUMN)
    caption_column: str | None = _option("Column of the captions. Default: caption, text, alt or title.", COLUMN)
    label_column: str | None = _option("Column of the labels. Default: label.", COLUMN)
    license_column: str | None = _option("Column of the licences. Default: license.", COLUMN)
    columns: tuple[str, ...] = _option("Columns of lists without a header, in order.", NAMES, ())
    keep_columns: tuple[str, ...] = _option("The only further columns of lists to keep. Default: all.", NAMES, ())
    drop_columns: tuple[str, ...] = _option("Columns of lists not to keep.", NAMES, ())
    accept_junk: bool = _option("Go on if more than 1 % of the rows of a list are faulty.", SWITCH, default=False)
    verify_hash: str | None = _option("Reject images without the checksum of a column.", "sha256:COLUMN or md5:COLUMN")
    label_from: str = _option("Label of images in sub-folders: the folder's name.", "folder or none", "folder")
    keep_pages: Path | None = field(
        default=None,
        metadata=_about("Folder for result pages that could not be parsed, for bug reports.", _FOLDER, flag=True),
    )
    archive: str = field(
        default="zip",
        validator=archive_kind,
        metadata=_about(
            "Kind of archive that the images of a chunk are packed into.", f"one of: {', '.join(ARCHIVERS.builtin)}"
        ),
    )
    work: Path = field(
        factory=_work,
        metadata=_about("Folder for the work directories of running chunks; must belong to you.", _FOLDER),
    )
    workers: int = _count(1, "How many chunks run at a time.", flag=True)
    chunk_size: int = _count(
        fields(DatasetRequest).chunk_size.default, "How many images a chunk is planned for.", flag=True
    )
    lease_ttl: float = _seconds(
        _TERMS.ttl, "Seconds after which another worker may claim the chunk of a worker that died."
    )
    chunk_deadline: float = _seconds(_TERMS.deadline, "Seconds that one attempt at a chunk may take.")
    max_failures: int = _count(
        Policies().chunk.attempts, "Number of failed attempts after which a chunk has failed permanently."
    )
    patience: float = _least(
        300.0,
        "Seconds that a run waits while its machine or a service does not work, before it ends.",
        "a number of seconds, at least 0",
    )
    min_width: int = _count(_QUALITY.min_width, "Reject images narrower than this many pixels.", flag=True)
    min_height: int = _count(_QUALITY.min_height, "Reject images shorter than this many pixels.", flag=True)
    min_sharpness: int = _up_to(
        MOST, _QUALITY.min_sharpness, "Reject images less sharp than this; sharp photographs have 540 to 1000.", LEAST
    )
    max_aspect: float = _least(
        _QUALITY.max_aspect,
        "Reject images of which one side is more than this many times as long as the other; 0 for no limit.",
    )
    drop: tuple[str, ...] = field(
        default=_QUALITY.drop,
        validator=deep_iterable(in_(FLAGS)),
        metadata=_about(
            "Reject images with these flags, such as blurry,dark.", f"one or more of: {', '.join(FLAGS)}", flag=True
        ),
    )
    filters: tuple[str, ...] = _several(
        "Filters of installed packages that reject images.", "the names of one or more filters"
    )
    keep_rejected: bool = _option(
        "Store the images that these rules and `near` drop, in an archive of their own.", SWITCH, _QUALITY.keep_rejected
    )
    placeholder_urls: int = _copies(
        _QUALITY.placeholder_urls, "Reject images to whose bytes this many URLs lead, as placeholders; 0 for no limit."
    )
    placeholders: tuple[Path, ...] = _several(
        "Reject these known placeholders: their sha256, or files with one a line.",
        "one or more sha256 of 64 hex digits, or paths of files",
        flag=True,
    )
    near: str = _choice(
        str(_QUALITY.twins),
        _NEAR_CHOICES,
        "What a chunk does with copies of one picture: drop the worse ones, report the pairs, or nothing (off).",
        flag=True,
    )
    near_phash: int = _bits(
        _NEAR.phash, "Largest number of bits, of 64, by which phashes of near-duplicates in reports and splits differ."
    )
    near_dhash: int = _bits(_NEAR.dhash, "Largest number of bits, of 64, by which dhashes differ; both must hold.")
    max_bytes: int = _count(_LIMITS.max_bytes, "Skip files larger than this many bytes.")
    max_pixels: int = _count(_LIMITS.max_pixels, "Reject images with more pixels than this, all frames together.")
    max_frames: int = _count(_LIMITS.max_frames, "Reject animations and documents with more frames or pages than this.")
    decode_seconds: float = _seconds(10.0, "Reject images that take longer than this many seconds to decode.")
    user_agent: str = field(
        default=_FETCH.user_agent,
        metadata=_about(
            "The User-Agent that pixcore sends to web sites; add a contact address.",
            "a product name and a comment, such as pixcore/1.0 (+https://example.org/contact)",
        ),
    )
    in_flight: int = _count(_FETCH.in_flight, "How many images of a chunk are fetched at a time.")
    per_host: int = _count(_FETCH.per_host, "How many images are fetched from one host at a time, by all chunks.")
    per_host_rate: float = _least(_FETCH.per_host_rate, "How many of them may start per second; 0 for no limit.")
    pace_redis: SecretUrl | None = field(
        default=None,
        metadata=_service("The Redis by which several machines share the limits per host. Default: that of the queue."),
    )
    fetch_seconds: float = _seconds(
        _FETCH.seconds, "Seconds that one attempt to fetch an image may take, including redirects."
    )
    max_redirects: int = _up_to(
        20, _FETCH.max_redirects, "How many redirects of one URL are followed.", "a whole number from 0 to 20"
    )
    request_headers: tuple[HostHeader, ...] = _several(
        "Headers for single hosts, such as a Referer; their values are not shown.",
        "one or more of HOST NAME: VALUE, such as images.example.org Referer: https://example.org/",
    )
    allow_bad_tls: tuple[str, ...] = _several(
        "Hosts, as host or host:port, whose certificates are not checked.",
        "one or more hosts such as images.intranet:8443",
    )
    private_hosts: tuple[str, ...] = _several(
        "Hosts, as host or host:port, that may be fetched from although their addresses are private.",
        "one or more hosts such as images.intranet:8080",
        flag=True,
    )
    ignore_opt_out: bool = field(
        default=_FETCH.ignore_opt_out,
        metadata=_about("Fetch even what robots.txt or X-Robots-Tag forbid.", SWITCH, flag=True),
    )
    proxy_from_environment: bool = field(
        default=_FETCH.proxy_from_environment,
        metadata=_about("Fetch through the proxies that HTTP_PROXY and similar variables name.", SWITCH),
    )
    broker: SecretUrl | None = field(
        default=None, metadata=_service("The broker of the queue; the direct runner needs none.")
    )
    result_backend: SecretUrl | None = field(
        default=None, metadata=_service("Where the queue stores results; by default the broker if it is a Redis.")
    )
    queue: str = field(
        default="pixcore",
        validator=matches_re(r"[\w.-]{1,100}"),
        metadata=_about("Name of the queue at the broker.", "1 to 100 letters, digits, '_', '.' or '-'"),
    )
    log_format: str = _choice(
        "text", ("text", "json"), "Format of log lines: text, or JSON with one object a line.", flag=True
    )
    log_level: str | None = _choice(
        None, ("debug", "info", "warning", "error"), "Least level of log lines. Default: info, or Celery's --loglevel."
    )
    health: Address | None = field(
        default=None,
        metadata=_about("Where workers and the reaper answer /healthz and /readyz.", "HOST:PORT, such as 0.0.0.0:8080"),
    )
    metrics_dir: Path | None = field(
        default=None,
        metadata=_about("Folder of this machine for metrics; if it is not set, none are counted.", _FOLDER),
    )

    def queue_at(self, runner: str) -> str:
        """Return the name under which rows of chunks know a runner's queue at its broker, without credentials."""
        return f"{runner}:{self.queue}@{self.broker.place if self.broker else ''}"

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
            keep_rejected=self.keep_rejected,
            placeholder_urls=self.placeholder_urls,
        )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all settings, in the order in which they are shown."""
        return tuple(fields_dict(cls))
