"""Errors about libraries that only a part of the package needs, and that an extra of it installs.

Standard library only, Python 3.6 and later: it is shipped into step environments.
"""

from airflow_conda_flow.errors import MissingRequirement

_EXTRAS = ("airflow", "kubernetes")
"""Extras of the distribution; each has the name of the top-level module that it installs."""


def missing_requirement(error: ImportError, what: str) -> ImportError:
    """Error that says how to install what could not be imported; the same error if no extra installs it.

    Args:
        error: the failed import.
        what: who needs the module, such as ``Steps with @kubernetes``; the subject of the message.

    >>> error = ModuleNotFoundError("No module named 'kubernetes'", name="kubernetes")
    >>> print(missing_requirement(error, "Pods"))
    Pods need kubernetes, which is not installed: pip install 'airflow-conda-flow[kubernetes]'
    """
    module = error.name or ""
    extra = module.partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or extra not in _EXTRAS:
        return error
    return MissingRequirement(
        "%s need %s, which is not installed: pip install 'airflow-conda-flow[%s]'" % (what, module, extra)
    )
