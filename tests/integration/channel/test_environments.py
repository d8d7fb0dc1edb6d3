"""Environments from the channel run, and see nothing but themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_conda_flow.channel.build import build_channel
from airflow_conda_flow.channel.interpreters import inspect

SEEN = "import sys; print(chr(10).join([sys.prefix, sys.base_prefix, *sys.path[1:]]))"
MODULES = "import bz2, ctypes, hashlib, json, lzma, multiprocessing, sqlite3, ssl, zlib"


@pytest.mark.parametrize("version", ["1.5.2", "1.4.2"])
def test_each_version_of_a_library_installs(channel, make_prefix, version):
    """Both versions of one request install and compute, with the numpy that was asked for."""
    prefix = make_prefix(channel.url, f"python =={channel.python}", f"scikit-learn =={version}")
    code = (
        "import numpy, sklearn.linear_model as m;"
        "fit = m.LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0]);"
        "print(m.__name__, __import__('sklearn').__version__, round(fit.coef_[0]))"
        ";print(numpy.__version__)"
    )
    assert prefix.python(code) == f"sklearn.linear_model {version} 2\n1.26.4"


@pytest.mark.parametrize("minor", ["3.6", "3.8", "3.11", "3.13"])
def test_every_python_runs_from_its_prefix(channel, make_prefix, minor):
    """A packed Python runs elsewhere, with its own library, and sees its own prefix alone."""
    if minor not in channel.pythons:
        pytest.skip(f"no Python {minor} on this machine")
    version = channel.pythons[minor]
    prefix = make_prefix(channel.url, f"python =={version}", "six ==1.16.0")
    assert prefix.python(f"{MODULES}; import platform; print(platform.python_version())") == version
    seen = prefix.python(SEEN).splitlines()
    assert len(seen) > 2
    assert all(Path(path).is_relative_to(prefix.path) for path in seen), seen
    site = prefix.path / "lib" / f"python{minor}" / "site-packages"
    assert prefix.python("import six; print(six.__file__)") == str(site / "six.py")


def test_installed_libraries_are_known_to_importlib(channel, make_prefix):
    """``importlib.metadata`` knows the version, and every file it lists is there."""
    prefix = make_prefix(channel.url, f"python =={channel.python}", "numpy ==1.26.4", "six")
    code = (
        "from importlib.metadata import files, version\n"
        "print(version('numpy'), version('six'))\n"
        "listed = files('numpy') + files('six')\n"
        "print(len(listed) > 100, [str(f) for f in listed if not f.locate().exists()])"
    )
    assert prefix.python(code) == "1.26.4 1.17.0\nTrue []"


def test_console_scripts_run(channel, make_prefix):
    """A script of a wheel runs with the Python of its environment."""
    prefix = make_prefix(channel.url, f"python =={channel.python}", "numpy ==1.26.4")
    assert prefix.run("f2py", "-v") == "1.26.4"


def test_a_distribution_python_is_isolated(tmp_path, make_prefix):
    """Debian's Python, packed, uses the prefix's ``site-packages`` and never the system's."""
    system = inspect(Path("/usr/bin/python3"))
    if system is None:
        pytest.skip("no system Python on this machine")
    build_channel(tmp_path / "channel", [system], ["six==1.16.0"], print)
    prefix = make_prefix((tmp_path / "channel").as_uri(), f"python =={system.version}", "six")
    seen = prefix.python(f"{MODULES}; {SEEN}").splitlines()
    assert len(seen) > 2
    assert all(Path(path).is_relative_to(prefix.path) for path in seen), seen
    site = prefix.path / "lib" / f"python{system.minor}" / "site-packages"
    assert prefix.python("import six; print(six.__file__)") == str(site / "six.py")
    assert prefix.python("import sysconfig as s; print(s.get_path('purelib'))") == str(site)
