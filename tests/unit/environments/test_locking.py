"""Solving and keeping by ``environment lock``; the solver is a stand-in that takes the newest versions."""

from __future__ import annotations

import hashlib
import sys

import pytest

from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.lock_yaml import yaml_text
from airflow_conda_flow.environments.locking import Upgrade, make_lock
from airflow_conda_flow.environments.rattler_lock_file import pixi_document
from airflow_conda_flow.flow.definition import read_flow
from airflow_conda_flow.settings.loading import load_settings

from ...parts.attempt_machine import load_flow_module

FLOW = """
from airflow_conda_flow import FlowSpec, conda, step

class AFlow(FlowSpec):
    @conda(libraries={"numpy": ">=1"})
    @step
    def start(self):
        self.next(self.mid)

    @conda(libraries={"numpy": ">=1"})
    @step
    def mid(self):
        self.next(self.end)

    @conda(libraries={"six": ""}, python="3.11.*")
    @step
    def end(self):
        pass
"""
NOTHING = Upgrade()


class Solver:
    """Stands in for ``Environments``: every package has the version ``newest``, unless one is preferred.

    Attributes:
        asked: label and Python of each spec that was solved last.
    """

    def __init__(self) -> None:
        self.newest = "1"
        self.asked: dict[str, str] = {}

    def solve(self, specs, preferred):
        self.asked = {label: spec.python for label, spec in specs.items()}
        return {label: self._lock(spec, preferred[label]) for label, spec in specs.items()}

    def _lock(self, spec, preferred):
        kept = {each.name: each.version for each in preferred}
        python = spec.python.replace("*", "9")
        wanted = {"python": python, **{name: kept.get(name, self.newest) for name in spec.libraries}}
        return Lock(
            "",
            spec.platform,
            tuple(_package(name, version, spec.platform) for name, version in wanted.items()),
        )


def _package(name, version, platform):
    return LockedPackage(
        name=name,
        version=version,
        build="h1_0",
        build_number=0,
        subdir=platform,
        url=f"https://host/c/{platform}/{name}-{version}-h1_0.conda",
        sha256=hashlib.sha256(f"{name} {version} {platform}".encode()).hexdigest(),
        size=1,
        channel="https://host/c",
        depends=(),
        noarch=None,
        python_site_packages_path=None,
        stated=True,
    )


@pytest.fixture
def solver() -> Solver:
    """A solver."""
    return Solver()


@pytest.fixture
def lock(tmp_path, solver, monkeypatch):
    """A function: locks the flow of a text; returns the file, and (steps, platform, versions) of each part."""
    settings = load_settings({"channels": "https://host/c"}, environ={})
    path = tmp_path / "a_flow.py"

    def lock(text=FLOW, old=None, upgrade=NOTHING, platforms=("linux-64",), flow="AFlow"):
        path.write_text(text)
        module = load_flow_module(path)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        definition = read_flow(getattr(module, flow))
        wanted = dict.fromkeys(definition.graph.steps, platforms)
        file, found = make_lock(definition, settings, solver, wanted, old, upgrade)
        parts = [
            (
                ",".join(each.steps),
                each.lock.platform,
                {p.name: p.version for p in each.lock.packages if p.name != "python"},
            )
            for each in found
        ]
        return file, parts

    return lock


def test_one_environment_for_each_distinct_request(lock, solver):
    """On every platform, named after its first step; the second time nothing is solved."""
    both = ("linux-64", "osx-arm64")
    file, parts = lock(platforms=both)
    assert parts == [
        ("start,mid", "linux-64", {"numpy": "1"}),
        ("start,mid", "osx-arm64", {"numpy": "1"}),
        ("end", "linux-64", {"six": "1"}),
        ("end", "osx-arm64", {"six": "1"}),
    ]
    assert [each.name for each in file.environments] == ["start", "end"]
    assert "steps start, mid on osx-arm64" in solver.asked
    assert file.environments[0].virtual_packages["osx-arm64"] == {"__osx": "13.0", "__unix": "0"}
    solver.newest, solver.asked = "2", {}
    again, _ = lock(old=file, platforms=both)
    assert (again.text, solver.asked) == (file.text, {})
    less, _ = lock(old=file)
    assert less.platforms == ["linux-64"]


def test_a_file_that_lists_other_packages_on_each_platform(lock, solver, tmp_path):
    """Each platform's list is an environment of its own; both belong to the step."""
    lists = [
        Lock("", name, (_package("python", "3.11.7", name), _package("six", "1", name)))
        for name in ("linux-64", "osx-arm64")
    ]
    (tmp_path / "pixi.lock").write_text(yaml_text(pixi_document({"default": (["https://host/c"], lists)})))
    flow = FLOW.replace('libraries={"numpy": ">=1"}', 'file="pixi.lock"')
    file, _ = lock(flow, platforms=("linux-64", "osx-arm64"))
    assert [(each.name, list(each.locks)) for each in file.environments] == [
        ("start", ["linux-64"]),
        ("start-2", ["osx-arm64"]),
        ("end", ["linux-64", "osx-arm64"]),
    ]
    assert sorted(solver.asked) == [
        "step end on linux-64",
        "step end on osx-arm64",
        "steps start, mid on linux-64",
        "steps start, mid on osx-arm64",
    ]
    assert lock(flow, file, platforms=("linux-64", "osx-arm64"))[0].text == file.text


def test_a_change_leaves_the_rest_as_it_is(lock, solver):
    """Only the environment that asks for something else is solved, and it keeps what it has where it can."""
    old, _ = lock()
    solver.newest = "2"
    _, parts = lock(FLOW.replace('"six": ""', '"six": ">0", "scipy": ""'), old)
    assert list(solver.asked) == ["step end"]
    assert parts[0][2] == {"numpy": "1"}
    assert parts[1][2] == {"six": "1", "scipy": "2"}


def test_an_upgrade(lock, solver):
    """Of all packages, or of the environments that have the named one."""
    old, _ = lock()
    solver.newest = "2"
    _, parts = lock(old=old, upgrade=Upgrade({"six"}))
    assert [each[2] for each in parts] == [{"numpy": "1"}, {"six": "2"}]
    assert list(solver.asked) == ["step end"]
    _, parts = lock(old=old, upgrade=Upgrade(everything=True))
    assert [each[2] for each in parts] == [{"numpy": "2"}, {"six": "2"}]


def test_python_stays_the_same(lock, solver, monkeypatch):
    """If the flow names none, another interpreter that locks the flow changes it only with ``--upgrade``."""
    monkeypatch.setattr("platform.python_version", lambda: "3.10.1")
    old, _ = lock()
    assert solver.asked == {"steps start, mid": "3.10.1", "step end": "3.11.*"}
    monkeypatch.setattr("platform.python_version", lambda: "3.12.2")
    lock(FLOW.replace('"numpy": ">=1"', '"numpy": ">=2"'), old)
    assert solver.asked == {"steps start, mid": "3.10.1"}
    lock(old=old, upgrade=Upgrade({"numpy"}))
    assert solver.asked == {"steps start, mid": "3.10.1"}
    lock(old=old, upgrade=Upgrade(everything=True))
    assert solver.asked["steps start, mid"] == "3.12.2"


def test_a_step_that_is_gone(lock):
    """Its environment is left out; that of the others stays, under the name of its first step."""
    old, _ = lock()
    file, parts = lock(
        FLOW.replace("start(self)", "begin(self)").replace(
            "@step\n    def begin", "@step(start=True)\n    def begin"
        ),
        old,
    )
    assert [each.name for each in file.environments] == ["begin", "end"]
    assert parts[0][0] == "begin,mid"


SECOND = """
class BFlow(FlowSpec):
    @conda(libraries={"pandas": ""})
    @step
    def start(self):
        self.next(self.end)

    @conda(libraries={"six": ""}, python="3.11.*")
    @step
    def end(self):
        pass
"""


def test_two_flows_in_one_file(lock, solver, monkeypatch):
    """Each keeps what the other has, in whatever order they are locked; what no flow asks for goes."""
    text = FLOW + SECOND
    first, _ = lock(text)
    monkeypatch.setattr("platform.python_version", lambda: "3.9.9")
    both, parts = lock(text, first, flow="BFlow")
    assert [(each.name, each.flows) for each in both.environments] == [
        ("start", ("AFlow",)),
        ("end", ("AFlow", "BFlow")),
        ("start-2", ("BFlow",)),
    ]
    assert [each[0] for each in parts] == ["start", "end"]
    assert solver.asked == {"step start": "3.9.9"}  # and not the Python that the other's start has
    for flow in ("AFlow", "BFlow"):
        solver.asked = {}
        again, _ = lock(text, both, flow=flow)
        assert again.text == both.text
        assert not solver.asked
    changed, _ = lock(text.replace("pandas", "scipy"), both, flow="BFlow")
    assert [each.asked.get("libraries") for each in changed.environments] == [
        {"numpy": ">=1"},
        {"six": ""},
        {"scipy": ""},
    ]
    alone, _ = lock(FLOW, changed)
    assert [(each.name, each.flows) for each in alone.environments] == [("start", ()), ("end", ())]


def test_a_second_flow_of_a_file_that_is_locked(lock, solver):
    """The file names no flow then: what the first one has stays, until it is known that it does not ask for it."""
    alone, _ = lock()
    assert {each.flows for each in alone.environments} == {()}
    both, _ = lock(FLOW + SECOND, alone, flow="BFlow")
    assert list(solver.asked) == ["step start"]
    assert [(each.name, each.flows) for each in both.environments] == [
        ("start", ("AFlow",)),
        ("end", ("AFlow", "BFlow")),
        ("start-2", ("BFlow",)),
    ]
    changed = FLOW.replace('"numpy": ">=1"', '"numpy": ">=2"') + SECOND
    kept, _ = lock(changed, alone)
    assert [(each.flows, each.asked.get("libraries")) for each in kept.environments] == [
        (("AFlow",), {"numpy": ">=2"}),
        (("AFlow", "BFlow"), {"six": ""}),
        (("BFlow",), {"numpy": ">=1"}),
    ]
    clean, _ = lock(changed, kept, flow="BFlow")
    assert [each.asked.get("libraries") for each in clean.environments] == [
        {"numpy": ">=2"},
        {"six": ""},
        {"pandas": ""},
    ]


def test_a_flow_with_another_name(lock, solver):
    """The other flow of the file keeps what it has, and it keeps its versions itself."""
    text = FLOW + SECOND
    both, _ = lock(text, lock(text)[0], flow="BFlow")
    renamed = text.replace("AFlow", "CFlow")
    other, _ = lock(renamed, both, flow="BFlow")
    assert [(each.flows, each.asked.get("libraries")) for each in other.environments] == [
        (("BFlow",), {"pandas": ""}),
        (("BFlow", "CFlow"), {"six": ""}),
        (("CFlow",), {"numpy": ">=1"}),
    ]
    solver.newest = "2"
    _, parts = lock(renamed.replace('"numpy": ">=1"', '"numpy": ">0"'), both, flow="CFlow")
    assert parts[0][2] == {"numpy": "1"}


def test_a_flow_and_its_base(lock, solver):
    """The base is a flow of its own if it was locked; if not, it only holds steps."""
    text = FLOW + "\nclass BFlow(AFlow):\n    @conda(libraries={'scipy': ''})\n    @step\n"
    text += "    def start(self):\n        self.next(self.mid)\n"
    alone, _ = lock(text, flow="BFlow")
    assert {each.flows for each in alone.environments} == {()}
    both, _ = lock(text, alone)
    for flow in ("BFlow", "AFlow", "BFlow"):
        solver.asked = {}
        both, _ = lock(text, both, flow=flow)
        assert not solver.asked
        assert [(each.flows, each.asked.get("libraries")) for each in both.environments] == [
            (("AFlow", "BFlow"), {"numpy": ">=1"}),
            (("AFlow", "BFlow"), {"six": ""}),
            (("BFlow",), {"scipy": ""}),
        ]
