"""Draw a diagram as SVG that stands in a page: it takes its colours from the page's style sheet."""

from typing import Final

from markupsafe import Markup

from ops.review.diagram import Diagram, Edge, Node, State
from ops.review.presentation.layout import BOX_HEIGHT, BOX_WIDTH, Layout, Point, lay_out
from ops.review.presentation.wording import printable

SIGNS: Final = {
    State.UNCHANGED: "",
    State.CHANGED: "~",
    State.ADDED: "+",
    State.REPLACED: "↻",
    State.REMOVED: "−",  # noqa: RUF001 - a minus as wide as the plus
    State.DATA_LOSS: "!",
}
"""What tells the states apart without colour, beside the word."""

_RADIUS: Final = 6
_ARROW: Final = 7
_LABEL: Final = 20
_SHRINKABLE: Final = 1200
"""Pictures of at most this width can be read when they are shrunk to a page's; wider ones scroll."""
_NOTE: Final = 25


def to_svg(diagram: Diagram, *, prefix: str) -> Markup:
    """Return `diagram` as one `<svg>` element; `prefix` makes its ids unique in the page."""
    layout = lay_out(diagram)
    width, height = _number(layout.width), _number(layout.height)
    size = "wide" if layout.width > _SHRINKABLE else "fitting"
    parts = [
        Markup('<svg class="diagram {}" role="img" aria-labelledby="{}-title {}-desc" ').format(
            size, prefix, prefix
        )
        + Markup('width="{}" height="{}" ').format(width, height)
        + Markup('viewBox="0 0 {} {}" xmlns="http://www.w3.org/2000/svg">').format(width, height),
        Markup('<title id="{}-title">{}</title>').format(prefix, diagram.title),
        Markup('<desc id="{}-desc">{}</desc>').format(prefix, diagram.description),
        *_lanes(diagram, layout),
        *(_edge(edge, route) for edge, route in zip(diagram.edges, layout.routes, strict=True)),
        *(_node(node, layout.boxes[node.id]) for node in diagram.nodes),
        Markup("</svg>"),
    ]
    return Markup(printable(Markup("\n").join(parts)))  # noqa: S704 - escaped part by part


def _lanes(diagram: Diagram, layout: Layout) -> list[Markup]:
    titles = {group.id: group for group in diagram.groups}
    drawn = []
    for lane in layout.lanes:
        group = titles[lane.group]
        drawn.append(
            Markup('<rect class="lane" x="{}" y="{}" width="{}" height="{}" rx="10"/>').format(
                *(_number(value) for value in (lane.x, lane.y, lane.width, lane.height))
            )
            + Markup('<text class="lane-title" x="{}" y="{}">{}').format(
                _number(lane.x + 14), _number(lane.y + 20), _short(group.title, 60)
            )
            + (
                Markup('<tspan class="lane-note" dx="10">{}</tspan>').format(_short(group.note, 90))
                if group.note
                else Markup("")
            )
            + Markup("</text>")
        )
    return drawn


def _node(node: Node, corner: Point) -> Markup:
    x, y = corner
    state = node.state.replace(" ", "-")
    said = _said(node)
    parts = [
        Markup('<g class="node {}"><title>{}</title>').format(state, _whole(node)),
        Markup('<rect class="box" x="{}" y="{}" width="{}" height="{}" rx="7"/>').format(
            _number(x), _number(y), BOX_WIDTH, BOX_HEIGHT
        ),
    ]
    if node.state is State.REPLACED:
        parts.append(
            Markup('<rect class="inner" x="{}" y="{}" width="{}" height="{}" rx="5"/>').format(
                _number(x + 3), _number(y + 3), BOX_WIDTH - 6, BOX_HEIGHT - 6
            )
        )
    lines = [("name", _tail(node.label, _LABEL)), ("kind", _short(node.kind, _NOTE))]
    if said:
        lines.append(("said", _short(said, _NOTE)))
    first = y + BOX_HEIGHT / 2 - (len(lines) - 1) * 8.5 + 4
    for number, (name, text) in enumerate(lines):
        parts.append(
            Markup('<text class="{}" x="{}" y="{}">{}</text>').format(
                name, _number(x + BOX_WIDTH / 2), _number(first + number * 17), text
            )
        )
    return Markup("").join([*parts, Markup("</g>")])


def _said(node: Node) -> str:
    """The line that says what happens, in words."""
    if node.state is State.UNCHANGED:
        return ""
    live = ", live" if node.live else ""
    what = node.note if node.state is State.CHANGED and node.note else node.state
    return f"{SIGNS[node.state]} {_short(what, _NOTE - 2 - len(live))}{live}"


def _whole(node: Node) -> str:
    parts = [node.label, node.kind, *([node.state] if node.state is not State.UNCHANGED else [])]
    return ", ".join([*parts, *(["live"] if node.live else []), *([node.note] if node.note else [])])


def _edge(edge: Edge, route: tuple[Point, ...]) -> Markup:
    heads = []
    if edge.direction in ("forward", "both"):
        heads.append(_head(route[-2], route[-1]))
    if edge.direction in ("back", "both"):
        heads.append(_head(route[1], route[0]))
    return Markup('<g class="edge {}"><title>{}</title><path d="{}"/>{}</g>').format(
        edge.state, edge.label, _path(route), Markup("").join(heads)
    )


def _path(route: tuple[Point, ...]) -> str:
    """Straight pieces with rounded corners."""
    pieces = [f"M{_number(route[0][0])} {_number(route[0][1])}"]
    for before, corner, after in zip(route, route[1:], route[2:], strict=False):
        radius = min(_RADIUS, _distance(before, corner) / 2, _distance(corner, after) / 2)
        start, end = _towards(corner, before, radius), _towards(corner, after, radius)
        pieces.append(f"L{_number(start[0])} {_number(start[1])}")
        pieces.append(f"Q{_number(corner[0])} {_number(corner[1])} {_number(end[0])} {_number(end[1])}")
    pieces.append(f"L{_number(route[-1][0])} {_number(route[-1][1])}")
    return "".join(pieces)


def _head(before: Point, tip: Point) -> Markup:
    back = _towards(tip, before, _ARROW)
    across = (_ARROW / 2 * (tip[1] - back[1]) / _ARROW, _ARROW / 2 * (tip[0] - back[0]) / _ARROW)
    corners = (tip, (back[0] + across[0], back[1] + across[1]), (back[0] - across[0], back[1] - across[1]))
    return Markup('<polygon points="{}"/>').format(" ".join(f"{_number(x)},{_number(y)}" for x, y in corners))


def _towards(start: Point, end: Point, length: float) -> Point:
    distance = _distance(start, end) or 1.0
    return (
        start[0] + (end[0] - start[0]) * length / distance,
        start[1] + (end[1] - start[1]) * length / distance,
    )


def _distance(a: Point, b: Point) -> float:
    # All lines are horizontal or vertical.
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _tail(path: str, length: int) -> str:
    """The last constructs of a path: what tells it from its siblings."""
    if len(path) <= length:
        return path
    steps = path.split("/")
    for first in range(1, len(steps)):
        tail = f"…/{'/'.join(steps[first:])}"
        if len(tail) <= length:
            return tail
    return _short(steps[-1], length)
