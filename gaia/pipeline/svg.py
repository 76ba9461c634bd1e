"""A plan as SVG: layers of stages and tables from top to bottom, placed by a few rules of our own.

Stages and tables stand in turns in rows. Where an edge passes a row, a place is kept free for it.
The groups of stages and tables have an `id` and `data-stage` or `data-table`, so that a page can
put on them what it knows of a run, in the empty `<text class="gaia-live">` of each.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from html import escape

import attrs

from gaia.pipeline.drawing import Drawing, Sheet, StageBox, Step, printable

_CHAR = 7.3  # px: a character of 12 px monospace, and a little more
_LINE = 18
_PAD = 12
_GAP = 28
_BETWEEN = 44
_LONGEST = 72  # characters; all of it is in the title
_INDENT = 2
_LANE = 10.0
_SWEEPS = 4

_STYLE = """
.gaia-plan { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.gaia-plan .gaia-back { fill: #ffffff; }
.gaia-plan text { fill: #1f2328; }
.gaia-plan .gaia-detail, .gaia-plan .gaia-live { fill: #59636e; font-size: 11px; }
.gaia-plan .gaia-name { font-weight: bold; }
.gaia-plan .gaia-stage > rect { fill: #f2f6fb; stroke: #5b7ba6; }
.gaia-plan .gaia-table > path { fill: #fdf6e7; stroke: #a8843c; }
.gaia-plan .gaia-edge { fill: none; stroke: #6e7781; stroke-width: 1.3; }
.gaia-plan .gaia-tip { fill: #6e7781; }
@media (prefers-color-scheme: dark) {
  .gaia-plan .gaia-back { fill: #0d1117; }
  .gaia-plan text { fill: #e6edf3; }
  .gaia-plan .gaia-detail, .gaia-plan .gaia-live { fill: #9aa4af; }
  .gaia-plan .gaia-stage > rect { fill: #16202e; stroke: #7d9cc7; }
  .gaia-plan .gaia-table > path { fill: #2a2313; stroke: #c9a85c; }
  .gaia-plan .gaia-edge { stroke: #8b949e; }
  .gaia-plan .gaia-tip { fill: #8b949e; }
}
"""


@attrs.define
class _Place:
    """A node in its row, or the lane of an edge that passes it."""

    row: int
    width: float
    height: float = 0
    x: float = 0
    y: float = 0
    node: StageBox | Sheet | None = None

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@attrs.frozen
class _Route:
    """An edge by the places that it goes through."""

    text: str
    places: list[_Place]


def to_svg(drawing: Drawing) -> str:
    """The drawing as one `<svg>` element."""
    places, routes = _placed(drawing)
    width = max((place.x + place.width for place in places), default=0) + _PAD
    height = max((place.y + place.height for place in places), default=0) + _PAD
    stages, tables = len(drawing.stages), len(drawing.tables)
    about = f"pipeline {drawing.pipeline}: {stages} stages, {tables} tables"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gaia-plan" role="img" '
        f'style="max-width:100%;height:auto" aria-label="{_text(about)}" '
        f'width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{_text(about)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="gaia-back" width="{width:.0f}" height="{height:.0f}"/>',
    ]
    for route in routes:
        lines += _edge(route)
    for place in places:
        if isinstance(place.node, StageBox):
            lines += _stage(place, place.node)
        elif place.node is not None:
            lines += _sheet(place, place.node)
    return "\n".join([*lines, "</svg>"])


def _placed(drawing: Drawing) -> tuple[list[_Place], list[_Route]]:
    """All nodes with their places, and the ways of the edges between them."""
    places: dict[str, _Place] = {}
    for stage in drawing.stages:
        chars = max(map(_chars, (_title(stage), *map(_line, stage.steps))))
        height = 2 * _PAD + _LINE * (len(stage.steps) + 1)
        places[stage.id] = _Place(2 * stage.layer, _wide(chars), height, node=stage)
    for sheet in drawing.tables:
        row = places[sheet.stage].row + 1
        chars = max(_chars(sheet.name), _chars(_short(sheet.text)))
        places[sheet.id] = _Place(row, _wide(chars), 2 * _PAD + 2 * _LINE + 6, node=sheet)
    owner = {step.id: stage.id for stage in drawing.stages for step in stage.steps}
    everything = list(places.values())
    routes = []
    for edge in drawing.edges:
        first = places[owner.get(edge.source, edge.source)]
        last = places[owner.get(edge.target, edge.target)]
        lanes = [_Place(row, _LANE) for row in range(first.row + 1, last.row)]
        everything += lanes
        routes.append(_Route(edge.text, [first, *lanes, last]))
    rows: dict[int, list[_Place]] = defaultdict(list)
    for place in everything:
        rows[place.row].append(place)
    _arrange(rows, routes)
    return everything, routes


def _arrange(rows: dict[int, list[_Place]], routes: Iterable[_Route]) -> None:
    """Orders each row by where its neighbours above and below stand, and centres the rows."""
    near: dict[int, list[_Place]] = defaultdict(list)
    for route in routes:
        for upper, lower in zip(route.places, route.places[1:], strict=False):
            near[id(lower)].append(upper)
            near[id(upper)].append(lower)
    widths = [sum(place.width + _GAP for place in row) - _GAP for row in rows.values()]
    widest = max(widths, default=0)

    def spread(row: list[_Place]) -> None:
        x = _PAD + (widest - sum(place.width + _GAP for place in row) + _GAP) / 2
        for place in row:
            place.x = x
            x += place.width + _GAP

    for number in rows:
        spread(rows[number])
    for sweep in range(_SWEEPS):
        for number in sorted(rows, reverse=sweep % 2 == 1):
            side = number - 1 if sweep % 2 == 0 else number + 1

            def wanted(place: _Place, side: int = side) -> float:
                there = [other.middle for other in near[id(place)] if other.row == side]
                return sum(there) / len(there) if there else place.middle

            rows[number].sort(key=wanted)
            spread(rows[number])
    y = float(_PAD)
    for number in sorted(rows):
        tallest = max(place.height for place in rows[number])
        for place in rows[number]:
            place.y = y
            # A lane goes down the whole row.
            place.height = place.height or tallest
        y += tallest + _BETWEEN


def _stage(place: _Place, stage: StageBox) -> list[str]:
    x, y = place.x + _PAD, place.y + _PAD + _LINE - 5
    lines = [
        f'<g class="gaia-stage" id="{_text(stage.id)}" data-stage="{_text(stage.name)}">',
        f"<title>{_text(_title(stage))}</title>",
        f'<rect x="{place.x:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" '
        f'height="{place.height:.1f}" rx="6"/>',
        f'<text class="gaia-name" x="{x:.1f}" y="{y:.1f}">{_text(_title(stage))}</text>',
    ]
    for number, step in enumerate(stage.steps, 1):
        at = x + step.depth * _INDENT * _CHAR
        lines += [
            f'<g class="gaia-step" id="{_text(step.id)}" data-step="{_text(step.name)}">'
            f"<title>{_text(step.text)}</title>"
            f'<text x="{at:.1f}" y="{y + number * _LINE:.1f}">'
            f"{_text(_line(step).lstrip())}</text></g>"
        ]
    right = place.x + place.width - _PAD
    return [*lines, _live(right, y), "</g>"]


def _sheet(place: _Place, sheet: Sheet) -> list[str]:
    x, y, width, curve = place.x, place.y + 6, place.width, 6
    bottom = place.y + 2 * _PAD + 2 * _LINE
    cylinder = (
        f"M{x:.1f} {y:.1f}a{width / 2:.1f} {curve} 0 0 1 {width:.1f} 0V{bottom:.1f}"
        f"a{width / 2:.1f} {curve} 0 0 1 {-width:.1f} 0Z"
        f"M{x:.1f} {y:.1f}a{width / 2:.1f} {curve} 0 0 0 {width:.1f} 0"
    )
    text = y + _PAD + _LINE - 4
    return [
        f'<g class="gaia-table" id="{_text(sheet.id)}" data-table="{_text(sheet.name)}">',
        f"<title>{_text(f'{sheet.name}: {sheet.text}')}</title>",
        f'<path d="{cylinder}"/>',
        f'<text class="gaia-name" x="{x + _PAD:.1f}" y="{text:.1f}">{_text(sheet.name)}</text>',
        f'<text class="gaia-detail" x="{x + _PAD:.1f}" y="{text + _LINE:.1f}">'
        f"{_text(_short(sheet.text))}</text>",
        _live(x + width - _PAD, text),
        "</g>",
    ]


def _live(x: float, y: float) -> str:
    return f'<text class="gaia-live" text-anchor="end" x="{x:.1f}" y="{y:.1f}"/>'


def _edge(route: _Route) -> list[str]:
    first, *_, last = route.places
    x, y = first.middle, first.y + first.height
    path = f"M{x:.1f} {y:.1f}"
    for place in route.places[1:]:
        end = place.y - (8 if place is last else 0)
        half = (y + end) / 2
        path += f"C{x:.1f} {half:.1f} {place.middle:.1f} {half:.1f} {place.middle:.1f} {end:.1f}"
        x, y = place.middle, end
        if place is not last:
            y = place.y + place.height
            path += f"V{y:.1f}"
    title = f"<title>{_text(route.text)}</title>" if route.text else ""
    return [
        f'<path class="gaia-edge" d="{path}">{title}</path>',
        f'<path class="gaia-tip" d="M{x - 4:.1f} {y:.1f}h8l-4 8z"/>',
    ]


def _title(stage: StageBox) -> str:
    return _short(f"stage {stage.number}: {stage.name}")


def _line(step: Step) -> str:
    tables = f" → {', '.join(step.tables)}" if step.tables else ""
    return " " * step.depth * _INDENT + _short(step.text) + _short(tables)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _wide(chars: int) -> float:
    return chars * _CHAR + 2 * _PAD


def _chars(text: str) -> int:
    """How many characters wide a text is: those of East Asia take two."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def _text(text: str) -> str:
    return escape(printable(text))
