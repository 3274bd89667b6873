"""Elements of an SVG picture: shapes, lines, and texts, which are escaped and shortened. Pure.

Colours are CSS classes, with one set of values for light and one for dark surroundings.
"""

import unicodedata
from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

_STYLE = """
svg{--ground:#fff;--ink:#1b2330;--soft:#5d6b7e;--line:#8a97a8;--card:#f7f9fb;--edge:#c3ccd7;
--box:#eef2f7;--step:#2f6fdb;--wait:#9a6b00;--person:#8a3fc0;--child:#0f7b6c;--pivot:#c2410c;
--flow:#54708f}
@media(prefers-color-scheme:dark){svg{--ground:#12161c;--ink:#e8edf3;--soft:#9eabba;--line:#6d7a8a;
--card:#1c222b;--edge:#3a4553;--box:#171c24;--step:#6ea3ff;--wait:#e0ae4a;--person:#c792f0;
--child:#4fc4b1;--pivot:#ff9a5c;--flow:#8fb0d3}}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:var(--ink)}
.key{font-size:13px;font-weight:600}.name{font-size:17px;font-weight:650}
.soft{font-size:11px;fill:var(--soft)}
.code{font-size:11px;font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;
fill:var(--soft)}
.kind{font-size:11px;font-weight:600;fill:var(--flow)}
.badge{font-size:10px;font-weight:700;letter-spacing:.4px;fill:var(--ground)}
.ground{fill:var(--ground)}.card{fill:var(--card);stroke:var(--edge)}.box{fill:var(--box);stroke:var(--edge)}
.dashed{stroke-dasharray:5 4}.line{stroke:var(--line);stroke-width:1.5;fill:none}
.head{fill:var(--line)}.bar{fill:var(--flow)}
.step{fill:var(--step)}.wait{fill:var(--wait)}.person{fill:var(--person)}.child{fill:var(--child)}
.pivot{fill:var(--pivot)}.is-pivot{stroke:var(--pivot);stroke-width:2.5}
.is-wait{stroke:var(--wait)}.is-person{stroke:var(--person)}.is-child{stroke:var(--child)}
.is-flow{stroke:var(--flow);stroke-width:1.5}.none{fill:none}
"""

_WIDE = frozenset({"W", "F"})
# Characters of these Unicode categories are removed. XML does not allow control characters, and
# direction characters would reverse the text after them.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

Number = float


def text(x: Number, y: Number, content: str, kind: str, *, anchor: str = "start") -> str:
    """One line of text with its base line at `y`."""
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}" class="{kind}"{anchored}>{escape(content)}</text>'


def box(
    x: Number, y: Number, width: Number, height: Number, kind: str, *, radius: Number = 8
) -> str:
    """A rectangle with round corners."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"'
        f' class="{kind}"/>'
    )


def outline(points: Iterable[tuple[Number, Number]], kind: str) -> str:
    """A closed shape through these points."""
    listed = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polygon points="{listed}" class="{kind}" stroke-linejoin="round"/>'


def line(points: Iterable[tuple[Number, Number]]) -> str:
    """A line through these points."""
    listed = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{listed}" class="line"/>'


def arrow(x: Number, top: Number, bottom: Number) -> str:
    """An arrow downwards."""
    head = outline([(x - 4, bottom - 6), (x + 4, bottom - 6), (x, bottom)], "head")
    return line([(x, top), (x, bottom - 6)]) + head


def dot(x: Number, y: Number, radius: Number, kind: str) -> str:
    """A filled circle."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" class="{kind}"/>'


def group(parts: Iterable[str], tooltip: str) -> str:
    """Parts that belong together, with a tooltip of at most 600 characters."""
    return f"<g><title>{escape(shortened(tooltip, 600))}</title>{''.join(parts)}</g>"


def page(width: Number, height: Number, parts: Iterable[str], description: str) -> str:
    """The whole picture as one SVG document; screen readers read the description."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    label = quoteattr(shortened(description, 200))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={label}>'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" class="ground"/>'
        f"{''.join(parts)}</svg>\n"
    )


def shortened(content: str, most: int) -> str:
    """The text in one line, without invisible characters, at most `most` narrow characters wide.

    >>> shortened("input.customers | length(@)", 16)
    'input.customers…'
    """
    clean = "".join(
        " " if char.isspace() else char
        for char in content[: most * 8]
        if char.isspace() or unicodedata.category(char) not in _UNSEEN
    )
    clean = " ".join(clean.split())
    if width_of(clean) <= most and len(content) <= most * 8:
        return clean
    kept, room = "", most - 1
    for char in clean:
        room -= width_of(char)
        if room < 0:
            break
        kept += char
    return f"{kept.rstrip()}…"


def width_of(content: str) -> int:
    """The width of a text in narrow characters; a wide character counts as two."""
    return sum(1 + (unicodedata.east_asian_width(char) in _WIDE) for char in content)
