"""What `ds_bench` shows of its measurements: bandwidths, a table with bars, and a picture. Pure."""

from __future__ import annotations

import dataclasses
import html
import math

# What each rank's link carries, over the bytes of the call and its time (the definitions of nccl-tests).
BUS_FACTORS = {
    "all_reduce": lambda ranks: 2 * (ranks - 1) / ranks,
    "all_gather": lambda ranks: (ranks - 1) / ranks,
    "reduce_scatter": lambda ranks: (ranks - 1) / ranks,
    "all_to_all": lambda ranks: (ranks - 1) / ranks,
    "broadcast": lambda ranks: 1.0,
    "pt2pt": lambda ranks: 1.0,
}
UNITS = {"GBps": ("GB/s", 1e9), "Gbps": ("Gb/s", 1e9 / 8)}
_BAR = 24
_BLOCKS = " ▏▎▍▌▋▊▉█"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One operation at one size: the slowest rank's mean over the trials."""

    operation: str
    num_bytes: int  # of the whole tensor: of all ranks' parts together where it is gathered, scattered or exchanged
    seconds: float
    ranks: int

    @property
    def algorithm_bandwidth(self) -> float:
        return self.num_bytes / self.seconds

    @property
    def bus_bandwidth(self) -> float:
        return self.algorithm_bandwidth * BUS_FACTORS[self.operation](self.ranks)


def table(figures: list[Figure], unit: str) -> str:
    """Lines that align; the bar is the bus bandwidth beside the best of its operation."""
    name, per_second = UNITS[unit]
    head = ("operation", "size", "latency", f"algbw {name}", f"busbw {name}", "")
    rows = []
    for figure in figures:
        best = max(other.bus_bandwidth for other in figures if other.operation == figure.operation)
        rows.append(
            (
                figure.operation,
                readable_bytes(figure.num_bytes),
                readable_seconds(figure.seconds),
                f"{figure.algorithm_bandwidth / per_second:.3f}",
                f"{figure.bus_bandwidth / per_second:.3f}",
                bar(figure.bus_bandwidth / best),
            )
        )
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = []
    for number, row in enumerate((head, *rows)):
        if number and rows[number - 1][0] != (rows[number - 2][0] if number > 1 else ""):
            lines.append("")
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:5], widths[1:5])), row[5]]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def bar(share: float) -> str:
    eighths = round(max(0.0, min(1.0, share)) * _BAR * 8)
    return "█" * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")


def readable_bytes(number: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number = number / 1024  # type: ignore[assignment]
    return f"{number:.4g} GiB"


def readable_seconds(seconds: float) -> str:
    for limit, factor, unit in ((1e-3, 1e6, "us"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.1f} {unit}"
    return f"{seconds:.2f} s"


_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 420, 76, 56, 150, 52
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 4")


def picture(figures: list[Figure], unit: str, title: str) -> str:
    """An SVG: bus bandwidth over size, both axes logarithmic."""
    name, per_second = UNITS[unit]
    points = {
        operation: [(f.num_bytes, f.bus_bandwidth / per_second) for f in figures if f.operation == operation]
        for operation in dict.fromkeys(f.operation for f in figures)
    }
    every = [point for curve in points.values() for point in curve if point[1] > 0]
    x_axis = _Axis([x for x, _ in every], 2.0, _LEFT, _WIDTH - _RIGHT)
    y_axis = _Axis([y for _, y in every], 10.0, _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" '
        'font-size="12"><rect width="100%" height="100%" fill="white"/>',
        _text(_LEFT, 24, title, "start", 'font-size="15" font-weight="bold"'),
        _text(_LEFT, 44, f"bus bandwidth, {name}, over the size of the whole tensor", "start", 'fill="#555"'),
    ]
    for value in x_axis.ticks():
        x = x_axis.place(value)
        below = _text(x, _HEIGHT - _BOTTOM + 18, readable_bytes(int(value)), "middle")
        parts += [_line(x, _TOP, x, _HEIGHT - _BOTTOM), below]
    for value in y_axis.ticks():
        y = y_axis.place(value)
        parts += [_line(_LEFT, y, _WIDTH - _RIGHT, y), _text(_LEFT - 8, y + 4, f"{value:g}", "end")]
    for number, (operation, curve) in enumerate(points.items()):
        colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
        places = [(x_axis.place(x), y_axis.place(y)) for x, y in curve if y > 0]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}" points="{corners}"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        y = _TOP + 8 + 20 * number
        parts += [
            f'<path d="M{_WIDTH - _RIGHT + 14},{y} h28" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>',
            _text(_WIDTH - _RIGHT + 48, y + 4, operation, "start"),
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Axis:
    """Logarithmic, from the power of `base` below the least value to the one above the greatest."""

    def __init__(self, values: list[float], base: float, begin: float, end: float) -> None:
        self._base, self._begin, self._end = base, begin, end
        self._low = math.floor(math.log(min(values), base) + 1e-9)
        self._high = max(self._low + 1, math.ceil(math.log(max(values), base) - 1e-9))

    def place(self, value: float) -> float:
        share = (math.log(value, self._base) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    def ticks(self) -> list[float]:
        step = max(1, math.ceil((self._high - self._low) / 9))
        return [self._base**power for power in range(self._low, self._high + 1, step)]


def _text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{html.escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'
