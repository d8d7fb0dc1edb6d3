"""A step's attributes in a running pod, and a cluster that ends one that breaks its limits."""

from __future__ import annotations

import re
import secrets
import time

import yaml

from .conftest import SECRET
from .test_command_line import one_pod, printed_by

INSIDE = """
import os
from pathlib import Path
mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
print("MEMORY", sorted(where for _, where, kind, *_ in mounts if kind == "tmpfs" and where in ("/dev/shm", "/quick")))
print("TEMPDIR", current.tempdir.startswith("/quick"))
print("CLAIM", Path("/data/word").read_text(), Path("/data/new").write_text("written"))
print("ACCOUNT", Path("/var/run/secrets/kubernetes.io/serviceaccount/token").stat().st_size > 0)
print("USER", os.getuid(), os.getgid(), os.environ["COLOUR"], os.environ["FROM_SECRET"])
try:
    Path("/usr/new").write_text("")
except OSError as error:
    print("ROOT", error.strerror)
import time
time.sleep(3)
"""
ATTRIBUTES = (
    'shared_memory=48, use_tmpfs=True, tmpfs_size=32, tmpfs_path="/quick", '
    'persistent_volume_claims={"CLAIM": "/data"}, service_account="ACCOUNT", secrets=["more", "CREDENTIALS"], '
    'env={"COLOUR": "grün é😀"}, labels={"team": "blue"}, annotations={"note": "a b\\nc"}, '
    'node_selector={"kubernetes.io/os": "linux"}, '
    'tolerations=[{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}], '
    'security_context={"run_as_user": 12345, "run_as_group": 23456, "read_only_root_filesystem": True}, '
    "automount_service_account_token=True, limit_memory=True, "
    'affinity={"node_affinity": {"required_during_scheduling_ignored_during_execution": {"node_selector_terms": '
    '[{"match_expressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}]}}}, '
    'topology_spread_constraints=[{"max_skew": 1, "topology_key": "kubernetes.io/hostname", '
    '"when_unsatisfiable": "ScheduleAnyway", "label_selector": {"match_labels": {"team": "blue"}}}], '
    'cpu="200m", memory=300, disk=200'
)


def test_every_attribute_reaches_the_pod(cluster, machine, tmp_path):
    """Volumes, memory, identity, labels and place, seen from inside and from the cluster."""
    name = f"acf-{secrets.token_hex(4)}"
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.joinpath("word").write_text("kept")
    for each in (folder, *list(folder.parents)[:3]):
        each.chmod(0o755)
    folder.chmod(0o777)
    objects = tmp_path / "objects.yaml"
    objects.write_text(yaml.safe_dump_all(_volume(name, cluster.namespace, str(folder))))
    cluster.kubectl("apply", "--filename", str(objects))
    try:
        cluster.kubectl("create", "serviceaccount", name, "--namespace", cluster.namespace)
        options = ("--namespace", cluster.namespace, "--from-literal=FROM_SECRET=s3cret")
        cluster.kubectl("create", "secret", "generic", "more", *options)
        attributes = ATTRIBUTES.replace("CLAIM", name).replace("ACCOUNT", name).replace("CREDENTIALS", SECRET)
        flow = one_pod(machine, INSIDE.strip(), attributes)
        with machine.started(flow, "run") as process:
            pod = cluster.pod_of("AFlow", "start")
            output = process.communicate(timeout=90)[0]
    finally:
        cluster.kubectl("delete", "persistentvolume", name, "--wait=false")
    assert process.returncode == 0, output
    printed = re.findall(r"\] ([A-Z]+ .*)$", output, re.MULTILINE)
    assert printed == [
        "MEMORY ['/dev/shm', '/quick']",
        "TEMPDIR True",
        "CLAIM kept 7",
        "ACCOUNT True",
        "USER 12345 23456 grün é😀 s3cret",
        "ROOT Read-only file system",
    ]
    assert folder.joinpath("new").read_text() == "written"
    assert pod["metadata"]["labels"]["team"] == "blue"
    assert pod["metadata"]["annotations"]["note"] == "a b\nc"
    spec = pod["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert {"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert terms[0]["matchExpressions"][0]["values"] == ["linux"]
    assert spec["topologySpreadConstraints"][0]["labelSelector"] == {"matchLabels": {"team": "blue"}}
    assert spec["activeDeadlineSeconds"] == 5 * 24 * 3600
    limits = [volume["emptyDir"].get("sizeLimit") for volume in spec["volumes"] if "emptyDir" in volume]
    assert {"48Mi", "32Mi"} <= set(limits)  # which this cluster's version does not pass on to the mount
    (container,) = spec["containers"]
    assert container["resources"]["requests"] == {
        "cpu": "200m",
        "memory": "300M",
        "ephemeral-storage": "200M",
    }
    assert container["resources"]["limits"] == {"memory": "300M"}


def test_a_gpu_that_no_node_has_is_said_while_it_is_waited_for(machine):
    """The scheduler's own reason, and an interrupt ends it."""
    flow = one_pod(machine, "pass", "gpu=1")
    with machine.started(flow, "run") as process:
        deadline = time.monotonic() + 60
        while "Insufficient nvidia.com/gpu" not in (line := process.stdout.readline()):
            assert line, "the run ended without a word on the GPU"
            assert time.monotonic() < deadline
        process.terminate()
        process.communicate(timeout=60)
    assert "Insufficient nvidia.com/gpu" in line


def test_a_pod_that_is_evicted_says_so_in_one_line(machine):
    """More on its disk than it asked for: the node ends it, and the message says why."""
    body = (
        "import time\n"
        "for n in range(60):\n"
        '    open("/tmp/%d" % n, "wb").write(bytes(4_000_000))\n'
        "    time.sleep(0.05)\n"
        "time.sleep(200)"
    )
    done = machine.run(one_pod(machine, body, 'disk=100, qos="Guaranteed", cpu=0.2, memory=200'), "run")
    assert done.returncode == 1
    said = [line for line in printed_by(done, "start") if line.startswith("Pod ")]
    assert len(said) == 1, done.stdout
    assert re.match(r"Pod \S+ was evicted from node \S+: .*ephemeral", said[0]), said


def _volume(name: str, namespace: str, path: str) -> list[dict]:
    """A directory of the node as a volume, and a claim on it."""
    capacity = {"storage": "1Gi"}
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": name}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {**common, "capacity": capacity, "hostPath": {"path": path}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**common, "resources": {"requests": capacity}},
    }
    return [volume, claim]
