"""The end of a delivery, as an event for the observers of chunks."""

from attrs import frozen

from pixcore.chunk.events import Event


@frozen
class DeliveryEnded(Event):
    """A queue's delivery of the chunk has ended. It may have run no attempt; ``attempt`` is 0.

    Attributes:
        outcome: ``completed``, ``failed`` or ``failed_earlier``; else why it is delivered again: ``busy``, ``not_due``,
            ``elsewhere``, ``given_back``, ``retried``, ``resting``, ``stopping``, ``unavailable`` or ``time_limit``.
    """

    outcome: str
