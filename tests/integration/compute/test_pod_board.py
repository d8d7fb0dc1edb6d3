"""One watch for all pods of a namespace, whatever its connection goes through."""

from __future__ import annotations

import threading
import time

import pytest

from airflow_conda_flow.compute.kubernetes import cluster as cluster_module
from airflow_conda_flow.compute.kubernetes import feed as feed_module
from airflow_conda_flow.compute.kubernetes.board import PodBoard
from airflow_conda_flow.compute.kubernetes.state import exit_code, is_over
from airflow_conda_flow.errors import ComputeForbidden, ComputeUnavailable

from ...parts.kubernetes_api import NAMESPACE, running, wait_until


@pytest.fixture
def board(cluster):
    """A board of all pods of our flows."""
    return PodBoard(cluster, NAMESPACE)


@pytest.fixture
def follow(board):
    """Follows pods, and leaves them at the end of the test."""
    followers = []

    def start(*names, **keywords):
        new = [board.follow(name, **keywords) for name in names]
        followers.extend(new)
        return new[0] if len(names) == 1 else new

    yield start
    for each in followers:
        each.close()


def threads():
    """The threads of boards that run."""
    return [each for each in threading.enumerate() if each.name == f"pods of {NAMESPACE}"]


def seen_running(follower):
    """Wait until the pod is seen to run."""
    wait_until(lambda: follower.look().is_known)
    assert not is_over(follower.look().pod)


def seen_over(follower, seconds=1.0):
    """Wait until the pod is seen to have ended: at once, unless the test says something else."""
    wait_until(lambda: (pod := follower.look().pod) is not None and is_over(pod), seconds)


def test_a_thousand_pods_are_a_handful_of_requests(api, follow, monkeypatch):
    """However many follow them, however often they look, and although each pod changes and watches end."""
    # Watches of a second without any news, which there are while the followers look, are none that fail.
    monkeypatch.setattr(feed_module, "_SHORT_SECONDS", 0.5)
    names = [f"p{number}" for number in range(1000)]
    for name in names:
        api.put(name, {"phase": "Pending"})
    api.watch_seconds = 1
    news = set()
    followers = [follow(name, on_news=lambda name=name: news.add(name)) for name in names]
    for each in followers:
        wait_until(lambda each=each: each.look().is_known)
    news.clear()
    api.run(*names)
    wait_until(lambda: len(news) == 1000)
    api.wait_for("watch", 4)
    api.finish(*names, code=3)
    for each in followers:
        seen_over(each, 20)
        assert exit_code(each.look().pod) == 3
    assert api.requests["list"] == 1
    assert sum(api.requests.values()) < 30, api.requests


def test_an_end_is_seen_at_once(api, follow):
    """Less than a second after the cluster knows, and without another request."""
    api.run("p")
    told = threading.Event()
    follower = follow("p", on_news=told.set)
    seen_running(follower)
    api.wait_for("watch")
    told.clear()
    asked = sum(api.requests.values())
    api.finish("p")
    assert told.wait(1)
    assert follower.news.is_set()
    assert is_over(follower.look().pod)
    assert sum(api.requests.values()) == asked


def test_a_later_follower_has_the_present_state_at_once(api, follow):
    """Without a request, and without waiting for a change."""
    api.run("p", "q")
    seen_running(follow("p"))
    asked = sum(api.requests.values()) - api.requests["watch"]
    assert follow("q").look().is_known
    assert sum(api.requests.values()) - api.requests["watch"] == asked


def test_a_pod_that_is_made_later(api, follow):
    """The watch tells of it; nobody takes it for a deleted one before."""
    api.run("p")
    seen_running(follow("p"))
    api.wait_for("watch")
    follower = follow("new")
    assert not follower.look().is_known
    api.run("new")
    seen_running(follower)
    assert api.requests["get"] == 0


def test_a_deleted_pod(api, follow):
    """It is gone; nobody has seen it end."""
    api.run("p")
    follower = follow("p")
    seen_running(follower)
    api.delete("p")
    wait_until(lambda: follower.look().is_gone, 1)
    assert follower.look().pod is None


def test_an_ended_pod_that_is_deleted_at_once(api, follow):
    """How it ended is known all the same: the cluster's own collector may be faster than anybody who asks."""
    api.run("p")
    follower = follow("p")
    seen_running(follower)
    api.finish("p", code=137)
    api.delete("p")
    wait_until(lambda: follower.look().is_gone, 1)
    assert exit_code(follower.look().pod) == 137


def test_a_pod_that_never_was(api, follow):
    """A list without it is not enough, as it may have lost our labels: it is asked for alone."""
    follower = follow("p")
    wait_until(lambda: follower.look().is_gone)
    assert api.requests["get"] == 1


def test_a_pod_without_our_labels(api, follow):
    """A webhook of the cluster may take them away: the pod is looked at alone, and not taken for deleted."""
    api.put("p", running(), labels={})
    follower = follow("p")
    seen_running(follower)
    api.put("p", {"phase": "Succeeded"}, labels={})
    seen_over(follower)


def test_broken_connections_lose_nothing(api, follow):
    """The watch resumes where it was, without a list."""
    api.run("p", "q")
    p, q = follow("p", "q")
    seen_running(p)
    for number in range(1, 4):
        api.wait_for("watch", number)
        wait_until(lambda: api.watches)
        api.put("q", {"phase": "Pending", "message": str(number)})
        wait_until(lambda number=number: q.look().pod.status.message == str(number))
        api.break_watches()
    api.finish("p")
    seen_over(p)
    assert api.requests["list"] == 1


def test_a_version_that_the_cluster_forgot(api, follow):
    """Status 410: the pods are listed, so that what happened meanwhile is seen, deletions too."""
    api.run("p", "q")
    p, q = follow("p", "q")
    seen_running(p)
    api.wait_for("watch")
    wait_until(lambda: api.watches)
    with api.changes:
        api.finish("p")
        api.delete("q")
        api.forget()
    api.break_watches()
    seen_over(p, 3)
    assert q.look().is_gone
    assert api.requests["list"] == 2


def test_a_silent_watch(api, follow, monkeypatch):
    """A connection that says nothing is given up, and the pods are listed."""
    monkeypatch.setattr(feed_module, "_WATCH_SECONDS", 1)
    monkeypatch.setattr(feed_module, "_SHORT_SECONDS", 0.5)
    monkeypatch.setattr(cluster_module, "_WATCH_SLACK", 1)
    api.is_silent = True
    api.run("p")
    follower = follow("p")
    seen_running(follower)
    api.wait_for("watch")
    api.finish("p")
    seen_over(follower, 5)


def test_watches_that_end_at_once(api, follow):
    """As behind some proxies: lists take their place, in growing pauses, and ends are seen."""
    api.watch_seconds = 0.001
    api.run("p")
    follower = follow("p")
    seen_running(follower)
    api.wait_for("list", 3)
    started, asked = time.monotonic(), api.requests["watch"]
    api.finish("p")
    seen_over(follower, 3)
    api.wait_for("list", api.requests["list"] + 2)
    assert (api.requests["watch"] - asked) / (time.monotonic() - started) < 3


def test_a_cluster_that_fails(api, follow, monkeypatch):
    """Followers hear of it after some seconds; when it answers again, they see what has happened."""
    monkeypatch.setattr(feed_module, "_SAY_AFTER", 0.0)
    monkeypatch.setattr(cluster_module, "_TRIES", 1)
    api.run("p")
    follower = follow("p")
    seen_running(follower)
    api.wait_for("watch")
    api.broken = {"list", "watch"}
    api.finish("p")
    api.break_watches()

    def fails():
        try:
            follower.look()
        except ComputeUnavailable as error:
            return "something is wrong inside" in str(error)
        return False

    api.wait_for("watch", 3)
    wait_until(fails)
    asked = sum(api.requests.values())
    started = time.monotonic()
    api.wait_for("list", api.requests["list"] + 2)
    assert (sum(api.requests.values()) - asked) / (time.monotonic() - started) < 6
    api.broken = set()
    wait_until(lambda: not fails())
    seen_over(follower, 5)


def test_an_answer_that_is_none_of_kubernetes(api, follow, monkeypatch):
    """Such as the page of a proxy: an error like any other, and the thread lives on."""
    monkeypatch.setattr(feed_module, "_SAY_AFTER", 0.0)
    monkeypatch.setattr(type(api), "version", property(lambda _: 1 / 0), raising=False)
    follower = follow("p")

    def fails():
        try:
            follower.look()
        except ComputeUnavailable:
            return True
        return False

    wait_until(fails)
    assert len(threads()) == 1


def test_watching_is_forbidden(api, board, follow):
    """The pods are listed again and again, by one request for all; one line says so, once."""
    api.forbidden = {"watch"}
    names = [f"p{number}" for number in range(50)]
    api.run(*names)
    followers = follow(*names)
    wait_until(lambda: not board.is_watched)
    for each in followers:
        seen_running(each)
    (line,) = board.notices()
    assert "cannot watch" in line
    assert "the right `watch` for `pods`" in line
    api.finish(*names)
    for each in followers:
        seen_over(each, 5)
    assert board.notices() == []
    assert api.requests["get"] == 0
    assert api.requests["watch"] == 1
    assert board.pause(1.0) == 1.5


def test_listing_is_forbidden_too(api, board, follow):
    """Each pod is looked at alone; many pods together ask ten times a second at most."""
    api.forbidden = {"watch", "list"}
    names = [f"p{number}" for number in range(30)]
    api.run(*names)
    followers = follow(*names)
    wait_until(lambda: not board.is_watched)
    for each in followers:
        seen_running(each)
    (line,) = board.notices()
    assert "cannot list" in line
    assert api.requests["get"] == 30
    for each in followers:
        for _ in range(10):
            each.look()
    assert api.requests["get"] == 30
    assert board.pause(1.0) == 3.0
    api.finish(*names)
    seen_over(followers[0], 5)
    api.delete("p1")
    wait_until(lambda: followers[1].look().is_gone, 5)
    assert api.requests["list"] == 1


def test_everything_is_forbidden(api, follow):
    """An error, and not a pod that seems to be gone."""
    api.forbidden = {"watch", "list", "get"}
    follower = follow("p")
    api.wait_for("list")
    with pytest.raises(ComputeForbidden, match="cannot get resource"):
        wait_until(lambda: follower.look().is_known)


def test_rights_that_are_given_later(api, board, follow, monkeypatch):
    """Watching is tried again."""
    monkeypatch.setattr(feed_module, "_FORBIDDEN_SECONDS", 0.5)
    api.forbidden = {"watch", "list"}
    api.run("p")
    follower = follow("p")
    wait_until(lambda: not board.is_watched)
    api.forbidden = set()
    wait_until(lambda: board.is_watched)
    asked = api.requests["get"]
    api.finish("p")
    seen_over(follower)
    assert api.requests["get"] == asked


def test_the_last_follower_ends_the_thread(api, board):
    """At once, although the thread waits for the cluster; the next one starts another, and sees the present."""
    api.run("p")
    followers = [board.follow("p") for _ in range(3)]
    seen_running(followers[0])
    api.wait_for("watch")
    wait_until(lambda: api.watches)
    (thread,) = threads()
    for each in (*followers[1:], followers[1]):
        each.close()
    assert thread.is_alive()
    followers[0].close()
    thread.join(2)
    assert not thread.is_alive()
    assert threads() == []
    api.finish("p")
    later = board.follow("p")
    seen_over(later, 3)
    later.close()
    wait_until(lambda: threads() == [])


def test_followers_that_come_and_go_together(api, board):
    """No two threads at a time serve a board, and nobody is left without one."""
    api.run("p")
    failures = []

    def visit():
        try:
            for _ in range(20):
                follower = board.follow("p")
                wait_until(lambda follower=follower: follower.look().is_known)
                follower.close()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    visitors = [threading.Thread(target=visit) for _ in range(8)]
    for each in visitors:
        each.start()
    for each in visitors:
        each.join(60)
    assert failures == []
    wait_until(lambda: threads() == [])


def test_a_new_connection(api, board, follow, cluster):
    """A board whose connection was replaced asks by the new one from then on."""
    api.run("p")
    follower = follow("p")
    seen_running(follower)
    api.wait_for("watch")
    wait_until(lambda: api.watches)
    old = cluster.api.api_client.configuration
    board.cluster = cluster_module.Cluster(api.client(), NAMESPACE)
    old.host = "http://127.0.0.1:1"
    api.break_watches()
    api.wait_for("watch", 2)
    api.finish("p")
    seen_over(follower)
