"""A client for the probes and the metrics in tests."""

from http.client import HTTPConnection


def get(port: int, path: str) -> tuple[int, str]:
    """Return the status and the text of an answer of this machine."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
