"""Components of a card: plain data with a ``kind``, rendered to HTML outside the step's environment."""

import base64
import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

# Limits on the size of a card's page.
_LONGEST_REPR = 5000  # characters
_MOST_ROWS = 1000
# First bytes of each image format. WebP is not here: its mark has a gap, see _picture_type.
_MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "image/svg+xml"),
)


def warn(text: str) -> None:
    """Write a line about cards to the step's log, unless Metaflow's variable says that nobody wants them."""
    if not os.environ.get("METAFLOW_CARD_NO_WARNING"):
        sys.stderr.write("%s\n" % text)


class CardComponent:
    """Component of a card.

    A custom subclass defines ``render``, which returns Markdown text or the data of another component.

    Attributes:
        REALTIME_UPDATABLE: True if ``data["components"]`` of a live card has this component.
        component_id: id among the components of its card, set when it is appended.
    """

    REALTIME_UPDATABLE = False
    component_id: "str | None" = None

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        rendered = None if type(self).render is CardComponent.render else self.render()
        if isinstance(rendered, dict) and "kind" in rendered:
            return rendered
        if isinstance(rendered, str):
            return {"kind": "markdown", "text": rendered}
        raise TypeError(
            "%s.render() gives neither Markdown nor the data of another component." % type(self).__name__
        )

    def update(self, *values: "Any", **named: "Any") -> None:
        """Write to the log that a component of this type cannot be updated; other types do update."""
        del values, named
        warn("%s has no update(); it stays as it is on the card." % type(self).__name__)

    def render(self) -> "Any":
        """Form of the component for a card of a custom type; a subclass may return HTML."""
        return self.to_dict()


class Markdown(CardComponent):
    """Text in Markdown; HTML in it is shown as text."""

    REALTIME_UPDATABLE = True

    def __init__(self, text: "str | None" = None) -> None:
        self.text = text or ""

    def update(self, text: str) -> None:
        """Replace the text from the next refresh on."""
        self.text = text

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        return {"kind": "markdown", "text": str(self.text)}


class Artifact(CardComponent):
    """Value, shown by its ``repr``.

    Args:
        artifact: the value.
        name: name of the value.
        compressed: accepted for compatibility and ignored: long values are always cut.
    """

    REALTIME_UPDATABLE = True

    def __init__(self, artifact: "Any", name: "str | None" = None, compressed: bool = True) -> None:
        del compressed
        self.artifact = artifact
        self.name = name

    def update(self, artifact: "Any") -> None:
        """Replace the value from the next refresh on."""
        self.artifact = artifact

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        return {"kind": "artifact", "name": self.name, "text": _shown(self.artifact)}


class Table(CardComponent):
    """Table of values or other components.

    Args:
        data: rows, each a list.
        headers: names of the columns.
        disable_updates: accepted for compatibility and ignored.
    """

    REALTIME_UPDATABLE = True

    def __init__(self, data: "Any" = None, headers: "Any" = None, disable_updates: bool = False) -> None:
        del disable_updates
        self.data = data or []
        self.headers = headers or []

    @classmethod
    def from_dataframe(cls, dataframe: "Any" = None, truncate: bool = True) -> "Table":
        """Table of a pandas data frame; only the first 1000 rows unless ``truncate`` is false."""
        shown = dataframe.head(_MOST_ROWS) if truncate else dataframe
        rows = [[index] + list(row) for index, row in zip(shown.index, shown.values.tolist())]
        return cls(rows, [""] + [str(name) for name in shown.columns])

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        rows = [[_cell(value) for value in row] for row in self.data]
        return {"kind": "table", "headers": [str(each) for each in self.headers], "rows": rows}


class Image(CardComponent):
    """Picture.

    Args:
        src: bytes in the format PNG, JPEG, GIF, BMP, WebP or SVG; None if the picture could not be made.
        label: line below the picture.
        disable_updates: accepted for compatibility and ignored.
    """

    REALTIME_UPDATABLE = True

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
        """Picture of a matplotlib figure, or of the figure of a matplotlib axes."""
        figure = plot if hasattr(plot, "savefig") else plot.get_figure()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return cls(buffer.getvalue(), label, disable_updates)

    @classmethod
    def from_pil_image(
        cls, pilimage: "Any", label: "str | None" = None, disable_updates: bool = False
    ) -> "Image":
        """Picture from a Pillow image."""
        buffer = io.BytesIO()
        pilimage.save(buffer, format="PNG")
        return cls(buffer.getvalue(), label, disable_updates)

    def update(self, image: bytes, label: "str | None" = None) -> None:
        """Replace the picture from the next refresh on."""
        self.src = image
        self.label = label or self.label

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component, with the picture in base64.

        Raises:
            TypeError: the picture is not bytes.
            ValueError: the picture has no format that a browser shows.
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
    """Progress bar.

    Args:
        max: number at which the work is done.
        label: name of the work.
        value: current number.
        unit: unit of the number.
        metadata: line next to the bar.
    """

    REALTIME_UPDATABLE = True

    def __init__(
        self,
        max: float = 100,  # noqa: A002 - Metaflow's name
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
        """Set the current number."""
        self.value = new_value
        self.metadata = metadata or self.metadata

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        names = ("max", "label", "value", "unit", "metadata")
        return dict({name: getattr(self, name) for name in names}, kind="progress")


class ValueBox(CardComponent):
    """Single number in large type.

    Args:
        title: name of the number.
        value: the number, or a text.
        subtitle: line below the number.
        theme: accepted for compatibility and ignored.
        change_indicator: note on how the number changed.
    """

    REALTIME_UPDATABLE = True

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
        """Replace the given values from the next refresh on; None keeps the old value."""
        del theme
        self.title = self.title if title is None else title
        self.value = self.value if value is None else value
        self.subtitle = self.subtitle if subtitle is None else subtitle
        self.change_indicator = self.change_indicator if change_indicator is None else change_indicator

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        names = ("title", "value", "subtitle", "change_indicator")
        texts = {name: getattr(self, name) for name in names}
        return dict({name: None if text is None else str(text) for name, text in texts.items()}, kind="value")


class VegaChart(CardComponent):
    """Vega-Lite chart; a browser needs network access to draw it.

    Args:
        spec: the chart as a dict.
        show_controls: True to show the chart's menu.
    """

    REALTIME_UPDATABLE = True

    def __init__(self, spec: "dict[str, Any]", show_controls: bool = False) -> None:
        self.spec = spec
        self.show_controls = show_controls

    @classmethod
    def from_altair_chart(cls, altair_chart: "Any") -> "VegaChart":
        """Chart from an Altair chart."""
        return cls(altair_chart.to_dict())

    def update(self, spec: "dict[str, Any] | None" = None) -> None:
        """Replace the chart from the next refresh on."""
        self.spec = spec or self.spec

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        return {"kind": "vega", "spec": self.spec, "controls": bool(self.show_controls)}


class PythonCode(CardComponent):
    """Python source code.

    Args:
        code_func: a function whose source is shown.
        code_string: the source as a text.
    """

    def __init__(
        self, code_func: "Callable[..., Any] | None" = None, code_string: "str | None" = None
    ) -> None:
        if code_func is not None:
            import inspect  # noqa: PLC0415 - seldom used

            code_string = inspect.getsource(code_func)
        self.code_string = code_string

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        return {"kind": "code", "text": self.code_string or ""}


class Error(CardComponent):
    """Exception.

    Args:
        exception: the exception, or a text.
        title: line above the exception.
    """

    def __init__(self, exception: "Any", title: "str | None" = None) -> None:
        self.exception = exception
        self.title = title

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
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
    raise ValueError(
        "Image takes a picture as PNG, JPEG, GIF, BMP, WebP or SVG; these bytes have none of these formats."
    )


def parts_to_dicts(parts: "Iterable[Any]") -> "list[dict[str, Any]]":
    """JSON data of components.

    A component that cannot be shown becomes an error on the card. It never fails the step.
    """
    found = []
    for part in parts:
        try:
            found.append(part.to_dict() if isinstance(part, CardComponent) else _cell(part))
        except Exception as error:  # noqa: BLE001 - as the docstring says
            found.append(
                {"kind": "error", "title": "A part of this card cannot be shown", "text": str(error)}
            )
    return found
