"""The gallery's page: one static HTML file and its pictures.

Invariants: every text that came from a person or a model is escaped. The page has no script and
loads nothing from other hosts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """
:root { color-scheme: light dark; --paper: #faf8f5; --ink: #1d1b19; --soft: #5d5751;
  --card: #fff; --line: #e4ded6; --accent: #8a3b12; }
@media (prefers-color-scheme: dark) { :root { --paper: #171513; --ink: #f3eee8; --soft: #b9afa4;
  --card: #211e1b; --line: #38322c; --accent: #f0a070; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 Georgia, "Iowan Old Style", "Times New Roman", serif; }
header, footer { max-width: 44rem; margin: 0 auto; padding: 4rem 1.5rem 2rem; text-align: center; }
h1 { margin: 0 0 1rem; font-size: clamp(2rem, 6vw, 3.25rem); line-height: 1.1;
  font-weight: 500; letter-spacing: -0.02em; overflow-wrap: anywhere; }
.caption { margin: 0; font-size: 1.25rem; color: var(--soft); white-space: pre-line;
  overflow-wrap: anywhere; }
.rule { width: 3rem; height: 3px; margin: 1.75rem auto 0; border: 0; background: var(--accent); }
main { display: grid; gap: 1.5rem; max-width: 84rem; margin: 0 auto; padding: 1rem 1.5rem 3rem;
  grid-template-columns: minmax(0, 1fr); align-items: start; }
main.one { max-width: 46rem; }
@media (min-width: 40rem) { main { grid-template-columns: repeat(var(--few), minmax(0, 1fr)); }
  .alone { grid-column: 1 / -1; } }
@media (min-width: 64rem) { main { grid-template-columns: repeat(var(--many), minmax(0, 1fr)); }
  .alone { grid-column: auto; } }
figure { margin: 0; overflow: hidden; background: var(--card); border: 1px solid var(--line);
  border-radius: 0.75rem; box-shadow: 0 1px 2px rgb(0 0 0 / 6%), 0 12px 32px rgb(0 0 0 / 7%); }
img { display: block; width: 100%; height: auto; }
figcaption { padding: 0.75rem 1rem; font: 0.875rem/1.4 system-ui, sans-serif; color: var(--soft); }
a:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
footer { padding: 1rem 1.5rem 3rem; font: 0.875rem/1.5 system-ui, sans-serif; color: var(--soft); }
"""
_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'"


@dataclass(frozen=True)
class Shown:
    """One picture on the page: its file's path, relative to the page, and its size if known."""

    path: str
    width: int | None
    height: int | None


def page(title: str, caption: str, pictures: Sequence[Shown], mark: str = "") -> str:
    """The HTML of the page, which says that it is encoded in UTF-8.

    By its `mark` the page is recognised where it is served.
    """
    figures = "\n".join(
        _figure(number, len(pictures), each) for number, each in enumerate(pictures, start=1)
    )
    few, many = columns(len(pictures))
    layout = ' class="one"' if len(pictures) == 1 else ""
    layout += f' style="--few: {few}; --many: {many}"'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<meta name="description" content="{escape(caption)}">
<meta name="page" content="{escape(mark)}">
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="caption">{escape(caption)}</p>
<hr class="rule">
</header>
<main{layout}>
{figures}
</main>
<footer><p>These pictures were composed with the help of a generative model.</p></footer>
</body>
</html>
"""


def columns(count: int) -> tuple[int, int]:
    """The columns of so many pictures on a narrow and on a wide screen.

    They are chosen so that the last row never has a single picture. A narrow screen has two or
    three columns; where that cannot be, the last picture has the whole row.

    >>> [columns(count) for count in (1, 2, 4, 7, 13, 50)]
    [(1, 1), (2, 2), (2, 4), (2, 4), (2, 5), (2, 3)]
    """
    if count < 3:
        return max(count, 1), max(count, 1)
    few = next((each for each in (2, 3) if count % each != 1), 2)
    # Below 60 pictures, one of these always fits.
    many = next((each for each in (3, 4, 5) if count % each != 1), 3)
    return few, many


def _figure(number: int, total: int, shown: Shown) -> str:
    size = f' width="{shown.width}" height="{shown.height}"' if shown.width and shown.height else ""
    lazy = ' loading="lazy"' if number > 2 else ""
    path, label = escape(shown.path), f"Picture {number} of {total}"
    is_alone = number == total > 1 and total % columns(total)[0] == 1
    kind = ' class="alone"' if is_alone else ""
    picture = f'<img src="{path}" alt="{label}: a portrait with a swapped face"{size}{lazy}>'
    shown_as = f'<a href="{path}">{picture}</a><figcaption>{label}</figcaption>'
    return f"<figure{kind}>{shown_as}</figure>"
