"""``airflow-conda-flow datastore``: what it says, what it removes, its exit codes."""

from __future__ import annotations

import doctest

import pytest

from airflow_conda_flow.cli import tool
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore.pruning import amounts, references

from ...parts.old_datastore import OldDatastore, sha256


@pytest.fixture
def old(tmp_path, monkeypatch) -> OldDatastore:
    """A datastore in a directory that the settings name, with an old run, a new one, and a failed one."""
    monkeypatch.setenv("CONDA_FLOW_DATASTORE", "local")
    monkeypatch.setenv("CONDA_FLOW_DATASTORE_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("CONDA_FLOW_CACHE_DIR", str(tmp_path / "cache"))
    old = OldDatastore(open_datastore("local", tmp_path / "root", tmp_path / "cache"))
    old.run("1", 90, (b"v" * 5000,))
    old.run("2", 40, state="failed")
    old.run("3", 2)
    return old


@pytest.mark.parametrize("module", [amounts, references])
def test_examples(module):
    """The examples in docstrings give what they say."""
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


def test_prune_says_first(old, capsys):
    """Without --yes it says what would go, how many bytes, what stays and why, and how to remove it."""
    before = old.keys()
    assert tool.main(["datastore", "prune", "--older-than", "30d", "--state", "done"]) == 0
    printed = capsys.readouterr().out
    assert "1 of 3 runs would go, " in printed
    assert "AFlow/1  done  90 d" in printed
    assert "1 stay: it is failed" in printed
    assert "artifacts                     2     5.0 kB" in printed
    assert printed.endswith("would be freed. Nothing was removed: add --yes to remove this.\n")
    assert old.keys() == before


def test_prune_with_yes(old, capsys):
    """It removes, says the bytes that it freed, and has nothing left to do."""
    assert tool.main(["datastore", "prune", "--older-than", "4w", "--yes"]) == 0
    printed = capsys.readouterr().out
    assert "2 of 3 runs removed, " in printed
    assert printed.endswith(" freed.\n")
    assert old.runs() == {"3"}
    assert tool.main(["datastore", "prune", "--older-than", "4w", "-y"]) == 0
    assert "0 of 1 runs removed, 0 B" in capsys.readouterr().out


def test_damage_is_said(old, capsys):
    """A document that cannot be read is named, with what to do; exit code 1."""
    old.storage.write_bytes("flows/AFlow/3/run.json", b"{")
    assert tool.main(["datastore", "prune", "--keep-last", "1", "--yes"]) == 1
    said = capsys.readouterr().err
    assert "flows/AFlow/3/run.json in the datastore" in said
    assert (
        "1 document cannot be read. While they are there, nothing that they may refer to is removed." in said
    )
    assert tool.main(["datastore", "usage"]) == 1


def test_usage_says(old, capsys):
    """Kinds with counts and bytes; flows with their runs by state and age."""
    assert tool.main(["datastore", "usage"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["artifacts", "4", "5.0", "kB"] in lines
    assert ["AFlow", "3", "2", "1", "0", "2", "d", "90", "d"] in [line[:9] for line in lines]


def test_a_lock_file_keeps_its_packages(old, tmp_path, capsys):
    """``--keep-lock`` reads the digests of a lock file; a file that is none is said."""
    key = f"packages/{sha256(b'p')}/p-1-0.conda"
    old.storage.write_bytes(key, b"p")
    old.age(9)
    lock = tmp_path / "a_flow.lock"
    lock.write_text(f"packages:\n- conda: https://x/p-1-0.conda\n  sha256: {sha256(b'p')}\n")
    assert tool.main(["datastore", "prune", "--keep-lock", str(lock), "--yes"]) == 0
    assert old.storage.exists(key)
    lock.write_text("nothing\n")
    assert tool.main(["datastore", "prune", "--keep-lock", str(lock), "--yes"]) == 1
    assert "names no package by its sha256" in capsys.readouterr().err
    assert old.storage.exists(key)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--older-than", "30"], "'30' is not an age: write a number and h, d or w, such as 12h, 30d or 2w"),
        (["--keep-last", "-3"], "--keep-last"),
        (["--run", "7"], "'7' names no run: write FLOW/RUN_ID"),
        (["--state", "running"], "invalid choice: 'running'"),
        (["AFlow"], "unrecognized arguments: AFlow"),
    ],
)
def test_wrong_words(old, capsys, words, message):
    """One message; exit code 2."""
    with pytest.raises(SystemExit) as ended:
        tool.main(["datastore", "prune", *words])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_short_grace_time(old, capsys):
    """It is refused: running steps rely on a minimum."""
    assert tool.main(["datastore", "prune", "--grace", "1h", "--yes"]) == 1
    assert "at least 12 h" in capsys.readouterr().err
