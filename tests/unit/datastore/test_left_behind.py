"""Leftovers of killed processes are removed by a later start; files in use by anybody alive are not."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from airflow_conda_flow.datastore import left_behind
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore.left_behind import OTHERS_AFTER, clear, new_mark

MAKE = (
    "import sys, time, pathlib\n"
    "from airflow_conda_flow.datastore.left_behind import new_mark\n"
    "folder = pathlib.Path(sys.argv[1])\n"
    "(folder / f'.name.{new_mark()}.part').touch()\n"
    "(folder / new_mark() / 'inner').mkdir(parents=True)\n"
    "print('made', flush=True)\n"
    "time.sleep(600)\n"
)


def test_what_a_killed_process_left_is_removed(tmp_path):
    """Files and folders, once it is dead, and nothing while it lives."""
    (tmp_path / "someone's").touch()
    with subprocess.Popen([sys.executable, "-c", MAKE, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"made\n"
        mine = tmp_path / f".mine.{new_mark()}.part"
        mine.touch()
        assert clear(tmp_path) == 0
        process.kill()
        process.wait()
    assert clear(tmp_path) == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([mine.name, "someone's"])
    assert clear(tmp_path / "missing") == 0


@pytest.mark.parametrize(
    ("part", "value", "cleared"),
    [
        (0, "00000000", 0),  # another machine or container
        (1, "4194304", 1),  # above the highest number of a process
        (2, "1", 1),  # another process has the number now
        (3, "00000000", 1),  # the machine has started again since
        (1, "not-a-number", 0),
    ],
)
def test_whose_it_is_follows_from_its_name(tmp_path, part, value, cleared):
    words = new_mark().split("-")
    words[part] = value
    (tmp_path / "-".join(words)).mkdir()
    assert clear(tmp_path) == cleared


def test_what_another_container_left_goes_after_long(tmp_path):
    """By a prune alone, and when nothing in it has changed meanwhile: nobody here knows whether its maker lives."""
    words = new_mark().split("-")
    old, young, silent = (tmp_path / "-".join(["00000000", *words[1:4], f"{n:08x}"]) for n in range(3))
    for each, days in ((old, 31), (young, 29), (silent, 31)):
        (each / "inner").mkdir(parents=True)
        (each / "inner" / "file").touch()
        for path in (each / "inner" / "file", each / "inner", each):
            then = time.time() - days * 24 * 3600
            os.utime(path, (then, then))
    os.utime(silent / "inner" / "file")
    mine = tmp_path / new_mark()
    mine.mkdir()
    os.utime(mine, (0, 0))
    assert clear(tmp_path) == 0
    assert clear(tmp_path, OTHERS_AFTER) == 1
    assert {*tmp_path.iterdir()} == {mine, young, silent}


def test_scratch_directories_are_cleared_by_the_next_process(tmp_path):
    """They hold artifacts that were not stored yet, which may be large."""
    store = open_datastore("local", tmp_path / "root", tmp_path / "cache").artifacts
    words = new_mark().split("-")
    left = tmp_path / "root" / ".scratch" / "-".join([words[0], "4194304", *words[2:]])
    left.mkdir(parents=True)
    (left / "artifact").write_bytes(b"half")
    left_behind.clear_once.cache_clear()
    mine = store.scratch_dir()
    assert [each.name for each in left.parent.iterdir()] == [mine.name]
