"""``@secrets``: sets environment variables from a secrets backend when the step starts.

Only the names of the secrets are stored with the run; their values exist only in the step's process.
"""

from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function, nearest
from airflow_conda_flow.flow.decorators.environment import VARIABLE
from airflow_conda_flow.flow.places import remote_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

    from airflow_conda_flow.flow.decorators.attribute_values import Several, Text
    from airflow_conda_flow.flow.decorators.base import Method
    from airflow_conda_flow.flow.flow_draft import FlowDraft
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue
    from airflow_conda_flow.records.graph import FlowGraph

    Source = str | Mapping[str, Any]
    Sources = Several[Source] | DelayedValue

AWS = "aws-secrets-manager"
AIRFLOW_CONNECTION = "airflow.connection"
AIRFLOW_VARIABLE = "airflow.variable"
TYPES = (AWS, AIRFLOW_CONNECTION, AIRFLOW_VARIABLE)
INLINE = "inline"
"""Type of a source whose variables are in the flow file itself, for tests.

These variables are not secret, and they are stored with the run.
"""

_ELSEWHERE = {
    "gcp-secret-manager": "airflow.providers.google.cloud.secrets.secret_manager.CloudSecretManagerBackend",
    "az-key-vault": "airflow.providers.microsoft.azure.secrets.key_vault.AzureKeyVaultBackend",
}
"""Types of Metaflow that Airflow reads with a secrets backend of its own, and the backend's class."""

_OPTIONS = ("json", "env_var_name", "region")


class SecretsDecorator(StepDecorator):
    """Give a step secrets as environment variables.

    Args:
        sources: list of texts or dicts. A text is ``"aws-secrets-manager.NAME"``, ``"NAME"`` for the same,
            ``"airflow.connection:ID"`` or ``"airflow.variable:KEY"``. A dict has ``type``, ``id``,
            ``options`` (``json``, ``env_var_name``, ``region``) and ``role``.
        role: AWS role to read the secrets with.
        allow_override: True if a secret may replace a variable that exists already.
    """

    name = "secrets"
    defaults: "dict[str, Any]" = {"sources": [], "role": None, "allow_override": False}

    def check(self) -> None:
        """Raise unless every source is valid; each becomes a dict."""
        sources = self.attributes["sources"]
        if not isinstance(sources, (list, tuple)) or not sources:
            self.fail('@secrets: sources is %r; write a list, such as sources=["my-secret"].' % (sources,))
        if not isinstance(self.attributes["allow_override"], bool):
            self.fail(
                "@secrets: allow_override is %r; write True or False." % (self.attributes["allow_override"],)
            )
        self._check_text("role", self.attributes["role"])
        self.attributes["sources"] = [self._source(each) for each in sources]

    def check_in_flow(self, step: "str | None", graph: "FlowGraph", draft: "FlowDraft") -> None:
        """Raise if secrets that only Airflow's workers know are used on another machine."""
        del graph
        remote = [each.name for each in draft.step_decorators[step or ""] if each.name in remote_names()]
        for source in self.attributes["sources"]:
            if remote and source["type"] not in (AWS, INLINE):
                self.fail(
                    "@secrets of step %r: %s:%s is known only to Airflow's workers, and @%s runs the step "
                    "elsewhere. Keep that secret in AWS Secrets Manager, or in a secret of Kubernetes with "
                    "@kubernetes(secrets=[...])." % (step, source["type"], source["id"], remote[0])
                )

    def _source(self, given: "Any") -> "dict[str, Any]":
        if isinstance(given, str):
            source = self._from_text(given)
        elif isinstance(given, dict):
            source = dict(given)
            for key in source:
                if key not in ("type", "id", "options", "role"):
                    self.fail(
                        "@secrets: a source has no %r.%s It takes: type, id, options, role."
                        % (key, nearest(str(key), ["type", "id", "options", "role"]))
                    )
        else:
            self.fail("@secrets: a source is %r; write a text or a dict." % (given,))
        kind = source.get("type", AWS)
        if kind in _ELSEWHERE:
            self._fail_elsewhere(kind)
        if kind not in TYPES and kind != INLINE:
            self.fail("@secrets: there is no type %r. There is: %s." % (kind, ", ".join(TYPES)))
        if not isinstance(source.get("id"), str) or not source["id"]:
            self.fail("@secrets: the source %r has no id, the secret's name." % (given,))
        self._check_text("role", source.get("role"))
        return {
            "type": kind,
            "id": source["id"],
            "options": self._options(source.get("options") or {}, kind),
            "role": source.get("role") or self.attributes["role"],
        }

    def _fail_elsewhere(self, kind: str) -> "NoReturn":
        self.fail(
            "@secrets: %s is read through Airflow: write airflow.variable:KEY or airflow.connection:ID, and "
            "set Airflow's [secrets] backend to %s." % (kind, _ELSEWHERE[kind])
        )

    def _from_text(self, text: str) -> "dict[str, Any]":
        for kind, mark in ((AIRFLOW_CONNECTION, ":"), (AIRFLOW_VARIABLE, ":"), (AWS, ".")):
            if text.startswith(kind + mark):
                return {"type": kind, "id": text[len(kind) + 1 :]}
        for kind in _ELSEWHERE:
            if text.startswith(kind + "."):
                self._fail_elsewhere(kind)
        if text.startswith("airflow."):
            self.fail(
                "@secrets: %r is not a source; write airflow.connection:ID or airflow.variable:KEY." % (text,)
            )
        return {"type": AWS, "id": text}

    def _options(self, options: "Any", kind: str) -> "dict[str, Any]":
        if not isinstance(options, dict):
            self.fail("@secrets: options is %r; write a dict." % (options,))
        if kind == INLINE:
            return {"env_vars": self._variables(options.get("env_vars", {}))}
        for key in options:
            if key not in _OPTIONS:
                self.fail(
                    "@secrets: there is no option %r.%s There is: %s."
                    % (key, nearest(str(key), _OPTIONS), ", ".join(_OPTIONS))
                )
        name = options.get("env_var_name")
        if name is not None and not (isinstance(name, str) and VARIABLE.match(name)):
            self.fail(
                "@secrets: env_var_name is %r, which is not a name of an environment variable." % (name,)
            )
        return dict(options)

    def _variables(self, given: "Any") -> "dict[str, str]":
        if not isinstance(given, dict) or not all(
            isinstance(name, str) and VARIABLE.match(name) and isinstance(value, str)
            for name, value in given.items()
        ):
            self.fail("@secrets: env_vars is %r; write a dict of names and texts." % (given,))
        return dict(given)

    def _check_text(self, name: str, value: "Any") -> None:
        if value is not None and not isinstance(value, str):
            self.fail("@secrets: %s is %r; write a text." % (name, value))


if TYPE_CHECKING:

    def secrets(
        __method: "Method | None" = None,
        *,
        sources: "Sources" = ...,
        role: "Text" = None,
        allow_override: "bool | DelayedValue" = False,
    ) -> "Method":
        """Give a step secrets as environment variables; see ``SecretsDecorator``."""

else:
    secrets = decorator_function(SecretsDecorator)
