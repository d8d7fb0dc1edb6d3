"""Bytecode of the modules in packages for one version of Python, as in the packages of other channels.

Without it, every new environment compiles what it imports first, and packing compiles everything. Python
takes bytecode that names the time and the size of its source. Conda clients keep the time of each file, which
is ``MODIFIED`` in all packages that this tool builds.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from airflow_conda_flow.channel.conda_archive import MODIFIED, Entry
from airflow_conda_flow.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_conda_flow.channel.interpreters import Interpreter

# Reads sources by path as JSON, and writes bytecode by path; bytes are Latin-1. Python 3.6 runs it.
# When a module is imported, Python puts the path of its source in place of the one that it was compiled with.
_COMPILE = """
import sys
del sys.path[0]
import importlib.util, json, marshal, struct

def has_fixed_order(code):
    for each in code.co_consts:
        if isinstance(each, type(code)) and not has_fixed_order(each):
            return False
        if isinstance(each, frozenset) and not all(isinstance(one, (str, bytes, int, float)) for one in each):
            return False
    return True

header = importlib.util.MAGIC_NUMBER + (b"" if sys.version_info < (3, 7) else bytes(4))
compiled = {}
for path, text in json.load(sys.stdin).items():
    source = text.encode("latin-1")
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except Exception:
        continue
    # Until Python 3.10 such a constant was written in the order of its hashes: that of None is its address.
    if sys.version_info < (3, 11) and not has_fixed_order(code):
        continue
    data = header + struct.pack("<LL", int(sys.argv[1]), len(source)) + marshal.dumps(code)
    compiled[importlib.util.cache_from_source(path)] = data.decode("latin-1")
json.dump(compiled, sys.stdout)
"""


def with_bytecode(entries: Iterable[Entry], interpreter: Interpreter) -> Iterator[Entry]:
    """Add bytecode of the modules to the entries; the same entries always give the same bytecode.

    A file that clients change when they install it gets none. A file that does not compile gets none either,
    such as a template or a test of syntax errors.

    Raises:
        ChannelError: the interpreter fails.
    """
    all_of_them = {entry.path: entry for entry in entries}
    modules = {
        entry.path: entry.data.decode("latin-1")
        for entry in all_of_them.values()
        if entry.path.startswith(f"lib/python{interpreter.minor}/")
        and entry.path.endswith(".py")
        and entry.link is None
        and entry.placeholder is None
    }
    compiled = _compile(dict(sorted(modules.items())), interpreter) if modules else {}
    # A wheel may bring bytecode, which names other times.
    yield from {**all_of_them, **compiled}.values()


def _compile(modules: dict[str, str], interpreter: Interpreter) -> dict[str, Entry]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [interpreter.executable, "-S", "-W", "ignore", "-c", _COMPILE, str(MODIFIED)],
        input=json.dumps(modules).encode(),
        capture_output=True,
        check=False,
        cwd="/",
        # Constants that are sets of texts are written in the order of their hashes, until Python 3.10.
        env={**environ, "PYTHONHASHSEED": "0"},
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise ChannelError(
            f"{interpreter.executable} cannot compile the modules of a package:"
            f" it ended with {done.returncode}" + (f": {lines[-1]}" if lines else ".")
        )
    return {path: Entry(path, text.encode("latin-1")) for path, text in json.loads(done.stdout).items()}
