"""Where the boxes and arrows of a diagram go: lanes of boxes in columns, arrows in the channels between them.

Each stack is a lane; within it, a box stands to the right of those that feed it. Arrows never cross a box:
they run in the channels between rows and columns, each in a track of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from typing import Final

from ops.review.diagram import Diagram, Edge

BOX_WIDTH: Final = 172
BOX_HEIGHT: Final = 62
LANE_PADDING: Final = 14
LANE_TITLE: Final = 30

_TRACK: Final = 9
_GAP: Final = 26
_LANE_GAP: Final = 18
_MARGIN: Final = 2
_COLUMNS: Final = 5
"""As many as a page has room for: longer flows go on in the rows below."""
_MOST_ROWS: Final = 6
"""More boxes with the same distance from the flow's beginning share it among several columns."""
_MOST_ORDERED: Final = 6
"""Lanes are put in the best order by trying all orders, up to this many."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Lane:
    """The frame of one group."""

    group: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """Coordinates in pixels from the top left."""

    width: float
    height: float
    lanes: tuple[Lane, ...]
    boxes: Mapping[str, Point]
    """Node id to the box's top left corner."""
    routes: tuple[tuple[Point, ...], ...]
    """For each edge of the diagram, the corners of its line from source to target."""


def lay_out(diagram: Diagram) -> Layout:
    """Return where everything in `diagram` goes."""
    return _Layouter(diagram).lay_out()


@dataclass(frozen=True)
class _Cell:
    row: int
    column: int


@dataclass(frozen=True)
class _Stretch:
    """A piece of a line within a channel, from one abstract position to another."""

    edge: int
    vertical: bool
    channel: int
    start: int
    end: int


class _Layouter:
    def __init__(self, diagram: Diagram) -> None:
        self._diagram = diagram
        self._group_of = {node.id: node.group for node in diagram.nodes}
        self._lanes = self._lane_order()
        self._cells: dict[str, _Cell] = {}
        self._lane_rows: dict[str, range] = {}
        self._place()
        self._rows = 1 + max((cell.row for cell in self._cells.values()), default=0)
        self._columns = 1 + max((cell.column for cell in self._cells.values()), default=0)

    def lay_out(self) -> Layout:
        plans = [self._plan(number, edge) for number, edge in enumerate(self._diagram.edges)]
        stretches = [stretch for plan in plans for stretch in plan]
        tracks, sizes = _tracks(stretches)
        columns, right = self._column_positions(sizes)
        rows, lanes, bottom = self._row_positions(sizes, right)
        boxes = {node: (columns[cell.column], rows[cell.row]) for node, cell in self._cells.items()}
        canvas = _Canvas(boxes, columns, rows, tracks, right)
        ports = _Ports(self._diagram.edges, plans, self._cells)
        routes = tuple(
            canvas.route(number, edge, plans[number], ports)
            for number, edge in enumerate(self._diagram.edges)
        )
        return Layout(width=right, height=bottom, lanes=tuple(lanes), boxes=boxes, routes=routes)

    def _lane_order(self) -> list[str]:
        groups = [group.id for group in self._diagram.groups if group.id in set(self._group_of.values())]
        between: dict[tuple[str, str], int] = defaultdict(int)
        for edge in self._diagram.edges:
            source, target = self._group_of[edge.source], self._group_of[edge.target]
            if source != target:
                between[source, target] += 1
        if len(groups) > _MOST_ORDERED:
            return groups

        def cost(order: Iterable[str]) -> tuple[int, Fraction]:
            at = {group: position for position, group in enumerate(order)}
            spans = sum(number * abs(at[a] - at[b]) for (a, b), number in between.items())
            # Each pair of lanes counts alike: what mostly flows one way should flow down.
            upward = sum(
                (
                    Fraction(number - between.get((b, a), 0), number + between.get((b, a), 0))
                    for (a, b), number in between.items()
                    if at[a] > at[b]
                ),
                Fraction(0),
            )
            return spans, upward

        return list(min(permutations(groups), key=cost))

    def _place(self) -> None:
        first_row = 0
        for lane in self._lanes:
            nodes = [node for node, group in self._group_of.items() if group == lane]
            rows = self._place_lane(nodes, first_row)
            self._lane_rows[lane] = range(first_row, first_row + rows)
            first_row += rows

    def _place_lane(self, nodes: list[str], first_row: int) -> int:
        inside = set(nodes)
        edges = [(e.source, e.target) for e in self._diagram.edges if {e.source, e.target} <= inside]
        ranks = _ranks(nodes, edges)
        taken: set[tuple[int, int]] = set()
        first = 0
        for block in _blocks(self._stacks(ranks, edges)):
            for column, members in enumerate(block):
                for row, node in enumerate(members, start=first):
                    self._cells[node] = _Cell(first_row + row, column)
                    taken.add((row, column))
            first += max(len(members) for members in block)
        loose = sorted((n for n in nodes if n not in ranks), key=self._distance_wish)
        free = ((row, column) for row in range(len(nodes) + 1) for column in range(_COLUMNS))
        for node in loose:
            row, column = next(cell for cell in free if cell not in taken)
            self._cells[node] = _Cell(first_row + row, column)
            taken.add((row, column))
        return 1 + max((row for row, _ in taken), default=0)

    @staticmethod
    def _stacks(ranks: Mapping[str, int], edges: list[tuple[str, str]]) -> list[list[str]]:
        """The boxes of each column: those of a rank, near their feeders, in as many columns as they need."""
        order: dict[str, int] = {}
        stacks: list[list[str]] = []
        for rank in sorted(set(ranks.values())):
            members = [node for node in ranks if ranks[node] == rank]
            feeders = {n: [order[s] for s, t in edges if t == n and s in order] for n in members}
            members.sort(key=lambda n: sum(feeders[n]) / len(feeders[n]) if feeders[n] else 0.0)
            order.update((node, position) for position, node in enumerate(members))
            stacks += [members[start : start + _MOST_ROWS] for start in range(0, len(members), _MOST_ROWS)]
        return stacks

    def _distance_wish(self, node: str) -> tuple[bool, float]:
        """Where a box would like to stand: above or below what it is connected to; last if to nothing."""
        others = [
            self._cells[other].column
            for edge in self._diagram.edges
            for end, other in ((edge.source, edge.target), (edge.target, edge.source))
            if end == node and other in self._cells
        ]
        connected = any(node in (edge.source, edge.target) for edge in self._diagram.edges)
        return not connected, sum(others) / len(others) if others else _COLUMNS

    def _plan(self, number: int, edge: Edge) -> list[_Stretch]:
        """The channels that an edge runs through. Rows and columns are odd positions, channels even ones."""
        source, target = self._cells[edge.source], self._cells[edge.target]
        x1, x2 = 2 * source.column + 1, 2 * target.column + 1
        y1, y2 = 2 * source.row + 1, 2 * target.row + 1
        if abs(x1 - x2) == 2:
            # Neighbouring columns: through the channel between them.
            return [_Stretch(number, True, (x1 + x2) // 4, min(y1, y2), max(y1, y2))]
        if y1 == y2:
            return [_Stretch(number, False, source.row, min(x1, x2), max(x1, x2))]
        down = y2 > y1
        leaving = source.row + 1 if down else source.row
        if abs(y1 - y2) == 2:
            return [_Stretch(number, False, leaving, min(x1, x2), max(x1, x2))]
        beside = target.column if x1 <= x2 else target.column + 1
        first = _Stretch(number, False, leaving, min(x1, 2 * beside), max(x1, 2 * beside))
        start, end = sorted((2 * leaving, y2))
        return [first, _Stretch(number, True, beside, start, end)]

    def _column_positions(self, sizes: Mapping[tuple[bool, int], int]) -> tuple[list[float], float]:
        positions = []
        x = float(_MARGIN + LANE_PADDING)
        for column in range(self._columns):
            tracks = sizes.get((True, column), 0)
            x += (tracks + 1) * _TRACK + (_GAP if column else 0) if tracks or column else 0
            positions.append(x)
            x += BOX_WIDTH
        tracks = sizes.get((True, self._columns), 0)
        x += (tracks + 1) * _TRACK if tracks else 0
        return positions, x + LANE_PADDING + _MARGIN

    def _row_positions(
        self, sizes: Mapping[tuple[bool, int], int], right: float
    ) -> tuple[list[float], list[Lane], float]:
        positions: list[float] = []
        lanes: list[Lane] = []
        y = float(_MARGIN)
        for lane in self._lanes:
            top = y
            y += LANE_TITLE
            for row in self._lane_rows[lane]:
                tracks = sizes.get((False, row), 0)
                first = row == self._lane_rows[lane].start
                y += (tracks + 1) * _TRACK if tracks else (0 if first else _GAP)
                positions.append(y)
                y += BOX_HEIGHT
            y += LANE_PADDING
            if row == self._rows - 1:
                tracks = sizes.get((False, self._rows), 0)
                y += (tracks + 1) * _TRACK if tracks else 0
            lanes.append(Lane(lane, _MARGIN, top, right - 2 * _MARGIN, y - top))
            y += _LANE_GAP
        return positions, lanes, y - _LANE_GAP + _MARGIN


def _blocks(stacks: list[list[str]]) -> list[list[list[str]]]:
    """Columns side by side, and below them the next ones where there are more than fit."""
    return [stacks[start : start + _COLUMNS] for start in range(0, len(stacks), _COLUMNS)]


def _ranks(nodes: list[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    """Longest distance from a box that nothing feeds; boxes without an edge have none."""
    targets: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        targets[source].append(target)
    fed = {target for _, target in edges}
    connected = [node for node in nodes if node in fed or node in targets]
    ranks: dict[str, int] = {}

    # Edges that close a circle are left aside: depth first, from the boxes that nothing feeds.
    kept: list[tuple[str, str]] = []
    done: dict[str, bool] = {}

    def visit(root: str) -> None:
        stack = [(root, iter(targets[root]))]
        done[root] = False
        while stack:
            node, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                done[node] = True
                stack.pop()
            elif target not in done:
                kept.append((node, target))
                done[target] = False
                stack.append((target, iter(targets[target])))
            elif done[target]:
                kept.append((node, target))

    for node in [n for n in connected if n not in fed] + connected:
        if node not in done:
            visit(node)
    ranks = dict.fromkeys(connected, 0)
    for _ in connected:
        for source, target in kept:
            ranks[target] = max(ranks[target], ranks[source] + 1)
    return ranks


def _tracks(
    stretches: Iterable[_Stretch],
) -> tuple[dict[tuple[int, bool, int], int], dict[tuple[bool, int], int]]:
    """Give each stretch a track in its channel that no overlapping stretch has.

    Returns:
        The track of each (edge, direction, channel), and the number of tracks of each (direction, channel).
    """
    by_channel: dict[tuple[bool, int], list[_Stretch]] = defaultdict(list)
    for stretch in stretches:
        by_channel[stretch.vertical, stretch.channel].append(stretch)
    tracks: dict[tuple[int, bool, int], int] = {}
    sizes: dict[tuple[bool, int], int] = {}
    for channel, members in by_channel.items():
        ends: list[int] = []
        for stretch in sorted(members, key=lambda s: (s.start, s.end, s.edge)):
            free = next((i for i, end in enumerate(ends) if end < stretch.start), len(ends))
            ends[free : free + 1] = [stretch.end]
            tracks[stretch.edge, *channel] = free
        sizes[channel] = len(ends)
    return tracks, sizes


class _Ports:
    """Where on the sides of the boxes the lines begin and end, so that they do not lie on one another."""

    def __init__(
        self, edges: tuple[Edge, ...], plans: list[list[_Stretch]], cells: Mapping[str, _Cell]
    ) -> None:
        self._sides: dict[tuple[int, bool], str] = {}
        waiting: dict[tuple[str, str], list[tuple[tuple[int, int], int, bool]]] = defaultdict(list)
        for number, edge in enumerate(edges):
            for at_source in (True, False):
                here, there = (edge.source, edge.target) if at_source else (edge.target, edge.source)
                side = _side(plans[number], at_source, cells[here])
                self._sides[number, at_source] = side
                other = cells[there]
                along = (other.row, other.column) if side in ("left", "right") else (other.column, other.row)
                waiting[here, side].append((along, number, at_source))
        self._offsets: dict[tuple[int, bool], float] = {}
        for (node, side), ends in waiting.items():
            upright = side in ("left", "right")
            ordered = sorted(ends)
            middle = (len(ordered) - 1) / 2
            if upright:
                # A line to the neighbour in the same row is straight: it has the middle, the others keep off.
                straight = (i for i, (along, _, _) in enumerate(ordered) if along[0] == cells[node].row)
                middle = next(straight, middle)
            farthest = max(middle, len(ordered) - 1 - middle) or 1
            step = min(14.0, ((BOX_HEIGHT if upright else BOX_WIDTH) / 2 - 8) / farthest)
            for position, (_, number, at_source) in enumerate(ordered):
                self._offsets[number, at_source] = (position - middle) * step

    def point(self, number: int, at_source: bool, corner: Point) -> Point:
        x, y = corner
        offset = self._offsets[number, at_source]
        return {
            "left": (x, y + BOX_HEIGHT / 2 + offset),
            "right": (x + BOX_WIDTH, y + BOX_HEIGHT / 2 + offset),
            "top": (x + BOX_WIDTH / 2 + offset, y),
            "bottom": (x + BOX_WIDTH / 2 + offset, y + BOX_HEIGHT),
        }[self._sides[number, at_source]]


def _side(plan: list[_Stretch], at_source: bool, here: _Cell) -> str:
    stretch = plan[0] if at_source else plan[-1]
    if stretch.vertical:
        return "left" if stretch.channel == here.column else "right"
    return "top" if stretch.channel == here.row else "bottom"


class _Canvas:
    """Turns planned channels into points."""

    def __init__(
        self,
        boxes: Mapping[str, Point],
        columns: list[float],
        rows: list[float],
        tracks: Mapping[tuple[int, bool, int], int],
        right: float,
    ) -> None:
        self._boxes = boxes
        self._columns = columns
        self._rows = rows
        self._tracks = tracks
        self._right = right

    def route(self, number: int, edge: Edge, plan: list[_Stretch], ports: _Ports) -> tuple[Point, ...]:
        start = ports.point(number, True, self._boxes[edge.source])
        end = ports.point(number, False, self._boxes[edge.target])
        points = [start]
        for stretch in plan:
            along = self._coordinate(stretch)
            x, y = points[-1]
            points.append((along, y) if stretch.vertical else (x, along))
        x, y = points[-1]
        points.append((x, end[1]) if plan[-1].vertical else (end[0], y))
        points.append(end)
        return _without_repeats(points)

    def _coordinate(self, stretch: _Stretch) -> float:
        offset = (self._tracks[stretch.edge, stretch.vertical, stretch.channel] + 1) * _TRACK
        if stretch.vertical:
            if stretch.channel < len(self._columns):
                return self._columns[stretch.channel] - offset - _GAP / 3
            return self._columns[-1] + BOX_WIDTH + offset
        if stretch.channel < len(self._rows):
            return self._rows[stretch.channel] - offset
        return self._rows[-1] + BOX_HEIGHT + offset


def _without_repeats(points: list[Point]) -> tuple[Point, ...]:
    kept = [points[0]]
    for point in points[1:]:
        if point != kept[-1]:
            kept.append(point)
    return tuple(kept)
