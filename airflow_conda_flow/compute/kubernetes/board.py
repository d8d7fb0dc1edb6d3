"""Last known state of many pods of a namespace, kept by one watch for all that wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_conda_flow.compute.kubernetes.cluster import Cluster
from airflow_conda_flow.compute.kubernetes.feed import PodFeed
from airflow_conda_flow.compute.kubernetes.spec import LABEL
from airflow_conda_flow.compute.kubernetes.state import is_over
from airflow_conda_flow.errors import ComputeForbidden, ComputeUnavailable

_SECONDS_PER_POD = 0.01
"""Seconds between two lists that each pod adds, where watching is forbidden."""
_REQUESTS_PER_SECOND = 10.0
"""Most requests a second about single pods, all pods of a board together: for logs and warnings, and for
looks where neither watching nor listing is allowed."""
_ANNOUNCED_SECONDS = 1.0
"""Seconds in which a watch tells of a pod that exists; a pod that it does not tell of is asked for alone."""


@dataclass(frozen=True)
class Sight:
    """Last known state of a pod.

    Attributes:
        is_known: False until the cluster has said something about the pod.
        pod: the pod, a ``V1Pod``; None if it is gone and nobody has seen it end.
        is_gone: True if the pod no longer exists.
    """

    is_known: bool
    pod: Any | None = None
    is_gone: bool = False


_UNKNOWN = Sight(is_known=False)
_GONE = Sight(is_known=True, is_gone=True)


class PodBoard:
    """Last known state of the pods with some labels in one namespace; safe for many threads.

    A thread keeps it, from the first follower to the last: one list, and then one watch. If the cluster
    forbids watching, it lists the pods again and again; if it forbids that too, each follower looks at its
    own pod.

    Args:
        cluster: the cluster.
        namespace: the namespace.
        labels: labels of the pods, None for any value; without them, all pods of our flows.

    Attributes:
        cluster: the cluster; may be replaced by one with a newer connection.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, labels: Mapping[str, str | None] | None = None
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._labels = dict(labels or {f"{LABEL}flow": None})
        # Guards the attributes below, and those of the followers; never held during a request or a callback.
        self._mutex = threading.Lock()
        self._followers: dict[str, list[PodFollower]] = {}
        self._number = 0
        self._feed: PodFeed | None = None
        self._pods: dict[str, dict[str, Any]] = {}
        self._listed: float | None = None
        self._error: ComputeUnavailable | None = None
        self._may_watch = self._may_list = True
        self._notices: list[str] = []

    def follow(self, name: str, on_news: Callable[[], object] = lambda: None) -> PodFollower:
        """Follower of a pod, which must be closed.

        Args:
            name: the pod's name.
            on_news: called from another thread when the pod has changed; must return at once.
        """
        follower = PodFollower(self, name, on_news)
        with self._mutex:
            self._followers.setdefault(name, []).append(follower)
            self._number += 1
            if self._feed is None:
                self._pods, self._listed, self._error = {}, None, None
                self._may_watch = self._may_list = True
                self._feed = PodFeed(self, lambda: self.cluster, self.namespace, self._labels)
                self._feed.start()
            follower.tell(self._pods.get(name), is_complete=False)
        return follower

    def leave(self, follower: PodFollower) -> None:
        """Forget a follower; the last one ends the thread. Idempotent."""
        with self._mutex:
            followers = self._followers.get(follower.name, [])
            if follower not in followers:
                return
            followers.remove(follower)
            self._number -= 1
            if not followers:
                del self._followers[follower.name]
            feed = self._feed if not self._number else None
            if feed is not None:
                self._feed = None
        if feed is not None:
            feed.stop()

    @property
    def is_watched(self) -> bool:
        """True if changes are told as they happen."""
        return self._may_watch and self._may_list

    def pause(self, shortest: float) -> float:
        """Seconds between two looks where changes are not told: longer for many pods."""
        if not self._may_list:
            return max(shortest, self._number / _REQUESTS_PER_SECOND)
        return shortest + _SECONDS_PER_POD * self._number

    def share(self, shortest: float) -> float:
        """Seconds between two requests about one pod, so that all pods together make few of them."""
        return max(shortest, self._number / _REQUESTS_PER_SECOND)

    def notices(self) -> list[str]:
        """Lines about what the cluster forbids; each is returned once, to whoever asks first."""
        if not self._notices:
            return []
        with self._mutex:
            found, self._notices = self._notices, []
        return found

    def told(self, follower: PodFollower) -> tuple[dict[str, Any] | None, bool, bool]:
        """Pod of a follower as Kubernetes' JSON, whether it is gone, and whether to ask for it alone.

        Raises:
            ComputeUnavailable: the cluster does not answer at present.
        """
        with self._mutex:
            if self._may_list and self._error is not None:
                raise self._error
            is_alone = not self._may_list
            if self._listed is not None and follower.pod is None:
                # A list from before the pod does not have it, and a watch may need a moment. Whoever took our
                # labels from the pod hides it from both.
                is_late = time.monotonic() - follower.since > _ANNOUNCED_SECONDS
                is_alone = is_alone or is_late or self._listed >= follower.since
            return follower.pod, follower.is_gone, is_alone

    # The thread calls the methods below.

    def listed(self, feed: PodFeed, pods: list[dict[str, Any]], began: float) -> None:
        """Take over a list of all pods."""
        with self._mutex:
            if feed is not self._feed:
                return
            self._pods = {pod["metadata"]["name"]: pod for pod in pods}
            self._listed = began
            changed = [
                follower
                for name, followers in self._followers.items()
                for follower in followers
                if follower.tell(self._pods.get(name), is_complete=follower.since <= began)
            ]
        _call(changed)

    def changed(self, feed: PodFeed, kind: str, pod: dict[str, Any]) -> None:
        """Take over one change."""
        name = pod["metadata"]["name"]
        with self._mutex:
            if feed is not self._feed:
                return
            followers = list(self._followers.get(name, ()))
            if kind == "DELETED":
                self._pods.pop(name, None)
                for follower in followers:
                    follower.tell(pod)  # how it ended, if it had ended
                    follower.tell(None)
            else:
                self._pods[name] = pod
                for follower in followers:
                    follower.tell(pod)
        _call(followers)

    def reached(self, feed: PodFeed, *, is_watched: bool) -> None:
        """Note an answer."""
        with self._mutex:
            if feed is self._feed:
                self._error, self._may_list = None, True
                self._may_watch = self._may_watch or is_watched

    def failed(self, feed: PodFeed, error: ComputeUnavailable) -> None:
        """Note that the cluster does not answer."""
        with self._mutex:
            if feed is self._feed:
                self._error = error

    def forbidden(self, feed: PodFeed, error: ComputeForbidden, *, to_list: bool) -> None:
        """Go on with less: lists without a watch, or looks at single pods."""
        instead = "each is asked for alone" if to_list else "they are listed again and again"
        right = "`list` and `watch`" if to_list else "`watch`"
        line = f"{error} Until this account has the right {right} for `pods`, {instead}."
        with self._mutex:
            if feed is not self._feed:
                return
            told = self._may_list if to_list else self._may_watch
            self._may_list, self._may_watch = self._may_list and not to_list, False
            self._notices += [line] if told else []
            followers = [each for named in self._followers.values() for each in named]
        _call(followers)


class PodFollower:
    """One that waits for a pod.

    Args:
        board: the board.
        name: the pod's name.
        on_news: called from another thread when the pod has changed.

    Attributes:
        name: the pod's name.
        since: time of ``time.monotonic`` at which the waiting began.
        news: set when the pod has changed; cleared by ``look``.
        pod: the pod as Kubernetes' JSON; None if nobody has told of it. Belongs to the board.
        is_gone: True if the pod no longer exists. Belongs to the board.
    """

    def __init__(self, board: PodBoard, name: str, on_news: Callable[[], object]) -> None:
        self.name = name
        self.since = time.monotonic()
        self.news = threading.Event()
        self.pod: dict[str, Any] | None = None
        self.is_gone = False
        self._board = board
        self._on_news = on_news
        self._made: tuple[dict[str, Any], Any] | None = None
        self._asked = float("-inf")
        self._found = _UNKNOWN

    def close(self) -> None:
        """Stop waiting. Idempotent."""
        self._board.leave(self)

    def look(self) -> Sight:
        """Last known state of the pod.

        Raises:
            ComputeForbidden: we have no right to read pods.
            ComputeUnavailable: the cluster does not answer at present.
        """
        self.news.clear()
        pod, is_gone, is_alone = self._board.told(self)
        if is_alone:
            return self._look_alone()
        if pod is None:
            return _UNKNOWN
        if self._made is None or self._made[0] is not pod:
            self._made = pod, self._board.cluster.as_pod(pod)
        made = self._made[1]
        return _GONE if is_gone and not is_over(made) else Sight(is_known=True, pod=made, is_gone=is_gone)

    def tell(self, pod: dict[str, Any] | None, *, is_complete: bool = True) -> bool:
        """Take over the pod's state; return True if this is news. The caller holds the board's mutex.

        Args:
            pod: the pod as Kubernetes' JSON; None if the cluster does not name it.
            is_complete: True if the cluster named every pod that there was when the waiting began.
        """
        if pod is not None:
            is_new = _version(pod) != _version(self.pod)
            self.pod = pod
            return is_new
        if not is_complete or self.is_gone:
            return False
        self.is_gone = self.pod is not None  # else it was never seen, and is asked for alone
        return True

    def notify(self) -> None:
        """Tell whoever waits."""
        self.news.set()
        self._on_news()

    def _look_alone(self) -> Sight:
        now = time.monotonic()
        if now - self._asked >= self._board.share(0.0):
            self._asked = now
            pod = self._board.cluster.read_pod(self.name, self._board.namespace)
            self._found = _GONE if pod is None else Sight(is_known=True, pod=pod)
        return self._found


def _version(pod: Mapping[str, Any] | None) -> str | None:
    return None if pod is None else str(pod["metadata"].get("resourceVersion"))


def _call(followers: list[PodFollower]) -> None:
    for follower in followers:
        follower.notify()
