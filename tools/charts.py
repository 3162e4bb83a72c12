"""Charts as SVG: bars, lines, areas, dots and pies, drawn from numbers and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 44, 64
INK, FAINT, PAPER = "#333d4b", "#dfe3e8", "#ffffff"
COLOURS = ("#3b6fd4", "#e07b39", "#2f9e6e", "#b5489a", "#8a6d3b", "#5a5fc7", "#c2433f", "#3a97a8")
TICKS = 5
MOST_LABELS = 12  # under the axis; more would run into each other
LABEL_CHARS = 14

Kind = Literal["bar", "line", "area", "scatter", "pie"]


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn. Every series has one value per label; a pie has one series, of values that are not negative."""

    kind: Kind
    labels: Sequence[str]
    series: Sequence[Series]
    title: str = ""
    x_label: str = ""
    y_label: str = ""


def draw(chart: Chart) -> str:
    """A whole SVG document with its own background, readable on any page. Raises ValueError for data that does not fit."""
    if any(len(one.values) != len(chart.labels) for one in chart.series):
        raise ValueError("every series needs one value for each label")
    if not all(math.isfinite(value) and abs(value) < 1e15 for one in chart.series for value in one.values):
        raise ValueError("values are numbers below 1e15")
    parts = [_text(WIDTH / 2, 26, chart.title, size=16, weight="600")] if chart.title else []
    parts += _pie(chart) if chart.kind == "pie" else _axes_and_marks(chart)
    about = escape(chart.title or f"{chart.kind} chart", quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{about}" font-family="system-ui, sans-serif" font-size="12"><title>{about}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{PAPER}"/>{"".join(parts)}</svg>'
    )


def steps(low: float, high: float) -> list[float]:
    """Round values for an axis that holds both ends."""
    spread = (high - low) or abs(high) or 1.0
    rough = spread / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _axes_and_marks(chart: Chart) -> list[str]:
    values = [value for one in chart.series for value in one.values]
    from_zero = chart.kind in ("bar", "area")
    marks = steps(min([*values, 0.0] if from_zero else values), max([*values, 0.0] if from_zero else values))
    low, high = marks[0], marks[-1]
    span, room = HEIGHT - TOP - BOTTOM, WIDTH - LEFT - RIGHT

    def y(value: float) -> float:
        return TOP + span * (high - value) / (high - low)

    def x(index: float) -> float:
        return LEFT + room * (index + 0.5) / len(chart.labels)

    parts = []
    for mark in marks:
        parts.append(_line(LEFT, y(mark), WIDTH - RIGHT, y(mark), INK if mark == 0 else FAINT))
        parts.append(_text(LEFT - 8, y(mark) + 4, _short(mark), anchor="end"))
    every = math.ceil(len(chart.labels) / MOST_LABELS)
    parts += [_text(x(i), HEIGHT - BOTTOM + 18, _cut(label)) for i, label in enumerate(chart.labels) if i % every == 0]
    for number, one in enumerate(chart.series):
        spots = [(x(i), y(value)) for i, value in enumerate(one.values)]
        parts += _marks(chart, number, spots, y(min(max(0.0, low), high)), room / len(chart.labels))
    if chart.x_label:
        parts.append(_text(LEFT + room / 2, HEIGHT - BOTTOM + 36, chart.x_label))
    if chart.y_label:
        parts.append(f'<g transform="rotate(-90 14 {TOP + span / 2:.1f})">{_text(14, TOP + span / 2, chart.y_label)}</g>')
    return parts + (_legend([one.name for one in chart.series]) if len(chart.series) > 1 else [])


def _marks(chart: Chart, number: int, spots: list[tuple[float, float]], zero: float, slot: float) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    if chart.kind == "bar":
        wide = slot * 0.72 / len(chart.series)
        start = -slot * 0.36 + wide * number
        return [
            f'<rect x="{x + start:.1f}" y="{min(y, zero):.1f}" width="{max(wide - 1, 0.5):.1f}" height="{abs(zero - y):.1f}" '
            f'rx="2" fill="{colour}"/>'
            for x, y in spots
        ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    parts = []
    if chart.kind == "area":
        parts.append(
            f'<polygon points="{spots[0][0]:.1f},{zero:.1f} {path} {spots[-1][0]:.1f},{zero:.1f}" fill="{colour}" fill-opacity="0.25"/>'
        )
    if chart.kind != "scatter":
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>')
    if chart.kind == "scatter" or len(spots) <= 40:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{4 if chart.kind == "scatter" else 2.5}" fill="{colour}"/>' for x, y in spots]
    return parts


def _pie(chart: Chart) -> list[str]:
    values = chart.series[0].values
    total = math.fsum(values)
    if min(values) < 0 or total <= 0:
        raise ValueError("a pie is made of values that are not negative, and not all zero")
    x, y, radius = 230.0, (TOP + HEIGHT - 16) / 2, 150.0
    parts, angle = [], -math.pi / 2
    for number, value in enumerate(values):
        share = value / total
        colour = COLOURS[number % len(COLOURS)]
        if share > 0.9999:
            parts.append(f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{colour}"/>')
        elif share > 0:
            end = angle + share * 2 * math.pi
            ends = [x + radius * math.cos(angle), y + radius * math.sin(angle), x + radius * math.cos(end), y + radius * math.sin(end)]
            path = "M{0} {1}L{2:.1f} {3:.1f}A{4} {4} 0 {5} 1 {6:.1f} {7:.1f}Z".format(x, y, *ends[:2], radius, int(share > 0.5), *ends[2:])
            parts.append(f'<path d="{path}" fill="{colour}" stroke="{PAPER}" stroke-width="1.5"/>')
            angle = end
    names = [f"{_cut(label, 24)}: {_short(value)} ({value / total:.0%})" for label, value in zip(chart.labels, values, strict=True)]
    return parts + _column(names, 430, TOP + 24)


def _legend(names: Sequence[str]) -> list[str]:
    parts, x = [], float(LEFT)
    for number, name in enumerate(names):
        shown = _cut(name, 18)
        parts.append(f'<rect x="{x:.0f}" y="{HEIGHT - 18}" width="10" height="10" rx="2" fill="{COLOURS[number % len(COLOURS)]}"/>')
        parts.append(_text(x + 15, HEIGHT - 9, shown, anchor="start"))
        x += 32 + 6.6 * len(shown)
    return parts


def _column(names: Sequence[str], x: float, y: float) -> list[str]:
    parts = []
    for number, name in enumerate(names):
        at = y + number * 22
        parts.append(f'<rect x="{x:.0f}" y="{at:.0f}" width="10" height="10" rx="2" fill="{COLOURS[number % len(COLOURS)]}"/>')
        parts.append(_text(x + 16, at + 9, name, anchor="start"))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, words: str, *, anchor: str = "middle", size: int = 12, weight: str = "400") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" font-weight="{weight}" fill="{INK}">{escape(words)}</text>'


def _cut(words: str, most: int = LABEL_CHARS) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _short(value: float) -> str:
    """1,200 or 3.5M: at most four digits that matter."""
    for size, mark in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if mark == 'k' else size):.4g}{mark}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"
