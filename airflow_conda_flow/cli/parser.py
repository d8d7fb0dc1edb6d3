"""Argument parser of a flow file's command line: its options and commands."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any, NoReturn

from airflow_conda_flow._version import __version__
from airflow_conda_flow.cli.commands import COMMANDS
from airflow_conda_flow.cli.config_options import add_config_options, configs_of
from airflow_conda_flow.cli.refused import ENVIRONMENTS, refused_command, refused_option
from airflow_conda_flow.cli.trigger_option import add_trigger_option
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.long_words import readable
from airflow_conda_flow.settings.loading import Settings, load_settings, project_place, unknown_variables

_NO_CHOICE = re.compile(
    r"argument COMMAND: invalid choice: '(?P<word>.*)' \(choose from (?P<choices>.*)\)$", re.DOTALL
)
"""Message of argparse for an unknown command; it offers no other way to recognise one."""

_NEGATIVE = re.compile(r"-(\d|\.\d|inf\b|nan\b|Infinity\b)")

# ``pypi`` is accepted too, and means ``conda``.
_ENVIRONMENTS = ("local", "conda")
_NO_EFFECT = ("--metadata", "--event-logger", "--monitor", "--max-log-size")
_NO_EFFECT_FLAGS = ("--pylint", "--no-pylint", "--not-quiet")
"""Metaflow's options for parts that this package lacks. They are accepted, because scripts pass them."""

_BEFORE_SOME = (
    ("--with", "decorators_before", ("run", "resume", "spin", "environment", "kubernetes", "batch")),
    ("--trigger", "trigger", ("run", "resume")),
)
"""Options before the command that only some commands use: the option, its attribute, and the commands.

Settings such as ``--datastore`` may precede any command, because scripts for Metaflow always pass them.
"""

Execute = Callable[[argparse.Namespace, FlowDefinition], int]


class FlowArgumentParser(argparse.ArgumentParser):
    """Argument parser whose usage errors suggest the nearest existing command or option.

    Args:
        command: the command whose subcommands it parses; empty for any other parser.
        kwargs: those of argparse.
    """

    def __init__(self, *, command: str = "", **kwargs: Any) -> None:
        self._command = command
        # An abbreviated option would become ambiguous when a flow gets a parameter of a similar name.
        super().__init__(allow_abbrev=False, **kwargs)
        # argparse knows -1 and -.5 as values, but not -1e-3, -1_000, -1,2 or -inf.
        self._negative_number_matcher = _NEGATIVE
        self._words: list[str] = []

    def parse_known_args(  # type: ignore[override]  # overloads of the same
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the words, and keep them for messages."""
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print one message and end the process with exit code 2."""
        if found := _NO_CHOICE.match(message):
            word, choices = found["word"], re.findall(r"[\w-]+", found["choices"])
            near = difflib.get_close_matches(word, choices, n=1)
            hint = refused_command(self._command, word) or (f" Did you mean {near[0]}?" if near else "")
            message = (
                self._option_before_command()
                or f"no such command: {word}.{hint} There is: {', '.join(choices)}."
            )
        sys.stderr.write(f"{self.prog}: {readable(message)}\nTry: {self.prog} --help\n")
        sys.exit(2)

    def take_late_words(self, arguments: argparse.Namespace, unknown: list[str]) -> None:
        """Assign words that follow an option to optional positional arguments.

        argparse decides too early that these were left out: in ``card get STEP --id a FILE`` it takes
        ``FILE`` for an unknown word. Words that were assigned are removed from ``unknown``.
        """
        for action in self._actions:
            is_free = not action.option_strings and action.nargs == argparse.OPTIONAL
            if is_free and unknown and getattr(arguments, action.dest) is action.default:
                if unknown[0].startswith("-"):
                    return
                setattr(arguments, action.dest, unknown.pop(0))

    def _option_before_command(self) -> str:
        """Message about an unknown option before the command; argparse takes its value for the command."""
        options, commands = _options_and_commands(self)
        values = 0  # of the option before
        for number, word in enumerate(self._words):
            if values:
                values -= 1
                continue
            name = word.partition("=")[0]
            if not name.startswith("--") or name == "--":
                return ""
            if name not in options:
                return f"no such option: {word}.{self._later_place(commands, self._words[number:])}"
            nargs = options[name].nargs
            values = 0 if name != word else nargs if isinstance(nargs, int) else int(nargs is None)
        return ""

    def _later_place(self, commands: Mapping[str, argparse.ArgumentParser], words: Sequence[str]) -> str:
        """Hint for the first word, an option: the command behind which it belongs, or the nearest option."""
        command: argparse.ArgumentParser = self
        for word in words[1:]:
            if word in commands:
                command = commands[word]
                commands = _options_and_commands(command)[1]
        return _behind_command(self, command, words[0]) or self.nearest_option(words[0], command)

    def nearest_option(self, word: str, command: argparse.ArgumentParser | None = None) -> str:
        """Hint for an unknown option, such as ``" Did you mean --x?"``, or the empty string.

        Args:
            word: the option.
            command: the command that comes later, whose options may be meant too.
        """
        if refused := refused_option(word):
            return refused
        known = dict.fromkeys(option for action in self._actions for option in action.option_strings)
        later = {} if command is None else _options_and_commands(command)[0]
        nearest = difflib.get_close_matches(word.partition("=")[0], [*known, *later], n=1)
        if not nearest:
            return ""
        place = "" if command is None or nearest[0] in known else _behind_command(self, command, nearest[0])
        return f" Did you mean {nearest[0]}?{place}"


def chosen_settings(arguments: argparse.Namespace) -> Settings:
    """Settings in force, including those from the command line."""
    names = ("datastore", "datastore_root", "cache_dir", "channels", "resolver", "package_suffixes")
    say_unknown_variables()
    return load_settings({name: getattr(arguments, name) for name in names})


@cache
def say_unknown_variables() -> None:
    """Print a line for each environment variable that looks like a setting and is none, once."""
    for name, nearest in unknown_variables(os.environ).items():
        hint = f" Did you mean {nearest}?" if nearest else ""
        line = f"The environment variable {name} is not a setting and has no effect.{hint}"
        sys.stderr.write(f"{readable(line)}\n")


def given_decorators(arguments: argparse.Namespace) -> list[str]:
    """Decorators for every step: those of ``--with``, then those of the setting ``default_decorators``."""
    default = chosen_settings(arguments).texts["default_decorators"].text.split()
    return [*arguments.decorators_before, *getattr(arguments, "decorators", []), *default]


READERS = ("--datastore", "--datastore-root")
"""Common options of commands that read runs."""

LOCKERS = (*READERS, "--cache-dir", "--channels", "--resolver")
"""Common options of commands that make environments."""

RUNNERS = (*LOCKERS, "--environment", "--package-suffixes", "--quiet")
"""Common options of commands that run steps: all of them."""


def add_common_options(
    parser: argparse.ArgumentParser,
    *,
    inherited: bool,
    taken: Collection[str] = (),
    used: Collection[str] = RUNNERS,
) -> None:
    """Add the options that may be written before and after the command.

    Args:
        parser: parser of the flow file or of one command.
        inherited: keep a value that was given before the command.
        taken: names of the flow's parameters; options of these names may be written before the command only.
        used: options that the command uses; Metaflow's options without effect are added in any case.
    """

    # A command's parser fills the same namespace after the flow file's parser. With SUPPRESS it has no
    # defaults, so it does not overwrite values from before the command.
    def add(name: str, default: Any = None, **kwargs: Any) -> None:
        if name.removeprefix("--") not in taken and name in (*used, *_NO_EFFECT, *_NO_EFFECT_FLAGS):
            parser.add_argument(name, default=argparse.SUPPRESS if inherited else default, **kwargs)

    add(
        "--environment",
        type=_given_environment,
        choices=_ENVIRONMENTS,
        default=_default_environment(),
        help="conda, or pypi: every step in its own environment; local: in this interpreter",
    )
    add("--datastore", metavar="KIND", help="where artifacts are kept: local or s3")
    add("--datastore-root", metavar="ROOT", help="a directory, or s3://bucket/prefix")
    add("--cache-dir", metavar="DIR", help="this machine's cache of packages and environments")
    add("--channels", metavar="NAMES", help="conda channels, separated by commas")
    add("--package-suffixes", metavar="ENDINGS", help="more files beside the flow's, such as .sql,.yaml")
    add("--resolver", metavar="NAME", help="rattler, conda, mamba or micromamba")
    add(
        "--quiet",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="print no progress and no notes; lines of tasks, warnings and errors stay",
    )
    for name in _NO_EFFECT:
        add(name, default=argparse.SUPPRESS, dest="no_effect", help=argparse.SUPPRESS)
    for name in _NO_EFFECT_FLAGS:
        add(name, default=argparse.SUPPRESS, dest="no_effect", action="store_true", help=argparse.SUPPRESS)


def _given_environment(name: str) -> str:
    if name in ENVIRONMENTS:
        raise argparse.ArgumentTypeError(f"Metaflow's {name} is not here: {ENVIRONMENTS[name]}.")
    return _environment(name)


def _environment(name: str) -> str:
    return "conda" if name == "pypi" else name  # our conda environments hold PyPI packages too


def _default_environment() -> str:
    """Environment that ``METAFLOW_DEFAULT_ENVIRONMENT`` names; ``local`` if it is not set.

    Raises:
        SettingError: the variable names another environment.
    """
    name = os.environ.get("METAFLOW_DEFAULT_ENVIRONMENT") or "local"
    if _environment(name) not in _ENVIRONMENTS:
        raise SettingError(f"METAFLOW_DEFAULT_ENVIRONMENT is {name!r}; write local, conda or pypi.")
    return _environment(name)


def build_parser(definition: FlowDefinition, words: Collection[str] | None = None) -> FlowArgumentParser:
    """Parser of a flow's command line, with all commands.

    Args:
        definition: the flow.
        words: what it will parse. Commands that are not among them have no options: their modules are not
            imported, which would be more than half of the time that a short command takes.
    """
    parser = FlowArgumentParser(
        prog=definition.started_by,
        description=definition.graph.doc or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"airflow-conda-flow {__version__}")
    add_common_options(parser, inherited=False)
    if definition.has_project:
        add_project_options(parser, inherited=False)
    add_trigger_option(parser, definition, inherited=False)
    add_config_options(parser, configs_of(definition.flow_class))
    parser.add_argument(
        "--with",
        dest="decorators_before",
        action="append",
        default=[],
        metavar="DECORATOR",
        help="give every step a decorator",
    )
    parser.add_argument("--keywords-file", help=argparse.SUPPRESS)  # passed by Runner
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", parser_class=FlowArgumentParser
    )
    for each in COMMANDS:
        command = commands.add_parser(
            each.name,
            command=each.name,
            help=each.help,
            description=each.help,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if words is None or each.name in words:
            _complete(command, each.name, each.load(), definition)
    return parser


def _complete(command: FlowArgumentParser, name: str, module: Any, definition: FlowDefinition) -> None:
    """Add the options of a command to its parser."""
    # Only ``run`` has the parameters as options.
    taken = [parameter.name for parameter in definition.parameters] if name == "run" else []
    add_common_options(command, inherited=True, taken=taken, used=module.COMMON)
    runs = module.COMMON == RUNNERS
    if runs and definition.has_project and not {"branch", "production"} & set(taken):
        add_project_options(command, inherited=True)
    if not {"config", "config-value"} & set(taken):
        add_config_options(command, configs_of(definition.flow_class))
    module.add_arguments(command, definition)
    command.set_defaults(execute=module.execute, command_parser=command)


def add_project_options(parser: argparse.ArgumentParser, *, inherited: bool) -> None:
    """Add the options that choose the branch of the flow's project.

    Args:
        parser: parser of the flow file or of one command.
        inherited: keep a value that was given before the command.
    """
    parser.add_argument(
        "--branch",
        default=argparse.SUPPRESS if inherited else None,
        metavar="NAME",
        help="the branch of the project: test.NAME, or with --production prod.NAME",
    )
    parser.add_argument(
        "--production",
        action="store_true",
        default=argparse.SUPPRESS if inherited else False,
        help="the branch is one of production",
    )


def take_project(arguments: argparse.Namespace, definition: FlowDefinition) -> None:
    """Set the flow's project branch from the command line, else from the settings."""
    if definition.has_project:
        branch, production, _ = project_place()
        definition.branch = arguments.branch or branch
        definition.production = arguments.production or production


def parse(parser: FlowArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Parsed command line. A usage error ends the process with exit code 2."""
    arguments, unknown = parser.parse_known_args(_with_values_joined(parser, argv))
    command: FlowArgumentParser = getattr(arguments, "command_parser", parser)
    command.take_late_words(arguments, unknown)
    if unknown:
        hint = (
            _place(parser, unknown[0])
            or _behind_command(parser, command, unknown[0])
            or command.nearest_option(unknown[0])
        )
        command.error(f"no such option: {unknown[0]}.{hint}")
    if command is not parser:
        for option, dest, users in _BEFORE_SOME:
            if getattr(arguments, dest, None) and arguments.command not in users:
                command.error(
                    f"{option} has no effect on {arguments.command!r}. It is for: {', '.join(users)}."
                )
    return arguments


def _with_values_joined(parser: FlowArgumentParser, argv: Sequence[str]) -> list[str]:
    """The words, with ``--name -value`` as ``--name=-value`` where ``-value`` is no option.

    argparse takes every word that begins with a minus for an option. One that begins with two is left to it:
    that is more often a misspelt option.
    """
    words: list[str] = []
    options, commands = _options_and_commands(parser)
    action: argparse.Action | None = None  # of the word before, if that is an option that takes one value
    for number, word in enumerate(argv):
        if word == "--":
            return [*words, *argv[number:]]
        is_value = word.startswith("-") and not word.startswith("--") and len(word) > 1
        if action is not None and is_value and word not in options:
            words[-1] += f"={word}"
            action = None
            continue
        if action is None and word in commands:
            more, commands = _options_and_commands(commands[word])
            options = {**options, **more}
        words.append(word)
        action = None if action is not None and word not in options else options.get(word)
        if action is not None and action.nargs is not None:
            action = None
    return words


def _options_and_commands(
    parser: argparse.ArgumentParser,
) -> tuple[dict[str, argparse.Action], dict[str, argparse.ArgumentParser]]:
    options, commands = {}, {}
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        options.update(dict.fromkeys(action.option_strings, action))
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - see above
            commands.update(action.choices)
    return options, commands


def _behind_command(parser: FlowArgumentParser, command: argparse.ArgumentParser, word: str) -> str:
    """Hint for an option of a command that was written before it; the empty string for any other word."""
    if command is parser or word.partition("=")[0] not in _options_and_commands(command)[0]:
        return ""
    return f" Write it after {command.prog.removeprefix(parser.prog).strip()}."


def _place(parser: FlowArgumentParser, word: str) -> str:
    """Hint for an option that the flow file takes, but not this command."""
    known = {option for action in parser._actions for option in action.option_strings}  # noqa: SLF001
    return " This command does not use it." if word.split("=", maxsplit=1)[0] in known else ""
