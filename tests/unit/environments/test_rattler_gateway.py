"""Parts of the gateway that need no channel."""

from __future__ import annotations

import ctypes
import os
from urllib.parse import unquote

import pytest

from airflow_conda_flow.environments.solve.rattler_gateway import (
    _MARKS,
    _marked,
    channel_of,
    doubt_shards,
    forget_doubtful_shards,
    forget_indexes,
    give_back_memory,
)


@pytest.mark.parametrize("subdir", ["linux-64", "noarch"])
def test_marks_tell_servers_apart(subdir):
    """Each number gives another path, and all of them mean the same."""
    marked = {_marked(subdir, number) for number in _MARKS}
    assert len(marked) == len(_MARKS) == 63
    assert subdir not in marked
    assert {unquote(each) for each in marked} == {subdir}


def test_only_indexes_and_shards_are_forgotten(tmp_path):
    """Files that rattler made of repodata.json stay, and so do shards when indexes are forgotten."""
    names = {"1a2b.json", "1a2b.info.json", "1a2b.lock", "3c4d.shards-cache-v1"}
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "shards-v1").mkdir()
    (tmp_path / "shards-v1" / "00.msgpack").touch()
    forget_indexes(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == names - {"3c4d.shards-cache-v1"} | {"shards-v1"}
    forget_doubtful_shards(tmp_path)
    assert (tmp_path / "shards-v1" / "00.msgpack").exists()
    doubt_shards(tmp_path)
    forget_doubtful_shards(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == names - {"3c4d.shards-cache-v1"}
    forget_indexes(tmp_path / "missing")
    forget_doubtful_shards(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_memory_is_given_back_where_the_library_can(monkeypatch):
    """A C library without ``malloc_trim`` is no error."""
    give_back_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    give_back_memory()


def test_the_working_directory_does_not_matter(tmp_path, monkeypatch):
    """Its name may be no text."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    monkeypatch.chdir(folder)
    urls = ["https://host/channel", "file:///srv/channel"]
    assert [channel_of(each).base_url for each in urls] == [f"{each}/" for each in urls]
