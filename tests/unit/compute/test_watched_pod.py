"""Pods that the triggerer waits for: one request for all of them, and no pod is taken for a deleted one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_conda_flow.compute.kubernetes.board import PodBoard
from airflow_conda_flow.compute.kubernetes.watched_pod import WatchedPod
from airflow_conda_flow.errors import ComputeUnavailable

from .test_pod_state import ended, make_pod


class FakeCluster:
    """A cluster with these pods, which counts the questions; a stand-in so that it can be away."""

    def __init__(self):
        self.api = SimpleNamespace(read_namespaced_pod_log=self._log)
        self.pods, self.asked, self.deleted = {}, 0, []
        self.away = False

    def find_pods(self, _namespace, labels):
        assert labels == {"airflow-conda-flow/flow": None}
        self.asked += 1
        if self.away:
            raise ComputeUnavailable("The cluster is away.")
        return list(self.pods.values())

    def delete_pod(self, name, _namespace, *, has_ended=False):
        self.deleted.append((name, has_ended))

    def last_warning(self, _name, _namespace):
        return None

    def _log(self, *_positional, **_options):
        lines = b"2026-11-24T02:00:00.1Z one\n2026-11-24T02:00:00.2Z two\n"
        return SimpleNamespace(stream=lambda **_: iter([lines]), release_conn=lambda: None)


@pytest.fixture
def cluster():
    """A cluster without pods."""
    return FakeCluster()


def named(name, status):
    """A pod of that name."""
    pod = make_pod(status)
    pod.metadata.name = name
    return pod


RUNNING = {"phase": "Running"}


def test_many_pods_share_a_look(cluster):
    """A hundred watchers ask once."""
    cluster.pods = {f"p{n}": named(f"p{n}", RUNNING) for n in range(100)}
    board = PodBoard(cluster, "ns")
    watchers = [WatchedPod(board, name, 600) for name in cluster.pods]
    assert watchers[0].pause == 1 + 100 * 0.01
    for each in watchers:
        each.lines()
    assert cluster.asked <= 2
    assert not any(each.is_over for each in watchers)
    for each in watchers:
        each.close()
    assert board.pause(1) == 1


def test_a_look_from_before_a_pod_does_not_make_it_a_deleted_one(cluster):
    """The board is young, but older than the pod."""
    board = PodBoard(cluster, "ns")
    board.look("other", 0)
    cluster.pods["new"] = named("new", RUNNING)
    watched = WatchedPod(board, "new", 600)
    watched.lines()
    assert not watched.is_over


def test_an_ended_pod(cluster):
    """Its whole log is read before it counts as ended."""
    cluster.pods["p"] = named("p", {"phase": "Failed", "containerStatuses": ended(1)})
    watched = WatchedPod(PodBoard(cluster, "ns"), "p", 600)
    assert watched.lines() == ["one", "two"]
    assert watched.is_over
    assert watched.end().cause is None
    assert "ended with exit code 1" in watched.end().silent
    watched.remove()
    assert cluster.deleted == [("p", True)]


def test_a_deleted_pod_is_lost(cluster):
    """And can be tried again."""
    watched = WatchedPod(PodBoard(cluster, "ns"), "p", 600)
    assert watched.lines() == []
    assert watched.end().is_lost


def test_a_cluster_that_is_away_for_a_moment(cluster, monkeypatch):
    """It is asked again for five minutes."""
    now = [0.0]
    monkeypatch.setattr("airflow_conda_flow.compute.patience.time", SimpleNamespace(monotonic=lambda: now[0]))
    cluster.pods["p"] = named("p", RUNNING)
    watched = WatchedPod(PodBoard(cluster, "ns"), "p", 600)
    cluster.away = True
    assert watched.lines() == ["The cluster is away. Asking again for 5 minutes."]
    now[0] = 299
    assert watched.lines() == []
    now[0] = 301
    with pytest.raises(ComputeUnavailable):
        watched.lines()
    cluster.away = False
    watched.lines()
    assert not watched.is_over
