"""The scripts that draw Vega charts, as part of a page, so that a card needs no network.

``vega/`` holds unchanged builds of Vega 6.1.2, Vega-Lite 6.3.0 and Vega-Embed 7.0.2 (panel 1.9.4 on PyPI, and
npm, have the same bytes), with their licences.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "vega"
_BUILDS = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")  # each needs those before it
_DRAW = """
addEventListener('load', () => {
  for (const box of document.querySelectorAll('.vega')) {
    const spec = JSON.parse(box.firstElementChild.textContent);
    vegaEmbed(box, spec, {actions: box.dataset.controls === 'true'}).catch((error) => {
      box.textContent = `This chart cannot be drawn: ${error.message}`;
    });
  }
});
"""


@cache
def vega_scripts() -> str:
    """What the head of a page with charts holds, once."""
    texts = [(_FOLDER / name).read_text(encoding="utf-8") for name in _BUILDS]
    return "".join(f"<script>{text}</script>\n" for text in [*texts, _DRAW])
