"""Solving a spec, and the message where it has no solution."""

from __future__ import annotations

import re

import pytest

from airflow_conda_flow.errors import ChannelError, ResolverNotFound, SolveError


def test_a_lock_says_all_there_is_to_say(make_environments, make_spec, channel):
    """Every package has its URL, digest and size; what the spec names is stated, the rest follows from it."""
    lock = make_environments().resolve(make_spec(pandas="2.2.3"), "start")
    by_name = {each.name: each for each in lock.packages}
    assert {each.name for each in lock.packages if each.stated} == {"python", "pandas"}
    assert {"numpy", "python-dateutil"} <= set(by_name)
    for each in lock.packages:
        archive = channel.directory / each.subdir / each.file_name
        assert each.url == f"{channel.url}/{each.subdir}/{each.file_name}"
        assert each.size == archive.stat().st_size
        assert re.fullmatch("[0-9a-f]{64}", each.sha256)


def test_steps_with_one_spec_share_one_solve(make_environments, make_spec, recorder):
    """Two steps that ask for the same are resolved once, under both names."""
    environments = make_environments(progress=recorder)
    locks = environments.resolve_all({"a": make_spec(), "b": make_spec(), "c": make_spec(six="1.16.0")})
    assert locks["a"] is locks["b"]
    assert locks["a"] != locks["c"]
    begun, ended = (each for each in recorder.phases if each.startswith("Resolving"))
    assert [line.partition(":")[0] for line in begun.splitlines()] == [
        "Resolving the environment of steps a, b",
        "Resolving the environment of step c",
    ]
    packages = len(locks["a"].packages) + len(locks["c"].packages)
    assert ended.endswith(f": done {packages}")


def test_progress_counts_every_byte(make_environments, make_spec, recorder):
    """Downloads are announced and counted to the byte; files that are there are not."""
    spec = make_spec()
    lock = make_environments(progress=recorder).resolve(spec, "start")
    size = sum(each.size for each in lock.packages)
    text = f"Fetching 2 packages: {size / 1e6:.1f} MB"
    fetched = [each for each in recorder.phases if each.startswith("Fetching")]
    assert fetched == [f"{text}: {size} bytes", f"{text}: done {size}"]
    recorder.phases.clear()
    make_environments(progress=recorder).prefix_for(spec.id, spec.platform)
    assert not [each for each in recorder.phases if "Fetching" in each]


def test_a_library_may_name_its_channel(make_environments, make_spec, channel):
    """``channel::name`` takes the library from that channel, beside the others."""
    spec = make_spec(channels=(channel.url,), **{f"{channel.directory}::six": "1.16.0"})
    lock = make_environments().resolve(spec, "start")
    (six,) = (each for each in lock.packages if each.name == "six")
    assert six.url.startswith(channel.directory.as_uri())
    (python,) = (each for each in lock.packages if each.name == "python")
    assert python.url.startswith(channel.url)


@pytest.mark.parametrize("form", [str, lambda path: path.as_uri(), lambda path: f"{path.as_uri()}/"])
def test_a_directory_is_a_channel(make_environments, make_spec, channel, form):
    """A path and a file URL name a channel on this machine."""
    spec = make_spec(channels=(form(channel.directory),))
    assert len(make_environments().resolve(spec, "start").packages) == 2


MESSAGES = [
    (
        {"numpy": "1.20.0"},
        r"of step start cannot be solved: the channel \S+ has no numpy 1\.20\.0 for \S+\. There is: 1\.26\.4\.",
    ),
    ({"nunpy": "1.26.4"}, r"step start .* has no package 'nunpy' .*\. Did you mean numpy\?"),
    ({"scikit_learn": "1.5.2"}, r"has no package 'scikit_learn' .*Did you mean scikit-learn\?"),
    ({"no-such-thing-at-all": "1"}, r"has no package 'no-such-thing-at-all' for \S+ \(asked for: 1\)\.$"),
    ({"six": "1.1", "numpy": "1.26.4"}, r"has no six 1\.1 for \S+\. There is: 1\.16\.0, 1\.17\.0\."),
    ({"six": "1.17 or so"}, r"step start .*'six' '1\.17 or so' is not a package and its version"),
    ({"si x": "1.17"}, r"step start .*'si x' '1\.17' is not a package and its version"),
]


@pytest.mark.parametrize(("libraries", "message"), MESSAGES, ids=[str(each[0]) for each in MESSAGES])
def test_a_spec_that_cannot_be_solved(make_environments, make_spec, libraries, message):
    """The message names the step, the library, and what there is instead."""
    with pytest.raises(SolveError, match=message):
        make_environments().resolve(make_spec(**libraries), "start")


def test_versions_that_do_not_go_together(make_environments, make_spec, channel):
    """Of several libraries the message names those that are at odds, with the solver's reason."""
    other = next((v for minor, v in channel.pythons.items() if v != channel.python), None)
    if other is None:
        pytest.skip("one Python on this machine")
    spec = make_spec(other, numpy="1.26.4", six="1.17.0")
    with pytest.raises(SolveError) as caught:
        make_environments().resolve(spec, "start")
    message = str(caught.value)
    assert f"step start cannot be solved: python {other} and numpy 1.26.4 do not go together: " in message
    assert re.search(rf"numpy 1\.26\.4 needs python >=\S+; python {re.escape(other)} is asked for", message)
    assert "six" not in message


def test_a_python_that_the_channel_lacks(make_environments, make_spec, channel):
    """An unknown Python is answered with those that there are."""
    with pytest.raises(SolveError, match=rf"has no python 3\.5\.2 .*There is: .*{channel.python}"):
        make_environments().resolve(make_spec("3.5.2"), "start")


def test_a_channel_that_is_not_there(make_environments, make_spec, channel):
    """An unreachable channel is named by its URL, with the setting; the one that answers is not blamed."""
    spec = make_spec(channels=("http://127.0.0.1:9/away", channel.url))
    with pytest.raises(ChannelError) as caught:
        make_environments().resolve(spec, "start")
    message = str(caught.value)
    assert (
        "step start cannot be solved, because the channel http://127.0.0.1:9/away cannot be read" in message
    )
    assert "CONDA_CHANNELS" in message
    assert "the setting channels" in message
    assert channel.url not in message


def test_a_directory_that_is_no_channel(make_environments, make_spec, tmp_path):
    """A missing directory is named as the channel that it was meant to be."""
    with pytest.raises(ChannelError, match=rf"the channel file://{tmp_path}/nowhere cannot be read"):
        make_environments().resolve(make_spec(channels=(f"{tmp_path}/nowhere",)), "start")


@pytest.mark.parametrize("resolver", ["conda", "mamba", "micromamba"])
def test_a_resolver_that_is_not_installed(make_environments, make_spec, monkeypatch, tmp_path, resolver):
    """A missing executable is named, with the setting that asked for it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ResolverNotFound, match=rf"'{resolver}' is not installed.*METAFLOW_CONDA_DEPENDENCY_RESOLVER"
    ):
        make_environments(resolver=resolver).resolve(make_spec(), "start")


def test_a_missing_resolver_is_not_missed_once_all_is_resolved(
    make_environments, make_spec, monkeypatch, tmp_path
):
    """Where a lock is known, nobody asks for the resolver."""
    spec = make_spec()
    lock = make_environments().resolve(spec, "start")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert make_environments(resolver="mamba").resolve(spec, "start") == lock


def test_a_lock_for_another_platform(make_environments, make_spec, channel):
    """Only packages of that platform, and of none, are taken."""
    with pytest.raises(SolveError, match="has no package 'python' for osx-arm64"):
        make_environments().resolve(make_spec(platform="osx-arm64"), "start")
