"""The channel that all tests use."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest
from rattler import Gateway


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


@pytest.mark.parametrize("subdir", ["linux-64", "noarch"])
def test_it_has_shards(channel, subdir):
    """Each platform folder has an index of shards, over HTTP too."""
    assert list((channel.directory / subdir / "shards").glob("*.msgpack.zst"))
    with urllib.request.urlopen(f"{channel.url}/{subdir}/repodata_shards.msgpack.zst") as answer:
        assert answer.status == 200


def test_an_unchanged_file(channel):
    """Clients ask each time; an unchanged file has the headers by which they recognise it."""
    url = f"{channel.url}/noarch/repodata_shards.msgpack.zst"
    with urllib.request.urlopen(url) as answer:
        modified = answer.headers["Last-Modified"]
        assert answer.headers["Cache-Control"] == "no-cache"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(url, headers={"If-Modified-Since": modified}))
    caught.value.close()
    assert caught.value.code == 304
    assert caught.value.headers["Last-Modified"] == modified


def test_other_clients_read_the_shards_again(channel, tmp_path):
    """A client that keeps the index of shards gets it confirmed."""

    async def versions() -> set[str]:
        gateway = Gateway(cache_dir=tmp_path)
        found = await gateway.query([channel.url], ["noarch"], ["six"], recursive=False)
        return {str(record.version) for records in found for record in records}

    for _ in range(3):
        assert asyncio.run(versions()) == {"1.16.0", "1.17.0"}
