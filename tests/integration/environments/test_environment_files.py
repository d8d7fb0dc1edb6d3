"""Environments that files describe: solved from a yml, taken as they are from the two complete lists."""

from __future__ import annotations

import pytest
from rattler import Channel, LockChannel, LockFile, LockPlatform

from airflow_conda_flow.environments.environment_file import read_environment_file
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.rattler_record import rattler_record
from airflow_conda_flow.environments.requested import environment_request
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.errors import FlowDefinitionError, PackageError
from airflow_conda_flow.settings.loading import load_settings

from .conftest import run_python

PLATFORM = current_platform()
COMMAND = "python a_flow.py environment lock"
WANTED = {"python": "3.11.7", "python_stated": False, "libraries": {}, "pypi": {}, "file": None}


@pytest.fixture
def settings(channel):
    """Settings that name the test channel."""
    return load_settings({"channels": channel.url}, environ={})


@pytest.fixture
def spec_of(settings):
    """A function: the spec of a step that names a file."""

    def spec(file, **wanted):
        asked = {**WANTED, **wanted, "file": str(file)}
        request = environment_request("start", asked, PLATFORM, ("a_flow.py", 7), COMMAND)
        return request.spec(settings, PLATFORM, asked["python"])

    return spec


@pytest.fixture
def make_yml(tmp_path, channel):
    """A function: an ``environment.yml`` with these dependencies."""

    def make(*dependencies: str, channels: str | None = None):
        path = tmp_path / "environment.yml"
        lines = [f"channels: [{channels or channel.url}]", "dependencies:"]
        path.write_text("\n".join([*lines, *(f"  - {each}" for each in dependencies)]) + "\n")
        return path

    return make


def test_an_environment_yml_is_solved(make_environments, spec_of, make_yml, channel):
    """Its pins are the step's libraries, its channels the step's channels."""
    file = make_yml(f"python={channel.python}", "six=1.16.0", "pip")
    spec = spec_of(file)
    assert (spec.python, dict(spec.libraries), spec.channels) == (
        channel.python,
        {"six": "1.16.0"},
        (channel.url,),
    )
    environments = make_environments()
    prefix = environments.materialise(environments.resolve(spec, "start"))
    assert run_python(prefix, "import six; print(six.__version__)") == "1.16.0"


def test_a_decorator_wins_over_its_yml(spec_of, make_yml, channel):
    """A library or a Python that the decorator names replaces the file's."""
    file = make_yml("python=3.8.18", "six=1.16.0", "numpy==1.26.4")
    spec = spec_of(file, python="3.13.0", python_stated=True, libraries={"six": "1.17.0"})
    assert spec.python == "3.13.0"
    assert dict(spec.libraries) == {"numpy": "1.26.4", "six": "1.17.0"}


def test_an_explicit_file_is_taken_as_it_is(make_environments, make_spec, spec_of, tmp_path, channel):
    """The packages of the list, and no others, are in the environment; nothing is solved."""
    environments = make_environments()
    solved = environments.resolve(make_spec(six="1.16.0"), "start")
    file = tmp_path / "explicit.txt"
    lines = [f"{each.url}#sha256:{each.sha256}" for each in solved.packages]
    file.write_text("# platform: linux-64\n@EXPLICIT\n" + "\n".join(lines) + "\n")
    spec = spec_of(file)
    lock = make_environments("another").resolve(spec, "start")
    assert {(each.name, each.sha256) for each in lock.packages} == {
        (each.name, each.sha256) for each in solved.packages
    }
    assert lock.digest == solved.digest
    prefix = make_environments("another").materialise(lock)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.16.0"
    channel.stop()
    assert make_environments("another").resolve(spec, "start") == lock


def test_an_explicit_file_is_verified(make_environments, make_spec, spec_of, tmp_path):
    """A package whose bytes are not what the list says is refused."""
    solved = make_environments().resolve(make_spec(six="1.16.0"), "start")
    file = tmp_path / "explicit.txt"
    file.write_text("@EXPLICIT\n" + "\n".join(f"{each.url}#{'0' * 32}" for each in solved.packages) + "\n")
    with pytest.raises(PackageError, match=r"is not what the list says: its hash is .*, expected 0000"):
        make_environments("another").resolve(spec_of(file), "start")


def test_a_pixi_lock_is_taken_as_it_is(make_environments, make_spec, spec_of, tmp_path, channel):
    """A lock that pixi's own library wrote gives the same packages."""
    environments = make_environments()
    solved = environments.resolve(make_spec(six="1.17.0"), "start")
    platform = LockPlatform(PLATFORM)
    written = LockFile([platform])
    written.set_channels("default", [LockChannel(Channel(channel.url).base_url)])
    for each in solved.packages:
        written.add_conda_package("default", platform, rattler_record(each, each.url))
    written.to_path(tmp_path / "pixi.lock")
    lock = make_environments("another").resolve(spec_of(tmp_path / "pixi.lock"), "start")
    assert lock.digest == solved.digest


def test_a_pixi_lock_with_wheels(make_environments, spec_of, tmp_path, channel):
    """Its PyPI packages are taken too, verified by the lock's own sha256."""
    solved = make_environments().resolve(
        EnvironmentSpec(
            channel.python, {}, (channel.url,), PLATFORM, {"tabulate": "0.9.0"}, {"__glibc": "2.28"}
        ),
        "start",
    )
    uses = [f"      - {each.kind}: {each.url}" for each in solved.packages]
    entries = []
    for each in solved.packages:
        entries += [f"- {each.kind}: {each.url}", f"  sha256: {each.sha256}"]
        entries += [f"  name: {each.name}", f"  version: {each.version}"] if each.kind == "pypi" else []
    head = ["version: 6", "environments:", "  default:", "    channels:", f"    - url: {channel.url}/"]
    head += ["    indexes:", "    - https://pypi.org/simple", "    packages:", f"      {PLATFORM}:"]
    file = tmp_path / "pixi.lock"
    file.write_text("\n".join([*head, *uses, "packages:", *entries]) + "\n")
    lock = make_environments("another").resolve(spec_of(file), "start")
    assert lock.digest == solved.digest
    assert {each.name: each.kind for each in lock.packages}["tabulate"] == "pypi"


@pytest.mark.parametrize(
    ("dependency", "line", "message"),
    [
        (
            "numpy>=1.20",
            3,
            r"'numpy>=1\.20' is not pinned .* Write numpy=VERSION, or .*: python a_flow\.py environment lock$",
        ),
        ("numpy", 3, r"'numpy' is not pinned to exactly one version"),
        ("numpy=1.*", 3, r"is not pinned to exactly one version"),
        ("numpy=1.26.4=py311_0", 3, r"pins a build"),
        ("python=3.11", 3, r"Write python=3\.11\.7, with all three numbers, or keep the range"),
        (
            "pip: [requests]",
            3,
            r"'requests' is not pinned to exactly one version\. Write requests==VERSION, or keep",
        ),
        ("pip: ['requests>=2']", 3, r"is not pinned to exactly one version"),
    ],
)
def test_what_a_yml_may_not_say(make_yml, dependency, line, message):
    """One message with the file, the line, and what to write."""
    file = make_yml(dependency)
    with pytest.raises(FlowDefinitionError, match=message) as caught:
        read_environment_file(file, PLATFORM, COMMAND)
    assert (caught.value.file, caught.value.line) == (str(file), line)


@pytest.mark.parametrize(
    ("dependency", "libraries", "pypi"),
    [
        ("numpy", {"numpy": ""}, {}),
        ("NumPy >=1.26, <2", {"numpy": ">=1.26,<2"}, {}),
        ("numpy=1.26.*", {"numpy": "1.26.*"}, {}),
        ("numpy 1.26.*", {"numpy": "1.26.*"}, {}),
        ("numpy!=1.26.2", {"numpy": "!=1.26.2"}, {}),
        ("conda-forge::numpy>1", {"conda-forge::numpy": ">1"}, {}),
        ("numpy=1.26.4", {"numpy": "1.26.4"}, {}),
        ("pip: ['requests[socks]>=2', six]", {}, {"requests[socks]": ">=2", "six": ""}),
    ],
)
def test_what_a_yml_may_say_with_a_lock_file(make_yml, dependency, libraries, pypi):
    """Ranges, in the forms that conda and pip have for them."""
    found = read_environment_file(make_yml(dependency, "python=3.11"), PLATFORM)
    assert (found.python, found.libraries, found.pypi) == ("3.11", libraries, pypi)


@pytest.mark.parametrize(
    ("dependency", "message"),
    [
        ("numpy>=1.26 py311_0", r"'numpy>=1\.26 py311_0' pins a build"),
        ("numpy=1.26.4=py311_0", r"pins a build"),
        ("numpy>=1;rm", r"'numpy>=1;rm' is not a dependency\. Write, for example, numpy >=1\.2,<2\."),
        ("3", r"environment\.yml:3: 3 is not a dependency\. Write, for example, numpy >=1\.2,<2\."),
        ("null", r"None is not a dependency\."),
        ("pip: six", r"environment\.yml:3: pip is 'six'; write a list of texts\."),
        ("pip: [3]", r"pip is \[3\]; write a list of texts\."),
        (
            "pip: ['six @ https://h/x.whl']",
            r"'six @ https://h/x\.whl' has a URL\. Write six==1\.2\.3, or leave",
        ),
        (
            "pip: ['six==1; python_version < \"3\"']",
            r"has an environment marker\. Write six==1\.2\.3, or leave it out\.",
        ),
    ],
)
def test_what_a_yml_may_never_say(make_yml, dependency, message):
    """A build, and what is no dependency, also with a lock file."""
    with pytest.raises(FlowDefinitionError, match=message):
        read_environment_file(make_yml(dependency), PLATFORM)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: [}\n", 2, "It is not valid YAML"),
        ("name: x\n", None, "It is not an environment.yml, an explicit spec file or a pixi.lock"),
        ("channels: x\ndependencies: [six]\n", 1, "channels is 'x'; write a list of texts."),
        ("channels: [3]\ndependencies: [six]\n", 1, r"channels is \[3\]; write a list of texts."),
        ("@EXPLICIT\nhttps://host/linux-64/a-1-0.conda\n", 2, "has no hash"),
        ("@EXPLICIT\na-1-0.conda\n", 2, "is not the URL of a conda package"),
        (
            f"@EXPLICIT\nhttps://host/osx-64/a-1-0.conda#{'0' * 32}\n",
            2,
            "is for osx-64, and the step runs on",
        ),
        (f"@EXPLICIT\nhttps://host/noarch/a-1-0.conda#{'0' * 32}\n", None, "It lists no Python"),
    ],
)
def test_what_is_no_environment_file(tmp_path, text, line, message):
    """One message with the file and, where there is one, the line."""
    file = tmp_path / "environment.txt"
    file.write_text(text)
    with pytest.raises(FlowDefinitionError, match=message) as caught:
        read_environment_file(file, PLATFORM)
    assert (caught.value.file, caught.value.line) == (str(file), line)


def test_a_broken_pixi_lock(tmp_path):
    """It is said to be one that cannot be read."""
    file = tmp_path / "pixi.lock"
    file.write_text("version: 6\nenvironments: 3\n")
    with pytest.raises(FlowDefinitionError, match=r"It cannot be read as a pixi\.lock"):
        read_environment_file(file, PLATFORM)


def test_a_complete_list_is_not_added_to(spec_of, tmp_path):
    """A library beside a complete list is refused, at the step's line."""
    file = tmp_path / "explicit.txt"
    file.write_text(f"@EXPLICIT\nhttps://host/{PLATFORM}/python-3.11.7-0.conda#{'0' * 32}\n")
    with pytest.raises(FlowDefinitionError, match=r"adds six to .*, which is a complete list") as caught:
        spec_of(file, libraries={"six": "1.17.0"})
    assert (caught.value.file, caught.value.line) == ("a_flow.py", 7)
    with pytest.raises(FlowDefinitionError, match=r"asks for Python 3\.12\.1, and .* has 3\.11\.7"):
        spec_of(file, python="3.12.1", python_stated=True)
