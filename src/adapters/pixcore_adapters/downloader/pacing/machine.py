"""A pace that the processes of one user on one machine share, by locks on one file.

A slot is a lock on one byte. Locks may lie beyond the end of the file, so every key has bytes of its own, whose place
follows from its hash. The kernel ends the locks of a process that ends, however it ends. So nothing has to be cleaned,
and no process has to know the others. A party that is short holds a shared lock on the byte whose place is the number
of its slots.

The file itself is a table of the next starts. It has a fixed size: a start that has passed is a free entry.
"""

import asyncio
import errno
import fcntl
import logging
import os
import random
import stat
import struct
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from attrs import define, field, frozen

from pixcore_adapters.downloader.pacing.interface import Party, Wish
from pixcore_adapters.downloader.pacing.process import ProcessPacing
from pixcore_adapters.downloader.pacing.shares import HOLD, REST_BEATS, next_start, yielded

_BEAT = 0.05  # seconds
_FLOCK = struct.Struct("@hhqqi0q")  # type, whence, start, length, process
_HEADER = 4096  # bytes; begins with the identity of the boot, since whose start the clock counts
_BUCKETS, _WAYS = 4096, 8
_ENTRY = struct.Struct("=Qd")  # hash of a key, next start
_BUCKET = _WAYS * _ENTRY.size
_SLOTS = 1 << 33  # the first byte whose lock is a slot; the locks of buckets are below
_STRIDE = 1 << 32  # bytes of a key; the second half is for the parties that are short
_KEYS = 1 << 29
_CONTENDED = 0.001  # seconds until the next try to lock a bucket
_FULL = 0.05  # seconds until the next look for a free entry

_logger = logging.getLogger("pixcore")


def runtime_folder() -> Path:
    """Return the folder of the user for what processes on this machine share."""
    return Path(tempfile.gettempdir()) / f"pixcore-{os.geteuid()}"


@define(eq=False)
class MachinePacing:
    """A ``Pacing`` by the file ``pace`` in a folder that belongs to the user alone.

    If the file cannot be used, a warning is logged, and only the fetchers of this process share a pace.

    Attributes:
        folder: It is created with mode 0700.
        clock: Returns seconds, the same in all processes of the machine.
    """

    folder: Path
    clock: Callable[[], float] = time.monotonic
    _process: ProcessPacing | None = field(init=False, default=None)

    def join(self) -> Party:
        """See ``Pacing``."""
        if self._process is None:
            try:
                return _Party(_opened(self.folder), self.clock)
            except OSError as error:
                _logger.warning(
                    "%s: %s; the limits per host hold for each process by itself",
                    self.folder / "pace",
                    error.strerror or error,
                )
                self._process = ProcessPacing(self.clock)
        return self._process.join()


@frozen
class _Key:
    """The places of a key."""

    digest: int

    @classmethod
    def of(cls, name: str) -> "_Key":
        return cls(int.from_bytes(blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little"))

    @property
    def slots(self) -> int:
        return _SLOTS + self.digest % _KEYS * _STRIDE

    @property
    def levels(self) -> int:
        return self.slots + _STRIDE // 2

    @property
    def bucket(self) -> int:
        return self.digest % _BUCKETS


@define
class _Mine:
    """The slots of a party: their places, the level at which it is short, and the times as in ``Share``."""

    key: _Key
    slots: list[int] = field(factory=list[int])
    level: int | None = None
    yielding: bool = False
    changed: float = 0.0
    rests_until: float = 0.0


@define(eq=False)
class _Party:
    file: int
    clock: Callable[[], float]
    beat: float = _BEAT
    _mine: dict[str, _Mine] = field(init=False, factory=dict[str, _Mine])
    _first: int = field(init=False, factory=lambda: random.getrandbits(30))

    async def slots(self, wishes: Sequence[Wish]) -> Sequence[int]:
        now = self.clock()
        return [self._grant(wish, now) for wish in wishes]

    async def start(self, key: str, spacing: float, earliest: float = 0.0) -> float:
        place = _Key.of(key)
        while True:
            wait = _CONTENDED
            if _lock(self.file, fcntl.F_WRLCK, place.bucket):
                try:
                    delay = self._reserve(place, spacing, earliest)
                finally:
                    _lock(self.file, fcntl.F_UNLCK, place.bucket)
                if delay is not None:
                    return delay
                wait = _FULL
            await asyncio.sleep(wait)

    async def close(self) -> None:
        # a child that was forked meanwhile keeps the file open, and with it the locks
        fcntl.fcntl(self.file, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))
        os.close(self.file)

    def _grant(self, wish: Wish, now: float) -> int:
        """Return how many slots the party may use, by the rule of ``shares``."""
        mine = self._mine.get(wish.key)
        if mine is None:
            mine = self._mine[wish.key] = _Mine(_Key.of(wish.key))
        goal = min(wish.wanted, wish.most)
        if len(mine.slots) > wish.held:
            self._give_up(mine, len(mine.slots) - wish.held)
            if mine.yielding:
                mine.rests_until = now + REST_BEATS * _BEAT
        held = len(mine.slots)
        if held < goal and now >= mine.rests_until and self._short(mine.key, 0, held) is None:
            level = self._short(mine.key, held, wish.most)
            self._take(mine, wish.most, goal if level is None else min(goal, max(held + 1, level)))
            if len(mine.slots) > held:
                held, mine.changed = len(mine.slots), now
        allowed = held
        fewest = self._short(mine.key, 0, held - 1)
        if fewest is None and now - mine.changed >= HOLD:
            fewest = self._short(mine.key, held - 1, held)
        if fewest is not None:
            allowed, mine.changed = held - yielded(held, fewest), now
        mine.yielding = allowed < held
        self._announce(mine, held if allowed < goal else None)
        if not goal and not held:
            del self._mine[wish.key]
        return allowed

    def _take(self, mine: _Mine, most: int, number: int) -> None:
        """Lock free slots until there are ``number``. The first place differs, so that parties meet less often."""
        for place in range(most):
            if len(mine.slots) >= number:
                return
            slot = (self._first + place) % most
            if slot not in mine.slots and _lock(self.file, fcntl.F_WRLCK, mine.key.slots + slot):
                mine.slots.append(slot)

    def _give_up(self, mine: _Mine, number: int) -> None:
        for _ in range(number):
            _lock(self.file, fcntl.F_UNLCK, mine.key.slots + mine.slots.pop())

    def _announce(self, mine: _Mine, level: int | None) -> None:
        if level != mine.level:
            if mine.level is not None:
                _lock(self.file, fcntl.F_UNLCK, mine.key.levels + mine.level)
            if level is not None:
                _lock(self.file, fcntl.F_RDLCK, mine.key.levels + level)
            mine.level = level

    def _short(self, key: _Key, first: int, end: int) -> int | None:
        """Return the number of slots, in ``[first, end)``, of another party that is short; None if there is none."""
        if first >= end:
            return None
        question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, key.levels + first, end - first, 0)
        kind, _, place, _, _ = _FLOCK.unpack(fcntl.fcntl(self.file, fcntl.F_OFD_GETLK, question))
        return None if kind == fcntl.F_UNLCK else max(first, place - key.levels)

    def _reserve(self, key: _Key, spacing: float, earliest: float) -> float | None:
        """Reserve a start in the key's bucket, which is locked; None if the bucket has no free entry."""
        now, at = self.clock(), _HEADER + key.bucket * _BUCKET
        entries = list(_ENTRY.iter_unpack(os.pread(self.file, _BUCKET, at)))
        mine = next((place for place, (digest, _) in enumerate(entries) if digest == key.digest), None)
        if mine is None:
            mine = next((place for place, (_, start) in enumerate(entries) if start <= now), None)
            if mine is None:
                return None
            last = now
        else:
            last = entries[mine][1]
        start, following = next_start(last, now, spacing, earliest)
        os.pwrite(self.file, _ENTRY.pack(key.digest, following), at + mine * _ENTRY.size)
        return start - now


def _lock(file: int, kind: int, place: int) -> bool:
    """Lock or unlock a byte; return False if another party has locked it."""
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, place, 1, 0))
    except BlockingIOError:
        return False
    except PermissionError:  # POSIX permits it in place of EAGAIN
        return False
    return True


def _opened(folder: Path) -> int:
    """Open the file, and create it or empty its table if it is from before the last boot.

    Raises:
        OSError: It cannot be used, or the folder belongs to another user.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o022:
        raise PermissionError(errno.EACCES, "its folder does not belong to this user alone")
    file = os.open(folder / "pace", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()[:36]
        if os.pread(file, len(boot), 0) != boot:
            with _locked(file, _BUCKETS):
                if os.pread(file, len(boot), 0) != boot:
                    size = _HEADER + _BUCKETS * _BUCKET
                    os.posix_fallocate(file, 0, size)  # a full disk is noticed now
                    os.pwrite(file, bytes(size - _HEADER), _HEADER)
                    os.pwrite(file, boot, 0)
        else:
            with _locked(file, _BUCKETS):  # fails now if the file system has no such locks
                pass
    except BaseException:
        os.close(file)
        raise
    return file


@contextmanager
def _locked(file: int, place: int) -> Generator[None]:
    """Wait for the lock on a byte and hold it during the block."""
    fcntl.fcntl(file, fcntl.F_OFD_SETLKW, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0))
    try:
        yield
    finally:
        _lock(file, fcntl.F_UNLCK, place)
