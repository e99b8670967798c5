"""The notebook of the documents, and a cell that the stop button interrupts, in a real Jupyter kernel."""

import asyncio
import threading
from pathlib import Path

import nbformat
import pytest
from command import fill, jpeg
from hostile import Site, held, picture
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

pytestmark = pytest.mark.process

NOTEBOOK = Path(__file__).parents[2] / "docs/notebook.ipynb"
PLACES = ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "PIXCORE_WORK")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder for a kernel that reads and writes nothing outside of the folders of the test."""
    for place in PLACES:
        monkeypatch.setenv(place, str(tmp_path / place.lower()))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


def test_the_notebook_runs_and_a_stopped_cell_resumes(home: Path) -> None:
    """Both are what a user does in the first minutes; the second call must fetch only what the first one left."""
    fill(home / "photos", 12)
    opened = threading.Event()
    routes = {f"/{n}.jpg": picture(jpeg(100 + n)) for n in range(6)} | {"/last.jpg": held(opened, picture(jpeg(99)))}
    with Site(routes) as site:
        (home / "list.txt").write_text("".join(f"{site.url(path)}\n" for path in routes))
        *cells, stopped, resumed = asyncio.run(walk(home, site, opened))
        fetched = [path for path in site.paths() if path in routes]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert {output.output_type for output in outputs} == {"display_data", "execute_result"}  # none is an error
    shown = [str(output.data.get("text/html", "")) for output in outputs]
    assert "12 of 12 images, 0 rejected" in shown[0]
    assert sum("<b>photos</b>: 12 images" in text for text in shown) == 2
    assert sum(text.startswith("<iframe srcdoc=") for text in shown) == 1
    assert "image/png" in outputs[-1].data
    assert "6 of 7 images" in str(stopped.outputs)
    assert "stopping: running chunks are given back" in str(stopped.outputs)
    assert resumed.outputs[-1].data["text/plain"] == "7"
    assert sorted(fetched) == sorted([*routes, "/last.jpg"])


async def walk(home: Path, site: Site, opened: threading.Event) -> list[nbformat.NotebookNode]:
    """Run the notebook; then stop a cell that waits for its last image, and run it again. Return all cells."""
    notebook = nbformat.read(NOTEBOOK, 4)
    collect = f"ds = px.collect(source='urls:list.txt', chunk_size=3, private_hosts='{site.host}')"
    stopped, resumed = (nbformat.v4.new_code_cell(f"{collect}\n{last}") for last in ("", "len(ds)"))
    jupyter = NotebookClient(notebook, timeout=60, kernel_name="python3")
    async with jupyter.async_setup_kernel(cwd=str(home)):
        for number, cell in enumerate(notebook.cells):
            await jupyter.async_execute_cell(cell, number)
        number = len(notebook.cells)
        notebook.cells += [stopped, resumed]
        running = asyncio.ensure_future(jupyter.async_execute_cell(stopped, number))
        async with asyncio.timeout(60):
            while "/last.jpg" not in site.paths():  # noqa: ASYNC110 - an Event could not be set from the other thread
                await asyncio.sleep(0.01)
        assert jupyter.km
        await jupyter.km.interrupt_kernel()
        with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
            await running
        opened.set()
        await jupyter.async_execute_cell(resumed, number + 1)
    return notebook.cells
