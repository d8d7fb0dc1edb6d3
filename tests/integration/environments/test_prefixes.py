"""A prefix holds what was locked, from verified bytes, and appears complete or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.errors import PackageError, SettingError

from ...parts.damage import FILE_FAULTS
from ...parts.damage import damage as spoil
from .conftest import archive, damage, run_python, truncate

MATERIALISE = """
import sys
from pathlib import Path
from airflow_conda_flow.environments.environments import Environments
print("begin", flush=True)
print(Environments(Path(sys.argv[1])).prefix_for(sys.argv[2], sys.argv[3]))
"""


def start_materialising(cache_dir: Path, spec) -> subprocess.Popen[str]:
    """A process that makes the prefix of a spec that was resolved."""
    return subprocess.Popen(
        [sys.executable, "-c", MATERIALISE, str(cache_dir), spec.id, spec.platform],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_prefix_runs_its_python_and_libraries(make_environments, make_spec, channel):
    """The Python and the library of the spec run, under the prefix's final path."""
    environments = make_environments()
    prefix = environments.materialise(environments.resolve(make_spec(), "start"))
    code = "import sys, six, platform; print(platform.python_version(), six.__version__, sys.prefix)"
    assert run_python(prefix, code) == f"{channel.python} 1.17.0 {prefix}"


@pytest.mark.parametrize("minor", ["3.6", "3.13"])
def test_other_pythons_run(make_environments, make_spec, channel, minor):
    """Environments of the oldest and the newest Python run."""
    if minor not in channel.pythons:
        pytest.skip(f"no Python {minor} on this machine")
    environments = make_environments()
    spec = make_spec(channel.pythons[minor], six="1.16.0")
    prefix = environments.materialise(environments.resolve(spec, "start"))
    code = "import platform, six; print(platform.python_version(), six.__version__)"
    assert run_python(prefix, code) == f"{channel.pythons[minor]} 1.16.0"


def test_the_prefix_python_sees_only_the_prefix(make_environments, make_spec, tmp_path):
    """Neither PYTHONPATH nor user site-packages nor a virtual environment reaches an isolated step."""
    environments = make_environments()
    prefix = environments.materialise(environments.resolve(make_spec(), "start"))
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "pytest.py").write_text("")
    seen = run_python(
        prefix,
        "import sys\ntry:\n import pytest\nexcept ImportError:\n print(*sys.path, sep=chr(10))",
        "-I",
        PYTHONPATH=str(tmp_path / "planted"),
        PYTHONUSERBASE=str(tmp_path),
        VIRTUAL_ENV=sys.prefix,
        HOME=str(tmp_path),
    )
    assert seen
    assert all(path.startswith(str(prefix)) for path in seen.splitlines()), seen


def test_modules_can_be_compiled(make_environments, make_spec):
    """Where it is asked for, modules come with bytecode."""
    environments = make_environments(compile_bytecode=True)
    prefix = environments.materialise(environments.resolve(make_spec(), "start"))
    code = "import six, json, importlib.util as u; print(six.__cached__); print(json.__cached__)"
    cached = [Path(line) for line in run_python(prefix, code, "-B").splitlines()]
    assert len(cached) == 2
    assert all(path.is_file() for path in cached)


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_a_harmed_cached_package_is_fetched_again(make_environments, make_spec, recorder, fault, tmp_path):
    """A damaged or truncated archive in the cache is replaced by a sound one before anything is linked."""
    lock = make_environments().resolve(make_spec(), "start")
    path = archive(tmp_path / "machine", lock, "six")
    sound = path.read_bytes()
    spoil(path, fault)
    prefix = make_environments(progress=recorder).materialise(lock)
    assert path.read_bytes() == sound
    assert any("damaged" in line and path.name in line for line in recorder.said)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"


@pytest.mark.parametrize("harm", [damage, truncate, Path.unlink])
def test_a_harmed_package_without_a_channel_makes_no_prefix(
    make_environments, make_spec, channel, harm, tmp_path
):
    """Where a sound archive cannot be had nothing is linked, and the message says which and where from."""
    environments = make_environments()
    lock = environments.resolve(make_spec(), "start")
    path = archive(tmp_path / "machine", lock, "six")
    harm(path)
    channel.stop()
    with pytest.raises(PackageError, match=rf"{channel.url}/noarch/six-1\.17\.0.* cannot be fetched"):
        environments.materialise(lock)
    assert not [path for path in (tmp_path / "machine" / "prefixes").iterdir() if path.is_dir()]


def test_a_channel_that_serves_other_bytes_is_refused(make_environments, make_spec, channel, tmp_path):
    """A package whose bytes are not those that the index promised is not installed."""
    harmed = tmp_path / "channel"
    subprocess.run(["cp", "-r", str(channel.directory), str(harmed)], check=True)
    (package,) = (harmed / "noarch").glob("six-1.17.0*")
    damage(package)
    spec = make_spec(channels=(str(harmed),))
    with pytest.raises(PackageError, match=r"six-1\.17\.0.* is not what was locked: its sha256 is"):
        make_environments().resolve(spec, "start")
    assert not list((tmp_path / "machine").rglob("six-1.17.0*"))


def test_a_library_changed_in_place_does_not_spread(make_environments, make_spec, channel):
    """A step that writes to a file of its prefix, a hard link, does not change environments made later."""
    environments = make_environments()
    first = environments.materialise(environments.resolve(make_spec(), "start"))
    (module,) = first.glob("lib/python*/site-packages/six.py")
    sound = module.read_bytes()
    module.chmod(0o644)
    with module.open("r+b") as file:
        file.write(b"#" * 40)
    second = environments.materialise(environments.resolve(make_spec(six="1.17.0", numpy="1.26.4"), "end"))
    assert second != first
    assert (second / module.relative_to(first)).read_bytes() == sound


def test_everything_works_without_the_channel_once_it_was_used(
    make_environments, make_spec, channel, tmp_path
):
    """With the channel gone a new process resolves and materialises from the cache alone."""
    spec = make_spec()
    lock = make_environments().resolve(spec, "start")
    channel.stop()
    environments = make_environments()
    assert environments.resolve(spec, "start") == lock
    prefix = environments.prefix_for(spec.id, spec.platform)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"


def test_a_warm_start_loads_no_solver(make_environments, make_spec, tmp_path):
    """Where the prefix is there, finding it imports neither py-rattler nor an HTTP client."""
    spec = make_spec()
    environments = make_environments()
    environments.materialise(environments.resolve(spec, "start"))
    code = (
        MATERIALISE + "print([m for m in ('rattler', 'urllib.request', 'boto3', 'ssl') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "machine"), spec.id, spec.platform],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_two_processes_make_one_prefix(make_environments, make_spec, tmp_path):
    """Processes that start at once end with the same prefix, whole, and nothing beside it."""
    spec = make_spec()
    make_environments().resolve(spec, "start")
    processes = [start_materialising(tmp_path / "machine", spec) for _ in range(3)]
    answers = {process.communicate()[0].splitlines()[-1] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    (prefix,) = map(Path, answers)
    visible = [p for p in (tmp_path / "machine" / "prefixes").iterdir() if p.is_dir()]
    assert visible == [prefix]
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"


def test_threads_make_one_prefix(make_environments, make_spec):
    """Many tasks that ask at once get the same prefix, made once."""
    spec = make_spec()
    environments = make_environments()
    environments.resolve(spec, "start")
    prefixes: list[Path] = []
    threads = [
        threading.Thread(target=lambda: prefixes.append(environments.prefix_for(spec.id, spec.platform)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(prefixes) == 8
    assert len(set(prefixes)) == 1


def test_a_killed_installation_leaves_no_prefix(make_environments, make_spec, tmp_path):
    """An installation that is killed half-way leaves no prefix; the next one cleans up and makes it."""
    spec = make_spec()
    environments = make_environments()
    lock = environments.resolve(spec, "start")
    prefixes = tmp_path / "machine" / "prefixes"
    process = start_materialising(tmp_path / "machine", spec)
    while not list(prefixes.glob(f".{lock.digest[:32]}.*-*/conda-meta")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (prefixes / lock.digest[:32]).exists()
    assert [p for p in prefixes.iterdir() if p.is_dir()], "what it had begun is still there"
    prefix = environments.materialise(lock)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"
    assert [p for p in prefixes.iterdir() if p.is_dir()] == [prefix]


def test_a_path_too_long_for_packages_is_refused(make_environments, make_spec, tmp_path):
    """A cache directory whose prefixes would not fit into packages is a clear error, before anything."""
    lock = make_environments().resolve(make_spec(), "start")
    deep = tmp_path / "/".join(["d" * 50] * 5)
    with pytest.raises(SettingError, match="255 is the most"):
        Environments(deep).materialise(lock)


def test_a_prefix_of_the_longest_path_runs(make_environments, make_spec, tmp_path):
    """At exactly the longest path that is allowed, the environment runs."""
    lock = make_environments().resolve(make_spec(), "start")
    rest = 255 - len(f"{tmp_path}//prefixes/{lock.digest[:32]}")
    deep = tmp_path / ("d" * rest)
    prefix = Environments(deep).materialise(lock)
    assert len(str(prefix)) == 255
    assert run_python(prefix, "import six, sys; print(sys.prefix)") == str(prefix)
