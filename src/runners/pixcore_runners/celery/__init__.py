"""The Celery runner: a thin shell around "chunk id -> result".

``celery -A pixcore_runners.celery worker`` finds the ready app, ``app``. It and its task, ``process_chunk_task``, are
made from the settings of this process when they are first asked for; ``register`` puts the task into an app of one's
own. Importing this reads no settings, connects to nothing and leaves logging alone.
"""

from functools import cache

from pixcore_runners.celery.ready import make_app, work
from pixcore_runners.celery.sending import queue
from pixcore_runners.celery.task import NAME, App, Task, register

__all__ = ["make_app", "queue", "register", "work"]


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
