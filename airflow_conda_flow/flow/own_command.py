"""Beginning of the command line that starts a flow, as text for a shell: messages tell users what to write.

The one place that knows it. A message gets the whole command from ``FlowDefinition.command``.
"""

import os
import sys

from airflow_conda_flow.flow.own_path import own_path
from airflow_conda_flow.flow.shell_words import shell_word, shell_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def program_command() -> "str | None":
    """Beginning of this process's own command line, as it was typed; None if its program is in no file.

    The interpreter is repeated too: the ``python`` of a shell may be another one, without this package.
    Options of the interpreter are not.
    """
    program = sys.modules["__main__"]
    if (getattr(program, "__file__", None) or "<stdin>") == "<stdin>":  # as of ``python -``
        return None
    python = (getattr(sys, "orig_argv", None) or [""])[0] or "python"  # known since Python 3.10
    spec = getattr(program, "__spec__", None)
    if spec is None or spec.name == "__main__":  # run by its path, or by that of a directory or an archive
        return shell_words([python, sys.argv[0]])
    package, _, last = spec.name.rpartition(".")
    return shell_words([python, "-m", package if last == "__main__" else spec.name])


def own_command(flow_class: "Any", file: str) -> str:
    """Beginning of a command line that starts a flow.

    If the program of this process is the flow file, it is the process's own. Otherwise, as in Airflow, it
    works from any directory.

    Args:
        flow_class: the flow.
        file: absolute path of its file.
    """
    program = getattr(sys.modules["__main__"], "__file__", None)
    typed = program_command() if program and own_path(program) == file else None
    if typed is not None:
        return typed
    name = flow_class.__module__
    # Below a package, the file may import its neighbours by the package's name.
    below_package = os.sep + name.replace(".", os.sep) + ".py"
    if name.rpartition(".")[0] in sys.modules and file.endswith(below_package):
        return "cd %s && python -m %s" % (shell_word(file[: -len(below_package)] or os.sep), shell_word(name))
    folder, base = os.path.split(file)
    if os.path.islink(file) and base.endswith(".py") and base.count(".") == 1:
        # By the path of a link, Python runs the file that it leads to, with another lock file beside it.
        return "cd %s && python -m %s" % (shell_word(folder), shell_word(base[: -len(".py")]))
    return shell_words(["python", file])
