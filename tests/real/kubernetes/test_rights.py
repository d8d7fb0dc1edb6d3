"""The role of docs/deployment.md on a real cluster: it is enough, and each right in it is needed."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

PAGE = Path(__file__).parents[3] / "docs" / "deployment.md"
FLOW = """
class RightsFlow(FlowSpec):
    @kubernetes
    @step
    def start(self):
        print("from the pod")
        self.next(self.end)
    @step
    def end(self):
        pass
"""


@pytest.fixture
def account(cluster, tmp_path) -> Callable[..., str]:
    """Makes a service account with the role of the page, less one right; gives a kubeconfig that is this account's."""

    def make(resource: str = "", verb: str = "") -> str:
        name = f"airflow-worker-{secrets.token_hex(3)}"
        text = re.search(r"<!-- rbac -->\n```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
        text = re.sub(r"namespace: \w+", f"namespace: {cluster.namespace}", text)
        text = text.replace("launch-steps", name).replace("airflow-worker\n", f"{name}\n")
        role, binding = yaml.safe_load_all(text)
        if verb:
            (rule,) = [each for each in role["rules"] if resource in each["resources"]]
            rule["verbs"].remove(verb)
            role["rules"] = [each for each in role["rules"] if each["verbs"]]
        manifest = tmp_path / "rbac.yaml"
        manifest.write_text(yaml.safe_dump_all([role, binding]))
        cluster.kubectl("create", "serviceaccount", name, "--namespace", cluster.namespace)
        cluster.kubectl("apply", "--filename", str(manifest))
        config = yaml.safe_load(Path(cluster.kubeconfig).read_text())
        for user in config["users"]:
            user["user"] = {"token": _token(cluster, name)}
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return str(path)

    return make


def _token(cluster, account: str) -> str:
    """A token of a service account: that of its secret, or, since Kubernetes 1.24 makes none, a new one."""
    deadline = time.monotonic() + 10
    template = (
        "{range .items[*]}{.metadata.annotations.kubernetes\\.io/service-account\\.name} {.data.token}\n{end}"
    )
    words = ("get", "secrets", "--namespace", cluster.namespace, "--output", f"jsonpath={template}")
    while not (found := re.search(rf"^{account} (\S+)$", cluster.kubectl(*words), re.MULTILINE)):
        if time.monotonic() > deadline:
            return cluster.kubectl("create", "token", account, "--namespace", cluster.namespace).strip()
        time.sleep(0.3)
    return base64.b64decode(found[1]).decode()


def test_the_role_is_enough_for_a_flow(cluster, account, make_machine, shared_root):
    """An account that has this role alone runs a pod, shows its log and removes it."""
    machine = make_machine(shared_root)
    machine.environ["KUBECONFIG"] = account()
    flow = machine.flow("from airflow_conda_flow import kubernetes\n" + FLOW)
    flow.write_text(flow.read_text().replace("AFlow()", "RightsFlow()"))
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "from the pod" in done.stdout
    cluster.wait_until_empty("RightsFlow")


@pytest.mark.parametrize(
    ("resource", "verb"),
    [("pods", "create"), ("pods", "list"), ("pods", "watch"), ("pods", "delete"), ("pods/log", "get")],
)
def test_a_right_that_is_missing_is_named_in_one_line(
    cluster, account, make_machine, shared_root, resource, verb
):
    """The line names account, verb and resource; there is no traceback."""
    machine = make_machine(shared_root)
    flow = machine.flow("from airflow_conda_flow import kubernetes\n" + FLOW)
    flow.write_text(flow.read_text().replace("AFlow()", "RightsFlow()"))
    if verb == "list":  # the command looks for the pods of a run that is in the datastore
        machine.environ["KUBECONFIG"] = account()
        assert machine.run(flow, "run").returncode == 0
    machine.environ["KUBECONFIG"] = account(resource, verb)
    # Pods are listed by the command that looks for those that are left, and by Airflow.
    done = machine.run(flow, *(("kubernetes", "list", "--my-runs") if verb == "list" else ("run",)))
    words = f'cannot {verb} resource "{resource}"'
    lines = [line for line in (done.stdout + done.stderr).splitlines() if words in line]
    assert len(lines) == 1, done.stdout + done.stderr
    assert "system:serviceaccount:" in lines[0]
    # A step that is done stays done, though its log is missing or its pod is left. Without a watch, pods are listed.
    is_needed = (resource, verb) in {("pods", "create"), ("pods", "list")}
    assert done.returncode == (1 if is_needed else 0)
    assert "Traceback" not in done.stdout + done.stderr
    cluster.clear("RightsFlow")
