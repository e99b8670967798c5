"""The effects of icrawler's parsers on the process that uses them."""

import subprocess
import sys
from pathlib import Path

WITNESS = """
import logging, sys, threading
seen = []
sys.addaudithook(lambda name, _: seen.append(name))
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(name)s %(message)s")
handlers, level = list(logging.root.handlers), logging.root.level
from engine_pages import CONSENT, baidu_page, bing_page, google_page, results_of
from pixcore_adapters.downloader.sources.icrawler import Baidu, Bing, Google
from pixcore_adapters.downloader.sources.search import PageAnswer, Unreadable
assert not {"icrawler", "bs4"} & set(sys.modules), "imported before it is used"
del seen[:]
for search, write in ((Bing(), bing_page), (Google(), google_page), (Baidu(), baidu_page)):
    search.request("secret wish", "", 0, "")
    assert search.read(PageAnswer(write(results_of(["https://a.example/1.jpg"])))).results
    try:
        search.read(PageAnswer(CONSENT))
    except Unreadable:
        pass
assert logging.root.handlers == handlers and logging.root.level == level
assert threading.enumerate() == [threading.main_thread()]
ends = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess", "os.", "_thread.")
assert not [name for name in seen if name.startswith(ends) and name not in ("os.listdir", "os.scandir")], set(seen)
"""


def test_icrawler_leaves_no_trace() -> None:
    """It starts no thread, connects nowhere, logs nothing (log lines hold the keyword) and keeps logging's set-up."""
    tests = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; sys.path.append({str(tests)!r})\n{WITNESS}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
