"""Step processes on every interpreter at hand, old ones and those of conda environments."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest

import airflow_conda_flow
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.runner.runtime_root import runtime_root

from ...parts.attempt_machine import old_python, one_step

VERSIONS = ["3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
RELAY = """
import sys

class Point(object):
    def __init__(self, x):
        self.x = x
    def __eq__(self, other):
        return self.x == other.x
    __hash__ = None

class AFlow(FlowSpec):
    @step
    def start(self):
        self.seen = [sys.version_info[:2]]
        self.a_dict = {"caf\\xe9": [1, 2.5, None], (1, 2): b"bytes"}
        self.a_list = [True, "x" * 100000, 2 ** 70]
        self.a_set = {"a", "b", frozenset([1])}
        self.a_point = Point({"deep": Point(1)})
        self.next(self.one)
%s
    @step
    def end(self):
        self.seen = self.seen + [sys.version_info[:2]]
        assert self.a_dict == {"caf\\xe9": [1, 2.5, None], (1, 2): b"bytes"}
        assert self.a_list == [True, "x" * 100000, 2 ** 70]
        assert self.a_set == {"a", "b", frozenset([1])}
        assert self.a_point == Point({"deep": Point(1)})
        print("caf\\xe9", current.step_name)
"""
MIDDLE = """
    @step
    def {name}(self):
        self.seen = self.seen + [sys.version_info[:2]]
        self.a_dict, self.a_list, self.a_set, self.a_point
        self.next(self.{next})
"""


def test_values_go_through_many_pythons_and_back(make_run):
    """From 3.6 over newer Pythons to 3.6 again, nothing changes, and what is read is not written."""
    versions = ["3.6", "3.8", "3.11", "3.13", "3.6"]
    pythons = [old_python(version) for version in versions]
    if None in pythons:
        pytest.skip("not all of these interpreters are here")
    names = ["start", "one", "two", "three", "end"]
    middle = "".join(MIDDLE.format(name=a, next=b) for a, b in itertools.pairwise(names[1:]))
    run = make_run(RELAY % middle)
    run.manifest["pickle_protocols"] = dict.fromkeys(names, 4)
    results = [run.done(name, python=python) for name, python in zip(names, pythons, strict=True)]
    assert [f"{major}.{minor}" for major, minor in run.value(results[-1], "seen")] == versions
    for name in ("a_dict", "a_list", "a_set", "a_point"):
        assert results[-1].record.artifacts[name] == results[0].record.artifacts[name]
    assert run.printed() == ["café end"]
    assert [result.record.python.rpartition(".")[0] for result in results] == versions


@pytest.mark.parametrize("version", VERSIONS)
def test_a_step_process_on_each_python(make_run_either_way, version):
    """Steps, joins, failures and output work on it, with nothing installed beside it."""
    python = old_python(version)
    if python is None:
        pytest.skip("no such interpreter here")
    run = make_run_either_way(
        one_step("""
            import sys, warnings
            self.version = list(sys.version_info[:2])
            self.encoding = sys.stdout.encoding.lower()
            print("one"); print("two", file=sys.stderr)
            import random, tempfile
            self.drawn = [random.random(), next(tempfile._get_candidate_names())]
        """)
    )
    run.manifest["pickle_protocols"] = {"start": 4, "end": 4}
    result, another = [run.done("start", attempt=number, python=python) for number in range(2)]
    assert ".".join(map(str, run.value(result, "version"))) == version
    assert sorted(run.lines) == [*[("stderr", "two")] * 2, *[("stdout", "one")] * 2]
    assert not set(run.value(result, "drawn")) & set(run.value(another, "drawn"))
    run.done("end", python=python)


LAUNCH = """
from airflow_conda_flow import DeployedFlow, Deployer, NBRunner, Runner
for name in (DeployedFlow, Deployer, NBRunner, Runner):
    try:
        (name.from_deployment if name is DeployedFlow else name)("a_flow.py", cwd=".")
    except RuntimeError as error:
        assert str(error).startswith("%s is not in a step's own environment. Give" % name.__name__), error
    else:
        raise AssertionError(name)
"""
NAMES = """
import airflow_conda_flow as metaflow
from airflow_conda_flow.client import DataArtifact, Flow, Run, Step, Task, get_cards, inspect_spin, namespace
assert (metaflow.client.Flow, metaflow.Flow) == (Flow, Flow) and metaflow.cards.get_cards is get_cards
from airflow_conda_flow import S3, flowspec
from airflow_conda_flow.user_configs.config_parameters import Config
assert (flowspec.FlowSpec, Config) == (metaflow.FlowSpec, metaflow.Config)
from airflow_conda_flow.plugins.datatools.s3 import MetaflowS3NotFound, S3GetObject, S3PutObject
from airflow_conda_flow.plugins.datatools.s3.s3 import S3Object
assert S3PutObject("a", path="b", metadata={"c": 1}) == ("a", None, "b", None, None, {"c": 1})
assert issubclass(metaflow.exception.MetaflowNotFound, metaflow.exception.MetaflowException)
assert metaflow.exception.MetaflowS3NotFound is MetaflowS3NotFound and S3GetObject("a") == ("a", None, None)

def said(line):
    try:
        exec(line)
    except ImportError as error:
        return str(error)

# Python 3.6 does not ask a module about its names.
unknown = "cannot import name 'nothing'"
if sys.version_info >= (3, 7):
    unknown = "airflow_conda_flow has no 'nothing'. docs/metaflow.md lists its names."
assert not hasattr(metaflow, "version") and not hasattr(metaflow, "task")
for line, expected in [
    ("from airflow_conda_flow.flowspec import Nothing", "Metaflow's flowspec.Nothing is not here: write from "),
    ("from airflow_conda_flow.plugins.aws.x import y", "Metaflow's plugins.aws is not here: what flows "),
    ("from airflow_conda_flow.metaflow_config import X", "Metaflow's metaflow_config.X is not here: settings are CO"),
    ("from airflow_conda_flow.events import Trigger", "Metaflow's events is not here: current.trigger is the object"),
    ("from airflow_conda_flow._vendor import click", "Metaflow's _vendor is not here: import the library itself, and"),
    ("from airflow_conda_flow import version", "Metaflow's version is not here: write from airflow_conda_flow import m"),
    ("import airflow_conda_flow.mflog.x", "Metaflow's mflog is not here: what flows need of Metaflow's own parts is"),
    ("from airflow_conda_flow import package_sources", "Metaflow's package_sources is not here: name the modules in the setting package_modules"),
    ("from airflow_conda_flow import R", "Metaflow's R is not here: a step may start Rscript"),
    ("from airflow_conda_flow import ArtifactSerializer", "Metaflow's ArtifactSerializer is not here: give the cl"),
    ("from airflow_conda_flow import torchrun", "Metaflow's torchrun is not here: write @pytorch_parallel, and"),
    ("from airflow_conda_flow.integrations import ArgoEvent", "Metaflow's integrations is not here: update the Air"),
    ("from airflow_conda_flow.client.core import X", "Metaflow's client.core.X is not here: write from airflow_conda"),
    ("import airflow_conda_flow.nothing", "No module named 'airflow_conda_flow.nothing'"),
    ("from airflow_conda_flow import nothing", unknown),
    ("import no_such_module", "No module named 'no_such_module'"),
]:
    assert expected in said(line), said(line)
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_names_of_metaflow_on_each_python(version):
    """The client's are there; a module or a name that is not says what to write, and any other is missing."""
    python = old_python(version)
    if python is None:
        pytest.skip("no such interpreter here")
    _run(python, Path(airflow_conda_flow.__file__).parents[1], NAMES)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_starts_runs_can_be_imported_in_a_step(version, tmp_path):
    """A flow file may have them at its top; where one is used in a step's own environment it says what to do."""
    python = old_python(version)
    if python is None:
        pytest.skip("no such interpreter here")
    _run(python, runtime_root(tmp_path), LAUNCH)


def _run(python: str, root: Path, program: str) -> None:
    command = [python, "-I", "-B", "-c", f"import sys; sys.path.append({str(root)!r})\n{program}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def numpy_python(channel, tmp_path_factory):
    """The interpreter of a conda environment with numpy."""
    environments = Environments(tmp_path_factory.mktemp("cache"))
    spec = EnvironmentSpec(
        python=channel.python,
        libraries={"numpy": "1.26.4"},
        channels=(channel.url,),
        platform=current_platform(),
    )
    return str(environments.materialise(environments.resolve(spec, "numpy")) / "bin" / "python")


ARRAYS = """
class AFlow(FlowSpec):
    @step
    def start(self):
        import numpy
        self.big = numpy.arange(1_000_000.0)
        self.columns = numpy.asfortranarray(numpy.ones((500, 500)))
        self.strided = self.big[::2]
        self.few = numpy.arange(3)
        self.scalar = numpy.float64(1.5)
        self.frozen = numpy.ones(100_000)
        self.frozen.flags.writeable = False
        self.next(self.middle)
    @step
    def middle(self):
        self.next(self.end)
    @step
    def end(self):
        import numpy
        assert numpy.array_equal(self.big, numpy.arange(1_000_000.0))
        assert self.columns.flags.f_contiguous and self.columns.sum() == 250_000
        assert numpy.array_equal(self.strided, numpy.arange(0, 1_000_000.0, 2))
        assert list(self.few) == [0, 1, 2] and self.scalar == 1.5
        self.mapped = b"artifacts/" in open("/proc/self/maps", "rb").read()
        self.big_again = self.big
        self.columns[0, 0] = 7
        self.writable = [self.big.flags.writeable, self.frozen.flags.writeable]
"""


@pytest.mark.parametrize("protocol", [4, 5])
def test_arrays(make_run, numpy_python, protocol):
    """They come back equal and writable; with protocol 5 mapped, not copied; unchanged ones are kept."""
    run = make_run(ARRAYS)
    run.manifest["pickle_protocols"] = dict.fromkeys(["start", "middle", "end"], protocol)
    before = run.done("start", python=numpy_python).record.artifacts
    old = (old_python("3.6") if protocol == 4 else None) or numpy_python
    assert run.done("middle", python=old).record.artifacts == before
    end = run.done("end", python=numpy_python)
    after = end.record.artifacts
    assert {name for name in before if before[name] != after[name]} == {"columns"}
    assert after["big_again"] == before["big"]
    assert run.value(end, "mapped") is (protocol == 5)
    assert run.value(end, "writable") == ([True, False] if protocol == 5 else [True, True])
