"""Read and store the decisions that the page makes."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from attrs import frozen

from pixcore.errors import InvalidRequest
from pixcore.model.decisions import Decision, DecisionKind
from pixcore.ports.decisions import Decisions

_TEXTS = ("label", "phash", "dhash", "reason")


@frozen
class Choices:
    """The decisions of one dataset; those that are made here are made by ``by``."""

    dataset: str
    decisions: Decisions
    by: str

    def document(self) -> tuple[bytes, str]:
        """Return all decisions of the dataset as JSON, and an etag of them.

        Raises:
            StatusUnavailable: The database cannot be reached.
        """
        text = json.dumps({"me": self.by, "decisions": [*map(_described, self.decisions.read(self.dataset))]}).encode()
        return text, f'"{sha256(text).hexdigest()}"'

    def change(self, body: bytes) -> bytes:
        """Store what the page sends: ``{"take_back": [decision], "record": [decision]}``.

        Return ``{"recorded": [decision], "replaced": [decision or null]}``, both in the order of "record": what each
        one replaced may be the decision of another person, which the page did not know yet.

        A decision without ``at`` is new: it gets the time and the name of the curator. One with ``at`` was stored
        before, and is stored again because what replaced it was taken back.

        Raises:
            InvalidRequest: It is not that.
            StatusUnavailable: The database cannot be reached.
        """
        try:
            document = json.loads(body)
            back, new = ([self._decision(each) for each in document[name]] for name in ("take_back", "record"))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise InvalidRequest(f"the page sent no decisions: {exc}") from exc
        if back:
            self.decisions.take_back(back)
        before = {each.key: _described(each) for each in self.decisions.read(self.dataset)} if new else {}
        if new:
            self.decisions.record(new)
        answer = {"recorded": [*map(_described, new)], "replaced": [before.get(each.key) for each in new]}
        return json.dumps(answer).encode()

    def _decision(self, sent: Mapping[str, Any]) -> Decision:
        at = sent.get("at")
        return Decision(
            self.dataset,
            DecisionKind(sent["kind"]),
            str(sent["sha256"]),
            near=bool(sent.get("near", False)),
            by=str(sent["by"]) if at else self.by,
            at=datetime.fromisoformat(at) if at else self.decisions.now(),
            **{name: str(sent.get(name, "")) for name in _TEXTS},
        )


def _described(decision: Decision) -> Mapping[str, object]:
    names: Sequence[str] = ("sha256", *_TEXTS, "near", "by")
    described = {name: getattr(decision, name) for name in names}
    return {"kind": str(decision.kind), **described, "at": decision.at.isoformat()}
