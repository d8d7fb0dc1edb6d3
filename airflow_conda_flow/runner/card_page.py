"""Renders a card as one HTML page without further files; everything from the user is escaped.

Only Vega charts load scripts from the network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import ArtifactRef
    from airflow_conda_flow.records.task_record import TaskRecord

Part = Mapping[str, Any]
"""One component of a card as plain data; ``kind`` says which function renders it."""
# A page with a Vega chart loads Vega from here when it is opened; the scripts are no part of this package.
_VEGA = "https://cdn.jsdelivr.net/npm/"
_STYLE = """
:root { color-scheme: light; --line: #d9dee3; --soft: #f5f7f9; --text: #1d2731; --dim: #66727f;
  --accent: #2f6f8f; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--soft); }
main { max-width: 60rem; margin: 2rem auto; padding: 1.5rem 2rem; background: #fff;
  border: 1px solid var(--line); border-radius: 8px; }
header { border-bottom: 1px solid var(--line); margin-bottom: 1.2rem; }
h1 { font-size: 1.35rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
.dim { color: var(--dim); font-size: .9rem; }
.done { color: #2c7a4b; } .failed { color: #b3261e; } .running { color: var(--accent); }
table { border-collapse: collapse; margin: .6rem 0; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
th { background: var(--soft); font-weight: 600; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 4px; padding: .7rem;
  overflow-x: auto; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
figure { margin: 1rem 0; } figure img { max-width: 100%; } figcaption { color: var(--dim); }
progress { width: 60%; height: 1rem; vertical-align: middle; accent-color: var(--accent); }
.error { border-left: 4px solid #b3261e; padding: .2rem .8rem; background: #fdf3f2; }
.value { display: inline-block; border: 1px solid var(--line); border-radius: 6px; padding: .6rem 1rem;
  margin: .4rem .4rem .4rem 0; }
.value strong { display: block; font-size: 1.6rem; }
"""


def card_page(
    kind: str, parts: Sequence[Part], record: TaskRecord, parameters: Mapping[str, ArtifactRef]
) -> str:
    """HTML page of a card.

    Args:
        kind: ``default`` adds the task's facts, ``blank`` has the parts alone.
        parts: the components that the step appended, as ``flow/cards/components.py`` describes them.
        record: the task's record, finished or not.
        parameters: the references of the run's parameters, by name.
    """
    pathspec = record.task.pathspec
    body = [_html(part) for part in parts]
    exception = record.exception
    if exception is not None:
        body.insert(0, _error({"title": "The task failed", "text": exception["traceback"]}))
    if kind == "default":
        body = [_header(record), *body, *_facts(record, parameters)]
    scripts = _vega_scripts() if any(_has_vega(part) for part in parts) else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(pathspec)}</title>'
        f"<style>{_STYLE}</style>{scripts}</head>\n<body><main>{''.join(body)}</main></body></html>\n"
    )


def _header(record: TaskRecord) -> str:
    status = escape(record.status)
    times = f"{record.started[:19]} to {(record.finished or 'now')[:19]} (UTC)"
    python = f", Python {record.python}" if record.python else ""
    facts = escape(f"attempt {record.attempt}, {times}{python}")
    return (
        f"<header><h1>{escape(record.task.pathspec)}</h1>"
        f'<p class="dim"><span class="{status}">{status}</span>, {facts}</p></header>'
    )


def _facts(record: TaskRecord, parameters: Mapping[str, ArtifactRef]) -> list[str]:
    artifacts = {name: ref for name, ref in record.artifacts.items() if name not in parameters}
    sections = []
    for title, refs in (("Parameters", parameters), ("Artifacts", artifacts)):
        if refs:
            rows = [
                [_text(name), _text(_preview(ref)), _text(ref["type"])] for name, ref in sorted(refs.items())
            ]
            sections.append(f"<h2>{title}</h2>{_table({'headers': ['name', 'value', 'type'], 'rows': rows})}")
    return sections


def _preview(ref: ArtifactRef) -> str:
    return str(ref.get("preview") or f"{ref['size']:,} bytes")


def _text(text: str) -> Part:
    return {"kind": "text", "text": text}


# One function for each kind of part.


def _markdown(part: Part) -> str:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - only for cards with Markdown

    # HTML in the text stays text: other people than its author look at a card.
    return str(
        MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).render(part["text"])
    )


def _artifact(part: Part) -> str:
    name = f"<p><code>{escape(part['name'])}</code></p>" if part["name"] else ""
    return f"{name}<pre><code>{escape(part['text'])}</code></pre>"


def _table(part: Part) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in part["headers"])
    rows = "".join(
        "<tr>" + "".join(f"<td>{_html(cell)}</td>" for cell in row) + "</tr>" for row in part["rows"]
    )
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{rows}</tbody></table>"


def _image(part: Part) -> str:
    label = escape(part["label"] or "")
    caption = f"<figcaption>{label}</figcaption>" if label else ""
    source = escape(f"data:{part['type']};base64,{part['data']}")
    return f'<figure><img alt="{label}" src="{source}">{caption}</figure>'


def _progress(part: Part) -> str:
    label = escape(str(part["label"] or ""))
    unit = f" {escape(str(part['unit']))}" if part["unit"] else ""
    note = f' <span class="dim">{escape(str(part["metadata"]))}</span>' if part["metadata"] else ""
    value, most = escape(str(part["value"])), escape(str(part["max"]))
    return f'<p>{label} <progress value="{value}" max="{most}"></progress> {value} of {most}{unit}{note}</p>'


def _value(part: Part) -> str:
    notes = "".join(
        f'<span class="dim">{escape(part[name])} </span>'
        for name in ("change_indicator", "subtitle")
        if part[name]
    )
    title, value = escape(part["title"] or ""), escape(part["value"] or "")
    return f'<div class="value">{title}<strong>{value}</strong>{notes}</div>'


def _vega(part: Part) -> str:
    # Inside a script element HTML escapes have no meaning, and ``</script>`` in a value would end it.
    text = json.dumps(part["spec"]).replace("<", "\\u003c")
    controls = "true" if part["controls"] else "false"
    return (
        f'<div class="vega" data-controls="{controls}"><script type="application/json">{text}</script>'
        '<p class="dim">The network is needed to draw this chart.</p></div>'
    )


def _code(part: Part) -> str:
    return f"<pre><code>{escape(part['text'])}</code></pre>"


def _error(part: Part) -> str:
    title = f"<p><strong>{escape(part['title'])}</strong></p>" if part["title"] else ""
    return f'<div class="error">{title}<pre><code>{escape(part["text"])}</code></pre></div>'


def _section(part: Part) -> str:
    title = f"<h2>{escape(str(part['title']))}</h2>" if part["title"] else ""
    subtitle = f'<p class="dim">{escape(str(part["subtitle"]))}</p>' if part["subtitle"] else ""
    return f"<section>{title}{subtitle}{''.join(_html(each) for each in part['parts'])}</section>"


_KINDS: Mapping[str, Callable[[Part], str]] = {
    "artifact": _artifact,
    "code": _code,
    "error": _error,
    "image": _image,
    "markdown": _markdown,
    "progress": _progress,
    "section": _section,
    "table": _table,
    "text": lambda part: escape(part["text"]),
    "value": _value,
    "vega": _vega,
}


def _html(part: Part) -> str:
    return _KINDS[part["kind"]](part)


def _has_vega(part: Part) -> bool:
    if part["kind"] == "section":
        return any(_has_vega(each) for each in part["parts"])
    if part["kind"] == "table":
        return any(_has_vega(cell) for row in part["rows"] for cell in row)
    return bool(part["kind"] == "vega")


def _vega_scripts() -> str:
    sources = ("vega@5", "vega-lite@5", "vega-embed@6")
    loaded = "".join(f'<script src="{_VEGA}{name}"></script>' for name in sources)
    return (
        f"{loaded}<script>addEventListener('load', () => {{ if (window.vegaEmbed) for (const box of "
        "document.querySelectorAll('.vega')) vegaEmbed(box, JSON.parse(box.firstElementChild.textContent), "
        "{actions: box.dataset.controls === 'true'}); });</script>"
    )
