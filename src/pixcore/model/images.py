"""The states of one image: a candidate, then a download or a miss, then accepted or rejected."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from attrs import field, frozen

from pixcore.model.conversion import Converted
from pixcore.model.measures import Measures
from pixcore.model.quality import Fingerprint
from pixcore.redaction import redacted


class MissReason(StrEnum):
    """Why a candidate's bytes could not be obtained. A downloader of a third party may use further reasons.

    The reason for an HTTP status without success is ``http_404`` and so on.
    """

    GONE = "gone"
    UNREADABLE = "unreadable"
    OUTSIDE = "outside_folder"
    NOT_A_FILE = "not_a_file"
    TOO_LARGE = "too_large"
    NOT_A_URL = "not_a_url"
    ADDRESS = "address_refused"
    OPTED_OUT = "opted_out"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TIMEOUT = "timeout"
    TRUNCATED = "truncated"
    MALFORMED = "malformed_answer"
    REDIRECTS = "too_many_redirects"
    CONTENT_TYPE = "content_type"
    ENCODING = "content_encoding"
    RATE_LIMIT = "rate_limit"
    REPEATED = "repeated_url"
    SEEN = "seen_in_dataset"  # known before it is fetched; ``RejectReason.SEEN`` is its name after that
    LICENSE = "license_not_allowed"
    CHANGED = "source_changed"
    UNAVAILABLE = "source_unavailable"


# Permanent misses with these reasons may be downloads under other settings, or once the user has mended the folder. So
# a later attempt at the chunk tries these candidates again.
MENDABLE = frozenset(
    {
        MissReason.GONE,
        MissReason.UNREADABLE,
        MissReason.OUTSIDE,
        MissReason.NOT_A_FILE,
        MissReason.TOO_LARGE,
        MissReason.ADDRESS,
        MissReason.OPTED_OUT,
        MissReason.TLS,
        MissReason.REDIRECTS,
    }
)


class RejectReason(StrEnum):
    """Why a download was rejected. A validator of a third party may use further reasons."""

    NOT_AN_IMAGE = "not_an_image"
    FORMAT = "format_not_allowed"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_MANY_SCANS = "too_many_scans"
    TOO_SLOW = "too_slow"
    TOO_MUCH_MEMORY = "too_much_memory"
    DECODER_DIED = "decoder_died"
    DARK = "dark"
    LIGHT = "light"
    BLURRY = "blurry"
    LOW_INFORMATION = "low_information"
    GRAYSCALE = "grayscale"
    ODD_ASPECT = "odd_aspect"
    TEXT = "text"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    SEEN = "seen_in_dataset"
    HASH = "hash_mismatch"
    EXCLUDED = "excluded"
    PLACEHOLDER = "placeholder"


# Images with these reasons may be accepted with other limits of a worker, or once their file was replaced. All others
# were rejected by the rules of the dataset, or are copies.
DOUBTFUL = frozenset(
    {
        RejectReason.NOT_AN_IMAGE,
        RejectReason.FORMAT,
        RejectReason.DAMAGED,
        RejectReason.TOO_LARGE,
        RejectReason.TOO_MANY_PIXELS,
        RejectReason.TOO_MANY_FRAMES,
        RejectReason.TOO_MANY_SCANS,
        RejectReason.TOO_SLOW,
        RejectReason.TOO_MUCH_MEMORY,
        RejectReason.DECODER_DIED,
        RejectReason.HASH,
    }
)


# Images with these reasons have the bytes of an image that the dataset keeps.
EQUAL_BYTES = frozenset({RejectReason.DUPLICATE, RejectReason.SEEN})

# Images with these reasons would be kept if no other image had their bytes or showed their picture.
COPIES = EQUAL_BYTES | {RejectReason.NEAR_DUPLICATE}


@frozen
class CandidateKey:
    """One position of one source's results for one query. It identifies a candidate when a source is opened again."""

    source: str
    query: str
    position: int


@frozen
class Provenance:
    """Where an image comes from, what it shows and under which licence. What the source does not state is ``""``."""

    page_url: str = ""
    title: str = ""
    creator: str = ""
    license: str = ""
    license_url: str = ""
    opt_out: str = ""
    caption: str = ""


@frozen
class Candidate:
    """What a source proposes: an image before its download.

    Attributes:
        key: Its position in the source.
        address: Where its bytes are, with credentials if it has any: only downloaders need it. For a file, its path
            relative to the folder.
        provenance: What the source says about it.
        label: Its class, if the source states one; otherwise ``""``.
        listed: The further columns of a list, by name: see ``ChunkRequest.columns``.
        checksum: What the bytes must have, as ``sha256:HEX``, ``sha1:HEX`` or ``md5:HEX``; ``""`` if the source does
            not say.
    """

    key: CandidateKey
    address: str = field(repr=redacted)
    provenance: Provenance = Provenance()
    label: str = ""
    listed: Mapping[str, str | int] = field(factory=dict[str, str | int], hash=False)
    checksum: str = ""

    @cached_property
    def url(self) -> str:
        """The address without credentials, as it is shown and stored."""
        return redacted(self.address)

    @property
    def is_from_web(self) -> bool:
        """Whether its address is a URL, not the path of a file."""
        return "://" in self.address


@frozen
class Original:
    """An image that was collected, of which only a converted copy is left.

    Attributes:
        sha256: Of its bytes.
        width: In pixels, before the EXIF orientation was applied.
        height: In pixels, likewise.
        size: In bytes.
        fingerprint: Its hashes; ``flat`` is not known and therefore False.
        measures: Its measures; None if it was not measured.
        changes: What the conversion changed: names of ``CHANGES``.
    """

    sha256: str
    width: int
    height: int
    size: int
    fingerprint: Fingerprint
    measures: Measures | None
    changes: tuple[str, ...]


@frozen
class Transfer:
    """How a candidate was fetched over the network.

    Attributes:
        final_url: The last address that was requested, after all redirects.
        http_status: The status of its response; 0 if there was none.
        tries: How many times the candidate was requested.
        redirected: Whether ``final_url`` is another one than that of the candidate.
    """

    final_url: str = field(default="", converter=redacted)
    http_status: int = 0
    tries: int = 0
    redirected: bool = field(default=False, eq=False)


@frozen
class Download:
    """A candidate whose ``size`` bytes are at ``path`` in the work directory.

    ``fetched_at`` is aware, in UTC. ``original`` is the collected image if these are the bytes of a converted copy.
    ``transfer`` is None if it was not fetched over the network.
    """

    candidate: Candidate
    path: Path
    size: int
    fetched_at: datetime
    original: Original | None = None
    transfer: Transfer | None = None


@frozen
class Miss:
    """A candidate whose bytes could not be obtained. ``permanent``: another try within the chunk cannot help.

    ``transfer`` is None if nothing was requested over the network.
    """

    candidate: Candidate
    reason: str
    permanent: bool
    detail: str = field(default="", converter=redacted)
    transfer: Transfer | None = None


@frozen
class Accepted:
    """A download that is a sound image: decoded, hashed and within the limits.

    Attributes:
        download: What was judged.
        sha256: Of the bytes at ``download.path``.
        width: In pixels, as the file stores it, before ``orientation`` is applied.
        height: In pixels, likewise.
        format: The decoder's upper-case name for what was found, whatever the file is called.
        fingerprint: Hashes of what is seen: upright, opaque, in 8 bits, of all frames.
        grey: The small picture that the hashes were made from: 32 x 32 levels of grey, row by row, or ``b""``. It
            serves to propose near-duplicates within a chunk and is never stored.
        frames: Frames of an animation or pages of a document; else 1.
        mode: The decoder's name for the colour mode, such as RGB; ``""`` where it does not say.
        orientation: The EXIF orientation that a viewer applies to the stored pixels, 1 to 8; 1 is upright.
        measures: Sharpness, brightness and so on; None if the validator measures nothing.
        stored: The converted copy that is stored in place of the download; None if the download itself is.
    """

    download: Download
    sha256: str
    width: int
    height: int
    format: str
    fingerprint: Fingerprint
    grey: bytes = b""
    frames: int = 1
    mode: str = ""
    orientation: int = 1
    measures: Measures | None = None
    stored: Converted | None = None


@frozen
class Rejected:
    """A download that was rejected, and why.

    Attributes:
        download: What was judged.
        reason: A ``RejectReason``, or the name of a filter.
        detail: What decided, with its numbers; may be ``""``.
        image: The decoded image, if a rule of the dataset dropped a sound one; else None.
        twin: The image that is kept instead, if it is in the same chunk.
    """

    download: Download
    reason: str
    detail: str = field(default="", converter=redacted)
    image: Accepted | None = None
    twin: Accepted | None = None
