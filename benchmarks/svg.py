"""Small charts, all on one page: an SVG written by hand, with both axes logarithmic.

The law of this room. The same series give the same bytes. Nothing but the series, their names and the lines
of the foot is drawn; every panel has its own scale, of whole decades.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 300, 210
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 40, 30
COLUMNS = 3
STYLE = """
text { font: 11px system-ui, sans-serif; fill: #333; paint-order: stroke; stroke: #fff; stroke-width: 3px }
.title { font-weight: 600; font-size: 12px }
.foot { fill: #777 }
.grid { stroke: #e4e4e4 }
.line { fill: none; stroke: #1f6feb; stroke-width: 1.5 }
.dot { fill: #1f6feb }
"""


def page(
    panels: Mapping[str, Sequence[tuple[float, float]]],
    x: Callable[[float], str],
    y: Callable[[float], str],
    foot: Sequence[str] = (),
) -> str:
    """Each series of (x, y), all above 0, in a panel under its name; `x` and `y` write a number."""
    rows = -(-len(panels) // COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT + 16 * len(foot) + 12
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, (title, points) in enumerate(panels.items()):
        at = (number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT)
        parts += [f'<g transform="translate({at[0]} {at[1]})">', *_panel(title, points, x, y), "</g>"]
    for number, line in enumerate(foot):
        parts.append(_text("foot", LEFT, rows * HEIGHT + 16 * (number + 1), line))
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    title: str, points: Sequence[tuple[float, float]], x: Callable[[float], str], y: Callable[[float], str]
) -> list[str]:
    across = _decades([value for value, _ in points])
    up = _decades([value for _, value in points], least=2)
    inside = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        right = (log10(point[0]) - across[0]) / (across[1] - across[0])
        high = (log10(point[1]) - up[0]) / (up[1] - up[0])
        return round(LEFT + right * inside[0], 1), round(TOP + (1 - high) * inside[1], 1)

    parts = [_text("title", LEFT, 22, title)]
    for power in range(across[0], across[1] + 1):
        left, _ = place((10.0**power, 10.0 ** up[0]))
        parts.append(f'<line class="grid" x1="{left}" x2="{left}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(_text("", left, HEIGHT - BOTTOM + 15, x(10.0**power), "middle"))
    for power in range(up[0], up[1] + 1):
        _, high = place((10.0 ** across[0], 10.0**power))
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{high}" y2="{high}"/>')
        parts.append(_text("", LEFT - 6, high + 4, y(10.0**power), "end"))
    places = [place(point) for point in points]
    parts.append(f'<polyline class="line" points="{" ".join(f"{a},{b}" for a, b in places)}"/>')
    parts += [f'<circle class="dot" cx="{a}" cy="{b}" r="2.5"/>' for a, b in places]
    for (left, high), (_, value), anchor in (
        (places[0], points[0], "start"),
        (places[-1], points[-1], "end"),
    ):
        parts.append(_text("", left, high - 8, y(value), anchor))
    return parts


def _decades(values: Sequence[float], least: int = 1) -> tuple[int, int]:
    """Powers of ten around all of them, `least` or more apart."""
    low, high = floor(log10(min(values)) + 1e-9), ceil(log10(max(values)) - 1e-9)
    while high - low < least:
        high += 1
    return low, high


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
