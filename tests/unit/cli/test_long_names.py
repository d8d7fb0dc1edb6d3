"""Names that nothing stored can have: a line says which, and the datastore is not blamed."""

from __future__ import annotations

import pytest

from airflow_conda_flow.cli.past_runs import run_of, tasks_of
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.errors import DatastoreUnavailable, InvalidPathspec, NotInDatastore, ObjectNotFound

from ...parts.old_datastore import OldDatastore

LONG = "x" * 300


@pytest.fixture
def catalogue(tmp_path):
    """A catalogue with one run."""
    datastore = open_datastore("local", tmp_path / "root", tmp_path / "cache")
    OldDatastore(datastore).run("1795989482197603")
    return RunCatalogue(datastore)


@pytest.mark.parametrize("word", [LONG, f"AFlow/{LONG}", "é" * 256, "a/" + LONG])
def test_an_id_of_a_run(catalogue, word):
    """The message names the option and an id that exists, and shows the beginning alone."""
    with pytest.raises(InvalidPathspec) as caught:
        run_of(catalogue, "AFlow", word, "--origin-run-id")
    assert str(caught.value).startswith("--origin-run-id: '")
    assert str(caught.value).endswith("more than the id of any run. Write one, such as 1795989482197603.")
    assert len(str(caught.value)) < 200


def test_an_id_that_only_its_file_would_be_too_long_for(catalogue):
    """Percent-encoded it has more bytes than a name of a file: there is no such run."""
    with pytest.raises(ObjectNotFound, match=r"There is no run 'é{150}' of AFlow"):
        run_of(catalogue, "AFlow", "é" * 150)


@pytest.mark.parametrize("word", ["a\udcff", "\udcff"])
def test_a_word_that_is_not_utf_8(catalogue, word):
    """There is no run of that name, on the command line too."""
    with pytest.raises(ObjectNotFound, match="There is no run "):
        run_of(catalogue, "AFlow", word)


@pytest.mark.parametrize("rest", [LONG, f"start/{LONG}"])
def test_a_step_or_task(catalogue, rest):
    """The message says which part, and what to write."""
    with pytest.raises(
        InvalidPathspec, match=r"^'x{20}'\.\.\. of 300 characters is no step or task of the run "
    ):
        tasks_of(catalogue, "AFlow", f"1795989482197603/{rest}")


def test_a_directory(tmp_path):
    """Nothing is stored under a key that no file can have; whoever writes is told what is too long."""
    storage = open_datastore("local", tmp_path / "root", tmp_path / "cache").storage
    with pytest.raises(NotInDatastore):
        storage.read_bytes(f"a/{LONG}")
    assert storage.size(f"a/{LONG}") is None
    assert storage.list_names(f"{LONG}/") == []
    with pytest.raises(DatastoreUnavailable, match=r"File name too long\. Shorten the longest name in it"):
        storage.write_bytes(f"a/{LONG}", b"")


def test_a_run_whose_record_is_gone(catalogue, tmp_path):
    """Its id is no mistake."""
    (tmp_path / "root/flows/AFlow/1795989482197603/run.json").rename(tmp_path / "kept")
    (tmp_path / "root/flows/AFlow/1795989482197603/start").mkdir(exist_ok=True)
    with pytest.raises(ObjectNotFound) as caught:
        run_of(catalogue, "AFlow", "1795989482197603")
    assert str(caught.value) == (
        "The run 1795989482197603 of AFlow has lost its record, flows/AFlow/1795989482197603/run.json in "
        f"{catalogue.describe()}. Put it back, or start the run again."
    )
