"""Removal of folders."""

from __future__ import annotations

import os
import threading

import pytest

from airflow_conda_flow.datastore import removal
from airflow_conda_flow.datastore.removal import discard


def _tree(root):
    for number in range(6):
        folder = root / "lib" / "python" / "site-packages" / f"package{number}" / "deep" / "deeper"
        folder.mkdir(parents=True)
        for parent in (folder, *folder.parents[:5]):
            (parent / "file").write_bytes(b"x")
    return root


def test_a_folder_goes_with_all_that_is_in_it(tmp_path):
    """However deep it is, and with files that may only be read."""
    root = _tree(tmp_path / "root")
    for path in root.rglob("file"):
        path.chmod(0o444)
    discard(str(root))
    assert not list(tmp_path.iterdir())


def test_what_a_link_points_to_stays(tmp_path):
    """Links within the folder, and one in its place."""
    kept = _tree(tmp_path / "kept")
    names = sorted(kept.rglob("*"))
    root = tmp_path / "root"
    for folder in (root, root / "lib", root / "lib" / "python" / "site-packages"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").symlink_to(kept)
        (folder / "file-link").symlink_to(kept / "lib" / "file")
    discard(root)
    assert not root.exists()
    root.symlink_to(kept)
    discard(root)
    assert not os.path.lexists(root)
    assert sorted(kept.rglob("*")) == names


def test_a_file_and_nothing(tmp_path):
    """Either is gone afterwards, without an error."""
    (tmp_path / "file").write_bytes(b"x")
    discard(tmp_path / "file")
    discard(tmp_path / "file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("threads", [0, 3])
def test_without_more_threads_it_goes_on(tmp_path, monkeypatch, threads):
    """A limit of this user's processes, or the end of the interpreter: one after the other."""
    root, started, start = _tree(tmp_path / "root"), [], threading.Thread.start

    def limited(self):
        if len(started) == threads:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", limited)
    discard(root)
    assert not root.exists()
    assert len(started) == threads


def test_several_are_removed_at_a_time(tmp_path, monkeypatch):
    """Where the disk is busy, threads that wait for it together wait once."""
    both = threading.Barrier(2, timeout=20)
    remove = removal.shutil.rmtree

    def waiting(path, *args, **keywords):
        if str(path).endswith(("package1", "package2")):
            both.wait()
        remove(path, *args, **keywords)

    monkeypatch.setattr(removal.shutil, "rmtree", waiting)
    discard(_tree(tmp_path / "root"))
    assert not both.broken
    assert not list(tmp_path.iterdir())


def test_an_interrupt_waits_for_the_removal(tmp_path, monkeypatch):
    """A folder that is half removed would stay: the rest of it goes, and then Ctrl-C is raised."""
    root, remove = _tree(tmp_path / "root"), removal.shutil.rmtree
    interrupts = [KeyboardInterrupt()]

    def interrupted(path, *args, **keywords):
        if path == root and interrupts:
            raise interrupts.pop()
        remove(path, *args, **keywords)

    monkeypatch.setattr(removal.shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        discard(root)
    assert not list(tmp_path.iterdir())
