"""Pods that the triggerer and the command line wait for: ends are seen at once, and logs are complete."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest

from airflow_conda_flow.airflow.triggers.step import _News
from airflow_conda_flow.compute.kubernetes import watched_pod as watched_pod_module
from airflow_conda_flow.compute.kubernetes.board import PodBoard
from airflow_conda_flow.compute.kubernetes.pods import Pod
from airflow_conda_flow.compute.kubernetes.watched_pod import WatchedPod
from airflow_conda_flow.errors import ComputeForbidden, ComputeUnavailable

from ...parts.kubernetes_api import LABELS, NAMESPACE, wait_until


@pytest.fixture
def board(cluster):
    """A board of all pods of our flows."""
    return PodBoard(cluster, NAMESPACE)


@pytest.fixture
def watch(board):
    """Watches pods as the triggerer does."""
    pods = []

    def start(name):
        pods.append(WatchedPod(board, name, 600))
        return pods[-1]

    yield start
    for each in pods:
        each.close()


def lines_to_end(watched, seconds=10):
    """Look again and again until the pod has ended."""
    found = []

    def is_over():
        found.extend(watched.lines())
        return watched.is_over

    wait_until(is_over, seconds)
    return found


def test_an_ended_pod(api, watch):
    """Its whole log is read before it counts as ended; that it cannot be deleted is said."""
    api.finish("p", code=1)
    watched = watch("p")
    assert lines_to_end(watched) == ["one", "two"]
    assert watched.end().cause is None
    assert "ended with exit code 1" in watched.end().silent
    api.forbidden = {"delete"}
    assert "The pod p cannot be deleted in the namespace ns" in watched.remove()
    assert "p" in api.pods
    api.forbidden.clear()
    assert watched.remove() is None
    assert "p" not in api.pods


def test_a_deleted_pod_is_lost(watch):
    """And can be tried again."""
    watched = watch("p")
    assert lines_to_end(watched) == []
    assert watched.end().is_lost


def test_a_log_that_cannot_be_read_at_the_end(api, watch, monkeypatch):
    """It is read again: nobody reads it later."""
    monkeypatch.setattr(watched_pod_module, "_LAST_PAUSE", 0.2)
    api.finish("p")
    api.broken = {"log"}
    watched = watch("p")
    threading.Thread(target=lambda: (api.wait_for("log", 2), api.broken.clear())).start()
    assert lines_to_end(watched) == ["one", "two"]


@pytest.mark.parametrize("who", ["we", "somebody else"])
def test_the_last_lines_of_a_pod_that_is_deleted(api, watch, who):
    """The lines that a step prints while it ends are read, though pod and log are gone right after them."""
    api.last_words = b"2026-11-24T02:00:01Z three\n"
    api.run("p")
    watched = watch("p")
    found = []
    wait_until(lambda: found.extend(watched.lines()) or found == ["one", "two"])
    if who == "we":
        assert watched.remove() is None
    else:
        read = api.requests["log"]
        api.tell_to_end("p")
        wait_until(lambda: found.extend(watched.lines()) or api.requests["log"] > read)
        api.delete("p")
    assert lines_to_end(watched) == ["three"]
    assert found == ["one", "two"]
    assert watched.end().is_lost


def test_many_logs_are_read_in_turn(api, watch):
    """A thousand running pods ask ten times a second, and seldom about their states."""
    names = [f"p{number}" for number in range(1000)]
    api.run(*names)
    pods = [watch(name) for name in names]
    for each in pods:
        each.lines()
    api.wait_for("watch")
    started, asked = time.monotonic(), api.requests["log"]
    while time.monotonic() - started < 3:
        for each in pods:
            each.lines()
    assert (api.requests["log"] - asked) / (time.monotonic() - started) < 15
    assert sum(each.pause for each in pods) / 1000 > 20
    assert api.requests["list"] + api.requests["watch"] + api.requests["get"] < 10, api.requests


def test_the_log_of_a_single_pod_is_read_often(api, watch):
    """At once, and then every five seconds."""
    api.run("p")
    watched = watch("p")
    found = []
    wait_until(lambda: found.extend(watched.lines()) or found == ["one", "two"])
    assert watched.pause <= 5


def test_news_wakes_the_event_loop(api, watch):
    """The end of a pod is noticed at once, although the next look is seconds away; others go on meanwhile."""
    api.run("p")
    watched = watch("p")

    async def follow():
        news, ticks = _News(), 0
        watched.on_news(news.tell)
        while not watched.is_over:
            await asyncio.to_thread(watched.lines)
            if not watched.is_over:
                ticks += 1
                if ticks == 3:
                    api.wait_for("watch")
                    threading.Timer(0.3, api.finish, ["p"]).start()
                await news.wait(0.05 if ticks < 3 else 60)
        return ticks

    started = time.monotonic()
    assert asyncio.run(follow()) < 10
    assert time.monotonic() - started < 5


def test_news_for_a_loop_that_has_ended():
    """Nobody waits any more, which is no error in the thread that tells."""

    async def make():
        return _News()

    asyncio.run(make()).tell()


def test_a_cluster_that_is_away_for_a_moment(board, watch, monkeypatch):
    """It is asked again for five minutes."""
    now = [0.0]
    monkeypatch.setattr("airflow_conda_flow.compute.patience.time", SimpleNamespace(monotonic=lambda: now[0]))

    def away(_):
        raise ComputeUnavailable("The cluster is away.")

    watched = watch("p")
    with monkeypatch.context() as patch:
        patch.setattr(board, "told", away)
        assert watched.lines() == ["The cluster is away. Asking again for 5 minutes."]
        now[0] = 299
        assert watched.lines() == []
        now[0] = 301
        with pytest.raises(ComputeUnavailable):
            watched.lines()


def test_one_line_says_that_watching_is_forbidden(api, watch):
    """In the log of one of the pods."""
    api.forbidden = {"watch"}
    api.run("p", "q")
    pods, found = [watch("p"), watch("q")], []
    wait_until(lambda: found.extend(line for each in pods for line in each.lines()) or len(found) >= 5)
    (line,) = [line for line in found if line not in {"one", "two"}]
    assert "the right `watch` for `pods`" in line


class Followed:
    """A pod that a thread follows, as the command line does."""

    def __init__(self, board, name):
        self.lines, self.error, self.cancel = [], None, threading.Event()
        manifest = {"metadata": {"name": name, "namespace": NAMESPACE, "labels": LABELS}}
        self.pod = Pod(board, manifest, self.lines.append, 600)
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self):
        try:
            self.pod.follow(self.cancel, lambda: False)
        except ComputeUnavailable as error:
            self.error = error

    def ended(self, seconds=5.0):
        """Wait for the end."""
        self.thread.join(seconds)
        assert not self.thread.is_alive()
        return self.pod.end()


def test_pods_that_threads_follow(api, board):
    """Their states are one watch; each log is read once, as a stream."""
    names = [f"p{number}" for number in range(20)]
    api.run(*names)
    pods = [Followed(board, name) for name in names]
    for each in pods:
        wait_until(lambda each=each: each.lines)
    api.finish(*names, code=2)
    for each in pods:
        assert "exit code 2" in each.ended().silent
        assert each.lines == ["one", "two"]
        each.pod.remove(wait=False)
    assert api.pods == {}
    assert api.requests["get"] == 0
    assert api.requests["list"] + api.requests["watch"] < 5


def test_a_pod_that_a_thread_ends(api, board):
    """It is gone when ``remove`` returns, which no poll of ours asks for."""
    api.run("p")
    followed = Followed(board, "p")
    wait_until(lambda: followed.lines)
    followed.cancel.set()
    followed.ended()
    followed.pod.remove(wait=True)
    assert "p" not in api.pods
    assert api.requests["get"] == 0


@pytest.mark.parametrize("seen", ["it runs", "it has ended"])
def test_a_pod_that_is_ended_before_it_was_seen_to_run(api, board, seen):
    """The state comes later than the container: the step has printed lines, which go with the pod."""

    def begin_to_end(name):
        api.on_delete = end
        if seen == "it runs":
            api.run(name)
            api.wait_for("log")
        api.finish(name, code=1)

    def end(name):
        api.log = b""
        api.delete(name)

    api.on_delete = lambda name: threading.Thread(target=begin_to_end, args=(name,)).start()
    api.put("p", {"phase": "Pending"})
    followed = Followed(board, "p")
    api.wait_for("watch")
    followed.cancel.set()
    followed.ended()
    assert followed.lines == []
    followed.pod.remove(wait=True)
    assert "p" not in api.pods
    assert followed.lines == ["one", "two"]


def test_a_pod_is_followed_where_only_single_looks_are_allowed(api, board):
    """With a line that says so."""
    api.forbidden = {"watch", "list"}
    api.run("p")
    followed = Followed(board, "p")
    wait_until(lambda: len(followed.lines) == 3)
    api.finish("p")
    assert followed.ended().cause is None
    assert "the right `list` and `watch`" in " ".join(followed.lines)


def test_a_pod_that_nobody_may_look_at(api, board):
    """An error at once: no right comes by waiting."""
    api.forbidden = {"watch", "list", "get"}
    api.run("p")
    followed = Followed(board, "p")
    followed.thread.join(5)
    assert isinstance(followed.error, ComputeForbidden)
    followed.pod.remove(wait=False)
