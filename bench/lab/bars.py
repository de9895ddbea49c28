"""Bars beside each other as small SVG files that are readable on light and dark pages: a figure of all servers."""

from html import escape

from .svg import text
from .tables import median

WIDTH, LEFT, RIGHT, TOP = 640, 190, 110, 40
# Height of a row, and of its bar.
ROW, BAR = 22, 14

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 14px; font-weight: 600 }
.own { fill: #0969da } .other { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .own { fill: #58a6ff } .other { fill: #6e7681 }
}
""".strip()


class Bar:
    """One bar: its name, its figure, and whether it is that of turted."""

    def __init__(self, name, figure, is_own):
        self.name, self.figure, self.is_own = name, figure, is_own


def picture(title, bars, unit):
    """The bars from the top down, each with its figure. The axis begins at 0."""
    most = max(bar.figure.median for bar in bars) or 1
    height = TOP + len(bars) * ROW + 10
    parts = [text(10, 20, title, 'class="title"')]
    for index, bar in enumerate(bars):
        y = TOP + index * ROW
        # Half a pixel can still be seen.
        width = max((WIDTH - LEFT - RIGHT) * bar.figure.median / most, 0.5)
        kind = "own" if bar.is_own else "other"
        parts.append(text(LEFT - 8, y + 11, bar.name, 'text-anchor="end"'))
        parts.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}"/>')
        parts.append(text(LEFT + width + 6, y + 11, median(bar.figure, unit)))
    body = "\n".join(parts)
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    label = f'role="img" aria-label="{escape(title)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}>\n<style>{STYLE}</style>\n{body}\n</svg>\n'
