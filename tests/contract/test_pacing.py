"""Fetchers share a pace in one process, on one machine and by a Redis: the same rules hold for each of these."""

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from attrs import define, field
from redis import Redis as Client
from servers.addresses import Redis
from servers.server import free_port

from pixcore_adapters.downloader.pacing import fleet
from pixcore_adapters.downloader.pacing.fleet import FleetPacing
from pixcore_adapters.downloader.pacing.interface import Pacing, Party, Wish
from pixcore_adapters.downloader.pacing.machine import MachinePacing
from pixcore_adapters.downloader.pacing.process import ProcessPacing

MOST = 8


@define
class Clock:
    """A clock that tests move."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@define
class Fetcher:
    """A party at a key, with requests that end at once, or when the test says so."""

    party: Party
    key: str
    allowed: int = 0
    using: int = 0

    async def ask(self, wanted: int, most: int = MOST) -> int:
        """Ask for slots, and use them up to the number that is wanted."""
        wish = Wish(self.key, max(self.allowed, self.using), wanted, most)
        self.allowed = (await self.party.slots([wish]))[0]
        return self.allowed


@define
class Shared:
    """A pace, its clock, and a key of its own."""

    pacing: Pacing
    clock: Clock
    key: str = field(factory=lambda: uuid4().hex)

    def fetcher(self) -> Fetcher:
        """Return a new party at the key."""
        return Fetcher(self.pacing.join(), self.key)

    async def beat(self, *fetchers: Fetcher, wanted: int = MOST, most: int = MOST) -> list[int]:
        """Let a beat pass, and each of them ask for slots in turn."""
        self.clock.now += fetchers[0].party.beat
        return [await fetcher.ask(wanted, most) for fetcher in fetchers]


@define
class Machines:
    """Parties on machines of their own, which share only a Redis."""

    url: str
    clock: Clock

    def join(self) -> Party:
        """Return a party on another machine."""
        return FleetPacing(self.url, "redis", ProcessPacing(self.clock), self.clock).join()


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait long enough for Redis on a machine that does much else."""
    monkeypatch.setattr(fleet, "_TIMEOUT", 60.0)


@pytest.fixture(params=["process", "machine", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Shared:
    """Return a pace of each kind."""
    clock = Clock()
    kinds = {
        "process": lambda: ProcessPacing(clock),
        "machine": lambda: MachinePacing(tmp_path, clock),
        "redis": lambda: Machines(request.getfixturevalue("redis").url(), clock),
    }
    return Shared(kinds[request.param](), clock)


def test_all_slots_are_for_the_only_party(shared: Shared) -> None:
    """A party that is alone gets what it wants, up to the limit, and keys have slots of their own."""

    async def run() -> None:
        one = shared.fetcher()
        other_key = Fetcher(one.party, uuid4().hex)
        assert [await one.ask(3), await one.ask(100), await other_key.ask(100)] == [3, MOST, MOST]
        await one.party.close()

    asyncio.run(run())


def test_a_party_that_comes_later_gets_its_part(shared: Shared) -> None:
    """A party that holds all slots gives half of them up for one that has none, and gets them back at its end."""

    async def run() -> None:
        one, two = shared.fetcher(), shared.fetcher()
        assert [await one.ask(MOST), await two.ask(MOST)] == [MOST, 0]
        for _ in range(8):
            await shared.beat(one, two)
        assert [one.allowed, two.allowed] == [MOST // 2, MOST // 2]
        await two.party.close()
        for _ in range(8):
            await shared.beat(one)
        assert one.allowed == MOST
        await one.party.close()

    asyncio.run(run())


def test_slots_in_use_are_not_given_to_others(shared: Shared) -> None:
    """A slot is free for others only once the request that uses it has ended."""

    async def run() -> None:
        one, two = shared.fetcher(), shared.fetcher()
        await one.ask(MOST)
        one.using = MOST
        for _ in range(8):
            await shared.beat(two, one)
        assert (two.allowed, one.allowed < MOST) == (0, True)
        one.using = 5
        for _ in range(8):
            await shared.beat(one, two)
        assert two.allowed == 3
        await one.party.close()
        await two.party.close()

    asyncio.run(run())


def test_one_slot_goes_round(shared: Shared) -> None:
    """Where there are fewer slots than parties, each gets a turn within some seconds."""

    async def run() -> None:
        fetchers = [shared.fetcher() for _ in range(3)]
        beats = round(30 / fetchers[0].party.beat)
        rounds = [await shared.beat(*fetchers, most=1) for _ in range(beats)]
        turns = [sum(slots) for slots in zip(*rounds, strict=True)]
        assert min(turns) * 6 > sum(turns) > 0.6 * beats  # the slot is seldom unused
        for fetcher in fetchers:
            await fetcher.party.close()

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(3))
def test_never_more_than_the_limit(shared: Shared, seed: int) -> None:
    """Whatever the parties want, and however long their requests take, they never use more slots than there are."""
    chance = random.Random(seed)  # noqa: S311 - no secret

    async def run() -> None:
        fetchers = [shared.fetcher() for _ in range(4)]
        for _ in range(150):
            shared.clock.now += chance.random() * 0.3
            one = chance.choice(fetchers)
            one.using = chance.randint(0, one.using)
            if chance.random() < 0.02:
                one.using = one.allowed = 0
                await one.party.close()
                fetchers[fetchers.index(one)] = one = shared.fetcher()
            allowed = await one.ask(chance.randint(one.using, 12))
            one.using = max(one.using, chance.randint(0, allowed))
            assert sum(fetcher.using for fetcher in fetchers) <= MOST
        for fetcher in fetchers:
            await fetcher.party.close()

    asyncio.run(run())


def test_starts_are_apart(shared: Shared) -> None:
    """The starts of all parties at a key are as far apart as the spacing, and none is earlier than requested."""

    async def run() -> list[float]:
        one, two = shared.pacing.join(), shared.pacing.join()
        delays = [await party.start(shared.key, 0.2) for party in (one, two, one, two)]
        delays.append(await two.start(uuid4().hex, 0.2))
        shared.clock.now += 0.7
        delays.append(await one.start(shared.key, 0.2))
        delays.append(await two.start(shared.key, 2.0, earliest=1.5))
        delays.append(await one.start(shared.key, 0.2))
        shared.clock.now += 100.0
        delays.append(await one.start(shared.key, 0.2))
        await one.close()
        await two.close()
        return delays

    assert asyncio.run(run()) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.0, 0.1, 1.5, 3.5, 0.0], abs=1e-5)


# -- on one machine ----------------------------------------------------------------------------------------------------

HOLDER = """
import asyncio, sys, time
from pathlib import Path
from pixcore_adapters.downloader.pacing.machine import MachinePacing, Wish
party = MachinePacing(Path(sys.argv[1])).join()
print(asyncio.run(party.slots([Wish("host", 0, 8, 8)]))[0], flush=True)
time.sleep(60)
"""


def test_the_slots_of_a_killed_process_are_free(tmp_path: Path) -> None:
    """Processes share the slots of the machine, and those of one that is killed are free at once."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "8\n"
        one = Fetcher(MachinePacing(tmp_path).join(), "host")
        assert asyncio.run(one.ask(8)) == 0
        holder.send_signal(signal.SIGKILL)
    assert asyncio.run(one.ask(8)) == 8
    asyncio.run(one.party.close())


def test_starts_from_before_a_reboot_do_not_count(tmp_path: Path) -> None:
    """The clock begins again with the machine, so the starts in the file are dropped. The file does not grow."""

    async def starts() -> list[float]:
        party = MachinePacing(tmp_path).join()
        delays = [await party.start(key, 1000.0) for key in ("a", "a", "b")]
        await party.close()
        return delays

    file = tmp_path / "pace"
    assert asyncio.run(starts()) == pytest.approx([0, 1000, 0], abs=1)
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.write(b"another boot")
    assert asyncio.run(starts()) == pytest.approx([0, 1000, 0], abs=1)
    assert file.stat().st_size == size


@pytest.mark.parametrize("mode", [0o777, 0o500])
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture) -> None:
    """Without the file, the fetchers of one process share a pace, and one warning names the file."""
    folder = tmp_path / "runtime"
    if mode == 0o500:
        folder.write_text("a file")
    else:
        folder.mkdir()
        folder.chmod(mode)
    pacing = MachinePacing(folder)
    one, two = Fetcher(pacing.join(), "host"), Fetcher(pacing.join(), "host")
    assert asyncio.run(one.ask(MOST)) == MOST
    assert asyncio.run(two.ask(MOST)) == 0
    assert [str(folder / "pace") in record.getMessage() for record in caplog.records] == [True]


# -- with a Redis ------------------------------------------------------------------------------------------------------


def test_a_lease_ends(redis: Redis) -> None:
    """The slots of a machine that is gone are free once its lease has ended; all keys expire."""

    async def run() -> None:
        clock, key = Clock(), uuid4().hex
        gone, here = (Fetcher(Machines(redis.url(), clock).join(), key) for _ in range(2))
        assert [await gone.ask(MOST), await here.ask(MOST)] == [MOST, 0]
        await here.party.start(key, 8.0)
        clock.now += 11
        assert await here.ask(MOST) == MOST
        with Client.from_url(redis.url()) as client:
            assert [0 < client.pttl(name) <= 10_000 for name in client.scan_iter(f"*{key}")] == [True, True]
        await here.party.close()
        await gone.party.close()

    asyncio.run(run())


def test_a_redis_that_is_away(redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Redis the pace of the machine holds, one warning says so, and a line tells when Redis is back."""
    caplog.set_level("INFO", "pixcore")
    monkeypatch.setattr(fleet, "_AWAY", 0.0)  # Redis is tried again at once

    async def run() -> None:
        clock = Clock()
        pacing = FleetPacing(f"redis://127.0.0.1:{free_port()}/0", "redis://host/0", ProcessPacing(clock), clock)
        one, two = (Fetcher(pacing.join(), uuid4().hex) for _ in range(2))
        two.key = one.key
        assert [await one.ask(6), await two.ask(6)] == [6, 2]
        assert [await one.party.start(one.key, 0.2), await two.party.start(one.key, 0.2)] == [0, pytest.approx(0.2)]
        await one.party.close()
        await two.party.close()
        pacing.url = redis.url()
        three = Fetcher(pacing.join(), one.key)
        assert await three.ask(6) == 6
        await three.party.close()

    asyncio.run(run())
    warning, news = (record.getMessage() for record in caplog.records)
    assert warning.startswith("the Redis redis://host/0 does not answer: ")
    assert news.endswith("slots and starts that this machine alone granted: 10")


def test_machines_that_share_a_redis_keep_their_own_limits_too(redis: Redis) -> None:
    """The fetchers of one machine agree among themselves first, so that they hold no slots of the fleet in vain."""

    async def run() -> None:
        clock, key = Clock(), uuid4().hex
        pacings = [FleetPacing(redis.url(), "redis", ProcessPacing(clock), clock) for _ in range(2)]
        fetchers = [Fetcher(pacing.join(), key) for pacing in pacings for _ in range(2)]
        for _ in range(40):
            clock.now += 0.25
            for fetcher in fetchers:
                await fetcher.ask(MOST)
        assert [fetcher.allowed for fetcher in fetchers] == [2, 2, 2, 2]
        for fetcher in fetchers:
            await fetcher.party.close()

    asyncio.run(run())
