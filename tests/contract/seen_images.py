"""What every memory of exact images must keep of the promises in ``pixcore.duplicates.SeenImages``."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from contract.status_repo import TTL, Clock, claimed, eager_threads, made, result

from pixcore.duplicates import SeenImages
from pixcore.model import Claim
from pixcore.ports import StatusRepo

ONE, OTHER = "1" * 64, "2" * 64


class SeenImagesContract:
    """A subclass gives an empty ``seen`` that goes by the chunks of ``repo``, whose time is ``clock``."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Give a clock that stands still until it is moved."""
        return Clock()

    @pytest.fixture
    def repo(self, clock: Clock) -> StatusRepo:
        """Give an empty repository."""
        raise NotImplementedError

    @pytest.fixture
    def seen(self, repo: StatusRepo) -> SeenImages:
        """Give an empty memory."""
        raise NotImplementedError

    @pytest.fixture
    def claims(self, repo: StatusRepo) -> list[Claim]:
        """Give two running chunks of one dataset."""
        return [claimed(repo, key) for key in made(repo, 2)]

    def test_the_first_chunk_gets_the_bytes(self, seen: SeenImages, claims: list[Claim]) -> None:
        """The second learns who has them, and may have others."""
        one, other = claims
        assert seen.hold(one, ONE) is None
        assert seen.hold(other, ONE) == one.chunk
        assert seen.hold(other, OTHER) is None

    def test_asking_again_is_no_duplicate(self, seen: SeenImages, claims: list[Claim]) -> None:
        """An attempt whose answer was lost may ask again without rejecting its own image."""
        assert [seen.hold(claims[0], ONE) for _ in range(2)] == [None, None]

    def test_datasets_do_not_share(self, seen: SeenImages, repo: StatusRepo, claims: list[Claim]) -> None:
        """The same picture belongs into every dataset that finds it."""
        seen.hold(claims[0], ONE)
        assert seen.hold(claimed(repo, *made(repo, 1, "other")), ONE) is None

    def test_chunks_without_a_dataset_share_nothing(self, seen: SeenImages, repo: StatusRepo) -> None:
        """What callers number themselves is no collection."""
        claims = [claimed(repo, key) for key in made(repo, 2, "")]
        assert [seen.hold(claim, ONE) for claim in claims] == [None, None]

    def test_a_completed_chunk_keeps_its_images(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim], clock: Clock
    ) -> None:
        """They are in its archive, and no time changes that."""
        one, other = claims
        seen.hold(one, ONE)
        repo.complete(one, result(1))
        clock.advance(100 * TTL)
        assert seen.hold(other, ONE) == one.chunk

    @pytest.mark.parametrize("end", ["failed", "waits", "released", "reopened", "claimed_anew"])
    def test_a_hold_ends_with_its_attempt(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim], clock: Clock, end: str
    ) -> None:
        """Whatever way the attempt went, even when nobody released it, the bytes are free for another chunk."""
        one, other = claims
        seen.hold(one, ONE)
        if end == "failed":
            repo.fail(one, "no luck", retry_in=None)
        elif end == "waits":
            repo.fail(one, "no luck", retry_in=9)
        elif end == "released":
            repo.release(one)
        elif end == "reopened":
            repo.complete(one, result(1))
            repo.reopen(one.chunk)
        else:
            clock.advance(TTL)
            claimed(repo, one.chunk)
        assert seen.hold(other, ONE) is None
        assert seen.hold(one, ONE) == other.chunk

    def test_a_rerun_does_not_reject_its_own_images(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim], clock: Clock
    ) -> None:
        """The newer attempt takes over what the vanished one held, and the others still see it held."""
        one, other = claims
        seen.hold(one, ONE)
        clock.advance(TTL)
        again = claimed(repo, one.chunk)
        assert seen.hold(again, ONE) is None
        assert seen.hold(other, ONE) == one.chunk

    def test_a_zombie_takes_nothing_back(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim], clock: Clock
    ) -> None:
        """The attempt that lost its claim neither gets nor releases what its successor holds."""
        zombie, other = claims
        clock.advance(TTL)
        again = claimed(repo, zombie.chunk)
        seen.hold(again, ONE)
        assert seen.hold(zombie, ONE) == again.chunk
        seen.release(zombie)
        assert seen.hold(other, ONE) == again.chunk

    def test_an_expired_lease_still_holds(self, seen: SeenImages, claims: list[Claim], clock: Clock) -> None:
        """Its worker may be alive and renew late: only a new claim decides that it is not."""
        one, other = claims
        seen.hold(one, ONE)
        clock.advance(TTL)
        assert seen.hold(other, ONE) == one.chunk

    def test_releasing_gives_up_everything_of_the_attempt(self, seen: SeenImages, claims: list[Claim]) -> None:
        """And nothing of another's; twice is once."""
        one, other = claims
        third = "3" * 64
        for sha256 in (ONE, OTHER):
            seen.hold(one, sha256)
        seen.hold(other, third)
        seen.release(one)
        seen.release(one)
        assert [seen.hold(other, sha256) for sha256 in (ONE, OTHER)] == [None, None]
        assert seen.hold(one, third) == other.chunk

    def test_of_many_at_once_one_gets_the_bytes(self, seen: SeenImages, repo: StatusRepo) -> None:
        """Chunks that find the same pictures in the same moment agree on one holder of each, fresh or taken over."""
        *keys, dead = made(repo, 5)
        images = [f"{number:064}" for number in range(500)]
        vanished = claimed(repo, dead)
        for sha256 in images[::2]:
            seen.hold(vanished, sha256)
        repo.release(vanished)
        claims = [claimed(repo, key) for key in keys]
        start = Barrier(len(claims))

        def collect(claim: Claim) -> list[object]:
            start.wait(30)
            return [seen.hold(claim, sha256) for sha256 in images]

        with eager_threads(), ThreadPoolExecutor(len(claims)) as pool:
            for answers in zip(*pool.map(collect, claims), strict=True):
                winner = keys[answers.index(None)]
                assert sorted(answers, key=str) == sorted([None, winner, winner, winner], key=str)
