"""``IncludeFile``: a parameter whose value is the content of a file when the run starts."""

import os

from airflow_conda_flow.errors import FlowDefinitionError, ParameterError
from airflow_conda_flow.flow.generic import Generic
from airflow_conda_flow.flow.own_path import folder_of
from airflow_conda_flow.flow.parameters.parameters import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypedDict, overload

    from typing_extensions import Self, TypeVar, Unpack

    from airflow_conda_flow.flow.parameters.default_context import DefaultContext

    Content = TypeVar("Content", default=Any)
    Path = str | os.PathLike[str] | Callable[[DefaultContext], str]
    Parser = Callable[[str], Content] | Callable[[bytes], Content]

    class Options(TypedDict, total=False):
        """Options that do not affect the type of the content."""

        encoding: str | None
        help: str | None
        show_default: bool | None
else:
    Content = None

_REMOTE = "s3://"


class FileToInclude:
    """File that a run was given. It is read when the run is prepared.

    Attributes:
        location: an absolute path, or ``s3://bucket/key``.
        parameter: the parameter that has this file as its value.
    """

    def __init__(self, location: str, parameter: "IncludeFile") -> None:
        self.location = location
        self.parameter = parameter

    @property
    def is_remote(self) -> bool:
        """True if the file is an object in S3."""
        return self.location.startswith(_REMOTE)

    def content(self, read_remote: "Callable[[str], bytes]") -> "str | bytes":
        """Content of the file: a text, or bytes if the parameter has ``is_text=False``.

        Args:
            read_remote: returns the bytes of an object in S3.

        Raises:
            ParameterError: the file cannot be read, or does not have the parameter's encoding.
        """
        data = read_remote(self.location) if self.is_remote else self._read()
        if not self.parameter.is_text:
            return data
        try:
            return data.decode(self.parameter.encoding)
        except UnicodeDecodeError as error:
            raise ParameterError(
                "Parameter %r: the file %s is not a text in %s (%s). Write is_text=False for bytes, or "
                "encoding=..." % (self.parameter.name, self.location, self.parameter.encoding, error)
            ) from error

    def _read(self) -> bytes:
        try:
            with open(self.location, "rb") as file:
                return file.read()
        except OSError as error:
            raise ParameterError(
                "Parameter %r: the file %s cannot be read: %s."
                % (self.parameter.name, self.location, error.strerror)
            ) from error


class IncludeFile(Parameter, Generic[Content]):
    """File as a parameter: a run is given the path, and steps read the content.

    The path is a path on the machine that launches the run or, in a DAG, on the worker that prepares the
    run. ``s3://bucket/key`` works everywhere.

    Args:
        name: the name for users; in steps, the attribute of the class is its name.
        required: True if a file must be given; no effect if there is a default.
        is_text: True if ``self.x`` is a text, False if it is bytes.
        encoding: encoding of the text.
        help: one sentence.
        parser: a function of the content that returns the value of ``self.x``, or its dotted name. It runs
            in the step, when ``self.x`` is first read.
        default: path of the file to use if none is given, relative to the flow file or else to the working
            directory; or a function of one argument that returns the path.
        show_default: True if ``--help`` shows the default.

    Raises:
        FlowDefinitionError: an argument is wrong; the error names the line.
    """

    options: "dict[str, Any]" = {
        "default": None,
        "help": None,
        "required": None,
        "show_default": None,
        "is_text": None,
        "encoding": None,
        "parser": None,
    }

    if TYPE_CHECKING:
        # One signature for each kind of content. If a file is optional, the content may be None.

        @overload
        def __init__(
            self: "IncludeFile[Content]",
            name: str,
            *,
            default: "Path",
            required: bool = ...,
            parser: "Parser[Content]",
            is_text: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "IncludeFile[Content]",
            name: str,
            *,
            required: "Literal[True]",
            parser: "Parser[Content]",
            is_text: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "IncludeFile[Content | None]",
            name: str,
            *,
            parser: "Parser[Content]",
            is_text: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "IncludeFile[Any]",
            name: str,
            *,
            parser: str,
            default: "Path" = ...,
            required: bool = ...,
            is_text: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "IncludeFile[bytes]",
            name: str,
            *,
            default: "Path",
            required: bool = ...,
            is_text: "Literal[False]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "IncludeFile[bytes]",
            name: str,
            *,
            required: "Literal[True]",
            is_text: "Literal[False]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "IncludeFile[bytes | None]",
            name: str,
            *,
            is_text: "Literal[False]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "IncludeFile[str]",
            name: str,
            *,
            default: "Path",
            required: bool = ...,
            is_text: "Literal[True]" = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "IncludeFile[str]",
            name: str,
            *,
            required: "Literal[True]",
            is_text: "Literal[True]" = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "IncludeFile[str | None]",
            name: str,
            *,
            is_text: "Literal[True]" = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

    def __init__(
        self,
        name: str,
        required: "bool | None" = None,
        is_text: "bool | None" = None,
        encoding: "str | None" = None,
        help: "str | None" = None,  # noqa: A002 - Metaflow's name
        parser: "Any" = None,
        **further: "Any",
    ) -> None:
        self._begin(name)
        self.is_text = True
        self.encoding = "utf-8"
        self.parser: "str | Callable[[Any], Any] | None" = None
        stated = {
            "required": required,
            "is_text": is_text,
            "encoding": encoding,
            "help": help,
            "parser": parser,
        }
        self._take(dict(further, **{key: value for key, value in stated.items() if value is not None}))

    @property
    def type_name(self) -> str:
        """Name of the type in messages and ``--help``."""
        return "file"

    @property
    def expected(self) -> str:
        """Description of valid values."""
        return "the path of a file, or s3://bucket/key"

    if TYPE_CHECKING:

        @overload
        def __get__(self, flow: None, owner: "type | None" = None) -> "Self": ...

        @overload
        def __get__(self, flow: object, owner: "type | None" = None) -> "Content": ...

        def __get__(self, flow: "Any", owner: "type | None" = None) -> "Any":
            """Parameter if read from the class, content if read in a step."""

    def load(self, value: "Any") -> "Any":
        """Value of ``self.x`` in a step: the content, parsed if there is a parser."""
        if self.parser is None or value is None:
            return value
        return call_parser(self.parser, value, "Parameter %r" % self.name)

    def _settle(self, options: "dict[str, Any]") -> None:
        if options["is_text"] is not None:
            self.is_text = bool(options["is_text"])
        self.encoding = options["encoding"] or "utf-8"
        self.parser = options["parser"]
        try:
            "".encode(self.encoding)
        except (LookupError, TypeError):
            self.fail("has the encoding %r, which does not exist. Write one such as 'utf-8'." % self.encoding)
        if self.parser is not None and not isinstance(self.parser, str) and not callable(self.parser):
            self.fail("has the parser %r; write a function, or its dotted name." % (self.parser,))
        if self.default is not None and not callable(self.default) and not _is_path(self.default):
            self.fail("has the default %r; write the path of a file." % (self.default,))

    def value(self, context: "Any" = None) -> "Any":
        """File of the default; None if there is no default."""
        path = self.default if not callable(self.default) else super().value(context)
        if path is None or isinstance(path, FileToInclude):
            return path
        own = folder_of(self.file)
        # That of the flow file comes first: a base class in another directory leaves the file to its flows.
        folder = own if context is None or context.folder is None else context.folder
        return self._file(str(path), [folder, own, os.getcwd()])

    def _convert(self, given: "Any") -> "Any":
        if not _is_path(given):
            raise TypeError
        return self._file(str(given), [os.getcwd(), folder_of(self.file)])

    def _file(self, path: str, folders: "list[str]") -> "FileToInclude":
        if path.startswith(_REMOTE):
            return FileToInclude(path, self)
        candidates = [os.path.join(folder, os.path.expanduser(path)) for folder in folders]
        for candidate in candidates:
            if os.path.isfile(candidate):
                return FileToInclude(candidate, self)
        raise ParameterError("Parameter %r: there is no file %s." % (self.name, candidates[0]))


def call_parser(parser: "Any", content: "Any", what: str) -> "Any":
    """Result of a parser for a content.

    Args:
        parser: a function, or the dotted name of one.
        content: a text or bytes.
        what: the parameter or config, as messages name it.

    Raises:
        FlowDefinitionError: there is no such function.
        ParameterError: the function fails.
    """
    function = _function(parser, what) if isinstance(parser, str) else parser
    try:
        return function(content)
    except Exception as error:
        raise ParameterError(
            "%s: its parser %s fails: %s: %s"
            % (what, getattr(function, "__name__", function), type(error).__name__, error)
        ) from error


def _function(name: str, what: str) -> "Any":
    import importlib  # noqa: PLC0415 - few parsers are given by name

    module_name, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise FlowDefinitionError(
            "%s: its parser %r cannot be imported: %s. Write the function itself, or "
            "'module.function'." % (what, name, error)
        ) from error
    return found


def _is_path(value: "Any") -> bool:
    return (isinstance(value, str) and bool(value)) or hasattr(value, "__fspath__")
