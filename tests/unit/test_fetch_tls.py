"""TLS: only a server with a valid certificate is trusted."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from hostile import Site, fetch, picture, policy, redirect

from pixcore_adapters.downloader.fetch.policy import Fetched, Missed


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a private certificate authority."""
    return trustme.CA()


@contextmanager
def secure_site(authority: trustme.CA, name: str = "127.0.0.1") -> Iterator[Site]:
    """Serve a picture with a certificate for a name."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(tls)
    with Site({"/x.jpg": picture()}, tls=tls) as site:
        yield site


def test_private_authority(authority: trustme.CA, tmp_path: Path) -> None:
    """A file of authorities is used for images and robots.txt."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with secure_site(authority) as site:
        (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site), authorities=tmp_path / "ca.pem")
    assert isinstance(outcome, Fetched)


def test_environment(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE adds an authority without code."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with secure_site(authority) as site:
        (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site))
    assert isinstance(outcome, Fetched)


def test_unknown_authority(authority: trustme.CA, tmp_path: Path) -> None:
    """A certificate of an unknown authority is a permanent miss, and no request is sent."""
    with secure_site(authority) as site:
        (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site))
        assert not site.requests
    assert isinstance(outcome, Missed)
    assert (outcome.reason, outcome.permanent) == ("tls", True)


def test_other_name(authority: trustme.CA, tmp_path: Path) -> None:
    """A certificate for another name is a permanent miss."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with secure_site(authority, "example.org") as site:
        (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site), authorities=tmp_path / "ca.pem")
    assert isinstance(outcome, Missed)
    assert (outcome.reason, outcome.permanent) == ("tls", True)


def test_hosts_without_valid_certificates(authority: trustme.CA, tmp_path: Path) -> None:
    """A host whose certificate need not be valid is fetched from, but not what it redirects to."""
    with secure_site(authority, "example.org") as site, secure_site(authority) as other:
        site.routes["/y.jpg"] = redirect(other.url("/x.jpg"))
        how = policy(site, private_hosts={site.host, other.host}, allow_bad_tls={site.host})
        good, bad = fetch([site.url("/x.jpg"), site.url("/y.jpg")], tmp_path, how)
        assert not other.requests
    assert isinstance(good, Fetched)
    assert isinstance(bad, Missed)
    assert bad.reason == "tls"


def test_no_tls_at_all(tmp_path: Path) -> None:
    """A plain server at an https URL is a transient miss."""
    with Site({"/x.jpg": picture()}) as site:
        url = site.url("/x.jpg").replace("http:", "https:")
        (outcome,) = fetch(url, tmp_path, policy(site, seconds=0.5, attempts=1))
    assert isinstance(outcome, Missed)
    assert outcome.reason in {"tls", "timeout", "unreachable"}
    assert not outcome.permanent
