"""Decisions: what curators decided about single images of a dataset, by the sha256 of the image that was collected.

An image has at most two decisions: one about whether it is kept (exclude or include, which take each other back), and
one about its label.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

from attrs import field, frozen

from pixcore.errors import InvalidRequest
from pixcore.model.quality import Fingerprint, NearRule
from pixcore.model.requests import dataset_name
from pixcore.redaction import redacted

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HASH = re.compile(r"[0-9a-f]{16}")
_DIGITS = 12  # of a sha256, in a detail
_PIXCORE = "pixcore"  # who decides about placeholders
_PLACEHOLDER = "placeholder: "  # how the reason of such a decision begins


class DecisionKind(StrEnum):
    """What is decided about an image.

    ``exclude`` leaves it out. ``include`` keeps it: it takes an exclusion back, and overrules the dataset's rules for
    sizes, measures and copies. ``relabel`` gives it a label.
    """

    EXCLUDE = "exclude"
    INCLUDE = "include"
    RELABEL = "relabel"


def is_sha256(text: str) -> bool:
    """Return whether the text is a whole sha256: 64 hex digits in lower case."""
    return bool(_SHA256.fullmatch(text))


def _kind(text: str) -> DecisionKind:
    try:
        return DecisionKind(text)
    except ValueError:
        raise InvalidRequest(f"the kind of a decision is one of {', '.join(DecisionKind)}, not {text!r}") from None


def _whole_second(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise InvalidRequest(f"the time of a decision, {time.isoformat()}, has no time zone; write it in UTC")
    return time.astimezone(UTC).replace(microsecond=0)


@frozen
class Decision:
    """One decision about one image of a dataset.

    Attributes:
        dataset: The dataset's name.
        kind: What is decided.
        sha256: Of the image that was collected, in lower case; not of its converted copy.
        label: The new label if ``kind`` is relabel, else ``""``.
        near: Whether an exclusion is also meant for every image whose hashes are near ``phash`` and ``dhash``, by the
            near rule of the dataset.
        phash, dhash: The image's hashes, 16 hex digits each, if ``near``; else ``""``.
        by: Who decided; never empty.
        reason: Why; may be ``""``.
        at: When, in UTC, in whole seconds.

    Raises:
        InvalidRequest: A value does not fit; the message names it.
    """

    dataset: str = field(converter=dataset_name)
    kind: DecisionKind = field(converter=_kind)
    sha256: str
    label: str = field(default="", converter=redacted, kw_only=True)
    near: bool = field(default=False, kw_only=True)
    phash: str = field(default="", kw_only=True)
    dhash: str = field(default="", kw_only=True)
    by: str = field(converter=redacted, kw_only=True)
    reason: str = field(default="", converter=redacted, kw_only=True)
    at: datetime = field(converter=_whole_second, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not is_sha256(self.sha256):
            raise InvalidRequest(f"{self.sha256!r} is no sha256; write 64 hex digits in lower case")
        if self.about_label and not self.label.strip():
            raise InvalidRequest(f"{self._name}: the new label is empty; name one")
        if self.label and not self.about_label:
            raise InvalidRequest(f"{self._name}: only a relabel has a label; here it is {self.label!r}")
        if self.near and self.kind is not DecisionKind.EXCLUDE:
            raise InvalidRequest(f"{self._name}: only an exclusion can be meant for near copies")
        if [bool(_HASH.fullmatch(each)) for each in (self.phash, self.dhash)] != [self.near] * 2 or (
            not self.near and (self.phash or self.dhash)
        ):
            raise InvalidRequest(
                f"{self._name}: phash and dhash have 16 hex digits if near copies are meant, and are empty if not"
            )
        if not self.by.strip():
            raise InvalidRequest(f"{self._name} does not say who decided; name the person")
        for name in ("label", "by", "reason"):
            if any(unicodedata.category(character) in ("Cc", "Cs") for character in getattr(self, name)):
                raise InvalidRequest(f"{self._name}: the {name} has a control character; write one line of text")

    @property
    def _name(self) -> str:
        return f"the decision about {self.sha256[:_DIGITS]}"

    @property
    def about_label(self) -> bool:
        """Whether it is about the label, not about whether the image is kept."""
        return self.kind is DecisionKind.RELABEL

    @property
    def key(self) -> tuple[str, str, bool]:
        """What it decides about. Of all decisions with one key, the newest counts. Decisions are ordered by this."""
        return self.dataset, self.sha256, self.about_label

    @property
    def is_placeholder(self) -> bool:
        """Whether it is an exclusion that ``placeholder`` made."""
        is_own = self.kind is DecisionKind.EXCLUDE and self.by == _PIXCORE
        return is_own and self.reason.startswith(_PLACEHOLDER)

    @property
    def sentence(self) -> str:
        """Who decided, when, and why, in one line."""
        return f"by {self.by} on {self.at:%Y-%m-%d}{': ' if self.reason else ''}{self.reason}"


def placeholder(dataset: str, sha256: str, why: str, at: datetime) -> Decision:
    """Return the decision by which pixcore excludes a picture that says that there is no image."""
    return Decision(dataset, DecisionKind.EXCLUDE, sha256, by=_PIXCORE, reason=f"{_PLACEHOLDER}{why}", at=at)


@frozen
class Decided:
    """The decisions of one dataset, to be looked up for each image. One takes 150 bytes, a near one 500.

    Without any decision, it excludes, includes and labels nothing.
    """

    _excluded: Mapping[str, str] = field(factory=dict[str, str])
    _near: tuple[tuple[Fingerprint, str], ...] = ()
    _included: frozenset[str] = frozenset()
    _labels: Mapping[str, str] = field(factory=dict[str, str])
    _placeholders: Mapping[str, str] = field(factory=dict[str, str])

    @classmethod
    def of(cls, decisions: Iterable[Decision]) -> Self:
        """Collect the decisions of one dataset, as ``Decisions.read`` yields them."""
        excluded, included, labels = dict[str, str](), set[str](), dict[str, str]()
        placeholders = dict[str, str]()
        near: list[tuple[Fingerprint, str]] = []
        texts = dict[str, str]()  # decisions that were recorded together share one text
        for each in decisions:
            key, text = each.sha256, texts.setdefault(each.sentence, each.sentence)
            match each.kind:
                case DecisionKind.EXCLUDE if each.is_placeholder:
                    why = f"{each.reason.removeprefix(_PLACEHOLDER)}, as of {each.at:%Y-%m-%d}"
                    placeholders[key] = texts.setdefault(why, why)
                case DecisionKind.EXCLUDE:
                    excluded[key] = text
                    if each.near:
                        prints = Fingerprint.parse(each.phash, each.dhash)
                        near.append((prints, f"{each.sha256[:_DIGITS]}, which was excluded {text}"))
                case DecisionKind.INCLUDE:
                    included.add(key)
                case DecisionKind.RELABEL:
                    labels[key] = texts.setdefault(each.label, each.label)
        return cls(excluded, tuple(near), frozenset(included), labels, placeholders)

    def includes(self, sha256: str) -> bool:
        """Return whether the image is kept whatever the rules of the dataset say."""
        return sha256 in self._included

    def label(self, sha256: str) -> str:
        """Return the label that was decided for the image; ``""`` if none was."""
        return self._labels.get(sha256, "")

    def placeholder(self, sha256: str) -> str:
        """Return why the image is a placeholder; ``""`` if it is not known to be one."""
        return self._placeholders.get(sha256, "")

    def exclusion(self, sha256: str, fingerprint: Fingerprint, rule: NearRule | None) -> str:
        """Return why an image is excluded: who decided, when and why, and which image; ``""`` if it is not.

        An image is also excluded if it is a near copy of one that was excluded together with its near copies. ``rule``
        is the near rule of the dataset; None is the default rule. An included image is not excluded.
        """
        if sha256 in self._excluded:
            return self._excluded[sha256]
        if not self._near or sha256 in self._included:
            return ""
        rule = rule or NearRule()
        phash, most = fingerprint.phash, rule.phash
        for other, text in self._near:
            # comparing the phashes inline decides almost all pairs: 0.07 µs each
            if (other.phash ^ phash).bit_count() <= most and rule.holds(fingerprint, other):
                return f"near copy of {text}"
        return ""
