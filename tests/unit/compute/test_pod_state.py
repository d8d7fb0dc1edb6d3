"""States of pods that no cluster here can be brought into, and their meaning."""

from __future__ import annotations

import doctest
import json
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from kubernetes.client import ApiClient

from airflow_conda_flow.compute.kubernetes import state as pod_state
from airflow_conda_flow.compute.kubernetes.start import PodStart
from airflow_conda_flow.errors import TaskFailed


def make_pod(status, metadata=None, resources=None, node="node-1"):
    """A pod as the client gives it."""
    container = {"name": "base", "image": "i", "resources": resources or {}}
    manifest = {
        "metadata": {"name": "p", **(metadata or {})},
        "spec": {"containers": [container], "nodeName": node},
        "status": status,
    }
    return ApiClient().deserialize(SimpleNamespace(data=json.dumps(manifest)), "V1Pod")


def container(state, name="base"):
    """The status of a container."""
    return {"name": name, "image": "i:1", "imageID": "", "ready": False, "restartCount": 0, "state": state}


def ended(code, reason="Error"):
    """The statuses of a container that ended."""
    return [container({"terminated": {"exitCode": code, "reason": reason}})]


GOING = {"deletionTimestamp": "2026-11-24T02:00:00Z"}


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        (None, "Pod p was deleted before its step ended."),
        (make_pod({"phase": "Succeeded", "containerStatuses": ended(0)}), None),
        (make_pod({"phase": "Failed", "containerStatuses": ended(1)}), None),
        (
            make_pod(
                {
                    "phase": "Failed",
                    "reason": "Evicted",
                    "message": "The node was low on resource:\nmemory. ",
                }
            ),
            "Pod p was evicted from node node-1: The node was low on resource: memory.",
        ),
        (
            make_pod({"phase": "Failed", "reason": "DeadlineExceeded", "containerStatuses": ended(137)}),
            "Pod p ended: DeadlineExceeded.",
        ),
        (
            make_pod(
                {"phase": "Failed", "containerStatuses": ended(137, "OOMKilled")},
                resources={"requests": {"memory": "64M"}},
            ),
            (
                "Pod p ran out of memory and was killed (OOMKilled); it asked for 64M and had no limit. "
                "Give the step more: @resources(memory=...), in MB."
            ),
        ),
        (
            make_pod(
                {
                    "phase": "Failed",
                    "initContainerStatuses": [
                        container(
                            {"terminated": {"exitCode": 1, "reason": "Error", "message": "no\nspace"}}, "r"
                        )
                    ],
                }
            ),
            "The init container r of pod p failed: Error, exit code 1: no space.",
        ),
        (make_pod({"phase": "Failed"}), "Pod p ended before its container ran."),
        (make_pod({"phase": "Running"}, GOING), "Pod p was ended from outside before its step ended."),
        (
            make_pod({"phase": "Running", "containerStatuses": ended(143)}),
            "Pod p was ended from outside before its step ended.",
        ),
        (
            make_pod({"phase": "Running", "containerStatuses": ended(137)}, GOING),
            "Pod p was ended from outside before its step ended.",
        ),
        (make_pod({"phase": "Running", "containerStatuses": ended(1)}, GOING), None),
    ],
)
def test_the_fate_of_a_pod(pod, said):
    """One line where something befell it, nothing where the step itself ended it."""
    assert pod_state.fate(pod, "p") == said


def test_a_pod_whose_node_is_lost_is_over():
    """It was told to go long ago and is still said to run: nobody would ever say otherwise."""
    running = {"phase": "Running", "containerStatuses": [container({"running": {}})]}
    assert not pod_state.is_over(make_pod(running))
    soon = (datetime.now(timezone.utc) + timedelta(seconds=30)).isoformat()
    assert not pod_state.is_over(make_pod(running, {"deletionTimestamp": soon}))
    assert pod_state.is_over(make_pod(running, GOING))


def waiting(reason, message="why"):
    """A pod whose container waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    return make_pod({"phase": "Pending", "containerStatuses": [container(state)]})


def unscheduled(message):
    """A pod that no node takes."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return make_pod({"phase": "Pending", "conditions": [condition]}, node=None)


@pytest.mark.parametrize(
    ("pod", "message", "patience"),
    [
        (waiting("ContainerCreating"), None, None),
        (waiting("InvalidImageName"), "the image i:1 cannot be pulled: InvalidImageName: why.", 0),
        (waiting("ImagePullBackOff"), "the image i:1 cannot be pulled: ImagePullBackOff: why.", 30),
        (
            waiting("CreateContainerConfigError", 'secret "s" not found'),
            'its container cannot be made: CreateContainerConfigError: secret "s" not found.',
            30,
        ),
    ],
)
def test_what_keeps_a_pod(pod, message, patience):
    """The reason, and how long it may last."""
    found = pod_state.obstacle(pod)
    assert (found and found.message) == (message and f"Pod p: {message}")
    assert (found and found.patience) == patience


def test_waiting_for_a_node_is_said_once_and_given_up_in_time(monkeypatch):
    """Each reason is told when it is new; after the timeout it is the failure."""
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=100.0)
    monkeypatch.setattr("airflow_conda_flow.compute.kubernetes.start.time", clock)
    start = PodStart(60)
    pod = unscheduled("0/1 nodes are available: 1 Insufficient cpu")
    assert start.look(pod) is None  # at first it is no news
    clock.now += 2
    assert start.look(pod) == "Pod p waits for a node: 0/1 nodes are available: 1 Insufficient cpu."
    assert start.look(pod) is None
    assert start.look(unscheduled("other")) == "Pod p waits for a node: other."
    clock.now += 60
    with pytest.raises(TaskFailed, match=r"Insufficient cpu\. It was given up after 62 s"):
        start.look(pod)


def test_a_registry_may_fail_for_a_while(monkeypatch):
    """The kubelet tries again; only what lasts ends the pod, and a node's time begins with the node."""
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
    monkeypatch.setattr("airflow_conda_flow.compute.kubernetes.start.time", clock)
    start = PodStart(60)
    start.look(unscheduled("busy"))
    clock.now = 50
    assert start.look(waiting("ErrImagePull")) is None
    clock.now = 75
    assert "cannot be pulled" in start.look(waiting("ImagePullBackOff"))
    assert start.look(waiting("ContainerCreating")) is None
    clock.now = 95
    start.look(waiting("ErrImagePull"))
    clock.now = 126
    with pytest.raises(TaskFailed, match="Pod p: the image i:1 cannot be pulled"):
        start.look(waiting("ImagePullBackOff"))


def test_examples():
    """The examples in docstrings give what they say."""
    results = doctest.testmod(pod_state)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(
    ("pod", "lost"),
    [
        (None, True),
        (make_pod({"phase": "Succeeded", "containerStatuses": ended(0)}), False),
        (make_pod({"phase": "Failed", "containerStatuses": ended(1)}), False),
        (make_pod({"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}), True),
        (
            make_pod(
                {
                    "phase": "Failed",
                    "reason": "Evicted",
                    "message": "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.",
                }
            ),
            False,
        ),
        (
            make_pod(
                {
                    "phase": "Failed",
                    "reason": "Evicted",
                    "message": 'Usage of EmptyDir volume "x" exceeds the limit "1Mi".',
                }
            ),
            False,
        ),
        (
            make_pod(
                {
                    "phase": "Failed",
                    "reason": "Preempting",
                    "message": "Preempted in order to admit critical pod",
                }
            ),
            True,
        ),
        (make_pod({"phase": "Failed", "reason": "NodeLost"}), True),
        (make_pod({"phase": "Failed", "reason": "Shutdown", "message": "Node is shutting down."}), True),
        (make_pod({"phase": "Failed", "reason": "OutOfcpu"}), True),
        (make_pod({"phase": "Failed", "reason": "DeadlineExceeded", "containerStatuses": ended(137)}), False),
        (make_pod({"phase": "Failed", "containerStatuses": ended(137, "OOMKilled")}), False),
        (make_pod({"phase": "Failed"}), False),
        (make_pod({"phase": "Running"}, GOING), True),
        (make_pod({"phase": "Running", "containerStatuses": ended(143)}), True),
        (make_pod({"phase": "Running", "containerStatuses": ended(137)}), False),
    ],
)
def test_what_the_infrastructure_has_done(pod, lost):
    """A pod that was taken away is tried again without @retry; one whose own step ended it is not."""
    assert pod_state.was_taken_away(pod) is lost
    assert pod_state.end_of(pod, "p").is_lost is lost
