"""``conda``, ``mamba`` and ``micromamba``: how they are asked, and that their answers make the same locks.

No real executable can be had where these tests run. A stand-in answers as the real ones were seen to
(docs/environments.md has their versions): with packages that nobody asked for, with fields left out, with warnings around, and with aborts.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_conda_flow.cli.tool import main
from airflow_conda_flow.environments.credentials import Credentials, basic, bearer
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.errors import ChannelError, SolveError

from .conftest import run_python

STAND_IN = """#!{python} -IS
import json, os, signal, sys
home = os.environ["HOME"]
noted = {{"arguments": sys.argv[1:], "environ": dict(os.environ), "terminal": sys.stdin.isatty(), "files": {{}}}}
tokens = os.environ["BINSTAR_CONFIG_DIR"] + "/data"
for path in (os.environ["CONDARC"], os.environ["NETRC"], home + "/.mamba/auth/authentication.json",
             *(tokens + "/" + name for name in os.listdir(tokens))):
    noted["files"][os.path.basename(path)] = open(path).read()
noted["home"] = sorted(os.listdir(home))
noted["mode"] = os.stat(os.path.dirname(os.environ["CONDARC"])).st_mode
open(os.environ["CONDA_PKGS_DIRS"] + "/cache/seen", "a").write("once ")
noted["seen"] = open(os.environ["CONDA_PKGS_DIRS"] + "/cache/seen").read()
json.dump(noted, open({asked!r}, "w"))
sys.stderr.write("a warning that is no JSON")
sys.stdout.buffer.write(open({answer!r}, "rb").read())
sys.stdout.flush()
if {code} < 0:
    os.kill(os.getpid(), -{code})
sys.exit({code})
"""
SECRET = "open-sesame"


@pytest.fixture
def install_resolver(tmp_path, monkeypatch):
    """A function: puts a stand-in on PATH that gives this answer, and returns where it notes how it is asked."""

    def install(name: str, answer: dict | bytes, code: int = 0) -> Path:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        (tmp_path / "answer").write_bytes(data)
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        asked = tmp_path / "asked.json"
        program.write_text(
            STAND_IN.format(
                python=sys.executable, asked=str(asked), answer=str(tmp_path / "answer"), code=code
            )
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent))
        return asked

    return install


def records(lock) -> list[dict]:
    """The packages of a lock as mamba's dry run lists them."""
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


def of_conda(lock) -> list[dict]:
    """The packages of a lock as conda's dry run lists them: no hashes, no sizes, no dependencies."""
    return [
        {
            "base_url": each.channel,
            "build_number": each.build_number,
            "build_string": each.build,
            "channel": each.channel.rpartition("/")[2],
            "dist_name": each.file_name.removesuffix(".conda"),
            "name": each.name,
            "platform": each.subdir,
            "version": each.version,
        }
        for each in lock.packages
    ]


def linked(packages: list) -> dict:
    """A successful answer; nothing has to be fetched, as with a package cache that has all."""
    return {"success": True, "dry_run": True, "actions": {"FETCH": [], "LINK": packages, "PREFIX": "/x"}}


PIP = {"name": "pip", "version": "24.0", "build_string": "pyhd8ed1ab_0"}
FORMS = [
    ("conda", of_conda),
    ("mamba", records),
    ("micromamba", records),
]


@pytest.mark.parametrize(("name", "form"), FORMS, ids=["conda", "mamba", "micromamba"])
def test_an_executable_gives_the_same_lock(make_environments, make_spec, install_resolver, name, form):
    """From the same packages every resolver makes the same lock, and its environment runs."""
    spec = make_spec()
    expected = make_environments("rattler").resolve(spec, "start")
    install_resolver(name, linked(form(expected)))
    environments = make_environments(name, resolver=name)
    lock = environments.resolve(spec, "start")
    assert lock.to_bytes() == expected.to_bytes()
    prefix = environments.materialise(lock)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"


def test_how_an_executable_is_asked(make_environments, make_spec, install_resolver, channel, monkeypatch):
    """Exact pins, our channels and no others, no terminal, and nothing of the user's configuration."""
    spec = make_spec(**{"six": "1.17.0", f"{channel.directory}::numpy": "1.26.4"})
    lock = make_environments("rattler").resolve(spec, "start")
    asked = install_resolver("mamba", linked(records(lock)))
    for name in ("CONDA_CREATE_DEFAULT_PACKAGES", "CONDA_PREFIX", "MAMBA_ROOT_PREFIX", "PYTHONPATH"):
        monkeypatch.setenv(name, "/of-the-user")
    monkeypatch.setenv("CONDA_CHANNEL_PRIORITY", "flexible")
    monkeypatch.setenv("CONDA_SSL_VERIFY", "/etc/certificates")
    make_environments("mamba", resolver="mamba").resolve(spec, "start")
    request = json.loads(asked.read_text())
    words, environ = request["arguments"], request["environ"]
    assert words[:2] == ["create", "--dry-run"]
    assert {"--json", "--yes", "--override-channels"} <= set(words)
    assert "--no-default-packages" not in words  # mamba's own program refuses options that it does not know
    asked_channels = [word for before, word in zip(words, words[1:], strict=False) if before == "-c"]
    assert asked_channels == [channel.url, channel.directory.as_uri()]
    assert words[-3:] == [
        f"python=={spec.python}",
        "six==1.17.0",
        f"{channel.directory.as_uri()}::numpy==1.26.4",
    ]
    assert not request["terminal"]
    assert request["home"] == [".mamba"]
    assert "/of-the-user" not in environ.values()
    assert environ["CONDA_SUBDIR"] == spec.platform
    assert environ["CONDA_SSL_VERIFY"] == "/etc/certificates"
    for program in ("CONDA", "MAMBA"):
        assert environ[f"{program}_CHANNEL_PRIORITY"] == "strict"
        assert environ[f"{program}_ADD_PIP_AS_PYTHON_DEPENDENCY"] == "false"
        assert environ[f"{program}_ALWAYS_YES"] == "true"
        assert environ[f"{program}_IGNORE_PINNED"] == "true"
    configuration = json.loads(request["files"]["condarc"])
    assert configuration["create_default_packages"] == configuration["channels"] == []
    assert environ["CONDARC"] == environ["MAMBARC"]
    assert stat.S_IMODE(request["mode"]) == 0o700
    assert not Path(environ["CONDARC"]).exists()


def test_how_conda_is_asked(make_environments, make_spec, install_resolver, channel):
    """Default packages of its installation are left out, and a library's own channel is known to it by name.

    Its versions before 26.7 take the path of a URL in a specification for a name, and a strict priority hides
    the library where a better channel has one of that name.
    """
    spec = make_spec(**{f"{channel.directory}::six": "1.17.0"})
    lock = make_environments("rattler").resolve(spec, "start")
    asked = install_resolver("conda", linked(of_conda(lock)))
    found = make_environments("conda", resolver="conda").resolve(spec, "start")
    assert found.to_bytes() == lock.to_bytes()
    request = json.loads(asked.read_text())
    assert "--no-default-packages" in request["arguments"]
    configuration = json.loads(request["files"]["condarc"])
    assert configuration["custom_channels"] == {channel.directory.name: channel.directory.parent.as_uri()}
    assert configuration["channel_priority"] == request["environ"]["CONDA_CHANNEL_PRIORITY"] == "flexible"


def test_declared_virtual_packages_replace_those_of_the_machine(
    make_environments, channel, install_resolver, monkeypatch
):
    """Each has its variable; what is not declared is declared absent."""
    virtual = {"__archspec": "1=x86_64_v3", "__glibc": "2.28", "__linux": "5.10", "__unix": "0"}
    spec = EnvironmentSpec(channel.python, {}, (channel.url,), current_platform(), virtual_packages=virtual)
    lock = make_environments("rattler").resolve(spec, "start")
    asked = install_resolver("mamba", linked(records(lock)))
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "12.4")
    make_environments("mamba", resolver="mamba").resolve(spec, "start")
    environ = json.loads(asked.read_text())["environ"]
    found = {name[15:]: value for name, value in environ.items() if name.startswith("CONDA_OVERRIDE_")}
    assert found == {
        "ARCHSPEC": "x86_64_v3",
        "CUDA": "",
        "GLIBC": "2.28",
        "LINUX": "5.10",
        "OSX": "",
        "WIN": "",
    }


def test_repodata_is_kept_for_all_specs_and_runs(make_environments, make_spec, install_resolver):
    """The package cache is empty each time, and its folder of repodata is one and the same."""
    lock = make_environments("rattler").resolve(make_spec(), "start")
    asked = install_resolver("mamba", linked(records(lock)))
    make_environments("mamba", resolver="mamba").solve({"start": make_spec()})
    first = json.loads(asked.read_text())
    make_environments("mamba", resolver="mamba").solve({"start": make_spec()})
    second = json.loads(asked.read_text())
    assert (first["seen"], second["seen"]) == ("once ", "once once ")
    assert first["environ"]["CONDA_PKGS_DIRS"] != second["environ"]["CONDA_PKGS_DIRS"]


@pytest.fixture(scope="module")
def channel_with_pip(tmp_path_factory, channel):
    """Directory of a channel that has pip beside the running Python and six."""
    folder = tmp_path_factory.mktemp("with-pip")
    words = ["channel", "build", str(folder), "--python", channel.python, "--pip", "six==1.17.0"]
    assert main(words) == 0
    return folder


def test_packages_that_nobody_asked_for_are_left_out(
    make_environments, make_spec, install_resolver, channel_with_pip
):
    """Pip and default packages, which executables add, are in no lock unless something needs them."""
    spec = make_spec(channels=(str(channel_with_pip),), six="1.17.0")
    expected = make_environments("rattler").resolve(spec, "start")
    with_pip = make_spec(channels=(str(channel_with_pip),), six="1.17.0", pip="")
    (pip,) = (
        each for each in make_environments("p").solve({"s": with_pip})["s"].packages if each.name == "pip"
    )
    added = {"name": "pip", "version": pip.version, "build_string": pip.build}
    install_resolver("mamba", linked([*records(expected), added]))
    lock = make_environments("mamba", resolver="mamba").resolve(spec, "start")
    assert lock.to_bytes() == expected.to_bytes()


def test_a_package_of_a_channel_that_comes_later(
    make_environments, make_spec, install_resolver, channel_with_pip, channel
):
    """Conda has no strict priority between channels with the same path, so its choice is refused."""
    spec = make_spec(channels=(str(channel_with_pip), channel.url), six="")
    older = make_environments("rattler").resolve(make_spec(six="1.16.0"), "start")
    install_resolver("conda", linked(of_conda(older)))
    first = f"six is taken from the channel {channel_with_pip.as_uri()}, which comes first"
    with pytest.raises(SolveError, match=rf"it chose six 1\.16\.0 \S+, but {first}"):
        make_environments("conda", resolver="conda").resolve(spec, "start")


ODD_BUT_RIGHT = {
    "fetch without link": lambda lock: {"success": True, "actions": {"FETCH": records(lock), "LINK": None}},
    "no size, no build number": lambda lock: linked(
        [{key: each[key] for key in ("name", "version", "build")} for each in records(lock)]
    ),
    "nulls": lambda lock: linked(
        [{**each, "size": None, "build_number": None, "sha256": None, "url": None} for each in records(lock)]
    ),
    "warnings around it": lambda lock: (
        b"WARNING conda: {a dictionary}\n"
        + json.dumps(linked(records(lock)), indent=2).encode()
        + b"\nDONE [1/1]\n"
    ),
    "progress before it": lambda lock: (
        b'{"fetch":"six","finished":true}\n\0{"progress":1}\n\0' + json.dumps(linked(records(lock))).encode()
    ),
    "no utf-8": lambda lock: b"caf\xe9 \xff\n" + json.dumps(linked(records(lock))).encode(),
    "capitals": lambda lock: linked([{**each, "name": each["name"].upper()} for each in records(lock)]),
}


@pytest.mark.parametrize("answer", ODD_BUT_RIGHT.values(), ids=ODD_BUT_RIGHT)
def test_an_odd_answer_is_right(make_environments, make_spec, install_resolver, answer):
    """Names, versions and builds are enough, whatever is missing or around them."""
    expected = make_environments("rattler").resolve(make_spec(), "start")
    install_resolver("mamba", answer(expected))
    lock = make_environments("mamba", resolver="mamba").resolve(make_spec(), "start")
    assert lock.to_bytes() == expected.to_bytes()


def test_an_abort_after_a_complete_answer(make_environments, make_spec, install_resolver):
    """Conda with its solver of rattler aborts so at times; the answer counts."""
    expected = make_environments("rattler").resolve(make_spec(), "start")
    install_resolver("conda", linked(of_conda(expected)), code=-signal.SIGABRT)
    lock = make_environments("conda", resolver="conda").resolve(make_spec(), "start")
    assert lock.to_bytes() == expected.to_bytes()


def without(name: str):
    """A function of a lock: the answer without the package."""
    return lambda lock: linked([each for each in records(lock) if each["name"] != name])


def changed(package: str, **fields):
    """A function of a lock: the answer with other fields of the package."""
    return lambda lock: linked(
        [{**each, **fields} if each["name"] == package else each for each in records(lock)]
    )


ODD_AND_WRONG = {
    "no version": (changed("six", version=None), r"mamba.*step start.*it gives no version for six\."),
    "a number for a build": (changed("six", build_string=0, build=0), "it gives no build for six"),
    "a text for a package": (lambda _: linked(["six"]), r"one of its packages is 'six'\."),
    "a text for all": (lambda _: {"success": True, "actions": "six"}, "its list of actions is 'six'"),
    "a package twice": (
        lambda lock: linked([*records(lock), {**records(lock)[0], "version": "0"}]),
        "it lists python twice|it lists six twice",
    ),
    "a package is missing": (without("python"), "it did not choose python, which the environment needs"),
    "another version": (
        changed("six", version="1.16.0"),
        r"of the answer of mamba: what it chose does not go together: .*six.*1\.17\.0",
    ),
    "a version that is not there": (
        changed("six", version="9.9"),
        r"it chose six 9\.9 \S+, and the channel http://\S+ has no it for",
    ),
    "a pattern for a build": (
        changed("six", build_string="*", build="*"),
        r"it chose six 1\.17\.0 \*, which",
    ),
    "no name at all": (changed("six", name="si x"), "is not a package with version and build"),
    "an answer for another package": (
        lambda _: linked([{"name": "pandas", "version": "2.2.3", "build": "0"}]),
        r"of the answer of mamba: it (chose pandas|did not choose)",
    ),
}


@pytest.mark.parametrize(("answer", "message"), ODD_AND_WRONG.values(), ids=ODD_AND_WRONG)
def test_an_answer_that_is_wrong(make_environments, make_spec, install_resolver, answer, message):
    """It is one line that names the step, the executable and the package; nothing is locked."""
    spec = make_spec()
    lock = make_environments("rattler").resolve(spec, "start")
    install_resolver("mamba", answer(lock))
    environments = make_environments("mamba", resolver="mamba")
    with pytest.raises(SolveError, match=message) as caught:
        environments.resolve(spec, "start")
    assert "\n" not in str(caught.value)
    assert environments.known_lock(spec.id, spec.platform) is None


FAILURES = [
    (
        {"success": False, "message": "no luck", "exception_name": "ResolvePackageNotFound"},
        SolveError,
        "mamba cannot solve the environment of step start: no luck.*may add pip.*no channel here has pip",
    ),
    (
        {"success": False, "solver_problems": ["nothing provides x 1.0"]},
        SolveError,
        r"step start: nothing provides x 1\.0",
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
    (b"Killed", SolveError, "step start: it ended with code 1 and without an answer: a warning that is no"),
    (b'{"success": fal', SolveError, "without an answer: a warning"),
    (b"[" * 100_000, SolveError, "without an answer"),
    (b'{"actions":' * 100_000, SolveError, "without an answer"),
]


@pytest.mark.parametrize(("answer", "error", "message"), FAILURES)
def test_an_executable_that_fails(make_environments, make_spec, install_resolver, answer, error, message):
    """Its reason reaches the user on one line, with the step's name, as the right kind of error."""
    install_resolver("mamba", answer, code=1)
    with pytest.raises(error, match=message) as caught:
        make_environments(resolver="mamba").resolve(make_spec(), "start")
    assert "\n" not in str(caught.value)


def test_conda_lacks_no_pip(make_environments, make_spec, install_resolver):
    """It is told to add none, so a channel without pip is not why it fails."""
    install_resolver("conda", {"error": "there is no solver libmamba"}, code=1)
    with pytest.raises(
        SolveError, match=r"step start: there is no solver libmamba\. py-rattler can"
    ) as caught:
        make_environments(resolver="conda").resolve(make_spec(), "start")
    assert "pip" not in str(caught.value)


def test_both_say_the_same_of_what_is_not_there(make_environments, make_spec, install_resolver):
    """A package that no channel has is named with its channel, in the words that rattler's error has."""
    spec = make_spec(sixx="1.17.0")
    with pytest.raises(SolveError) as expected:
        make_environments("rattler").resolve(spec, "start")
    install_resolver("mamba", {"success": False, "solver_problems": ["nothing provides sixx"]}, code=1)
    with pytest.raises(SolveError) as caught:
        make_environments("mamba", resolver="mamba").resolve(spec, "start")
    assert str(caught.value) == str(expected.value)


def test_an_answer_without_packages(make_environments, make_spec, install_resolver):
    """A dry run that lists nothing is an error, not an empty environment."""
    install_resolver("conda", {"success": True, "message": "All requested packages already installed."})
    with pytest.raises(SolveError, match=r"no packages for .*step start: All requested"):
        make_environments(resolver="conda").resolve(make_spec(), "start")


STARTS = [
    (b"#!/old/place/bin/python\n", r"its first line names a program that does not exist: #!/old/place/bin/p"),
    (b"", "Exec format error"),
    (b"\x7fELF\x02\x01\x01 and no more", "Exec format error"),
]


@pytest.mark.parametrize(("content", "message"), STARTS)
def test_a_program_that_cannot_be_started(
    make_environments, make_spec, tmp_path, monkeypatch, content, message
):
    """As after its installation was moved: the line names the program and the reason."""
    program = tmp_path / "conda"
    program.write_bytes(content)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SolveError, match=message) as caught:
        make_environments("machine", resolver="conda").resolve(make_spec(), "start")
    assert str(program) in str(caught.value)


PRIVATE = "http://h.example/team/private"
CREDENTIALS = [
    Credentials({"h.example": basic("alice", SECRET)}),
    Credentials.of_channels([f"http://alice:{SECRET}@h.example/team/private"]),
    Credentials.of_channels([f"http://h.example/t/{SECRET}/team/private"]),
    Credentials({"h.example": bearer(SECRET)}),
]


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=["given", "url", "token", "bearer"])
def test_credentials_reach_it_in_files_alone(
    make_environments, make_spec, channel, install_resolver, credentials, caplog
):
    """Neither arguments nor environment variables show them; conda's and mamba's files have them."""
    asked = install_resolver("mamba", {"success": False, "error": f"401 for {PRIVATE}"}, code=1)
    spec = make_spec(channels=(PRIVATE, channel.url))
    with pytest.raises(ChannelError) as caught:  # rattler finds no such host either
        make_environments(resolver="mamba", credentials=credentials).resolve(spec, "start")
    request = json.loads(asked.read_text())
    assert SECRET not in json.dumps([request["arguments"], request["environ"]])
    assert SECRET not in str(caught.value) + caplog.text
    (login,) = json.loads(request["files"]["authentication.json"]).items()
    assert login[0] == "h.example/team/private"
    custom = json.loads(request["files"]["condarc"])["custom_channels"]
    if login[1]["type"] == "BasicHTTPAuthentication":
        assert custom == {"team/private": f"http://alice:{SECRET}@h.example"}
        assert request["files"]["netrc"] == f"machine h.example login alice password {SECRET}\n"
    elif login[1]["type"] == "CondaToken":
        assert custom == {"team/private": f"http://h.example/t/{SECRET}"}
        assert login[1]["token"] == SECRET
        assert request["files"]["http%3A%2F%2Fh.example.token"] == SECRET
    else:
        assert login[1] == {"type": "BearerToken", "token": SECRET}
        assert custom == {}


def test_conda_cannot_send_a_bearer_token(make_environments, make_spec, install_resolver):
    """It is said before conda is asked, with what to do."""
    asked = install_resolver("conda", {})
    environments = make_environments(resolver="conda", credentials=CREDENTIALS[-1])
    with pytest.raises(ChannelError, match=f"step start: the channel {PRIVATE} takes a bearer token"):
        environments.resolve(make_spec(channels=(PRIVATE,)), "start")
    assert not asked.exists()


HANGING = """#!{python} -IS
import os, subprocess, sys, time
child = subprocess.Popen(["/bin/sleep", "600"])
open({noted!r}, "w").write("%d %d %s" % (os.getpid(), child.pid, os.path.dirname(os.environ["CONDARC"])))
time.sleep(600)
"""
ASKING = """
import sys
from pathlib import Path
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.solve.executable import ExecutableSolver
from airflow_conda_flow.environments.spec import EnvironmentSpec
spec = EnvironmentSpec("3.11.7", {}, ("conda-forge",), "linux-64")
ExecutableSolver("mamba", Path(sys.argv[1]), Credentials(), 600).solve({"step start": spec})
"""


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_us(tmp_path, number):
    """Whatever ends this process ends the executable, what that has started, and its folder."""
    noted = tmp_path / "noted"
    program = tmp_path / "bin" / "mamba"
    program.parent.mkdir()
    program.write_text(HANGING.format(python=sys.executable, noted=str(noted)))
    program.chmod(0o755)
    asking = subprocess.Popen(
        [sys.executable, "-c", ASKING, str(tmp_path / "cache")],
        env={**os.environ, "PATH": str(program.parent)},
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 30
        while not (noted.exists() and noted.read_text().count(" ") == 2):
            assert asking.poll() is None, asking.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        *pids, folder = noted.read_text().split()
        asking.send_signal(number)
        asking.wait(timeout=10)
        deadline = time.monotonic() + 10
        while any(_runs(int(each)) for each in pids) or Path(folder).exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        asking.kill()
        asking.communicate()
