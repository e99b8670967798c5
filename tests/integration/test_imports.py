"""What importing a part of pixcore imports and sets up, seen from a process of its own."""

import subprocess
import sys


def imported_by(program: str) -> set[str]:
    """The modules that a fresh process has imported at the end of the program."""
    program += "\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    )


def test_a_module_is_imported_when_a_name_of_it_is_asked_for() -> None:
    """Whoever catches an error of the core does not wait for its pipeline."""
    before = imported_by("import pixcore")
    after = imported_by("from pixcore import InvalidRequest")
    assert {name for name in before if name.startswith("pixcore.")} == set()
    assert after - before == {"pixcore.errors"}


def test_a_decoder_child_starts_without_the_pipeline() -> None:
    """There is one for every core, and each would take a quarter longer to be ready."""
    there = imported_by("import pixcore_adapters.validator.child")
    assert there >= {"pixcore.model.quality", "PIL", "numpy"}
    assert there & {"pixcore.chunk.pipeline", "pixcore.chunk.events", "tenacity", "asyncio"} == set()


def test_the_names_are_there_to_be_found() -> None:
    """In an interpreter's completion and in `help()`, before any of them was used."""
    program = "import pixcore; missing = {*pixcore.__all__} - {*dir(pixcore)}; assert not missing, missing"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_importing_the_library_configures_no_logging() -> None:
    """The application's logging is the application's."""
    program = """
import logging
import pixcore, pixcore_runners.observing.logs, pixcore_runners.settings
pixcore_runners.observing.logs.LogObserver()
touched = [name for name, logger in logging.root.manager.loggerDict.items()
           if name.startswith("pixcore") and (logger.handlers or logger.level or not logger.propagate)]
print(logging.root.handlers, logging.root.level == logging.WARNING, touched)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[] True []"


def test_reading_settings_imports_no_heavy_library() -> None:
    """``pixcore config show`` and every refusal must come at once."""
    program = "import sys, pixcore_runners.settings; print({'PIL', 'numpy', 'sqlalchemy', 'rich'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
