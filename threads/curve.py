"""The stream of a turn as a picture: characters over time, one stepped line per kind of delta, as plain SVG path data."""

from __future__ import annotations

from dataclasses import dataclass

from threads.trace import Line, Moment

WIDTH, HEIGHT = 720, 160


@dataclass(frozen=True, slots=True)
class Curve:
    kind: str
    path: str
    chars: int


@dataclass(frozen=True, slots=True)
class Mark:
    x: int
    name: str


@dataclass(frozen=True, slots=True)
class Picture:
    curves: list[Curve]
    marks: list[Mark]
    seconds: float
    chars: int
    width: int = WIDTH
    height: int = HEIGHT


def draw(lines: list[Line], moments: list[Moment]) -> Picture | None:
    """None when the journal holds no deltas."""
    series = _series(lines)
    if not series:
        return None
    seconds = max([line.ticks[-1].at for line in lines if line.ticks] + [moment.at for moment in moments] + [0.001])
    top = max(points[-1][1] for points in series.values()) or 1
    curves = [Curve(kind, _path(points, seconds, top), points[-1][1]) for kind, points in series.items()]
    marks = [Mark(_x(moment.at, seconds), moment.name) for moment in moments if moment.at > 0]
    marks += [Mark(_x(line.at, seconds), f"epoch {line.epoch}") for line in lines if line.new_epoch]
    return Picture(curves, marks, seconds, top)


def _series(lines: list[Line]) -> dict[str, list[tuple[float, int]]]:
    """Running totals of characters by kind of delta."""
    series: dict[str, list[tuple[float, int]]] = {}
    for line in lines:
        points = series.setdefault(line.kind, []) if line.ticks and line.kind != "signature" else []
        for tick in line.ticks:
            points.append((tick.at, (points[-1][1] if points else 0) + len(tick.text)))
    return series


def _path(points: list[tuple[float, int]], seconds: float, top: int) -> str:
    # One step per pixel at most, however many events there were.
    heights = {_x(at, seconds): round(HEIGHT - chars / top * HEIGHT) for at, chars in points}
    start, *_ = heights
    return f"M{start} {HEIGHT}" + "".join(f"H{x}V{y}" for x, y in heights.items())


def _x(at: float, seconds: float) -> int:
    return round(max(at, 0.0) / seconds * WIDTH)
