"""PyPI packages beside conda's, from a real index: one environment, one lock."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.spec import EnvironmentSpec, PinnedUrl
from airflow_conda_flow.environments.virtual_packages import declared_virtual_packages
from airflow_conda_flow.environments.wheels import best_wheel
from airflow_conda_flow.errors import ChannelError, SolveError
from airflow_conda_flow.settings.loading import load_settings

from .conftest import run_python

GLIBC = {"__glibc": "2.28"}


@pytest.fixture
def make_pypi_spec(channel):
    """A function: a spec with PyPI packages, in the test channel's Python."""

    def make(libraries: dict[str, str] | None = None, **pypi: str) -> EnvironmentSpec:
        packages = {name.replace("_", "-"): version for name, version in pypi.items()}
        return EnvironmentSpec(
            channel.python,
            libraries or {},
            (channel.url,),
            current_platform(),
            pypi=packages,
            virtual_packages=GLIBC,
        )

    return make


def test_both_kinds_are_in_one_lock_and_one_prefix(make_environments, make_pypi_spec):
    """A wheel and what it depends on are installed beside conda's packages, scripts included."""
    spec = make_pypi_spec({"six": "1.16.0"}, python_dateutil="2.9.0.post0", pyyaml="6.0.2", tabulate="0.9.0")
    environments = make_environments()
    lock = environments.resolve(spec, "start")
    kinds = {each.name: each.kind for each in lock.packages}
    assert kinds["six"] == "conda"
    assert kinds["python-dateutil"] == kinds["pyyaml"] == "pypi"
    assert all(len(each.sha256) == 64 and each.size for each in lock.packages)
    prefix = environments.materialise(lock)
    code = "import yaml, six, dateutil; print(yaml.__version__, six.__version__, yaml.__with_libyaml__)"
    assert run_python(prefix, code, "-I") == "6.0.2 1.16.0 True"
    done = subprocess.run(
        [str(prefix / "bin" / "tabulate")], input="1 2\n", capture_output=True, text=True, check=True
    )
    assert "1" in done.stdout


def test_a_version_that_was_locked_is_kept(make_environments, make_pypi_spec):
    """A range is solved to it as long as it allows it, and to the newest version without it."""
    environments = make_environments()
    old = environments.solve({"start": make_pypi_spec(tabulate="0.8.10")})["start"]
    specs = {"start": make_pypi_spec(tabulate=">=0.8,<0.9.1")}
    kept = environments.solve(specs, {"start": old.packages})["start"]
    new = environments.solve(specs)["start"]
    versions = [next(p.version for p in lock.packages if p.name == "tabulate") for lock in (kept, new)]
    assert versions == ["0.8.10", "0.9.0"]
    other = environments.solve({"start": make_pypi_spec(tabulate=">=0.9,<0.9.1")}, {"start": old.packages})
    assert "0.9.0" in {each.version for each in other["start"].packages}


def test_with_channel_and_index_gone(
    make_environments, make_pypi_spec, make_s3_storage, channel, monkeypatch
):
    """Another machine makes the same environment from the datastore alone."""
    spec = make_pypi_spec(tabulate="0.9.0")
    lock = make_environments("one", storage=make_s3_storage()).resolve(spec, "start")
    channel.stop()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    other = make_environments("two", storage=make_s3_storage())
    assert other.resolve(spec, "start") == lock
    prefix = other.materialise(lock)
    assert run_python(prefix, "import tabulate; print(tabulate.__version__)") == "0.9.0"


def test_what_conda_brings_is_a_constraint(make_environments, make_pypi_spec):
    """A PyPI package that needs a newer library than conda's is refused with the reason."""
    spec = make_pypi_spec({"numpy": "1.26.4"}, contourpy="1.3.3", numpy_financial="1.0.0")
    lock = make_environments().resolve(spec, "start")
    assert [each.kind for each in lock.packages if each.name == "numpy"] == ["conda"]


@pytest.mark.parametrize(
    ("libraries", "pypi", "message"),
    [
        ({"six": "1.16.0"}, {"six": "1.17.0"}, r"six is asked for from PyPI, and conda brings six 1\.16\.0"),
        ({}, {"six": "99.0"}, r"(?s)The PyPI packages of step start cannot be resolved.*six==99\.0"),
        ({}, {"no_such_package_of_anybody_0": "1.0"}, r"(?s)cannot be resolved.*not found"),
        ({}, {"docopt": "0.6.2"}, r"(?s)cannot be resolved.*docopt"),
    ],
)
def test_what_cannot_be_resolved(make_environments, make_pypi_spec, libraries, pypi, message):
    """The message names the step and the package; a package that is not a wheel is refused."""
    with pytest.raises(SolveError, match=message) as caught:
        make_environments().resolve(make_pypi_spec(libraries, **pypi), "start")
    assert "╰" not in str(caught.value)


def test_an_index_that_cannot_be_reached(make_environments, make_pypi_spec, monkeypatch):
    """The message says what the index is set by."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(ChannelError, match="UV_DEFAULT_INDEX"):
        make_environments().resolve(make_pypi_spec(tabulate="0.9.0"), "start")


def test_the_best_wheel():
    """The most specific one that the platform can load."""
    urls = [
        "https://host/a-1-py3-none-any.whl",
        "https://host/a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "https://host/a-1-cp311-cp311-manylinux_2_34_x86_64.whl",
        "https://host/a-1-cp312-cp312-manylinux_2_17_x86_64.whl",
        "https://host/a-1-cp36-cp36m-manylinux1_x86_64.whl",
        "https://host/a-1-cp311-cp311-macosx_11_0_arm64.whl",
    ]
    assert best_wheel(urls, "3.11.7", "linux-64", GLIBC) == urls[1]
    assert best_wheel(urls, "3.11.7", "linux-64", {"__glibc": "2.36"}) == urls[2]
    assert best_wheel(urls, "3.6.15", "linux-64", GLIBC) == urls[4]
    assert best_wheel(urls, "3.13.0", "linux-64", GLIBC) == urls[0]
    assert best_wheel(urls, "3.11.7", "osx-arm64", {"__osx": "13.0"}) == urls[5]
    assert best_wheel(urls[1:], "3.10.1", "linux-64", GLIBC) is None


def test_an_id_without_pypi_is_another(make_pypi_spec):
    """PyPI packages, virtual packages and lists are part of a spec's id."""
    spec = make_pypi_spec()
    cuda = declared_virtual_packages("linux-64", load_settings({"cuda": "12.4"}, environ={}))
    assert (cuda["__cuda"], cuda["__glibc"]) == ("12.4", "2.28")
    specs = [
        spec,
        make_pypi_spec(tabulate="0.9.0"),
        make_pypi_spec(tabulate="0.8.0"),
        replace(spec, virtual_packages={"__glibc": "2.17"}),
        replace(spec, virtual_packages=cuda),
        replace(spec, pinned=(PinnedUrl("https://host/a.conda"),)),
    ]
    assert len({each.id for each in specs}) == len(specs)
