"""Which modules an import of pixcore loads, and that it has no side effects; each in a process of its own."""

import subprocess
import sys


def imported_by(program: str) -> set[str]:
    """Return the modules that a new process has imported at the end of the program."""
    program += "\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    )


def test_a_module_is_imported_with_the_first_use_of_its_name() -> None:
    """A program that only catches errors of the core must not import the pipeline."""
    before = imported_by("import pixcore")
    after = imported_by("from pixcore import InvalidRequest")
    assert {name for name in before if name.startswith("pixcore.")} == set()
    assert {name for name in after - before if name.startswith("pixcore.")} == {"pixcore.errors", "pixcore.redaction"}


def test_a_decoder_child_starts_without_the_pipeline() -> None:
    """There is a child for every CPU core, and the pipeline would lengthen its start by a quarter."""
    modules = imported_by("import pixcore_adapters.validator.child")
    assert modules >= {"pixcore.model.quality", "PIL", "numpy"}
    assert modules & {"pixcore.chunk.pipeline", "pixcore.chunk.events", "tenacity", "asyncio"} == set()


def test_dir_lists_the_public_names() -> None:
    """Completion and `help()` must show the names before their first use."""
    program = "import pixcore; missing = {*pixcore.__all__} - {*dir(pixcore)}; assert not missing, missing"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_importing_the_library_configures_no_logging() -> None:
    """Only the application may configure logging."""
    program = """
import logging
import pixcore, pixcore_runners.observing.chunk_lines, pixcore_runners.settings
pixcore_runners.observing.chunk_lines.LogObserver()
touched = [name for name, logger in logging.root.manager.loggerDict.items()
           if name.startswith("pixcore") and (logger.handlers or logger.level or not logger.propagate)]
print(logging.root.handlers, logging.root.level == logging.WARNING, touched)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[] True []"


def test_reading_settings_imports_no_heavy_library() -> None:
    """``pixcore config show`` and every error of the settings must be fast."""
    program = "import sys, pixcore_runners.settings; print({'PIL', 'numpy', 'sqlalchemy', 'rich'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
