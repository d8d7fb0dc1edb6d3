"""The channel that all tests use."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest


def test_it_serves_its_index(channel):
    """The index is there over HTTP, and names the libraries."""
    with urllib.request.urlopen(f"{channel.url}/linux-64/repodata.json") as answer:
        assert b"scikit-learn-1.4.2" in answer.read()


def test_it_stops_and_starts_at_one_address(channel):
    """A stopped channel refuses connections; started again it has the address it had."""
    url = channel.url
    channel.stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/noarch/repodata.json")
    channel.start()
    assert channel.url == url
    with urllib.request.urlopen(f"{url}/noarch/repodata.json") as answer:
        assert answer.status == 200
