"""Test the parts of ``prometheus_client.mmap_dict`` that ``observing/metrics.py`` uses, which are undocumented.

pyproject.toml bounds the version. Raise the bound only if these tests pass with the new one.
"""

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector


def test_a_key_contains_metric_sample_labels_and_help() -> None:
    """The collector reads these from the key; equal labels must give equal keys in any order."""
    key = mmap_key("cats", "cats_total", ["b", "a"], ["2", "1"], "Cats.")
    assert key == '["cats", "cats_total", {"a": "1", "b": "2"}, "Cats."]'
    assert key == mmap_key("cats", "cats_total", ["a", "b"], ["1", "2"], "Cats.")


def test_a_value_is_stored_in_the_file(tmp_path: Path) -> None:
    """Values start at 0, even in a file of zeros, and the next process continues from the stored value."""
    path = tmp_path / "counter_0.db"
    path.write_bytes(bytes(1 << 18))
    key = mmap_key("cats", "cats_total", [], [], "Cats.")
    values = MmapedDict(str(path))
    assert values.read_value(key) == (0.0, 0.0)
    values.write_value(key, 2.0, 0.0)
    values.close()
    values = MmapedDict(str(path))
    assert values.read_value(key) == (2.0, 0.0)
    values.close()
    assert path.stat().st_size == 1 << 18  # the file did not grow: all series fit into a new file


def test_the_collector_adds_the_files_up(tmp_path: Path) -> None:
    """The file's name gives the kind of its metrics, and the collector makes the separate buckets cumulative."""
    for number in range(2):
        counters = MmapedDict(str(tmp_path / f"counter_{number}.db"))
        counters.write_value(mmap_key("cats", "cats_total", [], [], "Cats."), 3.0, 0.0)
        counters.close()
        histograms = MmapedDict(str(tmp_path / f"histogram_{number}.db"))
        for bound in ("1.0", "+Inf"):
            histograms.write_value(mmap_key("naps", "naps_bucket", ["le"], [bound], "Naps."), 1.0, 0.0)
        histograms.write_value(mmap_key("naps", "naps_sum", [], [], "Naps."), 5.0, 0.0)
        histograms.close()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path))
    assert registry.get_sample_value("cats_total") == 6.0
    assert registry.get_sample_value("naps_bucket", {"le": "1.0"}) == 2.0
    assert registry.get_sample_value("naps_bucket", {"le": "+Inf"}) == 4.0
    assert registry.get_sample_value("naps_count") == 4.0
    assert registry.get_sample_value("naps_sum") == 10.0
