"""A prune removes the runs that are chosen, whole, and no other one."""

from __future__ import annotations

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.keeping import LEAST_GRACE, note_end
from airflow_conda_flow.datastore.pruning import run_removal
from airflow_conda_flow.datastore.pruning.choice import RunChoice
from airflow_conda_flow.datastore.pruning.prune import prune
from airflow_conda_flow.datastore.pruning.stored_run import stored_runs
from airflow_conda_flow.datastore.tags import change_tags
from airflow_conda_flow.errors import ObjectNotFound, SettingError

from ....parts.old_datastore import DAY


def _pruned(old, removes=True, **choice):
    return prune(old.storage, RunChoice(**choice), removes=removes)


def test_without_a_condition_no_run_goes(old):
    """However old it is."""
    old.run("1", days=400)
    assert _pruned(old).runs == []
    assert old.runs() == {"1"}


def test_a_dry_run_changes_nothing(old):
    """Not even a notice is stored; and it says what the real one then removes."""
    for number, days in enumerate((40, 20, 2)):
        old.run(str(number), days, (b"value %d" % number,))
    before = old.keys()
    told = _pruned(old, removes=False, older_than=10 * DAY)
    assert old.keys() == before
    done = _pruned(old, older_than=10 * DAY)
    assert [each.run_id for each in told.runs] == [each.run_id for each in done.runs] == ["0", "1"]
    assert told.run_bytes == done.run_bytes > 0
    assert told.swept == done.swept
    assert before - old.keys()
    assert told.freed == done.freed


def test_by_age(old):
    """Runs that were prepared longer ago."""
    for run_id, days in (("1", 31), ("2", 29), ("3", 3)):
        old.run(run_id, days)
    _pruned(old, older_than=30 * DAY)
    assert old.runs() == {"2", "3"}


def test_by_count(old):
    """The newest of each flow stay, by the time of their preparation, not by their ids."""
    for number, days in enumerate((9, 5, 7, 3)):
        old.run(str(number), days)
        old.run(str(number), days, flow="Other")
    _pruned(old, keep_last=2)
    assert old.runs() == old.runs("Other") == {"1", "3"}


def test_count_and_age(old):
    """All conditions have to hold: what is old stays if it is among the newest."""
    for number, days in enumerate((90, 80, 70)):
        old.run(str(number), days)
    _pruned(old, keep_last=2, older_than=75 * DAY)
    assert old.runs() == {"1", "2"}


def test_by_state(old):
    """Failed runs alone, or those that are done."""
    old.run("1", 9)
    old.run("2", 9, state="failed")
    _pruned(old, states=["failed"])
    assert old.runs() == {"1"}
    _pruned(old, states=["done"])
    assert old.runs() == set()


def test_a_run_that_has_ended_is_failed_at_once(old):
    """A run that is not done runs as long as it is young, unless its end is noted; it stays either way."""
    run = old.run("1", 0, state="failed")
    told = [list(stored_runs(old.storage, LEAST_GRACE))]
    note_end(old.storage, run.flow, "1")
    told.append(list(stored_runs(old.storage, LEAST_GRACE)))
    assert [each.state for (each,) in told] == ["running", "failed"]
    _pruned(old, states=["failed"])
    assert old.runs() == {"1"}
    old.storage.write_bytes(layout.sign_of_life(run.flow, "1"), b"")  # a pod that was left behind
    (alive,) = stored_runs(old.storage, LEAST_GRACE)
    assert alive.state == "running"


def test_by_tag(old):
    """All tags that are named, those of later changes too; and tags that keep."""
    old.run("1", 9, tags=("trial",))
    old.run("2", 9, tags=("trial", "good"))
    changed = old.run("3", 9)
    change_tags(old.storage, changed, ["trial"], [])
    old.run("4", 9)
    old.age(9)
    _pruned(old, tags=["trial"], keep_tags=["good"])
    assert old.runs() == {"2", "4"}
    _pruned(old, tags=["user:tester"], keep_tags=["good"])
    assert old.runs() == {"2"}


def test_tags_that_cannot_be_read_keep(old):
    """A run stays if it is not known whether a tag keeps it."""
    run = old.run("1", 9, tags=("good",))
    old.storage.write_bytes(layout.tag_change("AFlow", run.run_id, "1"), b"{")
    old.age(9)
    pruned = _pruned(old, older_than=DAY, keep_tags=["other"])
    assert old.runs() == {"1"}
    assert pruned.kept == {"its tags cannot be read": 1}


def test_by_flow_and_by_name(old):
    """Conditions for one flow, and single runs without any condition."""
    for flow in ("AFlow", "Other"):
        for run_id in ("1", "2"):
            old.run(run_id, 9, flow=flow)
    _pruned(old, older_than=DAY, flows=["Other"])
    assert (old.runs(), old.runs("Other")) == ({"1", "2"}, set())
    _pruned(old, runs=[("AFlow", "1")])
    assert old.runs() == {"2"}
    with pytest.raises(ObjectNotFound, match="There is no run AFlow/7"):
        _pruned(old, runs=[("AFlow", "7")])


def test_a_run_that_goes_leaves_nothing(old):
    """Manifests, revisions, logs, cards, tags and objects, and no empty folder; another run's stay."""
    run = old.run("a/b 1", 9, datatools_root=f"{old.storage.url}/data")
    other = old.run("2", 0.6)
    before = old.keys()
    name = run.task("start", ()).attempt(0)
    change_tags(old.storage, run, ["new"], [])
    for key in (
        layout.card(name, "a"),
        layout.card_data(name, "a"),
        layout.node_address(name),
        layout.run_revision("AFlow", "a/b 1", "0" * 64),
        "data/AFlow/a/b 1/results/table.csv",
    ):
        old.storage.write_bytes(key, b"x")
    old.storage.write_bytes("data/AFlow/a/b 12/mine", b"of another run")
    old.age(9)
    _pruned(old, runs=[("AFlow", "a/b 1")])
    gone = {key for key in before if "a%2Fb" in key}
    left = {key for key in old.keys("") if not key.startswith(("artifacts/", "code/"))}
    assert left == {
        *(key for key in before - gone if key.startswith("flows/")),
        "data/AFlow/a/b 12/mine",
    }
    assert old.storage.list_names("flows/AFlow/") == [other.run_id]
    assert old.storage.list_names("tags/AFlow/") == []


def test_objects_in_another_place_stay(old):
    """``datatools_s3root`` names a place that is not the datastore's."""
    old.run("1", 9, datatools_root="s3://elsewhere/data")
    old.storage.write_bytes("data/AFlow/1/x", b"x")
    old.age(9)
    _pruned(old, older_than=DAY)
    assert old.keys() == {"data/AFlow/1/x"}


@pytest.mark.parametrize("key", ["flows/AFlow/1/start/0/1.stdout", "flows/AFlow/1/run.json"])
def test_a_run_with_a_sign_of_life_stays(old, key):
    """Something was written to it within the grace time, or its manifest was made new: a task runs."""
    old.run("1", 90)
    if old.storage.exists(key):
        assert old.storage.refresh(key, 1.0)
    else:
        old.storage.write_bytes(key, b"of a task that was cleared")
    _pruned(old, older_than=DAY, runs=[("AFlow", "1")])
    assert old.runs() == {"1"}


@pytest.mark.parametrize(
    ("origin", "days", "stays"), [("airflow", 6, True), ("airflow", 8, False), ("local", 2, False)]
)
def test_a_run_that_has_not_ended(old, origin, days, stays):
    """One of Airflow's may wait for days; one of the command line gives signs of life."""
    old.run("1", days, state="failed", origin=origin)
    _pruned(old, older_than=DAY)
    assert old.runs() == ({"1"} if stays else set())


def test_the_origin_of_a_run_that_stays(old):
    """It has the logs of the clones, and its own origin stays too."""
    old.run("1", 90)
    old.run("2", 80, resumed="1")
    old.run("3", 2, resumed="2")
    old.run("4", 70)
    pruned = _pruned(old, older_than=30 * DAY)
    assert old.runs() == {"1", "2", "3"}
    assert pruned.kept["a run that stays was resumed from it"] == 2
    _pruned(old, keep_last=0)
    assert old.runs() == set()


def test_a_grace_time_that_is_too_short(old):
    """Other processes rely on a minimum."""
    with pytest.raises(SettingError, match="at least 12 h"):
        prune(old.storage, RunChoice(), removes=False, grace=LEAST_GRACE - 1)


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("removals", range(5))
def test_a_removal_that_was_interrupted_is_continued(old, monkeypatch, removals):
    """After a kill at any point the next prune finishes it, also if its own conditions choose nothing."""
    old.run("1", 90, (b"of the first",))
    old.run("2", 90, (b"of the second",), state="failed")
    real, left = old.storage._remove_if_old, [removals]

    def remove(key, older_than):
        if key.startswith("flows/") and not left[0]:
            raise _Killed
        left[0] -= 1
        return real(key, older_than)

    monkeypatch.setattr(old.storage, "_remove_if_old", remove)
    with pytest.raises(_Killed):
        _pruned(old, runs=[("AFlow", "1")])
    monkeypatch.undo()
    assert old.storage.exists("flows/AFlow/1/run.json")  # the last to go
    _pruned(old)
    assert old.runs() == {"2"}
    assert not old.holds(b"of the first")
    assert old.holds(b"of the second")
    assert old.keys("prunes/") == set()


def test_a_run_that_was_created_again_is_no_interrupted_removal(old, monkeypatch):
    """Airflow prepares a run again under its old id: its new manifest is not the one that was to be removed."""
    old.run("1", 90)
    monkeypatch.setattr(run_removal, "_forget", lambda *_: None)
    monkeypatch.setattr(old.storage, "_remove_if_old", lambda *_: False)
    _pruned(old, older_than=DAY)
    monkeypatch.undo()
    assert old.keys("prunes/removals/")
    old.run("1", 2)
    _pruned(old)
    assert old.runs() == {"1"}
    assert old.keys("prunes/") == set()
