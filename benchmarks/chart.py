"""SVG chart of the figures that have goals. Deterministic, and readable in light and dark mode."""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring  # nosec B405  # only written

from benchmarks.metrics import Figure, short

_WIDTH, _ROW, _LABELS, _TOP = 760, 24, 360, 46
_SCALE = _WIDTH - _LABELS - 90
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.rule { stroke: #1f2328; stroke-dasharray: 3 3 }
.well { fill: #2f6fb3 } .short { fill: #c2571a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .rule { stroke: #e6edf3 } .well { fill: #6cb0f5 } .short { fill: #f0955a }
}
"""


def plot(figures: Sequence[Figure]) -> str:
    """Return an SVG with a bar per goal: the ratio of the figure to its goal, on a logarithmic scale."""
    goals = [(figure, _times_better(figure)) for figure in figures if figure.goal]
    farthest = max((abs(math.log2(times)) for _, times in goals), default=1.0)
    span = max(1, math.ceil(farthest))
    height = _TOP + _ROW * len(goals) + 12
    svg = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH} {height}",
            "role": "img",
            "aria-labelledby": "title description",
        },
    )
    SubElement(svg, "title", id="title").text = "Each figure compared with its goal"
    SubElement(svg, "desc", id="description").text = " ".join(
        _describe(figure, times) for figure, times in goals
    )
    SubElement(svg, "style").text = _STYLE
    for power in range(-span, span + 1):
        label = f"{2**power}×" if power >= 0 else f"1/{2**-power}×"
        _text(svg, _x(power, span), 16, label, "middle")
    _text(svg, 8, 16, "times better than the goal", "start")
    goal = f"{_x(0, span):.1f}"
    SubElement(svg, "line", {"class": "rule", "x1": goal, "x2": goal, "y1": "24", "y2": str(height - 8)})
    for number, (figure, times) in enumerate(goals):
        _bar(svg, figure, times, span, _TOP + _ROW * number)
    indent(svg)
    return tostring(svg, encoding="unicode") + "\n"


def _bar(svg: Element, figure: Figure, times: float, span: int, y: int) -> None:
    start, end = sorted((_x(0, span), _x(math.log2(times), span)))
    _text(svg, 8, y, figure.title, "start")
    SubElement(
        svg,
        "rect",
        {
            "class": "well" if figure.reached else "short",
            "x": f"{start:.1f}",
            "y": str(y - 12),
            "width": f"{max(end - start, 1):.1f}",
            "height": "16",
        },
    )
    _text(
        svg,
        _x(max(math.log2(times), 0), span) + 6,
        y,
        f"{short(figure.median)}, {figure.goal_text}",
        "start",
    )


def _text(svg: Element, x: float, y: float, text: str, anchor: str) -> None:
    SubElement(svg, "text", {"x": f"{x:.1f}", "y": f"{y:.0f}", "text-anchor": anchor}).text = text


def _x(power: float, span: int) -> float:
    return _LABELS + _SCALE * (power + span) / (2 * span)


def _times_better(figure: Figure) -> float:
    assert figure.goal
    return figure.median / figure.goal if figure.at_least else figure.goal / figure.median


def _describe(figure: Figure, times: float) -> str:
    reached = "reached" if figure.reached else "not reached"
    return f"{figure.title}: {short(figure.median)}, goal {figure.goal_text}, {reached}."
