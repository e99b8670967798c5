"""Dataset repositories of the Hugging Face Hub, by its own client."""

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import disable_progress_bars, logging

from pixcore.errors import (
    InvalidRequest,
    PixcoreError,
    StoreConflict,
    StoreDenied,
    StoreNotFound,
    StoreUnavailable,
)

_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
_LOGIN = "log in with `hf auth login` or set HF_TOKEN, with a token that may write to this repository"
_STATUSES: Mapping[int, tuple[type[PixcoreError], str]] = {
    401: (StoreDenied, _LOGIN),
    403: (StoreDenied, _LOGIN),
    404: (StoreNotFound, "check its name; a private repository is only seen after a login"),
    408: (StoreUnavailable, "try again"),
    409: (StoreConflict, "somebody else changes the repository at the same time; run the command again"),
    412: (StoreConflict, "somebody else changes the repository at the same time; run the command again"),
    429: (StoreUnavailable, "the Hub limits requests; run the command again later"),
}
_KIND = "dataset"


def _client() -> HfApi:
    disable_progress_bars()  # pixcore shows progress itself
    logging.set_verbosity_error()
    return HfApi()


@frozen
class HubRepository:
    """The dataset repository ``OWNER/NAME``.

    The token is the one of ``HF_TOKEN`` or of ``hf auth login``; it is not stored and never shown. ``HF_ENDPOINT``
    names another Hub.

    Raises:
        InvalidRequest: It is no name of a repository.
    """

    name: str
    _client: HfApi = field(factory=_client)

    def __attrs_post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidRequest(f"{self.name!r} is no name of a repository; write OWNER/NAME")

    @property
    def url(self) -> str:
        """The page of the repository."""
        return f"{self._client.endpoint}/datasets/{self.name}"

    def create(self) -> None:
        """Create the repository, without public access. If it exists, it stays as it is.

        Raises:
            StoreDenied, StoreUnavailable: There is no login, it has too few rights, or the Hub cannot be reached.
        """
        with self._errors("create"):
            self._client.create_repo(self.name, repo_type=_KIND, private=True, exist_ok=True)

    def files(self) -> dict[str, str]:
        """Return the sha256 (hex) of each file by its path; ``""`` for small files, whose sha256 the Hub does not know.

        Raises:
            StoreNotFound, StoreDenied, StoreUnavailable: It does not exist, or cannot be read.
        """
        with self._errors("read"):
            return dict(self._files())

    def upload(self, folder: Path, message: str) -> None:
        """Store all files of a folder under their relative paths. Idempotent, and resumes if it was interrupted.

        The Hub replaces files of the same paths; its history keeps the old ones. Many files become several commits.

        Raises:
            StoreNotFound, StoreConflict, StoreDenied, StoreUnavailable: As the Hub answers.
        """
        with self._errors("write"):
            self._client.upload_folder(
                repo_id=self.name, repo_type=_KIND, folder_path=folder, path_in_repo="", commit_message=message
            )

    def _files(self) -> Iterator[tuple[str, str]]:
        for entry in self._client.list_repo_tree(self.name, repo_type=_KIND, recursive=True):
            if hasattr(entry, "size"):  # folders have none
                yield entry.path, entry.lfs.sha256 if entry.lfs else ""

    @contextmanager
    def _errors(self, doing: str) -> Generator[None]:
        """Translate the client's errors. They may be of any class; the status is in the error or its causes."""
        try:
            yield
        except Exception as error:
            failure, (*_, cause) = f"cannot {doing} {self.url}", _causes(error)
            known = next((each for each in _causes(error) if isinstance(each, HfHubHTTPError)), None)
            if known is None:
                raise StoreUnavailable(
                    f"{failure}: {type(cause).__name__}; try again, or check the network and HF_ENDPOINT"
                ) from error
            status = known.response.status_code
            again = (StoreUnavailable, "try again") if status >= 500 else (StoreDenied, "the Hub refuses it")  # noqa: PLR2004
            kind, remedy = _STATUSES.get(status, again)
            text = " ".join((known.server_message or "").split())
            raise kind(f"{failure}: {status}{' ' if text else ''}{text}; {remedy}") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what caused it, the first cause last."""
    cause: BaseException | None = error
    while cause:
        yield cause
        cause = cause.__cause__ or cause.__context__
