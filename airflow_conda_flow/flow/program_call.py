"""Whether the program of this process makes a flow object in order to run it, or somebody else does.

``MyFlow()`` starts the command line in a program. It must not where a test, a notebook, a loader of DAG files
or another host calls code that makes a flow object, or while a module is imported.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


def is_program_call(flow_class: "Any", caller: "FrameType | None") -> bool:
    """True if the program defines the class or calls ``MyFlow()``, directly or through functions of its own.

    A console script is a program whose ``__main__`` only calls ``main()`` of another module. Functions of
    the program's own are those in the top-level package or module of that function. With any other code in
    between, it is a host that calls: under ``pytest`` and ``airflow``, which are console scripts too,
    ``__main__`` calls their code first.

    Args:
        flow_class: the flow.
        caller: the call of ``MyFlow()``, after the ``__init__`` of subclasses.
    """
    if flow_class.__module__ == "__main__":
        return True
    if caller is None or caller.f_globals.get("__name__") == "__main__":
        return caller is not None
    packages = set()  # of all functions between MyFlow() and the program
    frame: "FrameType | None" = caller
    while frame is not None and frame.f_globals.get("__name__") != "__main__":
        if frame.f_code.co_name == "<module>":  # the module is imported
            return False
        packages.add((frame.f_globals.get("__name__") or "").partition(".")[0])
        frame = frame.f_back
    # A session has a __main__ without a file. It goes on after the call, and a program does not.
    program = sys.modules["__main__"]
    if frame is None or frame.f_globals is not vars(program) or not getattr(program, "__file__", None):
        return False
    return len(packages) == 1
