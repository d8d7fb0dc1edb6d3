"""Versions and ranges in decorators, and what solvers are asked for."""

from __future__ import annotations

import pytest
import rattler
from packaging.requirements import Requirement

from airflow_conda_flow.environments.solve.executable import _text
from airflow_conda_flow.environments.solve.pypi import _specifier
from airflow_conda_flow.environments.spec import EnvironmentSpec, PinnedUrl, constraint, is_exact
from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.decorators.conda import CondaDecorator, PypiDecorator, ranges_of

EXACT = ["1", "1.26.4", "2024a", "1!2.0", "1.0+local.1", "2.0rc1", "2022.7.post1"]
RANGES = [
    "",
    "*",
    " * ",
    "1.26.*",
    ">=1.26,<2",
    ">= 1.26 , < 2",
    "~=2.2",
    "!=1.3",
    "==1.2,<2",
    "==1.*",
    ">1!2",
]
CONDA_ONLY = ["1.2|1.3", ">=1,<2|>=3", "=1.2", "1.26*"]
NEITHER = ["newest", ">=", "1 2", ">=1 <2", "1.2;x", "1.2 py_0", "<=>1", "1.*.2", "1,,2", "1.2,"]


@pytest.mark.parametrize("version", EXACT)
def test_an_exact_version(version):
    """Both decorators know it as exact, and solvers are asked for exactly it, as ever."""
    assert CondaDecorator(libraries={"a": version}).ranges() == []
    assert is_exact(version)
    assert constraint(version) == f"=={version}"
    assert _text("a", version) == f"a=={version}"
    assert str(rattler.MatchSpec(f"a {constraint(version)}").version) == f"=={version}"


@pytest.mark.parametrize("written", ["==1.2", "== 1.2", " ==1.2 ", "1.2 "])
def test_an_exact_version_in_other_words(written):
    """It is that version, with the same id, and wants no lock file."""
    for decorator in (CondaDecorator(libraries={"a": written}), PypiDecorator(packages={"a": written})):
        assert decorator.ranges() == []
        assert decorator.attributes[decorator.spelling] == {"a": "1.2"}
    assert CondaDecorator(python="==3.11.7").attributes["python"] == "3.11.7"


@pytest.mark.parametrize("version", RANGES + CONDA_ONLY)
def test_a_range_of_conda(version):
    """The decorator knows it as a range, and rattler can read what the solver is asked for."""
    assert CondaDecorator(libraries={"a": version}).ranges() == [("a", version.strip())]
    assert not is_exact(version)
    assert rattler.MatchSpec(f"a {constraint(version)}".strip()).name.normalized == "a"
    assert " " not in constraint(version)


@pytest.mark.parametrize("version", RANGES)
def test_a_range_of_pypi(version):
    """The decorator knows it as a range, and it is a requirement of PEP 508."""
    assert PypiDecorator(packages={"a": version}).ranges() == [("a", version.strip())]
    assert Requirement(f"a{_specifier(version)}").name == "a"


def test_ranges_of_a_step():
    """A step's exact version replaces the range of the class, and the other way round; a disabled step has none."""
    base = CondaDecorator(libraries={"a": ">1", "c::B": "1"}, python="3.11")
    step = CondaDecorator(libraries={"A": "1.2", "b": "*"}, python="3.11.7")
    pypi = PypiDecorator(packages={"Foo_x[y]": ">2", "a": "~=1.0"})
    off = CondaDecorator(disabled=True)
    assert [each[1:] for each in ranges_of([base])] == [("a", ">1"), ("python", "3.11")]
    assert ranges_of([base, step]) == [(step, "b", "*")]
    assert [each[1:] for each in ranges_of([base, step, pypi])] == [
        ("b", "*"),
        ("Foo_x[y]", ">2"),
        ("a", "~=1.0"),
    ]
    assert ranges_of([base, off]) == []
    assert ranges_of([off, CondaDecorator(disabled=False), base])[0][0] is base


@pytest.mark.parametrize("version", NEITHER)
def test_what_is_neither(version):
    """It is refused where it stands, lock file or not."""
    with pytest.raises(FlowDefinitionError, match="which is neither a version nor a range of versions"):
        CondaDecorator(libraries={"a": version})
    with pytest.raises(FlowDefinitionError, match="which is neither a version nor a range of versions"):
        PypiDecorator(packages={"a": version})


@pytest.mark.parametrize(
    ("python", "is_range"),
    [
        ("3.11.7", False),
        ("3.13.0rc1", False),
        ("3.11", True),
        ("3.11.*", True),
        (">=3.10,<3.13", True),
        ("3", True),
    ],
)
def test_a_python(python, is_range):
    """Three numbers are a version; fewer, or a comparison, are a range."""
    assert CondaDecorator(python=python).ranges() == ([("python", python)] if is_range else [])


@pytest.mark.parametrize("python", ["", "*", " ", "newest", "3.5.2", "3.5.*", "2.7"])
def test_what_is_no_python(python):
    """No version at all, and those that no step runs on."""
    with pytest.raises(FlowDefinitionError, match=r"steps run on Python 3\.6|write all three numbers"):
        CondaDecorator(python=python)


def test_ids_of_specs_without_a_lock_file_are_as_ever():
    """Datastores and caches hold environments under these ids."""
    spec = EnvironmentSpec("3.11.7", {"six": "1.17.0"}, ("conda-forge",), "linux-64", {}, {"__unix": "0"})
    assert spec.id == "91458407a398e3d3c8f7d6ef7ccd5610ead636b7b19be53ad19342553e4596f6"
    spec = EnvironmentSpec("3.11.7", {}, (), "linux-64", {"six": "1"}, {}, (PinnedUrl("https://h/a", "ab"),))
    assert spec.id == "8fae3e12d4b6c6d3f9ef80bd772f1b32960acd29d7daed248dc8ad953bf94705"
