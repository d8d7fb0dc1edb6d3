"""What a step puts on its card: plain data with a ``kind``, made into HTML outside the step's environment."""

import base64
import io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_LONGEST_REPR = 5000
_MOST_ROWS = 1000
_MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "image/svg+xml"),
)


class CardComponent:
    """A part of a card. A subclass of one's own has a ``render`` that gives what another part's gives."""

    REALTIME_UPDATABLE = False
    component_id: "str | None" = None

    def to_dict(self) -> "dict[str, Any]":
        """The part as JSON."""
        rendered = None if type(self).render is CardComponent.render else self.render()
        if isinstance(rendered, dict) and "kind" in rendered:
            return rendered
        if isinstance(rendered, str):
            return {"kind": "markdown", "text": rendered}
        raise TypeError("%s is no component that a card can show." % type(self).__name__)

    def render(self) -> "Any":
        """What a card of one's own type gets of it; a subclass may give HTML."""
        return self.to_dict()


class Markdown(CardComponent):
    """Text in Markdown; HTML in it shows as text."""

    def __init__(self, text: "str | None" = None) -> None:
        self.text = text or ""

    def update(self, text: str) -> None:
        """Show another text from the next refresh on."""
        self.text = text

    def to_dict(self) -> "dict[str, Any]":
        """The part as JSON."""
        return {"kind": "markdown", "text": str(self.text)}


class Artifact(CardComponent):
    """A value as Python shows it.

    Args:
        artifact: the value.
        name: what it is called.
        compressed: taken for the sake of flows that set it; long values are always cut.
    """

    def __init__(self, artifact: "Any", name: "str | None" = None, compressed: bool = True) -> None:
        del compressed
        self.artifact = artifact
        self.name = name

    def update(self, artifact: "Any") -> None:
        """Show another value from the next refresh on."""
        self.artifact = artifact

    def to_dict(self) -> "dict[str, Any]":
        """The part as JSON."""
        return {"kind": "artifact", "name": self.name, "text": _shown(self.artifact)}


class Table(CardComponent):
    """Rows of values or of other parts.

    Args:
        data: rows, each a list.
        headers: the names of the columns.
        disable_updates: taken for the sake of flows that set it.
    """

    def __init__(self, data: "Any" = None, headers: "Any" = None, disable_updates: bool = False) -> None:
        del disable_updates
        self.data = data or []
        self.headers = headers or []

    @classmethod
    def from_dataframe(cls, dataframe: "Any" = None, truncate: bool = True) -> "Table":
        """The rows of a pandas data frame; the first thousand unless ``truncate`` is false."""
        shown = dataframe.head(_MOST_ROWS) if truncate else dataframe
        rows = [[index] + list(row) for index, row in zip(shown.index, shown.values.tolist())]
        return cls(rows, [""] + [str(name) for name in shown.columns])

    def to_dict(self) -> "dict[str, Any]":
        """The part as JSON."""
        rows = [[_cell(value) for value in row] for row in self.data]
        return {"kind": "table", "headers": [str(each) for each in self.headers], "rows": rows}


class Image(CardComponent):
    """A picture.

    Args:
        src: its bytes, as PNG, JPEG, GIF, BMP, WebP or SVG; None for one that could not be made.
        label: the line below it.
        disable_updates: taken for the sake of flows that set it.
    """

    def __init__(
        self, src: "bytes | None" = None, label: "str | None" = None, disable_updates: bool = False
    ) -> None:
        del disable_updates
        self.label = label
        self.src = src

    @classmethod
    def from_matplotlib(
        cls, plot: "Any", label: "str | None" = None, disable_updates: bool = False
    ) -> "Image":
        """A matplotlib figure, or an axes' figure."""
        figure = plot if hasattr(plot, "savefig") else plot.get_figure()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return cls(buffer.getvalue(), label, disable_updates)

    @classmethod
    def from_pil_image(
        cls, pilimage: "Any", label: "str | None" = None, disable_updates: bool = False
    ) -> "Image":
        """An image of Pillow."""
        buffer = io.BytesIO()
        pilimage.save(buffer, format="PNG")
        return cls(buffer.getvalue(), label, disable_updates)

    def update(self, image: bytes, label: "str | None" = None) -> None:
        """Show another picture from the next refresh on."""
        self.src = image
        self.label = label or self.label

    def to_dict(self) -> "dict[str, Any]":
        """The part as JSON, the picture in base64.

        Raises:
            TypeError: it is not bytes.
            ValueError: it is of no format that a browser shows.
        """
        if self.src is None:
            return {"kind": "markdown", "text": self.label or ""}
        if not isinstance(self.src, (bytes, bytearray, memoryview)):
            raise TypeError(
                "Image takes the bytes of a picture; got %s. For a figure write "
                "Image.from_matplotlib(figure)." % type(self.src).__name__
            )
        data = bytes(self.src)
        return {
            "kind": "image",
            "label": self.label,
            "type": _picture_type(data),
            "data": base64.b64encode(data).decode("ascii"),
        }


class ProgressBar(CardComponent):
    """How far something has come.

    Args:
        max: the number at which it is done.
        label: what it is about.
        value: the number so far.
        unit: of the number.
        metadata: a line beside it.
    """

    def __init__(
        self,
        max: float = 100,  # noqa: A002 - the field's name
        label: "str | None" = None,
        value: float = 0,
        unit: "str | None" = None,
        metadata: "str | None" = None,
    ) -> None:
        self.max = max
        self.label = label
        self.value = value
        self.unit = unit
        self.metadata = metadata

    def update(self, new_value: float, metadata: "str | None" = None) -> None:
        """Set the number so far."""
        self.value = new_value
        self.metadata = metadata or self.metadata

    def to_dict(self) -> "dict[str, Any]":
        """The part as JSON."""
        names = ("max", "label", "value", "unit", "metadata")
        return dict({name: getattr(self, name) for name in names}, kind="progress")


class ValueBox(CardComponent):
    """One number, large.

    Args:
        title: what it is.
        value: the number, or a text.
        subtitle: a line below.
        theme: taken for the sake of flows that set it.
        change_indicator: a note on how it changed.
    """

    def __init__(
        self,
        title: "str | None" = None,
        value: "Any" = None,
        subtitle: "str | None" = None,
        theme: "str | None" = None,
        change_indicator: "str | None" = None,
    ) -> None:
        del theme
        self.title = title
        self.value = value
        self.subtitle = subtitle
        self.change_indicator = change_indicator

    def update(
        self,
        title: "str | None" = None,
        value: "Any" = None,
        subtitle: "str | None" = None,
        theme: "str | None" = None,
        change_indicator: "str | None" = None,
    ) -> None:
        """Show what is given in place of what was there, from the next refresh on."""
        del theme
        self.title = self.title if title is None else title
        self.value = self.value if value is None else value
        self.subtitle = self.subtitle if subtitle is None else subtitle
        self.change_indicator = self.change_indicator if change_indicator is None else change_indicator

    def to_dict(self) -> "dict[str, Any]":
        """The part as JSON."""
        names = ("title", "value", "subtitle", "change_indicator")
        texts = {name: getattr(self, name) for name in names}
        return dict({name: None if text is None else str(text) for name, text in texts.items()}, kind="value")


class VegaChart(CardComponent):
    """A chart of Vega-Lite; a browser needs the network to draw it.

    Args:
        spec: the chart as a dict.
        show_controls: whether the menu of the chart shows.
    """

    def __init__(self, spec: "dict[str, Any]", show_controls: bool = False) -> None:
        self.spec = spec
        self.show_controls = show_controls

    @classmethod
    def from_altair_chart(cls, altair_chart: "Any") -> "VegaChart":
        """A chart of Altair."""
        return cls(altair_chart.to_dict())

    def update(self, spec: "dict[str, Any] | None" = None) -> None:
        """Show another chart from the next refresh on."""
        self.spec = spec or self.spec

    def to_dict(self) -> "dict[str, Any]":
        """The part as JSON."""
        return {"kind": "vega", "spec": self.spec, "controls": bool(self.show_controls)}


class PythonCode(CardComponent):
    """A piece of Python.

    Args:
        code_func: a function, whose source is shown.
        code_string: the text.
    """

    def __init__(
        self, code_func: "Callable[..., Any] | None" = None, code_string: "str | None" = None
    ) -> None:
        if code_func is not None:
            import inspect  # noqa: PLC0415 - seldom used

            code_string = inspect.getsource(code_func)
        self.code_string = code_string

    def to_dict(self) -> "dict[str, Any]":
        """The part as JSON."""
        return {"kind": "code", "text": self.code_string or ""}


class Error(CardComponent):
    """An exception.

    Args:
        exception: the exception, or a text.
        title: the line above it.
    """

    def __init__(self, exception: "Any", title: "str | None" = None) -> None:
        self.exception = exception
        self.title = title

    def to_dict(self) -> "dict[str, Any]":
        """The part as JSON."""
        shown = self.exception
        text = "%s: %s" % (type(shown).__name__, shown) if isinstance(shown, BaseException) else str(shown)
        return {"kind": "error", "title": self.title, "text": text}


def _cell(value: "Any") -> "dict[str, Any]":
    if isinstance(value, CardComponent):
        return value.to_dict()
    return {"kind": "text", "text": value if isinstance(value, str) else _shown(value)}


def _shown(value: "Any") -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a broken __repr__ must not fail the step
        text = "<a %s that cannot be shown>" % type(value).__name__
    return text if len(text) <= _LONGEST_REPR else text[:_LONGEST_REPR] + "…"


def _picture_type(data: bytes) -> str:
    for magic, name in _MAGIC:
        if data.lstrip()[: len(magic)] == magic:
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError("Image takes a picture as PNG, JPEG, GIF, BMP, WebP or SVG; these bytes are none.")


def parts_to_dicts(parts: "Iterable[Any]") -> "list[dict[str, Any]]":
    """Parts as JSON; what cannot be shown becomes an error on the card, and never fails the step."""
    found = []
    for part in parts:
        try:
            found.append(part.to_dict() if isinstance(part, CardComponent) else _cell(part))
        except Exception as error:  # noqa: BLE001 - as the docstring says
            found.append(
                {"kind": "error", "title": "A part of this card cannot be shown", "text": str(error)}
            )
    return found
