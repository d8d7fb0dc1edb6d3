"""Requests a minute to the API server of Kubernetes while pods run, and the time until their ends are seen.

The server is tests/parts/kubernetes_api.py, which counts. The peer asks for each pod every two seconds, as a
KubernetesPodOperator does in its worker. Nothing but one pod changes while it is counted.
"""

import statistics
import sys
import threading
import time

import harness

sys.path.insert(0, str(harness.REPOSITORY))

from airflow_conda_flow.compute.kubernetes.board import PodBoard
from airflow_conda_flow.compute.kubernetes.cluster import Cluster
from airflow_conda_flow.compute.kubernetes.state import is_over
from airflow_conda_flow.compute.kubernetes.watched_pod import WatchedPod
from tests.parts.kubernetes_api import NAMESPACE, run_kubernetes_api, wait_until

SECONDS = 30
ENDS = 5


class Peer:
    """A thread that asks for its pod every two seconds."""

    def __init__(self, board, name):
        self.is_over = threading.Event()
        self.stopped = threading.Event()
        self._cluster, self._name = board.cluster, name
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while not self.stopped.wait(2):
            if is_over(self._cluster.read_pod(self._name, NAMESPACE)):
                self.is_over.set()
                return

    def close(self):
        """End the thread."""
        self.stopped.set()


class Followed:
    """A follower as the command line has it, without its log: that is one request for each pod, a stream."""

    def __init__(self, board, name):
        self.is_over = threading.Event()
        self._follower = board.follow(name, on_news=self._look)
        self.close = self._follower.close

    def _look(self):
        if (pod := self._follower.look().pod) is not None and is_over(pod):
            self.is_over.set()


class Triggered:
    """A pod of the triggerer, with its log."""

    def __init__(self, board, name):
        self.is_over = threading.Event()
        self._pod = WatchedPod(board, name, 600)
        self._stopped = threading.Event()
        self._news = threading.Event()
        self._pod.on_news(self._news.set)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while not self._stopped.is_set():
            self._pod.lines()
            if self._pod.is_over:
                break
            self._news.wait(self._pod.pause)
            self._news.clear()
        self.is_over.set()

    def close(self):
        """End the thread."""
        self._stopped.set()
        self._news.set()
        self._pod.close()


def measure(kind, number):
    """Requests a minute by what they ask, and the median of the seconds until an end is seen."""
    with run_kubernetes_api() as api:
        names = [f"p{index}" for index in range(number)]
        api.run(*names)
        board = PodBoard(Cluster(api.client(), NAMESPACE), NAMESPACE)
        pods = {name: kind(board, name) for name in names}
        time.sleep(5)  # what starts is not what is counted
        before, started = api.requests.copy(), time.monotonic()
        time.sleep(SECONDS)
        spent = time.monotonic() - started
        counted = api.requests - before
        late = []
        for name in names[:ENDS]:
            started = time.monotonic()
            api.finish(name)
            wait_until(pods[name].is_over.is_set, 60)
            late.append(time.monotonic() - started)
        for each in pods.values():
            each.close()
    return {what: n * 60 / spent for what, n in counted.items()}, statistics.median(late)


def main():
    """Print the table."""
    print(f"\n{SECONDS} s each, Python {harness.PYTHON}\n")
    print("| pods | who follows | states, requests a minute | logs | seconds until an end is seen |")
    print("| ---: | --- | ---: | ---: | ---: |")
    for number in map(int, sys.argv[1:] or (10, 100, 1000)):
        for title, kind in (
            ("each alone, every 2 s", Peer),
            ("command line, worker", Followed),
            ("triggerer", Triggered),
        ):
            counted, late = measure(kind, number)
            logs = counted.pop("log", 0)
            print(
                f"| {number} | {title} | {sum(counted.values()):.0f} | {logs:.0f} | {late:.2f} |", flush=True
            )


if __name__ == "__main__":
    main()
