"""The rule by which parties share slots.

A party that wants more slots than it holds is short. Free slots go to the parties that hold the fewest. A party that
holds at least two more than a short one gives slots up at once, and one that holds one more does so after ``HOLD``
seconds. So all parties get their turns, also where there are fewer slots than parties. Slots are kept from one request
to the next, because it is cheaper to agree once for many requests.
"""

from collections.abc import Iterable

from attrs import frozen

from pixcore_adapters.downloader.pacing.interface import Wish

HOLD = 1.0  # seconds
REST_BEATS = 2.5  # beats without new slots after some were given up, so that the short party is quicker


@frozen
class Share:
    """What is known of one party. Times are seconds of one clock.

    Attributes:
        held: The slots that it may be using.
        short: Whether it wants more.
        yielding: Whether it was asked to use fewer.
        changed: When it last got slots, or was asked to use fewer.
        rests_until: When it may get slots again.
    """

    held: int = 0
    short: bool = False
    yielding: bool = False
    changed: float = 0.0
    rests_until: float = 0.0


def yielded(held: int, fewest: int) -> int:
    """Return how many of its slots a party gives up for a short one that holds ``fewest``."""
    return max(1, (held - fewest) // 2)


def shared(wish: Wish, before: Share, others: Iterable[Share], now: float, rest: float) -> tuple[int, Share]:
    """Return how many slots a party may use, and its share from now on. ``rest`` is ``REST_BEATS`` in seconds."""
    goal, held = min(wish.wanted, wish.most), wish.held
    taken, fewest = 0, wish.most
    alone = True
    for other in others:
        taken += other.held
        if other.short:
            alone, fewest = False, min(fewest, other.held)
    changed, rests_until = before.changed, before.rests_until
    if before.yielding and held < before.held:
        rests_until = now + rest
    if held < goal and now >= rests_until and (alone or fewest >= held):
        level = goal if alone else max(held + 1, fewest)
        more = min(goal, level, wish.most - taken) - held
        if more > 0:
            held, changed = held + more, now
    allowed = held
    if held and not alone and (fewest < held - 1 or (fewest < held and now - changed >= HOLD)):
        allowed, changed = held - yielded(held, fewest), now
    return allowed, Share(held, allowed < goal, allowed < held, changed, rests_until)


def next_start(last: float, now: float, spacing: float, earliest: float) -> tuple[float, float]:
    """Return a start, and the earliest time of the next one. ``last`` is what the last call returned as that time."""
    start = max(now + earliest, last)
    return start, start + spacing
