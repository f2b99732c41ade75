# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The samples of push and pull as a picture: a bar for the median, a dot for every run.

An SVG without scripts and fonts of its own; its colours follow the reader's light or dark theme.
"""

from collections.abc import Mapping
from html import escape
from statistics import median
from typing import Any

from benchmarks.programs import OURS

_WIDTH = 760
_LEFT = 92
_RIGHT = 64
_BAR = 16
_STEP = 24
_HEAD = 30
_GAP = 22
_TICKS = 5
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600 }
.quiet { fill: #57606a; font-size: 12px }
.grid { stroke: #d0d7de }
.bar { fill: #8c959f }
.ours { fill: #0969da }
.run { fill: #24292f; fill-opacity: .55 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.quiet { fill: #9198a1 }
.grid { stroke: #3d444d }
.bar { fill: #656c76 }
.ours { fill: #4493f8 }
.run { fill: #e6edf3; fill-opacity: .65 }
}
"""


def picture(results: Mapping[str, Any]) -> str:
    """Return the SVG."""
    charts = [
        (f"{verb} over {scheme.upper()}", results[scheme][verb])
        for scheme in ("http", "https")
        for verb in ("push", "pull")
        if verb in results.get(scheme, {})
    ]
    longest = max(
        (value for _, taken in charts for one in taken.values() for value in one["wallSeconds"]),
        default=1.0,
    )
    tick = _tick(longest)
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    drawn: list[str] = []
    top = 8
    for title, taken in charts:
        drawn += _chart(title, taken, top, scale, tick, longest)
        top += _HEAD + len(taken) * _STEP + _GAP
    gib = results["plan"]["size"] / (1 << 30)
    label = f"Seconds to push and pull {gib:.3g} GiB: medians as bars, runs as dots"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" role="img" '
        f'aria-label="{escape(label)}">\n<style>{_STYLE}</style>\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
    )


def _chart(  # noqa: PLR0917 - where and how large
    title: str, taken: Mapping[str, Any], top: int, scale: float, tick: float, longest: float
) -> list[str]:
    bottom = top + _HEAD + len(taken) * _STEP
    drawn = [f'<text class="head" x="{_LEFT}" y="{top + 16}">{escape(title)}, seconds</text>']
    at = 0.0
    while at <= longest:
        x = _LEFT + at * scale
        drawn.append(f'<path class="grid" d="M{x:.1f} {top + _HEAD - 4}V{bottom}"/>')
        drawn.append(
            f'<text class="quiet" x="{x:.1f}" y="{bottom + 13}" text-anchor="middle">{at:g}</text>'
        )
        at += tick
    for row, (name, samples) in enumerate(taken.items()):
        y = top + _HEAD + row * _STEP
        walls = samples["wallSeconds"]
        middle = median(walls)
        kind = "ours" if name == OURS else "bar"
        width = middle * scale
        drawn.append(
            f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
        )
        drawn += [
            f'<circle class="run" cx="{_LEFT + wall * scale:.1f}" cy="{y + _BAR / 2}" r="2.5"/>'
            for wall in walls
        ]
        x = _LEFT + max(middle, *walls) * scale + 8
        drawn.append(f'<text class="quiet" x="{x:.1f}" y="{y + 13}">{middle:.2f}</text>')
    return drawn


def _tick(longest: float) -> float:
    """Return a round distance between the lines of the grid."""
    for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100):
        if longest / tick <= _TICKS:
            return tick
    return longest
