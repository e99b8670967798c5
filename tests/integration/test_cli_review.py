"""``pixcore review`` as a command: it serves until a signal, stores decisions, and leaves nothing else behind."""

import json
import signal
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from command import at_home, ended, fill, pixcore, start


def test_a_review_serves_until_ctrl_c_and_writes_only_decisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop of a curator: collect, review, and find the decision in the status database."""
    at_home(tmp_path, monkeypatch)
    fill(tmp_path / "photos", 2)
    assert pixcore("run", "--source", "folder:photos", "--dataset", "cats", "--quiet").code == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "pixcore-data" / "blobs").rglob("*")}
    review = start("review", "cats", "--by", "Ada", "--json")
    assert review.stdout
    link = urlsplit(json.loads(review.stdout.readline())["link"])
    page = HTTPConnection(link.netloc, timeout=30)

    def ask(method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, bytes, str]:
        page.request(method, path, body, headers)
        answer = page.getresponse()
        return answer.status, answer.read(), answer.headers.get("Set-Cookie", "")

    cookie = ask("GET", f"/?{link.query}")[2].partition(";")[0]
    [[chunk, attempt, images]] = json.loads(ask("GET", "/chunks", Cookie=cookie)[1])["chunks"]
    assert images == 2
    document = json.loads(ask("GET", f"/chunk/{chunk}/{attempt}", Cookie=cookie)[1])
    sha256 = document["images"][0][document["columns"].index("sha256")]
    assert ask("GET", f"/small/{chunk}/{attempt}/0", Cookie=cookie)[1][:2] == b"\xff\xd8"
    body = json.dumps({"take_back": [], "record": [{"kind": "exclude", "sha256": sha256}]})
    sent = {"Cookie": cookie, "Origin": f"http://{link.netloc}", "Content-Type": "application/json"}
    assert ask("POST", "/decisions", body, **sent)[0] == 200
    page.close()
    review.send_signal(signal.SIGINT)
    ran = ended(review)
    assert (ran.code, ran.err.count("Traceback")) == (0, 0)
    assert pixcore("decisions", "cats", "--format", "csv").out.splitlines()[1].startswith(f"exclude,{sha256},,,,,Ada,,")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "pixcore-data" / "blobs").rglob("*")} == before
    assert list((tmp_path / "work").iterdir()) == []


def test_a_review_of_an_unknown_dataset_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing mistake must not serve an empty page."""
    at_home(tmp_path, monkeypatch)
    ran = pixcore("review", "cats")
    assert (ran.code, ran.out) == (2, "")
    assert "no dataset 'cats' in the status database" in ran.err
