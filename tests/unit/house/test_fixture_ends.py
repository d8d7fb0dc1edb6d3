"""Fixtures end with the last test that can use them: an idle Airflow costs each later test some of its time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
TREE = {
    "conftest.py": """
from tests.conftest import pytest_fixture_setup
""",
    "first/__init__.py": "",
    "first/conftest.py": """
import pytest

@pytest.fixture(scope="package")
def held(tmp_path_factory):
    folder = tmp_path_factory.mktemp("held")
    (folder / "large").write_text("x")
    print("made")
    yield folder
    print("ended")
""",
    "first/test_one.py": "def test(held): assert held.name == 'held0'",
    "first/test_two.py": "def test(held): assert (held / 'large').exists()",
    "second/test_three.py": """
def test(tmp_path_factory):
    print("elsewhere")
    assert not (tmp_path_factory.getbasetemp() / "held0").exists()
""",
}


def test_a_fixture_of_a_folder_ends_after_its_last_test(tmp_path):
    """Its folders are removed then, too."""
    for name, text in TREE.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-s",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            "--import-mode=importlib",
        ]
        + ["--rootdir", tmp_path.parent, "-c", os.devnull, "--basetemp", tmp_path / "base", tmp_path],
        env={name: value for name, value in os.environ.items() if "PYTEST" not in name}
        | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed = [line.lstrip(".") for line in done.stdout.splitlines()]
    assert [line for line in printed if line in {"made", "ended", "elsewhere"}] == [
        "made",
        "ended",
        "elsewhere",
    ]


def test_no_fixture_waits_for_the_end_of_the_session():
    """The scope ``package`` means the folder in which a fixture is imported, where ``session`` means all tests."""
    files = sorted((ROOT / "tests").rglob("*.py"))
    assert len(files) > 100
    scope = "scope=" + '"session"'
    assert [path for path in files if scope in path.read_text(encoding="utf-8")] == []


def test_every_folder_of_tests_is_a_package():
    """Without, pytest takes a fixture of the scope ``package`` in another folder for one of the session."""
    folders = {path.parent for path in (ROOT / "tests").rglob("conftest.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
