"""The tree of a conflict is cut to the statements that cannot hold together, with real trees of py-rattler."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
import rattler
from rattler.exceptions import SolverError

from airflow_conda_flow.environments.solve.conflict import conflict_statements

DECLARED = {"__glibc": "2.28"}
PYTHONS = [
    ("python", f"3.{minor}.{patch}", ["__glibc >=2.17"]) for minor in range(8, 13) for patch in range(4)
]
PACKAGES = [
    *PYTHONS,
    *(
        ("numpy", f"1.{minor}.{patch}", [f"python >=3.{8 + minor % 5},<3.{9 + minor % 5}"])
        for minor in range(20, 27)
        for patch in range(5)
    ),
    *(
        ("pandas", f"2.{minor}.{patch}", [f"numpy >=1.{20 + minor},<1.{21 + minor}"])
        for minor in range(5)
        for patch in range(6)
    ),
    ("needs-archspec", "1.0", ["__archspec 1.* x86_64_v3"]),
    ("newer-glibc", "1.0", ["__glibc >=2.40"]),
    ("broken", "1.0", ["nothing-there >=2"]),
    ("above-broken", "1.0", ["broken"]),
    ("tight", "1.0", [], ["numpy <1.22"]),
    ("a", "1.0", ["c >=2"]),
    ("b", "1.0", ["c <2"]),
    ("c", "1.0", []),
    ("c", "2.0", []),
    ("app", "1.0", ["pandas 2.4.*", "numpy <1.23"]),
]
CASES = [
    (
        {"python": "==3.8.1", "numpy": "==1.26.2"},
        ("numpy 1.26.2 needs python >=3.9,<3.10", "python ==3.8.1 is asked for"),
    ),
    (
        {"python": "==3.8.1", "pandas": "", "numpy": ">=1.25"},
        ("pandas 2.4.0 | 2.4.1 | ... | 2.4.5 needs numpy >=1.24,<1.25", "numpy >=1.25 is asked for"),
    ),
    (
        {"needs-archspec": ""},
        ("needs-archspec 1.0 needs __archspec 1.* x86_64_v3", "no __archspec is declared"),
    ),
    ({"newer-glibc": ""}, ("newer-glibc 1.0 needs __glibc >=2.40", "__glibc 2.28 is declared")),
    ({"broken": ""}, ("broken 1.0 needs nothing-there >=2", "there is no such nothing-there")),
    (
        {"above-broken": ""},
        (
            "broken 1.0 needs nothing-there >=2",
            "there is no such nothing-there",
            "above-broken 1.0 needs broken *",
        ),
    ),
    (
        {"tight": "", "numpy": "==1.26.1"},
        ("tight 1.0 allows only numpy <1.22", "numpy ==1.26.1 is asked for"),
    ),
    ({"a": "", "b": ""}, ("b 1.0 needs c <2", "a 1.0 needs c >=2")),
    (
        {"app": ""},
        (
            "pandas 2.4.0 | 2.4.1 | ... | 2.4.5 needs numpy >=1.24,<1.25",
            "app 1.0 needs numpy <1.23",
            "app 1.0 needs pandas 2.4.*",
        ),
    ),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> str:
    """A channel that has a list of packages and no archives."""
    root = tmp_path_factory.mktemp("channel")
    records = {
        f"{name}-{version}-0.conda": {
            "name": name,
            "version": version,
            "build": "0",
            "build_number": 0,
            "depends": depends,
            "constrains": constrains[0] if constrains else [],
            "sha256": "0" * 64,
            "size": 1,
            "subdir": "linux-64",
        }
        for name, version, depends, *constrains in PACKAGES
    }
    for subdir, packages in (("linux-64", records), ("noarch", {})):
        (root / subdir).mkdir()
        (root / subdir / "repodata.json").write_text(
            json.dumps({"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages})
        )
    return root.as_uri()


def tree_of(url: str, asked: dict[str, str]) -> str:
    """The solver's reason why these cannot be had together."""
    glibc = rattler.GenericVirtualPackage(
        rattler.PackageName("__glibc"), rattler.Version("2.28"), rattler.BuildString("0")
    )
    with pytest.raises(SolverError) as caught:
        asyncio.run(
            rattler.solve(
                [url],
                [f"{name} {version}".rstrip() for name, version in asked.items()],
                gateway=rattler.Gateway(),
                platforms=["linux-64", "noarch"],
                virtual_packages=[glibc],
            )
        )
    return str(caught.value).removeprefix("Cannot solve the request because of: ")


@pytest.mark.parametrize(("asked", "expected"), CASES, ids=[" ".join(asked) for asked, _ in CASES])
def test_a_conflict(url, asked, expected):
    """It is two or three statements, which name versions, the spec's own and what is declared."""
    found = conflict_statements(tree_of(url, asked), asked, DECLARED)
    # The solver's order of two branches of one rank is not fixed.
    assert sorted(found) == sorted(expected)


def test_a_large_conflict(url):
    """Three statements of a tree that has many lines."""
    asked = {"app": "", "python": ">=3.8"}
    tree = tree_of(url, asked)
    assert len(tree.splitlines()) > 20
    assert len(conflict_statements(tree, asked, DECLARED)) == 3


def test_a_tree_of_another_form():
    """It gives no statement, and no error: the caller then quotes the tree."""
    assert conflict_statements("", {}, {}) == ()
    assert conflict_statements("No candidates were found for python ==3.9.9.", {}, {}) == ()
    for text in ("│  └─ x would require", "└─ a\n      └─ b would constrain\n   └─ c, which conflicts with"):
        assert not [each for each in conflict_statements(text, {}, {}) if re.search("[│└]", each)]
