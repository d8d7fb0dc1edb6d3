"""Settings that do not depend on where steps run."""

from __future__ import annotations

from airflow_conda_flow.settings.option import Option

HOME = "~/.airflow-conda-flow"
"""Directory for the defaults of the local datastore and the cache."""

GENERAL_OPTIONS = (
    Option(
        "datastore",
        "local",
        "Where artifacts, locks and code packages are kept: a local directory, or S3.",
        aliases=("METAFLOW_DEFAULT_DATASTORE",),
        choices=("local", "s3"),
    ),
    Option(
        "datastore_root",
        "",
        "The directory, or s3://bucket/prefix, of the datastore. "
        f"Empty: {HOME}/datastore for the local one; S3 has no default.",
    ),
    Option(
        "datatools_s3root",
        "",
        "Where S3(run=...) of a flow keeps objects: s3://bucket/prefix. "
        "Empty: in data/ below the root of an S3 datastore.",
        aliases=("METAFLOW_DATATOOLS_S3ROOT",),
    ),
    Option(
        "cache_dir",
        f"{HOME}/cache",
        "The directory of this machine's cache: locks, packages and environments. "
        "All of it can be made again from an S3 datastore.",
    ),
    Option(
        "channels",
        "conda-forge",
        "The conda channels, best first, separated by commas: names, URLs or directories.",
        aliases=("CONDA_CHANNELS", "METAFLOW_CONDA_CHANNELS"),
    ),
    Option(
        "resolver",
        "rattler",
        "What solves environments: py-rattler in process, or an executable of that name on PATH.",
        aliases=("METAFLOW_CONDA_DEPENDENCY_RESOLVER",),
        choices=("rattler", "conda", "mamba", "micromamba"),
    ),
    Option(
        "resolver_seconds",
        "1800",
        "How many seconds conda, mamba or micromamba may take for one environment; then it is ended.",
        kind="integer",
    ),
    # glibc 2.28 is that of RHEL 8 and Debian 10. Machines with an older one refuse to run steps, so a higher
    # default would exclude more machines, and a lower one the packages that need 2.28.
    Option(
        "glibc",
        "2.28",
        "The version of glibc that Linux environments are solved for: the oldest of all machines "
        "that run steps.",
        aliases=("CONDA_OVERRIDE_GLIBC",),
    ),
    Option(
        "cuda",
        "",
        "The version of CUDA that environments are solved for, such as 12.4. Empty: none.",
        aliases=("CONDA_OVERRIDE_CUDA",),
    ),
    Option(
        "archspec",
        "",
        "The microarchitecture that environments are solved for, such as x86_64_v3: the lowest of all "
        "machines that run steps. Empty: none, so that only packages are taken that run on all of them.",
        aliases=("CONDA_OVERRIDE_ARCHSPEC",),
    ),
    # Higher would exclude older Macs, lower the packages that need macOS 13.
    Option(
        "osx",
        "13.0",
        "The version of macOS that environments for macOS are solved for.",
        aliases=("CONDA_OVERRIDE_OSX",),
    ),
    Option(
        "remote_platform",
        "linux-64",
        "The platform of steps on Kubernetes and Batch; steps on this machine have its own.",
        choices=("linux-64", "linux-aarch64"),
    ),
    Option(
        "channel_conn_id",
        "",
        "Airflow connections with the credentials for private channels, separated by commas. "
        "Used under Airflow alone; elsewhere they come from netrc, rattler's or conda's own files.",
    ),
    Option(
        "aws_conn_id",
        "",
        "The Airflow connection that holds the credentials for an S3 datastore. "
        "Empty: boto3's default chain. Used under Airflow alone.",
    ),
    Option(
        "step_credentials",
        "false",
        "Whether steps get the credentials for AWS that their runner has in environment variables, where the "
        "datastore is in S3. @aws_credentials asks for those of one step.",
        choices=("true", "false"),
    ),
    Option(
        "package_suffixes",
        "",
        "Endings of files beside the flow file, and below, that its code package has as well as .py, "
        "separated by commas, such as .sql,.yaml.",
        aliases=("METAFLOW_DEFAULT_PACKAGE_SUFFIXES",),
    ),
    Option(
        "package_modules",
        "",
        "Names of modules and packages that are not beside the flow file and that its code package has too, "
        "separated by commas, such as company_lib,tools.",
    ),
    Option(
        "default_decorators",
        "",
        "Decorators for every step, separated by spaces, as --with takes them. Used on the command line "
        "alone; a DAG has dag(decorators=[...]).",
        aliases=("METAFLOW_DEFAULT_DECOSPECS",),
    ),
    Option(
        "branch",
        "",
        "The branch of flows with @project. Empty: that of the user, or of production.",
        aliases=("METAFLOW_BRANCH",),
    ),
    Option(
        "production",
        "false",
        "Whether flows with @project are on a branch of production.",
        aliases=("METAFLOW_PRODUCTION",),
        choices=("true", "false"),
    ),
    Option(
        "project_user",
        "airflow",
        "The user in the ids of DAGs with @project that are on no branch, such as "
        "my_project.user.airflow.my_flow. Used under Airflow alone.",
    ),
)
