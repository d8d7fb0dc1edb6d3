"""The adapter of ``conda``, ``mamba`` and ``micromamba``, as far as arguments and JSON go.

No real executable can be had where these tests run: a stand-in answers with a channel's own records.
"""

from __future__ import annotations

import json
import sys

import pytest

from airflow_conda_flow.errors import ChannelError, SolveError

from .conftest import run_python

STAND_IN = """#!{python}
import json, os, sys
json.dump({{"arguments": sys.argv[1:], "environ": dict(os.environ)}}, open({asked!r}, "w"))
sys.stderr.write("a warning that is no JSON")
sys.stdout.write(open({answer!r}).read())
sys.exit({code})
"""


@pytest.fixture
def install_resolver(tmp_path, monkeypatch):
    """A function: puts a stand-in on PATH that gives this answer, and returns where it notes its arguments."""

    def install(name: str, answer: dict, code: int = 0):
        (tmp_path / "answer.json").write_text(json.dumps(answer))
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        asked = tmp_path / "asked.json"
        program.write_text(
            STAND_IN.format(
                python=sys.executable, asked=str(asked), answer=str(tmp_path / "answer.json"), code=code
            )
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent))
        return asked

    return install


def records(lock) -> list[dict]:
    """The packages of a lock as conda's dry run lists those that it would fetch."""
    return [
        {
            "name": each.name,
            "version": each.version,
            "build": each.build,
            "build_string": each.build,
            "build_number": each.build_number,
            "subdir": each.subdir,
            "fn": each.file_name,
            "url": each.url,
            "sha256": each.sha256,
            "size": each.size,
            "depends": list(each.depends),
            "noarch": each.noarch,
        }
        for each in lock.packages
    ]


@pytest.mark.parametrize("name", ["conda", "mamba", "micromamba"])
def test_an_executable_gives_the_same_lock(make_environments, make_spec, install_resolver, name):
    """From the same packages every resolver makes the same lock, and its environment runs."""
    spec = make_spec()
    expected = make_environments("rattler").resolve(spec, "start")
    install_resolver(name, {"success": True, "actions": {"FETCH": records(expected)}})
    environments = make_environments(name, resolver=name)
    lock = environments.resolve(spec, "start")
    assert lock.to_bytes() == expected.to_bytes()
    prefix = environments.materialise(lock)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"


def test_what_an_executable_is_asked(make_environments, make_spec, install_resolver, channel):
    """Exact pins, our channels and no others, a dry run, the platform, and an empty package cache."""
    spec = make_spec(**{"six": "1.17.0", f"{channel.directory}::numpy": "1.26.4"})
    lock = make_environments("rattler").resolve(spec, "start")
    asked = install_resolver("mamba", {"actions": {"FETCH": records(lock)}})
    make_environments("mamba", resolver="mamba").resolve(spec, "start")
    request = json.loads(asked.read_text())
    words = request["arguments"]
    assert words[:2] == ["create", "--dry-run"]
    assert {"--json", "--yes", "--override-channels"} <= set(words)
    assert words[words.index("-c") + 1] == channel.url
    assert words[-3:] == [
        f"python=={spec.python}",
        "six==1.17.0",
        f"{channel.directory.as_uri()}::numpy==1.26.4",
    ]
    assert request["environ"]["CONDA_SUBDIR"] == spec.platform
    assert request["environ"]["CONDA_PKGS_DIRS"].startswith("/tmp")


BAD_ANSWERS = [
    (
        {"success": False, "message": "no luck", "exception_name": "ResolvePackageNotFound"},
        SolveError,
        "mamba cannot solve the environment of step start: no luck",
    ),
    (
        {"success": False, "solver_problems": ["nothing provides x 1.0"]},
        SolveError,
        "step start(.|\n)*nothing provides x 1.0",
    ),
    (
        {"message": "HTTP 000 CONNECTION FAILED for url <http://x>", "exception_name": "CondaHTTPError"},
        ChannelError,
        "step start.*CONNECTION FAILED for url <http://x>.*CONDA_CHANNELS",
    ),
    (
        {"message": "is not accessible or is invalid", "exception_name": "UnavailableInvalidChannel"},
        ChannelError,
        "step start.*is not accessible.*CONDA_CHANNELS",
    ),
]


@pytest.mark.parametrize(("answer", "error", "message"), BAD_ANSWERS)
def test_an_executable_that_fails(make_environments, make_spec, install_resolver, answer, error, message):
    """Its reason reaches the user, with the step's name, as the right kind of error."""
    install_resolver("mamba", answer, code=1)
    with pytest.raises(error, match=message):
        make_environments(resolver="mamba").resolve(make_spec(), "start")


@pytest.mark.parametrize("record", [{"sha256": None}, {"url": None}])
def test_an_answer_without_what_a_lock_needs(make_environments, make_spec, install_resolver, record):
    """A package without a digest or a URL is refused by its name: it could not be verified."""
    spec = make_spec()
    lock = make_environments("rattler").resolve(spec, "start")
    fetched = [{**each, **record} for each in records(lock)]
    install_resolver("conda", {"actions": {"FETCH": fetched}})
    with pytest.raises(SolveError, match=r"conda gives no (sha256|url) for python-"):
        make_environments("conda", resolver="conda").resolve(spec, "start")


def test_an_answer_without_packages(make_environments, make_spec, install_resolver):
    """A dry run that lists nothing is an error, not an empty environment."""
    install_resolver("conda", {"success": True, "message": "All requested packages already installed."})
    with pytest.raises(SolveError, match=r"no packages for .*step start: All requested"):
        make_environments(resolver="conda").resolve(make_spec(), "start")
