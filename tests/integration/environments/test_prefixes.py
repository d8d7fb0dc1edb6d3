"""A prefix holds what was locked, from verified bytes, and appears complete or not at all."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.seal import seal_path
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


def _append(prefix: Path) -> str:
    (module,) = prefix.glob("lib/python*/site-packages/six.py")
    module.chmod(0o644)
    with module.open("a") as file:
        file.write("__version__ = 'changed'\n")
    return r"lib/python3\.\d+/site-packages/six\.py was changed"


def _replace(prefix: Path) -> str:
    (module,) = prefix.glob("lib/python*/site-packages/six.py")
    size = module.stat().st_size
    module.unlink()
    module.write_bytes(b"#" * size)
    return r"lib/python3\.\d+/site-packages/six\.py was changed"


def _add(prefix: Path) -> str:
    (library,) = prefix.glob("lib/python*/site-packages")
    (library / "undeclared").mkdir()
    (library / "undeclared" / "__init__.py").touch()
    return r"undeclared/__init__\.py was added"


def _add_program(prefix: Path) -> str:
    (prefix / "bin" / "undeclared").touch()
    return "bin/undeclared was added"


def _remove_package(prefix: Path) -> str:
    (module,) = prefix.glob("lib/python*/site-packages/six.py")
    module.unlink()
    return r"six\.py is missing"


def _remove_python(prefix: Path) -> str:
    for path in prefix.glob("bin/python*"):
        path.unlink()
    return r"bin/python.* is missing"


def _forbid_python(prefix: Path) -> str:
    (prefix / "bin" / "python").resolve().chmod(0o644)
    return r"bin/python.* was changed"


def _empty(prefix: Path) -> str:
    shutil.rmtree(prefix)
    prefix.mkdir()
    # The file system may give the new directory the number of the old one, which its seal names.
    return r"(it is not known how it was made|\S+ is missing)"


def _become_a_file(prefix: Path) -> str:
    shutil.rmtree(prefix)
    prefix.write_text("a file")
    return "it is not a directory"


def _dangle(prefix: Path) -> str:
    shutil.rmtree(prefix)
    prefix.symlink_to("nowhere")
    return "it is not a directory"


def _lose_the_seal(prefix: Path) -> str:
    seal_path(prefix).unlink()
    return "it is not known how it was made"


def _damage_the_seal(prefix: Path) -> str:
    path = seal_path(prefix)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-9])
    return "it is not known how it was made"


@pytest.mark.parametrize(
    "harm",
    [
        _append,
        _replace,
        _add,
        _add_program,
        _remove_package,
        _remove_python,
        _forbid_python,
        _empty,
        _become_a_file,
        _dangle,
        _lose_the_seal,
        _damage_the_seal,
    ],
)
def test_a_prefix_that_was_changed_is_made_again(make_environments, make_spec, channel, recorder, harm):
    """Whatever a step did to its prefix, the next use sees it, says so, and has a sound one; without a channel."""
    spec = make_spec()
    environments = make_environments(progress=recorder)
    prefix = environments.materialise(environments.resolve(spec, "start"))
    assert environments.prefix_for(spec.id, spec.platform) == prefix
    sound = {path.relative_to(prefix) for path in prefix.rglob("*") if "__pycache__" not in path.parts}
    channel.stop()
    fault = harm(prefix)
    recorder.said.clear()
    assert environments.prefix_for(spec.id, spec.platform) == prefix
    (line,) = recorder.said
    pattern = rf"    The environment {prefix} is not as it was made: .*{fault}\. Making it again\."
    assert re.fullmatch(pattern, line), line
    code = "import six; print(six.__version__, six.__file__)"
    assert run_python(prefix, code).startswith(f"1.17.0 {prefix}")
    left = {path.relative_to(prefix) for path in prefix.rglob("*") if "__pycache__" not in path.parts}
    assert left == sound
    recorder.said.clear()
    assert make_environments(progress=recorder).prefix_for(spec.id, spec.platform) == prefix
    assert recorder.said == []
    assert [path for path in prefix.parent.iterdir() if path.is_dir()] == [prefix]


def test_what_python_adds_is_no_change(make_environments, make_spec, recorder):
    """Bytecode of a first import, and files that programs keep outside of libraries, change nothing."""
    environments = make_environments(progress=recorder)
    lock = environments.resolve(make_spec(), "start")
    prefix = environments.materialise(lock)
    inode = prefix.stat().st_ino
    recorder.said.clear()
    assert Path(run_python(prefix, "import six; print(six.__cached__)")).is_file()
    (prefix / "var" / "cache").mkdir(parents=True)
    (prefix / "var" / "cache" / "fonts").touch()
    assert environments.materialise(lock).stat().st_ino == inode
    assert recorder.said == []


def test_a_prefix_that_nobody_can_write_to_is_taken(make_environments, make_spec, recorder, monkeypatch):
    """In an image every file has another inode, and steps of another user cannot change them."""
    environments = make_environments(progress=recorder)
    lock = environments.resolve(make_spec(), "start")
    prefix = environments.materialise(lock)
    _lose_the_seal(prefix)
    recorder.said.clear()
    # The superuser, as whom tests may run, can write everywhere.
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != prefix)
    inode = prefix.stat().st_ino
    assert environments.materialise(lock).stat().st_ino == inode
    assert recorder.said == []
    _remove_python(prefix)
    assert environments.materialise(lock).stat().st_ino != inode


def test_files_of_a_prefix_are_only_readable(make_environments, make_spec):
    """No file of a prefix gives anyone the right to write, so that a step without privileges cannot."""
    environments = make_environments()
    prefix = environments.materialise(environments.resolve(make_spec(), "start"))
    files = [path for path in prefix.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 100
    assert not [path for path in files if path.stat().st_mode & 0o222]


def test_a_change_is_seen_in_every_prefix_that_shares_the_file(make_environments, make_spec, recorder):
    """Prefixes share files by hard links: all that have the changed one are made again."""
    environments = make_environments(progress=recorder)
    locks = [
        environments.resolve(make_spec(six="1.17.0"), "start"),
        environments.resolve(make_spec(six="1.17.0", numpy="1.26.4"), "end"),
    ]
    prefixes = [environments.materialise(lock) for lock in locks]
    _append(prefixes[0])
    assert run_python(prefixes[1], "import six; print(six.__version__)") == "changed", "they share the file"
    for lock, prefix in zip(locks, prefixes, strict=True):
        environments.materialise(lock)
        assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"
    assert sum("Making it again" in line for line in recorder.said) == 2


def test_processes_that_see_a_change_at_once_make_one_prefix(make_environments, make_spec, tmp_path):
    """Each of them ends with the same sound prefix."""
    spec = make_spec()
    environments = make_environments()
    prefix = environments.materialise(environments.resolve(spec, "start"))
    _append(prefix)
    processes = [start_materialising(tmp_path / "machine", spec) for _ in range(3)]
    assert {process.communicate()[0].splitlines()[-1] for process in processes} == {str(prefix)}
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"


def test_verifying_reads_every_byte(make_environments, make_spec):
    """A change that the seal cannot show is found, also if the extracted package has it; so is bytecode."""
    environments = make_environments()
    lock = environments.resolve(make_spec(), "start")
    prefix = environments.materialise(lock)
    assert environments.verify(lock) == []
    (module,) = prefix.glob("lib/python*/site-packages/six.py")
    status = module.stat()
    damage(module)
    module.chmod(status.st_mode)
    os.utime(module, ns=(status.st_atime_ns, status.st_mtime_ns))
    cached = module.parent / "__pycache__" / "six.cpython-39.pyc"
    cached.parent.mkdir(exist_ok=True)
    cached.write_bytes(b"nobody knows")
    assert environments.materialise(lock) == prefix, "nothing shows it"
    assert environments.verify(lock) == [f"{module.relative_to(prefix)} was changed"]
    assert not cached.exists()
    environments.rebuild(lock)
    assert environments.verify(lock) == []
    assert [path.name for path in (prefix.parents[1] / "verifying").iterdir()] == []


def test_verifying_replaces_bytecode_by_that_of_packages(make_environments, make_spec):
    """Bytecode that was changed, removed or added is as the package has it; nobody can write to it."""
    environments = make_environments()
    lock = environments.resolve(make_spec(), "start")
    prefix = environments.materialise(lock)
    (cached,) = prefix.glob("lib/python*/json/__pycache__/decoder.*.pyc")
    removed = cached.with_name(cached.name.replace("decoder", "scanner"))
    added = cached.with_name("decoder.cpython-39.pyc")
    sound = cached.read_bytes()
    cached.chmod(0o644)
    cached.write_bytes(sound[:16] + b"nobody knows")
    removed.unlink()
    added.write_bytes(b"nor this")
    assert environments.verify(lock) == []
    assert cached.read_bytes() == sound
    assert removed.is_file()
    assert not added.exists()
    assert not [path for path in prefix.rglob("*.pyc") if path.stat().st_mode & 0o222]
    state = cached.stat()
    run_python(prefix, "import json")
    assert (cached.stat().st_ino, cached.stat().st_mtime_ns) == (state.st_ino, state.st_mtime_ns)
    assert environments.materialise(lock) == prefix


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
