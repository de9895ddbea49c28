"""Line plots as small SVG files that are readable on light and dark pages."""

import math
from html import escape

from .tables import number

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 74, 20, 44, 50
# About this many horizontal lines.
LINES = 5

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 14px; font-weight: 600 }
.grid { stroke: #d0d7de; stroke-width: 1 }
.s0 { stroke: #0969da; fill: #0969da } .s1 { stroke: #bc4c00; fill: #bc4c00 } .s2 { stroke: #1a7f37; fill: #1a7f37 }
polyline { fill: none; stroke-width: 2 }
polyline.s0, polyline.s1, polyline.s2 { fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .grid { stroke: #373e47 }
  .s0 { stroke: #58a6ff; fill: #58a6ff } .s1 { stroke: #f0883e; fill: #f0883e } .s2 { stroke: #56d364; fill: #56d364 }
}
""".strip()


class Axis:
    """Converts values to positions in the picture."""

    def __init__(self, low, high, start, end, is_log):
        self.low, self.high, self.start, self.end, self.is_log = low, high, start, end, is_log

    def place(self, value):
        scale = math.log if self.is_log else float
        low, high = scale(self.low), scale(self.high)
        share = (scale(value) - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def plot(title, x_name, series, log_x=True, ticks=None):
    """`series` is a dict of name to points. The vertical axis begins at 0."""
    points = [point for line in series.values() for point in line]
    xs = sorted({x for x, _ in points})
    step = nice_step(max(y for _, y in points) / LINES)
    top = step * math.ceil(max(y for _, y in points) / step)
    x_axis = Axis(xs[0], xs[-1], LEFT, WIDTH - RIGHT, log_x)
    y_axis = Axis(0, top, HEIGHT - BOTTOM, TOP, False)
    parts = [text(LEFT, 18, title, 'class="title"')]
    parts += rows(y_axis, step)
    parts += [text(x_axis.place(x), HEIGHT - BOTTOM + 18, tick(x), middle()) for x in ticks or xs]
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_name, middle()))
    for index, (name, line) in enumerate(series.items()):
        parts += drawn(line, x_axis, y_axis, index)
        if len(series) > 1:
            parts += legend(name, index)
    body = "\n".join(parts)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    label = f'role="img" aria-label="{escape(title)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}>\n<style>{STYLE}</style>\n{body}\n</svg>\n'


def nice_step(rough):
    """The smallest of 1, 2, 5, 10, 20, .. that is not below `rough`."""
    if rough <= 0:
        return 1
    power = 10 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def rows(axis, step):
    parts, value = [], 0
    while value <= axis.high * 1.001:
        y = axis.place(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(text(LEFT - 8, y + 4, tick(value), 'text-anchor="end"'))
        value += step
    return parts


def drawn(line, x_axis, y_axis, index):
    places = [(x_axis.place(x), y_axis.place(y)) for x, y in sorted(line)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle class="s{index}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places] if len(places) < 20 else []
    return [f'<polyline class="s{index}" points="{path}"/>', *dots]


def legend(name, index):
    x = LEFT + index * 190
    return [f'<rect class="s{index}" x="{x}" y="27" width="10" height="4"/>', text(x + 16, 33, name)]


def tick(value):
    for unit, name in ((1_000_000, "M"), (1000, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}" if value < 1000 else number(value)


def middle():
    return 'text-anchor="middle"'


def text(x, y, content, attributes=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(content)}</text>'
