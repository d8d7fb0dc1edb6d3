"""Parameters, files and configs: ``self.x`` has the type of the value."""

from typing import Any

from typing_extensions import assert_type

from airflow_conda_flow import (
    Config,
    ConfigValue,
    FlowSpec,
    IncludeFile,
    JSONType,
    Parameter,
    conda_environment_yml_parser,
    step,
)
from airflow_conda_flow.flow.parameters.default_context import DefaultContext


def user_name(context: DefaultContext) -> str:
    """A default that is computed when a run starts."""
    return context.user_name


def lines_of(text: str) -> list[str]:
    """A parser."""
    return text.splitlines()


class ValuesFlow(FlowSpec):
    """Every way to write a value."""

    settings = Config("settings", default_value={"alpha": 1, "limits": {}})
    libraries = Config("libraries", default="environment.yml", parser=conda_environment_yml_parser)
    names = Config("names", default_value="a", parser=lines_of, plain=True)
    note = Config("note", default_value="hello", plain=True)

    alpha = Parameter("alpha", default=0.5, help="the learning rate", minimum=0, maximum=1)
    rows = Parameter("rows", default=3, show_default=False)
    rate = Parameter("rate", type=float, default=1)
    kind = Parameter("kind", default="x", choices=["x", "y"])
    fast = Parameter("fast", default=True)
    flag = Parameter("flag", is_flag=True)
    limit = Parameter("limit", type=int)
    other_limit = Parameter("other_limit", type=int, default=None)
    needed = Parameter("needed", type=int, required=True)
    title = Parameter("title")
    needed_title = Parameter("needed_title", required=True, help="the title")
    user = Parameter("user", default=user_name)
    length = Parameter("length", type=int, default=lambda context: len(context.flow_name))
    words = Parameter("words", default="a,b", separator=",")
    more_words = Parameter("more_words", separator=",")
    sizes = Parameter("sizes", default=[1, 2], multiple=True)
    more_sizes = Parameter("more_sizes", type=int, multiple=True)
    options = Parameter("options", type=JSONType, default='{"a": 1}')
    mapping = Parameter("mapping", default={"a": 1})
    configured = Parameter("configured", default=settings.alpha)
    typed = Parameter("typed", type=int, default=settings.alpha)
    limited = Parameter("limited", type=int, **settings.limits)
    unpacked = Parameter("unpacked", **settings["limits"])
    either = Parameter("either", **settings.limits)

    data = IncludeFile("data", default="data.csv")
    raw = IncludeFile("raw", is_text=False, required=True)
    parsed = IncludeFile("parsed", default="names.txt", parser=lines_of)
    maybe = IncludeFile("maybe", help="a file that may be left out")

    @step
    def start(self) -> None:
        """Read all of them."""
        assert_type(self.settings, ConfigValue)
        assert_type(self.settings.alpha, Any)
        assert_type(self.settings.to_dict(), dict[str, Any])
        assert_type(self.libraries, ConfigValue)
        assert_type(self.names, list[str])
        assert_type(self.note, str)

        assert_type(self.alpha, float)
        assert_type(self.rows, int)
        assert_type(self.rate, float)
        assert_type(self.kind, str)
        assert_type(self.fast, bool)
        assert_type(self.flag, bool)
        assert_type(self.limit, int | None)
        assert_type(self.other_limit, int | None)
        assert_type(self.needed, int)
        assert_type(self.title, str | None)
        assert_type(self.needed_title, str)
        assert_type(self.user, str)
        assert_type(self.length, int)
        assert_type(self.words, list[str])
        assert_type(self.more_words, list[str] | None)
        assert_type(self.sizes, tuple[int, ...])
        assert_type(self.more_sizes, tuple[int, ...] | None)
        assert_type(self.options, Any)
        assert_type(self.mapping, dict[str, Any])
        assert_type(self.configured, Any)
        assert_type(self.typed, int)
        assert_type(self.limited, int)
        assert_type(self.unpacked, Any)
        assert_type(self.either, Any)

        assert_type(self.data, str)
        assert_type(self.raw, bytes)
        assert_type(self.parsed, list[str])
        assert_type(self.maybe, str | None)
        self.next(self.end)

    @step
    def end(self) -> None:
        """The class has the parameter itself."""
        assert_type(type(self).alpha, Parameter[float])
