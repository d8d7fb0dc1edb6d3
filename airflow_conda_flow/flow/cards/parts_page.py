"""``PartsPage``: the page of a card in a step process, which leaves the HTML to its runner."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class PartsPage(str):
    """Page of components. As a text it is plain; the runner makes the HTML of the built-in types of it.

    Attributes:
        kind: built-in type whose page it is.
        parts: the components, as plain data.
    """

    kind: str
    parts: "list[dict[str, Any]]"
    __slots__ = ("kind", "parts")

    @classmethod
    def of(cls, kind: str, parts: "list[dict[str, Any]]") -> "PartsPage":
        """Page of a built-in type."""
        texts = (each.get("text") or each.get("title") or each.get("label") for each in parts)
        page = cls("\n".join(str(text) for text in texts if text))
        page.kind, page.parts = kind, parts
        return page
