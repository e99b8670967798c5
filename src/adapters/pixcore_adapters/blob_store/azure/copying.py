"""Copies of blobs: within an account, by the service, and into temporary files."""

import tempfile
import time
from collections.abc import Mapping
from typing import BinaryIO

from azure.core import MatchConditions
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, StorageStreamDownloader

from pixcore.errors import StoreUnavailable
from pixcore_adapters.blob_store.azure.errors import code_of

_POLL = 0.5  # seconds
_REFUSALS = {"CannotVerifyCopySource", "NoAuthenticationInformation"}


def copied(source: BlobClient, to: BlobClient, metadata: Mapping[str, str]) -> str | None:
    """Create a blob as a copy of another one with other metadata. Return its etag once the service has copied all.

    A blob of the same account is usually copied at once. Until a longer copy is complete, the new blob is listed with
    the bytes that it has. Return None, with nothing done, if the service cannot read ``source`` with this credential.

    Raises:
        AzureError: As the SDK raises it; ResourceExistsError if ``to`` exists.
        StoreUnavailable: The service gave up.
    """
    try:
        answer = to.start_copy_from_url(
            _signed(source), metadata=dict(metadata), match_condition=MatchConditions.IfMissing
        )
    except HttpResponseError as error:
        if code_of(error) in _REFUSALS:
            return None
        raise
    status, etag = str(answer["copy_status"]), str(answer["etag"])
    while status == "pending":
        time.sleep(_POLL)
        found = to.get_blob_properties()
        status, etag = str(found.copy.status), str(found.etag)
    if status != "success":
        to.delete_blob()
        raise StoreUnavailable(f"the service did not copy {source.blob_name!r} to {to.blob_name!r}; try again")
    return etag


def downloaded(download: StorageStreamDownloader[bytes]) -> BinaryIO:
    """Download a blob into a temporary file, which closing removes. Return the file, positioned at its start."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            download.readinto(file)
            file.seek(0)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise StoreUnavailable(
            f"cannot copy blob {download.name!r} to {tempfile.gettempdir()}: {error.strerror}; free some space there,"
            " or set TMPDIR"
        ) from error
    return file


def _signed(blob: BlobClient) -> str:
    """Return the blob's URL, with the credential's signature if it is one."""
    credential = blob.credential
    return (
        f"{blob.url}?{credential.signature.removeprefix('?')}"
        if isinstance(credential, AzureSasCredential)
        else blob.url
    )
