"""HTML page of ``card server``: a list of cards that refreshes itself, and one card next to it."""

from __future__ import annotations

from html import escape

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Cards of @FLOW@</title><style>
body { margin: 0; display: flex; height: 100vh; font: 14px/1.5 system-ui, sans-serif; color: #1d2731; }
nav { width: 20rem; overflow-y: auto; border-right: 1px solid #d9dee3; padding: 0 1rem; background: #f5f7f9; }
h1 { font-size: 1.1rem; } ul { list-style: none; padding: 0; } a { color: #2f6f8f; overflow-wrap: anywhere; }
a.shown { font-weight: bold; } iframe { flex: 1; border: 0; } #said { color: #b3261e; }
</style></head><body>
<nav><h1>Cards of @FLOW@</h1><label><input type="checkbox" id="newest" checked> show the newest</label>
<p id="said"></p><ul id="cards"></ul></nav>
<iframe id="card" sandbox="allow-scripts allow-popups" title="card"></iframe>
<script>
const [list, frame, newest, said] =
  ["cards", "card", "newest", "said"].map(id => document.getElementById(id));
let shown = null, grows = false;
function show(path) { frame.src = shown = path; mark(); }
function mark() {
  for (const link of list.querySelectorAll("a"))
    link.className = link.getAttribute("href") === shown ? "shown" : "";
}
async function look() {
  try {
    const answer = await fetch("/cards");
    if (!answer.ok) throw new Error(await answer.text());
    const cards = await answer.json();
    said.textContent = cards.length ? "" : "There are no cards yet.";
    list.replaceChildren(...cards.map(card => {
      const item = document.createElement("li"), link = document.createElement("a");
      link.href = card.path;
      link.textContent = `${card.name} ${card.id}` + (card.attempt ? `, attempt ${card.attempt}` : "")
        + (card.running ? ", running" : "");
      link.onclick = () => { newest.checked = false; show(card.path); return false; };
      item.append(link);
      return item;
    }));
    const path = newest.checked && cards.length ? cards[0].path : shown;
    if (path !== shown || grows) show(path); else mark();
    grows = cards.some(card => card.path === shown && card.running);
  } catch (error) { said.textContent = error.message; }
  setTimeout(look, @MILLISECONDS@);
}
look();
</script></body></html>
"""


def card_server_page(flow: str, seconds: float) -> str:
    """HTML of the page.

    Args:
        flow: the flow's name.
        seconds: time between two refreshes of the list.
    """
    # Ten refreshes a second at most: ``--poll-interval 0`` would keep the server and the datastore busy.
    milliseconds = max(100, round(seconds * 1000))
    return _PAGE.replace("@FLOW@", escape(flow)).replace("@MILLISECONDS@", str(milliseconds))
