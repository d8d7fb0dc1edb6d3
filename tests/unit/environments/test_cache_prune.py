"""A prune of the cache: what was not used for long goes, whatever is in use or needed stays."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from airflow_conda_flow.cli import tool
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore.left_behind import new_mark
from airflow_conda_flow.environments import cache_prune
from airflow_conda_flow.environments.cache_contents import cache_items, kind_usage
from airflow_conda_flow.environments.cache_places import makers_mutex
from airflow_conda_flow.environments.cache_prune import prune_cache
from airflow_conda_flow.environments.disk_usage import DiskUsage, freed_by_removing
from airflow_conda_flow.environments.file_mutex import held, mutex_of, shared, use_of, users_of
from airflow_conda_flow.environments.seal import seal_path
from airflow_conda_flow.errors import SettingError

from ...parts.old_datastore import DAY, OldDatastore, lock_bytes, sha256


class Cache:
    """A cache directory with the layout of a real one, and a datastore in a directory beside it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cache"
        self.datastore = open_datastore("local", folder / "root", self.path)
        self.old = OldDatastore(self.datastore)

    def file(self, name: str, days: float, data: bytes = b"x") -> Path:
        """A file that was last used so long ago."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.age(path, days)
        return path

    def folder(self, name: str, days: float, size: int = 10_000) -> Path:
        """A folder with a file, as old as it."""
        self.file(f"{name}/lib/file", days, b"x" * size)
        self.age(self.path / name, days)
        return self.path / name

    def package(self, data: bytes, days: float) -> Path:
        """An archive of a package."""
        return self.file(layout.package(sha256(data), "a-1-0.conda"), days, data)

    def lock(self, spec_id: str, days: float, *packages: bytes) -> Path:
        """A lock of these packages."""
        return self.file(layout.lock("linux-64", spec_id), days, lock_bytes(spec_id, "linux-64", packages))

    @staticmethod
    def age(path: Path, days: float) -> None:
        then = time.time() - days * DAY
        os.utime(path, (then, then))

    def prune(self, removes: bool = True, **options):
        """A prune with the usual times."""
        return prune_cache(self.path, self.datastore.storage, removes=removes, **options)


@pytest.fixture
def cache(tmp_path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path)


def test_what_was_not_used_for_long_goes(cache):
    """Of every kind; what was used lately stays, and a dry run says the same and touches nothing."""
    places = {
        "folders": ["prefixes/{}", "code/{}", "runtime/{}", "extracted/{}-1-0"],
        "files": ["packages/{}/a-1-0.conda", "artifacts/ab/{}", "code/{}.zip", "repodata/{}.json"],
    }
    made = {
        (name, days): getattr(cache, kind[:-1])(name.format(sha256(str(days).encode())), days)
        for kind, names in places.items()
        for name in names
        for days in (31, 29)
    }
    before = {path: path.stat().st_mtime for path in made.values()}
    told = cache.prune(removes=False)
    assert {path: path.stat().st_mtime for path in made.values()} == before
    done = cache.prune()
    gone = {path for (_, days), path in made.items() if days == 31}
    assert {each.path for each in told.items} == {each.path for each in done.items} == gone
    assert {path for path in made.values() if path.exists()} == set(made.values()) - gone
    assert told.freed == done.freed >= 4 * 10_000
    assert not list((cache.path / ".trash").iterdir())


def test_companions_go_with_what_they_are_of(cache):
    """The seal of an environment, its mutexes and py-rattler's lock file: nothing is left, and all is counted."""
    young = cache.folder("prefixes/dd", 1)
    for folder in (young, *(cache.folder(name, 90) for name in ("prefixes/aa", "code/bb", "runtime/cc"))):
        for path in (use_of(folder), mutex_of(folder), seal_path(folder)):
            cache.file(str(path.relative_to(cache.path)), 1 if folder is young else 90, b"s" * 8192)
    cache.folder("extracted/a-1-0", 90)
    cache.file("extracted/a-1-0.lock", 90, b"s" * 8192)
    kinds = kind_usage(cache.path)
    assert {kind: each.count for kind, each in kinds.items()} == {
        "extracted packages": 1,
        "environments": 2,
        "code packages": 1,
        "runtime": 1,
        "scratch": 0,
    }
    assert kinds["environments"].size == 2 * (3 * 8192 + 12_288)
    assert kinds["extracted packages"].size == 8192 + 12_288
    told, done = cache.prune(removes=False), cache.prune()
    assert told.freed == done.freed == 4 * 12_288 + 10 * 8192
    assert _files(cache) == {
        "prefixes/dd/lib/file",
        "prefixes/.dd.use",
        "prefixes/.dd.mutex",
        "prefixes/.dd.seal",
    }


def _files(cache: Cache) -> set[str]:
    return {str(path.relative_to(cache.path)) for path in cache.path.rglob("*") if path.is_file()} - {
        ".makers.mutex",
        "CACHEDIR.TAG",
    }


def test_an_extracted_package_keeps_its_lock_file(cache):
    """Which is as old as the package itself, however long ago that was last used."""
    cache.folder("extracted/a-1-0", 1)
    lock = cache.file("extracted/a-1-0.lock", 90)
    assert cache.prune().items == []
    assert lock.exists()


def test_remnants_go(cache):
    """Files beside environments that older versions, or ``rm -rf``, removed; not those that a maker has locked."""
    for kind in ("prefixes", "code", "runtime"):
        for ending in ("use", "mutex", "seal"):
            cache.file(f"{kind}/.aa.{ending}", 2)
            cache.file(f"{kind}/.bb.{ending}", 0.1)
    cache.file("prefixes/.cc.seal", 2)
    kinds = kind_usage(cache.path)
    assert kinds["remnants"].count == 7
    assert kinds["remnants"].size == 19 * 4096
    with held(mutex_of(cache.path / "prefixes" / "cc")):
        cache.age(mutex_of(cache.path / "prefixes" / "cc"), 2)
        for pruned in (cache.prune(removes=False), cache.prune()):
            assert not pruned.in_use
        assert (cache.path / "prefixes" / ".cc.seal").exists()
    assert len(pruned.items) == 3
    cache.age(mutex_of(cache.path / "prefixes" / "cc"), 2)
    assert [each.kind for each in cache.prune().items] == ["remnants"]
    assert _files(cache) == {
        f"{kind}/.bb.{ending}"
        for kind in ("prefixes", "code", "runtime")
        for ending in ("use", "mutex", "seal")
    }


def test_unfinished_files_of_channel_indexes_go(cache):
    """py-rattler leaves them under hidden names when its process is killed."""
    old = cache.file("repodata/shards-v1/.tmpAbCdEf", 90)
    young = cache.file("repodata/.tmpGhIjKl", 1)
    assert [each.path for each in cache.prune().items] == [old]
    assert young.exists()


def test_an_environment_that_is_being_made_again_stays(cache):
    """With its files, and it is told as in use; whoever waits to make it makes it after the prune."""
    prefix = cache.folder("prefixes/aa", 90)
    seal = cache.file("prefixes/.aa.seal", 90)
    with held(mutex_of(prefix)):
        cache.age(mutex_of(prefix), 90)
        assert [each.path for each in cache.prune().in_use] == [prefix]
    assert prefix.is_dir()
    assert seal.exists()


def test_an_environment_in_use_stays(cache):
    """Of this process or another one; it goes when that has ended, however it did."""
    prefix = cache.folder("prefixes/aa", 90)
    program = f"""
import sys, time
from pathlib import Path
from airflow_conda_flow.environments.file_mutex import use_of, shared
with shared(use_of(Path({str(prefix)!r}))):
    print("held", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        cache.age(use_of(prefix), 90)  # it has been running for long
        assert users_of(prefix) == [process.pid]
        for removes in (False, True):
            pruned = cache.prune(removes=removes)
            assert [(each.path, each.users) for each in pruned.in_use] == [(prefix, [process.pid])]
            assert prefix.is_dir()
        process.kill()
    cache.age(use_of(prefix), 90)
    assert users_of(prefix) == []
    assert not cache.prune().in_use
    assert not prefix.exists()


def test_the_last_use_counts(cache):
    """An old environment that a step ran in yesterday stays."""
    prefix = cache.folder("prefixes/aa", 90)
    with shared(use_of(prefix)):
        pass
    cache.age(use_of(prefix), 1)
    assert cache.prune().items == []
    assert [each.unused for each in cache_items(cache.path)] == [pytest.approx(DAY, abs=60)]


def test_used_between_the_look_and_the_removal(cache, monkeypatch):
    """A step that began and ended meanwhile has made the environment new."""
    prefix = cache.folder("prefixes/aa", 90)
    package = cache.package(b"a", 90)
    items = list(cache_items(cache.path))
    monkeypatch.setattr(cache_prune, "cache_items", lambda _path: items)
    with shared(use_of(prefix)):
        pass
    os.utime(package)
    assert cache.prune().items == []
    assert prefix.is_dir()
    assert package.read_bytes() == b"a"


def test_what_the_runs_of_a_local_datastore_need_stays(cache):
    """Its locks and packages are in the cache alone: a resume needs them when the channel is gone."""
    needed, other = sha256(b"needed"), sha256(b"other")
    cache.old.run("1", 400, environments={"start": {"python": "3.11", "id": needed, "platform": "linux-64"}})
    kept = [
        cache.lock(needed, 90, b"python", b"numpy"),
        cache.package(b"python", 90),
        cache.package(b"numpy", 90),
    ]
    gone = [cache.lock(other, 90, b"python", b"old"), cache.package(b"old", 90)]
    pruned = cache.prune()
    assert {each.path for each in pruned.items} == set(gone)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
    assert not gone[1].parent.exists()


def test_a_lock_file_keeps_its_packages(cache):
    """One that is committed beside a flow."""
    package = cache.package(b"python", 90)
    assert cache.prune(kept_digests=[sha256(b"python")]).items == []
    assert package.exists()


def test_a_damaged_manifest_keeps_all_locks_and_packages(cache):
    """It may need any of them; it is said."""
    cache.old.run("1", 90)
    cache.old.storage.write_bytes("flows/AFlow/1/run.json", b"{")
    kept = [cache.lock(sha256(b"spec"), 90, b"python"), cache.package(b"python", 90)]
    pruned = cache.prune()
    assert len(pruned.faults) == 1
    assert all(path.exists() for path in kept)


def test_a_damaged_lock_keeps_all_packages(cache):
    """It is said."""
    cache.file(layout.lock("linux-64", sha256(b"spec")), 1, b"{")
    package = cache.package(b"python", 90)
    assert len(cache.prune().faults) == 1
    assert package.exists()


def test_packages_stay_while_environments_are_made(cache, monkeypatch):
    """Packages that are being linked must not go; a prune waits a little for that."""
    monkeypatch.setattr(cache_prune, "_PATIENCE", 0.1)
    package = cache.package(b"a", 90)
    with shared(makers_mutex(cache.path)):
        pruned = cache.prune()
    assert package.exists()
    assert "Environments are being made" in pruned.faults[0]
    assert not cache.prune().faults
    assert not package.exists()


def test_copies_of_locks_stay(cache):
    """They are what this machine trusts, and small."""
    copy = cache.file("locks/0123/environments/linux-64/a.lock", 900)
    assert cache.prune().items == []
    assert copy.exists()


def test_shared_files_count_once(tmp_path):
    """A file with two links is counted once, and freed only with its last link."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    (one / "file").write_bytes(b"x" * 100_000)
    os.link(one / "file", two / "file")
    (two / "own").write_bytes(b"y" * 50_000)
    disk = DiskUsage()
    assert 100_000 <= disk.add(one) < 130_000
    assert 50_000 <= disk.add(two) < 80_000
    assert freed_by_removing([one]) == 0
    assert 50_000 <= freed_by_removing([two]) < 80_000
    assert 150_000 <= freed_by_removing([one, two]) < 200_000


def test_scratch_of_dead_processes_goes(cache):
    """That of living ones stays."""
    program = """
import sys
from pathlib import Path
from airflow_conda_flow.datastore.left_behind import new_mark
for name in sys.argv[1:]:
    (Path(name) / new_mark()).mkdir(parents=True)
"""
    folders = [cache.path / ".scratch", cache.path / ".trash"]
    subprocess.run([sys.executable, "-c", program, *map(str, folders)], check=True)
    mine = cache.datastore.artifacts  # of a local datastore, whose scratch is elsewhere
    assert mine is not None
    pruned = cache.prune()
    assert pruned.scratch == 2
    assert not any(folder.exists() and any(folder.iterdir()) for folder in folders)


def test_packages_that_were_extracted_in_part_go(cache):
    """py-rattler leaves them when its process is killed; not while somebody makes an environment."""
    folder = cache.folder("extracted/.a-1-0_0xidab0", 0)
    with shared(makers_mutex(cache.path)):
        cache.prune()
        assert folder.is_dir()
    cache.prune(removes=False)
    assert folder.is_dir()
    cache.prune()
    assert not folder.exists()


def test_scratch_of_other_containers_goes_after_long(cache):
    """Of those that share the cache; after thirty days, or later if the prune says so."""
    words = new_mark().split("-")
    mark = "-".join(["00000000", *words[1:]])
    left = [
        cache.file(f"{folder}/.name.{mark}.part", 31) for folder in ("packages", "locks/0123/environments/x")
    ]
    assert cache.prune(unused_for=90 * DAY).scratch == 0
    assert cache.prune(unused_for=DAY).scratch == 2
    assert not any(path.exists() for path in left)


def test_two_prunes_of_a_cache(cache):
    """Each thing goes once."""
    for number in range(20):
        cache.folder(f"prefixes/p{number}", 90)
        cache.package(b"%d" % number, 90)
    results = []
    threads = [threading.Thread(target=lambda: results.append(cache.prune())) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    paths = [each.path for result in results for each in result.items]
    assert len(paths) == len(set(paths)) == 40
    assert not any(result.faults for result in results)
    assert _files(cache) == set(), "not even files that were made to lock what was gone"


def test_a_time_that_is_too_short(cache):
    """Running steps rely on a minimum."""
    with pytest.raises(SettingError, match="at least 12 h"):
        cache.prune(unused_for=3600.0)


def test_commands(cache, capsys, monkeypatch):
    """``cache list`` and ``cache prune``: sizes, last uses, users; what would go, then what went."""
    monkeypatch.setenv("CONDA_FLOW_CACHE_DIR", str(cache.path))
    monkeypatch.setenv("CONDA_FLOW_DATASTORE_ROOT", cache.datastore.storage.url)
    prefix = cache.folder("prefixes/aa", 40)
    cache.folder("prefixes/bb", 90)
    with shared(use_of(prefix)):
        cache.age(use_of(prefix), 40)
        assert tool.main(["cache", "list"]) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert ["aa", "12.3", "kB", "40", "d", "process", str(os.getpid())] in lines
        assert ["bb", "12.3", "kB", "90", "d"] in lines
        assert tool.main(["cache", "prune"]) == 0
        printed = capsys.readouterr().out
        assert f"{prefix} is in use and stays: process {os.getpid()}" in printed
        assert printed.endswith("would be freed. Nothing was removed: add --yes to remove this.\n")
        assert tool.main(["cache", "prune", "--yes"]) == 0
        assert capsys.readouterr().out.endswith("12.3 kB freed.\n")
    assert sum(each.count for each in kind_usage(cache.path).values()) == 1


def test_what_an_interrupted_prune_left_is_removed_in_a_phase(cache, monkeypatch):
    """It may be environments, which takes seconds: nobody waits in silence."""
    left = cache.folder(f".trash/{new_mark()}", 1)
    told = []

    class Told(cache_prune.Silence):
        def phase(self, text: str, total: int | None = None) -> None:
            del total
            told.append((text, left.exists()))

        def step(self, count: int = 1, size: int = 0) -> None:
            del size
            told.append(count)

    monkeypatch.setattr("airflow_conda_flow.datastore.left_behind._is_dead", lambda _found: True)
    assert cache.prune(report=Told()).scratch == 1
    begun = told.index(("removing what processes that died have left", True))
    looked = told.index(("looking at the cache", False))
    assert sum(told[begun + 1 : looked]) == 1
