"""The Celery runner: a task that runs one chunk, an app that is ready for use, and its worker.

``celery -A pixcore_runners.celery worker`` uses the ready app, ``app``. The app and its task, ``process_chunk_task``,
are created from the settings of this process on first access; ``register`` adds the task to another app. Importing
this package reads no settings, connects to nothing and does not configure logging.
"""

from functools import cache

from pixcore_runners.celery.ready import make_app
from pixcore_runners.celery.runner import CeleryRunner
from pixcore_runners.celery.task import NAME, App, Task, register

__all__ = ["CeleryRunner", "make_app", "register"]


def __getattr__(name: str) -> App | Task:
    match name:
        case "app":
            return _app()
        case "process_chunk_task":
            return _app().tasks[NAME]
        case _:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _app() -> App:
    return make_app()
