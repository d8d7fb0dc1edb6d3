"""``--environment=conda run``: isolation, several Pythons, a shared cache, packages that are damaged."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import venv
from contextlib import ExitStack
from pathlib import Path

import pytest

from ...parts.flow_machine import Machine
from ...parts.tiny_wheel import tiny_wheel

SEED = """
class AFlow(FlowSpec):
    {conda}
    @step
    def start(self):
        import six
        print("six", six.__version__, six.__file__)
        self.next(self.end)
    @step
    def end(self):
        try:
            import six
        except ModuleNotFoundError as error:
            print("as it should be:", error)
"""
UNDECLARED = SEED.format(conda="")
DECLARED = SEED.format(conda='@conda(libraries={"six": "1.16.0"})')
MISSING = "ModuleNotFoundError: No module named 'six'"


@pytest.fixture
def machine(tmp_path, channel) -> Machine:
    """A machine that reaches the channel."""
    return Machine(tmp_path / "home", channel.url)


def test_only_the_step_that_declares_a_library_has_it(machine):
    """Undeclared fails; declared works, in that step alone."""
    failed = machine.run(machine.flow(UNDECLARED), "--environment=conda", "run")
    assert failed.returncode == 1
    assert MISSING in failed.stdout
    done = machine.run(machine.flow(DECLARED), "--environment=conda", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"six 1.16.0 {machine.cache}" in done.stdout
    assert "as it should be: No module named 'six'" in done.stdout


def test_the_seed_flow_of_the_field(machine):
    """`import sklearn` fails undeclared, though the launching interpreter can have it, and works declared."""
    text = SEED.replace("six.__version__, six.__file__", "sklearn.__version__").replace(
        "import six", "import sklearn"
    )
    failed = machine.run(machine.flow(text.format(conda="")), "--environment=conda", "run")
    assert "ModuleNotFoundError: No module named 'sklearn'" in failed.stdout
    conda = '@conda(libraries={"scikit-learn": "1.5.2", "numpy": "1.26.4"})'
    done = machine.run(machine.flow(text.format(conda=conda)), "--environment=conda", "run")
    assert "six 1.5.2" in done.stdout, done.stdout + done.stderr
    assert "as it should be: No module named 'sklearn'" in done.stdout


def _leak_pythonpath(machine: Machine, fake: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(fake)}


def _leak_user_site(machine: Machine, fake: Path) -> dict[str, str]:
    site = machine.home / ".local/lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    site.parent.mkdir(parents=True)
    shutil.copytree(fake, site)
    return {}


def _leak_pth(machine: Machine, fake: Path) -> dict[str, str]:
    site = machine.home / ".local/lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    site.mkdir(parents=True)
    (site / "leak.pth").write_text(f"{fake}\n")
    return {}


def _leak_venv(machine: Machine, fake: Path) -> dict[str, str]:
    place = machine.home / "venv"
    venv.create(place, symlinks=True)
    shutil.copytree(fake, next(place.glob("lib/python*/site-packages")), dirs_exist_ok=True)
    return {"VIRTUAL_ENV": str(place), "PATH": f"{place}/bin:/usr/bin:/bin", "PYTHONHOME": ""}


@pytest.mark.parametrize("leak", [_leak_pythonpath, _leak_user_site, _leak_pth, _leak_venv])
def test_nothing_of_the_machine_leaks_into_a_step(machine, tmp_path, leak):
    """Neither the step nor a Python that it starts sees the machine's libraries."""
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "six.py").write_text("__version__ = 'leaked'\n")
    environ = leak(machine, fake)
    flow = machine.flow("""
import subprocess, sys
class AFlow(FlowSpec):
    @step
    def start(self):
        for program in (sys.executable, "python", "python3"):
            done = subprocess.run([program, "-c", "import six"], stderr=subprocess.PIPE, universal_newlines=True)
            print("child:", done.stderr.splitlines()[-1])
        print("path:", sys.path)
        import six
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    done = machine.run(flow, "--environment=conda", "run", **environ)
    assert MISSING in done.stdout, done.stdout + done.stderr
    assert done.stdout.count(f"child: {MISSING}") == 3
    assert "site-packages/airflow" not in done.stdout


def test_what_a_step_installs_stays_in_its_task(machine, tmp_path):
    """A package is there for the step, its shell and its programs; neither the environment nor the next step has it."""
    wheel = tiny_wheel(tmp_path, "tinything")
    flow = machine.flow(f"""
import os, subprocess, sys
class AFlow(FlowSpec):
    @conda(libraries={{"six": "1.17.0"}})
    @step
    def start(self):
        assert os.system("pip install -q --no-index {wheel}") == 0
        import six, tinything
        for program in (sys.executable, "python", sys.prefix + "/bin/python"):
            subprocess.check_call([program, "-c", "import six, tinything; print('imported')"])
        subprocess.check_call(["tinything"])
        assert sys.prefix == os.environ["CONDA_PREFIX"]
        os.system("pip uninstall -y six; pip install -q --no-index --user {wheel}")
        self.next(self.again)
    @conda(libraries={{"six": "1.17.0"}})
    @step
    def again(self):
        import six
        print("six is", six.__version__)
        import tinything
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    before = sorted(machine.cache.rglob("tinything*"))
    done = machine.run(flow, "--environment=conda", "run")
    assert done.returncode == 1
    assert done.stdout.count("imported") == 3, done.stdout + done.stderr
    assert "tinything 1.0" in done.stdout
    assert "six is 1.17.0" in done.stdout
    assert "No module named 'tinything'" in done.stdout + done.stderr
    assert "not as it was made" not in done.stderr
    assert sorted(machine.cache.rglob("tinything*")) == before == []


def test_programs_of_the_launching_environment_do_not_answer(machine):
    """A program that only the launching virtual environment has is not found in a step."""
    own = Path(sys.executable).parent
    assert (own / "ruff").exists()
    flow = machine.flow("""
import shutil
class AFlow(FlowSpec):
    @step
    def start(self):
        print("found", shutil.which("ruff"), shutil.which("sh") is not None)
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    done = machine.run(
        flow, "--environment=conda", "run", PATH=f"{own}:/usr/bin:/bin", VIRTUAL_ENV=str(own.parent)
    )
    assert "found None True" in done.stdout, done.stdout + done.stderr


def test_a_step_that_changes_its_environment_changes_it_for_itself_alone(machine):
    """A step that writes into an installed module is seen before the next step, which has a sound environment."""
    flow = machine.flow("""
import os
class AFlow(FlowSpec):
    @conda(libraries={"six": "1.17.0"})
    @step
    def start(self):
        import six
        os.chmod(six.__file__, 0o644)
        with open(six.__file__, "a") as file:
            file.write("__version__ = 'changed'")
        self.next(self.again)
    @conda(libraries={"six": "1.17.0"})
    @step
    def again(self):
        import six
        print("six is", six.__version__)
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    done = machine.run(flow, "--environment=conda", "run")
    assert "six is 1.17.0" in done.stdout, done.stdout + done.stderr
    assert "six.py was changed. Making it again." in done.stderr


def test_only_the_language_and_the_runtime_are_shipped(machine):
    """The rest of this package is not importable in a step environment."""
    flow = machine.flow("""
class AFlow(FlowSpec):
    @step
    def start(self):
        import airflow_conda_flow.runtime
        for name in ("local", "datastore", "environments", "settings"):
            try:
                __import__("airflow_conda_flow." + name)
            except ModuleNotFoundError:
                print("absent", name)
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    done = machine.run(flow, "--environment=conda", "run")
    assert done.stdout.count("absent") == 4, done.stdout


def test_steps_on_many_pythons_pass_values_along(machine, channel):
    """A dict, a list and a set go from 3.6 to the newest Python and back to 3.6."""
    pythons = [channel.pythons[minor] for minor in ("3.6", "3.8", "3.11", "3.13") if minor in channel.pythons]
    if len(pythons) < 2:
        pytest.skip("fewer than two interpreters on this machine")
    names = ["start", *(f"s{number}" for number in range(len(pythons))), "end"]
    steps = []
    for name, after, python in zip(
        names, [*names[1:], ""], [*pythons, pythons[0], pythons[-1]], strict=False
    ):
        first = (
            'self.d, self.l, self.s = {"é": [1, None]}, [1.5, "x"], {"a", "b"}; self.seen = []'
            if name == "start"
            else "pass"
        )
        last = (
            f"self.next(self.{after})"
            if after
            else "print('SEEN', self.seen, self.d, self.l, sorted(self.s))"
        )
        steps.append(f"""
    @conda(python="{python}")
    @step
    def {name}(self):
        import sys
        {first}
        self.seen.append("%d.%d" % sys.version_info[:2])
        {last}
""")
    flow = machine.flow("class AFlow(FlowSpec):\n" + "".join(steps))
    done = machine.run(flow, "--environment=conda", "run")
    minors = [".".join(p.split(".")[:2]) for p in [*pythons, pythons[0], pythons[-1]]]
    assert f"SEEN {minors} {{'é': [1, None]}} [1.5, 'x'] ['a', 'b']" in done.stdout, done.stdout + done.stderr


def test_conda_base_and_conda_merge_key_by_key(machine):
    """A step's version wins over its class's; `disabled` runs in the interpreter around."""
    flow = machine.flow("""
@conda_base(libraries={"six": "1.16.0"})
class AFlow(FlowSpec):
    @step
    def start(self):
        import six
        print("base", six.__version__)
        self.next(self.own)
    @conda(packages={"six": "1.17.0"})
    @step
    def own(self):
        import six
        print("own", six.__version__)
        self.next(self.around)
    @conda(disabled=True)
    @step
    def around(self):
        import sys
        print("around", sys.prefix)
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    done = machine.run(flow, "--environment=conda", "run")
    assert "base 1.16.0" in done.stdout, done.stderr
    assert "own 1.17.0" in done.stdout
    assert f"around {sys.prefix}" in done.stdout


def test_a_warm_cache_needs_no_channel(machine, channel, tmp_path):
    """With the channel gone, another checkout of the flow runs from the cache and asks nothing."""
    first = machine.run(machine.flow(DECLARED), "--environment=conda", "run")
    resolved = r"Resolving the environment of step \w+: .+\n(Resolving .+\n)*    \d+ packages in \d+\.\d s\n"
    assert re.search(resolved, first.stderr)
    channel.stop()
    shutil.rmtree(machine.cache / "prefixes")
    again = machine.run(machine.flow(DECLARED, folder=tmp_path / "other"), "--environment=conda", "run")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Resolving" not in again.stderr


def test_quiet_shows_no_progress(machine):
    """Neither in a run nor where environments are resolved; the lines of a run stay."""
    flow = machine.flow(DECLARED)
    done = machine.run(flow, "environment", "resolve", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    shutil.rmtree(machine.cache)
    done = machine.run(flow, "--environment=conda", "--quiet", "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Workflow starting" in done.stdout
    assert done.stdout.endswith("Done!\n")


@pytest.mark.parametrize("kind", ["moto_s3", "rclone_s3"])
def test_a_second_machine_needs_s3_alone(request, kind, tmp_path, channel):
    """A fresh home with the same S3 root has the same lock, with the channel stopped."""
    server = request.getfixturevalue(kind)
    words = ("--environment=conda", "--datastore", "s3", "--datastore-root", server.make_root(), "run")
    first = Machine(tmp_path / "one", channel.url, **server.environment)
    done = first.run(first.flow(DECLARED), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    channel.stop()
    second = Machine(tmp_path / "two", channel.url, **server.environment)
    done = second.run(second.flow(DECLARED), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Resolving" not in done.stderr
    assert "six 1.16.0" in done.stdout
    assert len(_locks(first)) == 2
    assert _locks(first) == _locks(second)


def _locks(machine: Machine) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in machine.cache.glob("locks/**/*.lock")}


@pytest.mark.parametrize("damage", ["corrupt", "truncate"])
def test_a_damaged_package_is_never_linked(machine, channel, damage):
    """It is fetched again; where it cannot be, the step fails and no environment appears."""
    flow = machine.flow(DECLARED)
    assert machine.run(flow, "--environment=conda", "run").returncode == 0

    def harm() -> None:
        (archive,) = machine.cache.glob("packages/*/six-*.conda")
        archive.chmod(0o644)
        data = archive.read_bytes()
        archive.write_bytes(data[:-9] if damage == "truncate" else b"\0" * 9 + data[9:])
        for name in ("prefixes", "extracted"):
            shutil.rmtree(machine.cache / name)

    harm()
    done = machine.run(flow, "--environment=conda", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "in the cache is damaged; fetching it again" in done.stderr
    harm()
    channel.stop()
    done = machine.run(flow, "--environment=conda", "run")
    assert done.returncode == 1
    assert f"The package {channel.url}/noarch/six-1.16.0" in done.stdout
    assert "cannot be fetched" in done.stdout


def test_two_first_runs_at_once_have_one_lock(machine, tmp_path):
    """Both succeed, with one lock and one prefix for each environment, and nothing left over."""
    flow = machine.flow(DECLARED)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(machine.started(flow, "--environment=conda", "run")) for _ in range(2)
        ]
        for process in processes:
            output = process.stdout.read()
            assert process.wait(10) == 0, output
    assert len(list(machine.cache.glob("environments/*/*.lock"))) == 2
    assert len(list((machine.cache / "prefixes").glob("*/bin/python"))) == 2


@pytest.mark.parametrize(
    ("conda", "message"),
    [
        (
            'libraries={"sixx": "1.0"}',
            "has no package 'sixx' for linux-64 (asked for: 1.0). Did you mean six?",
        ),
        ('libraries={"six": "9.9"}', "has no six 9.9 for linux-64. There is: 1.16.0, 1.17.0."),
        ('python="3.9.99"', "has no python 3.9.99"),
        (
            'python="{old}", libraries={"scikit-learn": "1.5.2"}',
            "scikit-learn 1.5.2 do not go together: scikit-learn 1.5.2 needs python >=",
        ),
    ],
)
def test_an_environment_that_cannot_be_solved(machine, channel, conda, message):
    """The message names the step and the library, and no task starts."""
    if "{old}" in conda and "3.6" not in channel.pythons:
        pytest.skip("no Python 3.6 on this machine")
    flow = machine.flow(
        SEED.format(conda=f"@conda({conda.replace('{old}', channel.pythons.get('3.6', ''))})")
    )
    done = machine.run(flow, "--environment=conda", "run")
    assert done.returncode == 1
    assert "The environment of step start cannot be solved: " in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "Task is starting" not in done.stdout
    assert not list(machine.cache.glob("environments/**/*.lock"))


def test_a_cache_directory_that_cannot_be_written(machine):
    """The message says which directory, and which setting."""
    (machine.home / "file").touch()
    flow = machine.flow(DECLARED)
    done = machine.run(flow, "--environment=conda", "run", "--cache-dir", f"{machine.home}/file/cache")
    assert done.returncode == 1
    assert f"The cache directory {machine.home}/file/cache cannot be written: Not a directory." in done.stderr
    assert "CONDA_FLOW_CACHE_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_channel_that_cannot_be_reached(machine, channel):
    """The message says which URL, and which setting."""
    channel.stop()
    done = machine.run(machine.flow(DECLARED), "--environment=conda", "run")
    assert done.returncode == 1
    assert channel.url in done.stderr
    assert "CONDA_CHANNELS" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("variable", ["METAFLOW_CONDA_DEPENDENCY_RESOLVER", "CONDA_FLOW_RESOLVER", "file"])
def test_a_resolver_that_is_not_installed(machine, variable):
    """It is named, with the setting that names it."""
    environ = {variable: "micromamba"}
    if variable == "file":
        environ = {}
        (machine.home / ".metaflowconfig").mkdir()
        config = machine.home / ".metaflowconfig" / "config.json"
        config.write_text(json.dumps({"METAFLOW_CONDA_DEPENDENCY_RESOLVER": "micromamba"}))
    done = machine.run(machine.flow(DECLARED), "--environment=conda", "run", **environ)
    assert done.returncode == 1
    assert "The dependency resolver 'micromamba' is not installed" in done.stderr


@pytest.mark.parametrize(
    ("moment", "whole"),
    [
        (".scratch/.*.part", 0),
        ("extracted/*", 0),
        ("prefixes/.*-*/conda-meta", 0),
        ("prefixes/[!.]*/bin/python", 1),
    ],
    ids=["fetching", "unpacking", "linking", "one is made"],
)
def test_a_killed_first_run_leaves_no_half_environment(machine, moment, whole):
    """Whatever the moment, each prefix that is there is whole, and the next run makes the others.

    ``moment`` matches files that exist then and not before; at least so many prefixes are ``whole`` by then.
    """
    flow = machine.flow(DECLARED)
    with machine.started(flow, "--environment=conda", "run") as process:
        deadline = time.monotonic() + 120
        while not next(machine.cache.glob(moment), None):
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.kill()
        process.wait()
    assert _check_prefixes(machine) >= whole
    done = machine.run(flow, "--environment=conda", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _check_prefixes(machine) == 2


def _check_prefixes(machine: Machine) -> int:
    """How many environments there are; the Python of each must run."""
    prefixes = [path for path in (machine.cache / "prefixes").glob("[!.]*") if path.is_dir()]
    for prefix in prefixes:
        done = subprocess.run([prefix / "bin" / "python", "-I", "-c", "import json, ssl"], check=False)
        assert done.returncode == 0, prefix
    return len(prefixes)
