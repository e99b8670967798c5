"""The contract of every ``SeenImages``: tests of the promises in ``pixcore.ports.seen_images``."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from random import sample

import pytest
from attrs import evolve

from pixcore.model.chunks import ChunkKey, Claim
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download
from pixcore.model.quality import Fingerprint, NearRule
from pixcore.ports import StatusRepo
from pixcore.ports.seen_images import LISTED_PAIRS, NearGroup, SeenImage, SeenImages, url_key

from .status_repo import TTL, Clock, claim_chunk, create_chunks, eager_threads, result

MOST = 2**64 - 1


def image(number: int, phash: int = 0, dhash: int = 0, *, flat: bool = False, url: str = "") -> Accepted:
    """Build an image; each number gives a different file."""
    candidate = Candidate(CandidateKey("urls", "list", number), url or f"https://host/{number}.jpg")
    download = Download(candidate, Path(f"{number}"), 1, datetime(2020, 1, 1, tzinfo=UTC))
    return Accepted(download, f"{number:064}", 100, 100, "JPEG", Fingerprint(phash, dhash, "imagehash 4", flat))


def urls(groups: Collection[NearGroup]) -> list[list[str]]:
    """Return the pairs of all groups by the names of their files."""
    pairs = [pair for group in groups for pair in group.pairs]
    return sorted(sorted(image.url.removeprefix("https://host/") for image in (p.one, p.other)) for p in pairs)


def hold(seen: SeenImages, claim: Claim, held: Accepted) -> ChunkKey | None:
    """Hold one image for the claim; return the chunk that holds it already, if any."""
    [holder] = seen.hold(claim, [held])
    return holder


ONE, OTHER = image(1), image(2)


class SeenImagesContract:
    """A subclass provides an empty ``seen`` on the chunks of ``repo``, whose time is ``clock``."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Return a clock that advances only by ``advance``."""
        return Clock()

    @pytest.fixture
    def repo(self, clock: Clock) -> StatusRepo:
        """Return an empty repository."""
        raise NotImplementedError

    @pytest.fixture
    def seen(self, repo: StatusRepo) -> SeenImages:
        """Return an empty ``SeenImages``."""
        raise NotImplementedError

    @pytest.fixture
    def claims(self, repo: StatusRepo) -> list[Claim]:
        """Return the claims of two running chunks of one dataset."""
        return [claim_chunk(repo, key) for key in create_chunks(repo, 2)]

    def test_the_first_chunk_gets_the_bytes(self, seen: SeenImages, claims: list[Claim]) -> None:
        """The second chunk gets the first one's key, and may hold other images."""
        one, other = claims
        assert hold(seen, one, ONE) is None
        assert hold(seen, other, ONE) == one.chunk
        assert hold(seen, other, OTHER) is None

    def test_stated_bytes_of_another_chunk_are_known(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim]
    ) -> None:
        """What a source states of bytes is known before they are fetched; a chunk's own images are none of another."""
        one, other = claims
        candidate = evolve(ONE.download.candidate, checksum="sha1:" + "a" * 40)
        stating = evolve(ONE, download=evolve(ONE.download, candidate=candidate))
        hold(seen, one, stating)
        hold(seen, one, OTHER)
        assert seen.stated(other, candidate.checksum) == one.chunk
        assert seen.stated(one, candidate.checksum) is None
        assert (seen.stated(other, ""), seen.stated(other, "sha1:" + "b" * 40)) == (None, None)
        assert seen.stated(claim_chunk(repo, *create_chunks(repo, 1, "another")), candidate.checksum) is None
        repo.fail(one, "broken", retry_in=None)
        assert seen.stated(other, candidate.checksum) is None

    def test_asking_again_is_no_duplicate(self, seen: SeenImages, claims: list[Claim]) -> None:
        """An attempt whose answer was lost may ask again without rejecting its own image."""
        assert [hold(seen, claims[0], ONE) for _ in range(2)] == [None, None]

    def test_datasets_do_not_share(self, seen: SeenImages, repo: StatusRepo, claims: list[Claim]) -> None:
        """Each dataset may keep the same picture."""
        hold(seen, claims[0], ONE)
        assert hold(seen, claim_chunk(repo, *create_chunks(repo, 1, "other")), ONE) is None

    def test_chunks_without_a_dataset_share_nothing(self, seen: SeenImages, repo: StatusRepo) -> None:
        """Chunks that callers number are not a dataset."""
        claims = [claim_chunk(repo, key) for key in create_chunks(repo, 2, "")]
        assert [hold(seen, claim, ONE) for claim in claims] == [None, None]

    def test_a_completed_chunk_keeps_its_images(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim], clock: Clock
    ) -> None:
        """They are in its archive, whatever time passes."""
        one, other = claims
        hold(seen, one, ONE)
        repo.complete(one, result(1))
        clock.advance(100 * TTL)
        assert hold(seen, other, ONE) == one.chunk

    def test_single_holds_can_be_ended(self, seen: SeenImages, claims: list[Claim]) -> None:
        """An image that its chunk does not keep after all is free for others; the rest stays held."""
        one, other = claims
        hold(seen, one, ONE)
        hold(seen, one, OTHER)
        for _ in range(2):
            seen.release(one, [ONE])
        seen.release(other, [OTHER])
        seen.release(one, [])
        assert hold(seen, other, ONE) is None
        assert hold(seen, other, OTHER) == one.chunk

    @pytest.mark.parametrize("end", ["failed", "waits", "released", "reopened", "claimed_anew"])
    def test_a_hold_ends_with_its_attempt(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim], clock: Clock, end: str
    ) -> None:
        """However the attempt ended, even without a release, another chunk may hold the bytes."""
        one, other = claims
        hold(seen, one, ONE)
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
            claim_chunk(repo, one.chunk)
        assert hold(seen, other, ONE) is None
        assert hold(seen, one, ONE) == other.chunk

    def test_an_attempt_may_begin_with_what_an_earlier_one_held(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim]
    ) -> None:
        """The images of an archive that is rebuilt stay held, but not one that another chunk has by now."""
        one, other = claims
        hold(seen, one, ONE)
        hold(seen, one, OTHER)
        repo.complete(one, result(1))
        repo.reopen(one.chunk)
        assert hold(seen, other, OTHER) is None
        again = claim_chunk(repo, one.chunk)
        seen.keep(again, 2)
        seen.keep(again, 1)
        assert hold(seen, other, ONE) == one.chunk
        assert hold(seen, again, OTHER) == other.chunk
        repo.complete(again, result(2))
        assert hold(seen, other, ONE) == one.chunk

    def test_the_urls_that_led_to_bytes_are_known(self, seen: SeenImages, claims: list[Claim]) -> None:
        """Each counts once, with that of the held image, whichever chunk records it; datasets share none."""
        one, two = (url_key(f"https://other/{number}") for number in range(2))
        hold(seen, claims[0], ONE)
        first, second = url_key("https://host/1.jpg"), url_key("https://host/2.jpg")
        assert seen.led("d", {ONE.sha256: [one]}) == {ONE.sha256: {first, one}}
        assert seen.led("d", {ONE.sha256: {one, two}}) == {ONE.sha256: {first, one, two}}
        hold(seen, claims[1], OTHER)
        assert seen.led("d", {ONE.sha256: [first], OTHER.sha256: []}) == {
            ONE.sha256: {first, one, two},
            OTHER.sha256: {second},
        }
        seen.release(claims[0])
        assert seen.led("d", {ONE.sha256: []}) == {ONE.sha256: {first, one, two}}
        assert seen.led("e", {ONE.sha256: [two]}) == {ONE.sha256: {two}}
        assert seen.led("d", {}) == {}

    def test_the_holders_are_completed_chunks(self, seen: SeenImages, repo: StatusRepo, claims: list[Claim]) -> None:
        """Only their archives are final."""
        one, other = claims
        hold(seen, one, ONE)
        hold(seen, other, OTHER)
        repo.complete(one, result(1))
        sums = [ONE.sha256, OTHER.sha256, image(3).sha256]
        assert seen.holders("d", sums) == {ONE.sha256: one.chunk}
        repo.reopen(one.chunk)
        assert seen.holders("d", sums) == {}

    def test_a_rerun_does_not_reject_its_own_images(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim], clock: Clock
    ) -> None:
        """The new attempt takes over what the lost one held, and other chunks still see it held."""
        one, other = claims
        hold(seen, one, ONE)
        clock.advance(TTL)
        again = claim_chunk(repo, one.chunk)
        assert hold(seen, again, ONE) is None
        assert hold(seen, other, ONE) == one.chunk

    def test_a_zombie_takes_nothing_back(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim], clock: Clock
    ) -> None:
        """An attempt that lost its claim can neither hold nor release its successor's images."""
        zombie, other = claims
        clock.advance(TTL)
        again = claim_chunk(repo, zombie.chunk)
        hold(seen, again, ONE)
        assert hold(seen, zombie, ONE) == again.chunk
        seen.release(zombie)
        assert hold(seen, other, ONE) == again.chunk

    def test_an_expired_lease_still_holds(self, seen: SeenImages, claims: list[Claim], clock: Clock) -> None:
        """The worker may be alive and renew late; only a new claim ends its holds."""
        one, other = claims
        hold(seen, one, ONE)
        clock.advance(TTL)
        assert hold(seen, other, ONE) == one.chunk

    def test_releasing_gives_up_everything_of_the_attempt(self, seen: SeenImages, claims: list[Claim]) -> None:
        """It releases nothing of other attempts, and is idempotent."""
        one, other = claims
        third = image(3)
        for held in (ONE, OTHER):
            hold(seen, one, held)
        hold(seen, other, third)
        seen.release(one)
        seen.release(one)
        assert [hold(seen, other, held) for held in (ONE, OTHER)] == [None, None]
        assert hold(seen, one, third) == other.chunk

    def test_many_images_are_held_in_one_call(self, seen: SeenImages, repo: StatusRepo) -> None:
        """Each image has its own answer: new, already held, held by another chunk, or held by an ended attempt."""
        one, other, ended = (claim_chunk(repo, key) for key in create_chunks(repo, 3))
        mine, theirs, left, new = (image(number) for number in (4, 3, 2, 1))
        for claim, held in ((one, mine), (other, theirs), (ended, left)):
            hold(seen, claim, held)
        repo.release(ended)
        assert seen.hold(one, []) == []
        assert seen.hold(one, [mine, theirs, left, new]) == [None, other.chunk, None, None]
        assert seen.hold(other, [new, left, theirs, mine]) == [one.chunk, one.chunk, None, one.chunk]

    def test_of_many_at_once_one_gets_the_bytes(self, seen: SeenImages, repo: StatusRepo) -> None:
        """Chunks that hold the same pictures at the same time agree on one holder each, for new and ended holds."""
        *keys, dead = create_chunks(repo, 5)
        images = [image(number) for number in range(500)]
        vanished = claim_chunk(repo, dead)
        for held in images[::2]:
            hold(seen, vanished, held)
        repo.release(vanished)
        claims = [claim_chunk(repo, key) for key in keys]

        def collect(claim: Claim) -> list[object]:
            start.wait(30)
            answers: dict[str, object] = {}
            for group in zip(*[iter(sample(images, len(images)))] * 5, strict=True):  # each in its own order
                answers |= zip((held.sha256 for held in group), seen.hold(claim, group), strict=True)
            return [answers[held.sha256] for held in images]

        with eager_threads(len(claims)) as start, ThreadPoolExecutor(len(claims)) as pool:
            for answers in zip(*pool.map(collect, claims), strict=True):
                winner = keys[answers.index(None)]
                assert sorted(answers, key=str) == sorted([None, winner, winner, winner], key=str)

    def test_near_pairs_come_back_with_all_that_was_seen(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim]
    ) -> None:
        """Every bit of the hashes is kept, the highest too, and the URL as in the image's row."""
        one, other = claims
        first = image(1, MOST, 1 << 63, url="caf\u00e9 \udcff.jpg")
        second = image(2, MOST ^ 0b111, 1 << 63 | 1)
        for claim, held in ((one, first), (other, second)):
            hold(seen, claim, held)
            repo.complete(claim, result(1))
        (group,) = list(seen.near("d", NearRule()))
        assert group.images == (
            SeenImage(one.chunk, first.sha256, "caf\u00e9 \\udcff.jpg", first.fingerprint),
            SeenImage(other.chunk, second.sha256, "https://host/2.jpg", second.fingerprint),
        )
        assert [(pair.phash, pair.dhash) for pair in group.pairs] == [(3, 1)]

    def test_near_pairs_are_those_of_the_rule(self, seen: SeenImages, repo: StatusRepo, claims: list[Claim]) -> None:
        """Each pair is returned once, within and across chunks; both hashes count, and flat pictures are never near."""
        one, other = claims
        for held in (image(1), image(2, 0b1), image(3, MOST, 0), image(4, 0, MOST), image(5, flat=True)):
            hold(seen, one, held)
        for held in (image(6, 0b11), image(7, 0b111), image(8, 0, 0b111), image(9, flat=True)):
            hold(seen, other, held)
        repo.complete(one, result(1))
        repo.complete(other, result(1))
        assert urls(list(seen.near("d", NearRule(2, 1)))) == [
            ["1.jpg", "2.jpg"],
            ["1.jpg", "6.jpg"],
            ["2.jpg", "6.jpg"],
            ["2.jpg", "7.jpg"],
            ["6.jpg", "7.jpg"],
        ]

    @pytest.mark.parametrize("end", ["runs", "failed", "reopened", "claimed_anew", "another_dataset", "released"])
    def test_near_pairs_contain_only_archived_images(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim], end: str
    ) -> None:
        """An attempt that has not completed, or whose chunk was reopened, contributes no images."""
        one, other = claims
        if end == "another_dataset":
            other = claim_chunk(repo, *create_chunks(repo, 1, "other"))
        hold(seen, one, ONE)
        hold(seen, other, OTHER)
        repo.complete(one, result(1))
        if end == "failed":
            repo.fail(other, "no luck", retry_in=None)
        elif end != "runs":
            repo.complete(other, result(1))
        if end in ("reopened", "claimed_anew"):
            repo.reopen(other.chunk)
        if end == "claimed_anew":
            claim_chunk(repo, other.chunk)
        if end == "released":
            seen.release(other)
        assert list(seen.near("d", NearRule())) == []

    def test_near_pairs_are_of_the_attempt_that_completed(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim], clock: Clock
    ) -> None:
        """Images of a lost attempt count only if its successor found them too, with the successor's data."""
        one, other = claims
        hold(seen, one, image(1))
        hold(seen, one, image(2))
        clock.advance(TTL)
        again = claim_chunk(repo, one.chunk)
        hold(seen, again, image(2, url="https://host/moved.jpg"))
        hold(seen, other, image(3))
        for claim in (again, other):
            repo.complete(claim, result(1))
        assert urls(list(seen.near("d", NearRule()))) == [["3.jpg", "moved.jpg"]]

    def test_nothing_is_near_in_a_dataset_without_images(self, seen: SeenImages) -> None:
        """The same holds for an unknown dataset."""
        assert list(seen.near("d", NearRule())) == []

    def test_many_near_pairs_are_all_found(self, seen: SeenImages, repo: StatusRepo, claims: list[Claim]) -> None:
        """More images than one statement reads."""
        one, other = claims
        for number in range(1100):
            spread = number * 0x9E3779B97F4A7C15 & MOST
            hold(seen, one, image(2 * number, spread, spread))
            hold(seen, other, image(2 * number + 1, spread, spread))
        repo.complete(one, result(1))
        repo.complete(other, result(1))
        assert urls(list(seen.near("d", NearRule(0, 0)))) == sorted(
            sorted([f"{2 * number}.jpg", f"{2 * number + 1}.jpg"]) for number in range(1100)
        )

    def test_of_many_images_with_one_hash_the_pairs_are_counted(
        self, seen: SeenImages, repo: StatusRepo, claims: list[Claim]
    ) -> None:
        """All images of a group are named, and all pairs counted; listed are some, because there may be millions."""
        one, other = claims
        for number in range(60):
            hold(seen, one if number % 2 else other, image(number))
        hold(seen, other, image(60, 0b1))
        hold(seen, other, image(61, MOST))
        repo.complete(one, result(1))
        repo.complete(other, result(1))
        (group,) = seen.near("d", NearRule())
        assert (len(group.images), len(group.pairs), group.count) == (61, LISTED_PAIRS, 61 * 60 // 2)
        assert {pair.phash for pair in group.pairs} == {0}  # the nearest ones
        assert group.unlisted == 830
        assert [*group.images] == sorted(group.images, key=lambda image: (image.chunk.id, image.url, image.sha256))
