"""A lock as an explicit spec file, which every conda client installs without solving."""

from __future__ import annotations

from airflow_conda_flow.environments.lock import Lock


def explicit_file(lock: Lock) -> str:
    """Text of the file: the URL and sha256 of every package.

    The format has no PyPI packages, so these are listed in comments, as commands for pip.
    https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html
    """
    lines = [
        "# An environment of airflow-conda-flow, locked; use: conda create --name NAME --file THIS_FILE",
        f"# platform: {lock.platform}",
        f"# spec: {lock.spec_id}",
        "@EXPLICIT",
    ]
    ordered = sorted(lock.packages, key=lambda each: (each.kind, each.name))
    for package in ordered:
        if package.kind == "conda":
            lines.append(f"{package.url}#sha256:{package.sha256}")
        else:
            lines.append(f"# pip install --no-deps '{package.name} @ {package.url}#sha256={package.sha256}'")
    return "\n".join(lines) + "\n"
