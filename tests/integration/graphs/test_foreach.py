"""The values that a foreach may run over, and how wide it may be."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing

import pytest

from ...parts.airflow_machine import AirflowMachine
from ...parts.flow_machine import Machine
from ...parts.s3_servers import free_port

WIDE = """
class AFlow(FlowSpec):
    width = Parameter("width", default=3)
    @step
    def start(self):
        self.items = range(self.width)
        self.next(self.body, foreach="items")
    @step
    def body(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
"""
VALUES = """
import random
class AFlow(FlowSpec):
    fixed = ["a", "b"]
    @property
    def computed(self):
        return [n * 10 for n in range(2)]
    @step
    def start(self):
        {assign}
        self.next(self.body, foreach="{name}")
    @step
    def body(self):
        self.got = [self.index, self.input, self.foreach_stack()[-1]]
        self.next(self.join)
    @step
    def join(self, inputs):
        self.got = [each.got for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        expected = {expected}
        assert self.got == [[i, v, (i, len(expected), v)] for i, v in enumerate(expected)]
"""


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine with an empty home."""
    return Machine(tmp_path / "home")


@pytest.mark.parametrize(
    ("assign", "name", "expected"),
    [
        ("pass", "fixed", "['a', 'b']"),
        ("pass", "computed", "[0, 10]"),
        ("self.items = [random.Random(n).randbytes(90_000) for n in range(7)]", "items",
         "[random.Random(n).randbytes(90_000) for n in range(7)]"),
        ("self.items = (bytes([n]) * 400_000 for n in range(3))", "items", "[bytes([n]) * 400_000 for n in range(3)]"),
    ],
    ids=["class attribute", "property", "long values", "an iterator over long values"],
)  # fmt: skip
def test_every_split_gets_its_value(machine, assign, name, expected):
    """Also from an attribute of the class, and where the values are too long to be read by every split."""
    done = machine.run(machine.flow(VALUES.format(assign=assign, name=name, expected=expected)), "run")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_split_reads_its_own_block_alone(machine):
    """Values that are long together are stored in blocks; the list itself is read by nobody."""
    flow = machine.flow(
        VALUES.format(
            assign="self.items = [os.urandom(90_000) for _ in range(7)]", name="items", expected="0"
        ).replace("import random", "import os").replace("expected = 0", "return")
    )  # fmt: skip
    assert machine.run(flow, "run").returncode == 0
    transition = machine.manifests()["start/0"]["transition"]
    assert (transition["block_length"], len(transition["blocks"])) == (1, 7)
    sizes = {each["size"] for each in transition["blocks"]}
    assert all(90_000 < size < 91_000 for size in sizes)


def test_more_splits_than_the_run_allows(machine):
    """A foreach wider than ``--max-num-splits`` fails the run before a split starts, and says how to go on."""
    flow = machine.flow(WIDE)
    done = machine.run(flow, "run", "--width", "101")
    assert done.returncode == 1
    assert (
        "over self.items has 101 splits, and this run allows 100. Give run --max-num-splits 101"
        in done.stdout
    )
    assert "body" not in done.stdout
    assert machine.run(flow, "run", "--width", "3", "--max-num-splits", "2").returncode == 1
    assert machine.run(flow, "run", "--width", "3", "--max-num-splits", "3").returncode == 0


def grid(machine: AirflowMachine) -> dict[str, str]:
    """The name of every mapped task in Airflow's UI, by ``step[map index]``."""
    with closing(sqlite3.connect(machine.home / "airflow" / "airflow.db")) as database:
        rows = database.execute(
            "select task_id, map_index, rendered_map_index from task_instance where map_index >= 0"
        ).fetchall()
    return {f"{task}[{index}]": name for task, index, name in rows}


def test_more_splits_than_airflow_maps(tmp_path, database):
    """Each mapped task takes a block of splits."""
    machine = AirflowMachine(tmp_path / "home", "unused", database, AIRFLOW__CORE__MAX_MAP_LENGTH="3")
    machine.flow(WIDE + 'dag = AFlow.dag(schedule=None, environment="local")\n', folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow", "--conf", json.dumps({"width": 8}))
    assert done.returncode == 0, done.stdout
    assert grid(machine) == {"body[0]": "items 0 to 1", "body[1]": "items 2 to 4", "body[2]": "items 5 to 7"}
    assert machine.manifests().keys() == {"start/0", "join/0", "end/0", *(f"body/{n}" for n in range(8))}
    assert "3 splits: 3 done." in done.stdout


def test_more_splits_of_splits_than_airflow_maps(tmp_path, database):
    """Splits of a foreach inside a foreach count together; a block may span several splits around it."""
    machine = AirflowMachine(tmp_path / "home", "unused", database, AIRFLOW__CORE__MAX_MAP_LENGTH="3")
    machine.flow(
        WIDE.replace("self.next(self.join)", 'self.items = [1, 2]\n        self.next(self.inner, foreach="items")')
        .replace("def join(self, inputs):", "def inner(self):\n        self.next(self.inner_join)\n"
                 "    @step\n    def inner_join(self, inputs):\n        self.next(self.join)\n"
                 "    @step\n    def join(self, inputs):")
        + 'dag = AFlow.dag(schedule=None, environment="local")\n',
        folder=machine.dags,
    )  # fmt: skip
    done = machine.airflow("dags", "test", "a_flow", "--conf", json.dumps({"width": 3}))
    assert done.returncode == 0, done.stdout
    names = grid(machine)
    assert [names[f"inner[{n}]"] for n in range(3)] == [
        "items 0-0 to 0-1",
        "items 1-0 to 1-1",
        "items 2-0 to 2-1",
    ]
    assert [names[f"inner_join[{n}]"] for n in range(3)] == ["0", "1", "2"]
    assert {
        f"inner/{outer}-{inner}" for outer in range(3) for inner in range(2)
    } <= machine.manifests().keys()


NESTED_GANG = """
from airflow_conda_flow import catch, parallel
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["fr", "de"]
        self.next(self.body, foreach="items")
    @step
    def body(self):
        self.lang = self.input
        self.next(self.train, num_parallel=self.index + 2)
    @catch(var="problem")
    @parallel
    @step
    def train(self):
        assert self.lang != "de" or self.input != 1, "on purpose"
        self.word = "%s%d of %d" % (self.lang, self.input, current.parallel.num_nodes)
        self.next(self.join)
    @step
    def join(self, inputs):
        self.words = [each.problem.type if each.problem else each.word for each in inputs]
        self.next(self.outer)
    @step
    def outer(self, inputs):
        self.words = [each.words for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        assert self.words == [["fr0 of 2", "fr1 of 2"], ["de0 of 3", "builtins.AssertionError", "de2 of 3"]]
dag = AFlow.dag(schedule=None, environment="local")
"""


@pytest.mark.parametrize(("most", "prefix"), [("2", ""), ("1", "[1] ")], ids=["alone", "in a block"])
def test_the_nodes_of_a_num_parallel_are_one_task_of_a_dag(tmp_path, database, most, prefix):
    """Inside a foreach it is mapped over the splits around it alone; each node is caught for itself."""
    machine = AirflowMachine(tmp_path / "home", "unused", database, CONDA_FLOW_FOREACH_TASKS=most)
    flow = machine.flow(NESTED_GANG, folder=machine.dags)
    assert machine.run(flow, "run").returncode == 0
    local = machine.manifests()
    shutil.rmtree(machine.datastore)
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert f"{prefix}[node 2] Starts as pid " in done.stdout
    in_airflow = machine.manifests()
    assert {key for key in in_airflow if key.startswith("train/")} == {
        f"train/{index}-{node}" for index in range(2) for node in range(index + 2)
    }
    assert _hashes(in_airflow) == _hashes(local)


TORCH = """
import os
from airflow_conda_flow import environment, pytorch_parallel
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.train, num_parallel=3)
    DECORATORS
    @step
    def train(self):
        names = ["MASTER_ADDR", "NODE_RANK", "NUM_NODES", "WORLD_SIZE", "MASTER_PORT"]
        self.values = [os.environ[each] for each in names]
        self.total = all_reduce(self.values[0], int(self.values[4]), int(self.values[1]), int(self.values[2]))
        self.next(self.join)
    @step
    def join(self, inputs):
        self.all = sorted(each.values for each in inputs)
        print("TOTALS", [each.total for each in inputs])
        self.next(self.end)
    @step
    def end(self):
        print("ALL", [each[:4] for each in self.all], "PORTS", sorted({each[4] for each in self.all}))
def all_reduce(address, port, rank, number):
    # As a process group of gloo does: all meet at the main node, and each gets the sum.
    import contextlib, socket, time
    if rank:
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                with socket.create_connection((address, port)) as main:
                    main.sendall(bytes([rank + 1]))
                    return main.recv(1)[0]
            time.sleep(0.05)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server((address, port)))
        others = [stack.enter_context(server.accept()[0]) for _ in range(number - 1)]
        total = 1 + sum(each.recv(1)[0] for each in others)
        for each in others:
            each.sendall(bytes([total]))
    return total
"""


def test_nodes_that_train_with_pytorch(tmp_path):
    """Each has the variables of torch.distributed: its rank, and the address and port where all meet."""
    machine = Machine(tmp_path / "home")
    flow = machine.flow(TORCH.replace("DECORATORS", "@pytorch_parallel"))
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stdout
    nodes = [["127.0.0.1", str(rank), "3", "3"] for rank in range(3)]
    assert f"ALL {nodes} PORTS" in done.stdout
    assert "TOTALS [6, 6, 6]" in done.stdout
    (port,) = re.findall(r"PORTS \['(\d+)'\]", done.stdout)
    assert 20000 <= int(port) < 30000
    port = free_port()
    given = f"@environment(vars={{'WORLD_SIZE': '6'}})\n    @pytorch_parallel(master_port={port})"
    done = machine.run(machine.flow(TORCH.replace("DECORATORS", given)), "run")
    assert f"ALL {[[*each[:3], '6'] for each in nodes]} PORTS ['{port}']" in done.stdout, done.stdout


def test_a_port_that_is_none(tmp_path):
    """One line with file and line."""
    machine = Machine(tmp_path / "home")
    flow = machine.flow(TORCH.replace("DECORATORS", "@pytorch_parallel(master_port='x')"))
    done = machine.run(flow, "check")
    assert (done.returncode, done.stderr) == (
        1,
        f"{flow}:9: @pytorch_parallel: master_port is 'x'; write a port from 1 to 65535.\n",
    )


WORKERS = """
from airflow_conda_flow import parallel
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.train, num_parallel=3)
    @parallel
    @step
    def train(self):
        self.node = current.parallel.node_index
        WORK
        self.next(self.join)
    @step
    def join(self, inputs):
        self.nodes = [each.node for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        print("NODES", self.nodes if hasattr(self, "nodes") else None)
dag = AFlow.dag(schedule=None, environment="local")
"""


@pytest.mark.parametrize(
    ("work", "failed"),
    [
        ("if current.parallel.node_index > 0: return", None),
        ("if self.node: return None", None),
        ("if self.node == 2: return", None),
        ("if self.node == 0: return", 0),
        ("if self.node == 1: raise ValueError", 1),
    ],
)
def test_workers_of_a_num_parallel_may_return(tmp_path, work, failed):
    """The main node says what comes next; it cannot leave that out, and no node may fail."""
    machine = Machine(tmp_path / "home")
    done = machine.run(machine.flow(WORKERS.replace("WORK", work)), "run")
    assert done.returncode == (0 if failed is None else 1), done.stdout
    if failed is None:
        assert machine.manifests()["train/2"]["transition"]["next"] == ["join"]
        assert len(machine.manifests()) == 6
    elif failed == 0:
        assert "Step 'train' ended without calling self.next()." in done.stdout


def test_workers_that_return_in_a_dag(tmp_path, database):
    """As on the command line."""
    machine = AirflowMachine(tmp_path / "home", "unused", database)
    machine.flow(WORKERS.replace("WORK", "if self.node: return"), folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert machine.manifests()["train/1"]["transition"]["next"] == ["join"]


def _hashes(manifests):
    """Of every artifact, but for what was caught: it names its lines, and those its run."""
    return {
        key: {name: ref["sha256"] for name, ref in each["artifacts"].items() if name != "problem"}
        for key, each in manifests.items()
    }
