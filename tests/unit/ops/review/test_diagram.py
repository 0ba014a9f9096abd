"""The picture: what it shows, where it puts it, and that nothing breaks out of it."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.review.diagram import MOST_NODES, Diagram, Edge, Group, Node, State, diagram_of
from ops.review.model import Assembly, Grade, ResourceChange, Stack
from ops.review.presentation.layout import BOX_HEIGHT, BOX_WIDTH, lay_out
from ops.review.presentation.mermaid import to_mermaid
from ops.review.presentation.svg import to_svg
from tests.unit.ops.review.samples import a_large_review, a_quiet_review, a_review, a_review_with, a_stack
from tests.unit.ops.review.texts import hostile, like

pytestmark = pytest.mark.slow

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def dev() -> Diagram:
    return diagram_of(a_review().environments[0])


def nodes(diagram: Diagram) -> dict[str, Node]:
    return {node.label: node for node in diagram.nodes}


def test_the_flow_of_the_data_is_found_in_references_policies_and_the_workflow(dev: Diagram) -> None:
    label = {node.id: node.label for node in dev.nodes}
    flows = {(label[edge.source], edge.label, label[edge.target]) for edge in dev.edges}

    assert flows >= {
        ("Raw", "announces changes to", "Triggers/NewRatings"),
        ("Triggers/NewRatings", "starts", "Workflow/StateMachine"),
        ("Workflow/StateMachine", "runs", "PrepareData"),
        ("Workflow/StateMachine", "runs", "Workflow/StateMachine jobs"),
        ("Raw", "is read by", "PrepareData"),
        ("PrepareData", "writes", "Prepared"),
        ("Prepared", "is read by", "Workflow/StateMachine jobs"),
        ("Workflow/StateMachine jobs", "writes", "Models"),
        ("Models", "is read by", "Endpoint/Model"),
        ("Endpoint/Model", "is served by", "Endpoint/Configuration"),
        ("Endpoint/Configuration", "configures", "Endpoint/Endpoint"),
        ("Endpoint/Endpoint", "answers", "Api/Recommend"),
        ("Api/Recommend", "answers", "Api/RestApi"),
    }
    assert nodes(dev)["Workflow/StateMachine jobs"].kind == "Training, batch transform"


@pytest.mark.parametrize(
    ("label", "state", "live", "note"),
    [
        ("Prepared", State.DATA_LOSS, False, "Bucket policy changed"),
        ("Endpoint/Configuration", State.REPLACED, True, ""),
        ("Endpoint/Endpoint", State.CHANGED, True, ""),
        ("Alarm", State.ADDED, False, ""),
        ("Triggers/Weekly", State.REMOVED, False, ""),
        ("PrepareData", State.CHANGED, False, "Policy changed"),
        ("EvaluateModel", State.UNCHANGED, False, ""),
    ],
)
def test_a_box_tells_what_happens_to_it(
    dev: Diagram, label: str, state: State, live: bool, note: str
) -> None:
    node = nodes(dev)[label]

    assert (node.state, node.live, node.note) == (state, live, note)


def test_arrows_come_and_go_with_their_ends(dev: Diagram) -> None:
    label = {node.id: node.label for node in dev.nodes}
    states = {(label[edge.source], label[edge.target]): edge.state for edge in dev.edges}

    assert states["Endpoint/Endpoint", "Alarm"] is State.ADDED
    assert states["Triggers/Weekly", "Workflow/StateMachine"] is State.REMOVED
    assert states["Triggers/NewRatings", "Workflow/StateMachine"] is State.UNCHANGED


def test_nothing_is_marked_when_nothing_changes() -> None:
    diagram = diagram_of(a_quiet_review().environments[0])

    assert {node.state for node in diagram.nodes} == {State.UNCHANGED}
    assert {edge.state for edge in diagram.edges} == {State.UNCHANGED}
    assert diagram.description.endswith("none changes.")


def test_a_change_that_no_box_shows_is_counted_at_its_stack() -> None:
    review = a_quiet_review().environments[0]
    stack = next(iter(review.after.stacks))
    orphan = ResourceChange(stack, "Lost", f"{stack}/Lost", "AWS::Logs::LogGroup", "remove", (Grade.REMOVED,))

    diagram = diagram_of(replace(review, changes=(orphan,)))

    group = next(group for group in diagram.groups if group.id == stack)
    assert group.note == "and beside the boxes: Log group removed"
    assert "Log group removed" in to_svg(diagram, prefix="p")
    assert "Log group removed" in to_mermaid(diagram)


def test_a_picture_of_very_much_draws_what_changes_and_counts_the_rest() -> None:
    diagram = diagram_of(a_large_review(100).environments[0])

    assert len(diagram.nodes) == MOST_NODES
    assert diagram.left_out == "Not drawn: 52 resources (52 × Lambda function); 52 of them change."


def _reviewed(before: Stack, after: Stack, *changes: ResourceChange) -> Diagram:
    environment = a_quiet_review().environments[0]
    old, new = (Assembly(Path("cdk.out"), {stack.id: stack}) for stack in (before, after))
    return diagram_of(replace(environment, before=old, after=new, changes=changes))


def _queue_and_reader(queue: str, *, action: str) -> Stack:
    policy = {
        "Roles": [{"Ref": "Role"}],
        "PolicyDocument": {
            "Statement": [{"Effect": "Allow", "Action": action, "Resource": {"Fn::GetAtt": [queue, "Arn"]}}]
        },
    }
    return a_stack(
        "app",
        {
            queue: ("AWS::SQS::Queue", "Queue", {}),
            "Role": ("AWS::IAM::Role", "Reader/Role", {}),
            "Policy": ("AWS::IAM::Policy", "Reader/Role/Policy", policy),
            "Reader": ("AWS::Lambda::Function", "Reader", {"Role": {"Fn::GetAtt": ["Role", "Arn"]}}),
        },
    )


def test_a_resource_with_another_logical_id_is_one_box() -> None:
    replaced = ResourceChange("app", "Queue2", "app/Queue", "AWS::SQS::Queue", "change", (Grade.REPLACED,))
    before, after = (_queue_and_reader(name, action="sqs:ReceiveMessage") for name in ("Queue1", "Queue2"))

    diagram = _reviewed(before, after, replaced)

    assert sorted((node.label, node.state) for node in diagram.nodes) == [
        ("Queue", State.REPLACED),
        ("Reader", State.UNCHANGED),
    ]
    assert [edge.state for edge in diagram.edges] == [State.UNCHANGED]


def test_a_flow_that_turns_round_stays_one_arrow() -> None:
    before, after = (
        _queue_and_reader("Queue", action=action) for action in ("sqs:ReceiveMessage", "sqs:SendMessage")
    )

    diagram = _reviewed(before, after)

    assert diagram.sentences == ("Reader writes Queue",)


# -- where things go ---


@st.composite
def diagrams(draw: st.DrawFn) -> Diagram:
    groups = [f"s{number}" for number in range(draw(st.integers(1, 4)))]
    drawn = [
        Node(
            f"n{number}", draw(st.sampled_from(groups)), f"Node {number}", "Kind", State.UNCHANGED, False, ""
        )
        for number in range(draw(st.integers(1, 12)))
    ]
    ids = [node.id for node in drawn]
    pairs = draw(st.sets(st.tuples(st.sampled_from(ids), st.sampled_from(ids)), max_size=24))
    edges = [
        Edge(source, target, "feeds", draw(st.sampled_from(["forward", "both"])), State.UNCHANGED)
        for source, target in sorted(pairs)
        if source != target and (target, source) not in pairs
    ]
    return Diagram("t", tuple(Group(group, group, "") for group in groups), tuple(drawn), tuple(edges), "")


@given(diagrams())
@settings(max_examples=80, deadline=None)
def test_boxes_never_overlap_and_lines_never_cross_a_box(diagram: Diagram) -> None:
    layout = lay_out(diagram)

    for (x1, y1), (x2, y2) in combinations(layout.boxes.values(), 2):
        assert abs(x1 - x2) >= BOX_WIDTH or abs(y1 - y2) >= BOX_HEIGHT
    lanes = {lane.group: lane for lane in layout.lanes}
    for node in diagram.nodes:
        (x, y), lane = layout.boxes[node.id], lanes[node.group]
        assert lane.x <= x
        assert lane.y <= y
        assert x + BOX_WIDTH <= lane.x + lane.width
        assert y + BOX_HEIGHT <= lane.y + lane.height
    for edge, route in zip(diagram.edges, layout.routes, strict=True):
        for (xa, ya), (xb, yb) in pairwise(route):
            assert xa == xb or ya == yb, "a slanted line"
            assert 0 <= xa <= layout.width
            assert 0 <= ya <= layout.height
            for x, y in layout.boxes.values():
                across = min(xa, xb) < x + BOX_WIDTH - 0.01 and max(xa, xb) > x + 0.01
                along = min(ya, yb) < y + BOX_HEIGHT - 0.01 and max(ya, yb) > y + 0.01
                assert not (across and along), (edge, route)
        assert _on_border(route[0], layout.boxes[edge.source])
        assert _on_border(route[-1], layout.boxes[edge.target])


def _on_border(point: tuple[float, float], corner: tuple[float, float]) -> bool:
    x, y = point[0] - corner[0], point[1] - corner[1]
    inside = -0.01 <= x <= BOX_WIDTH + 0.01 and -0.01 <= y <= BOX_HEIGHT + 0.01
    at_side = min(abs(x), abs(x - BOX_WIDTH)) < 0.01 or min(abs(y), abs(y - BOX_HEIGHT)) < 0.01
    return inside and at_side


@given(diagrams())
@settings(max_examples=60, deadline=None)
def test_lines_of_different_arrows_do_not_lie_on_one_another(diagram: Diagram) -> None:
    layout = lay_out(diagram)
    stretches = [
        (number, a, b)
        for number, route in enumerate(layout.routes)
        # The first and last pieces leave and enter the boxes, where lines to the same side may be close.
        for a, b in list(pairwise(route))[1:-1]
    ]
    for (one, a, b), (other, c, d) in combinations(stretches, 2):
        if one == other:
            continue
        for axis in (0, 1):
            if a[axis] == b[axis] == c[axis] == d[axis]:
                low, high = sorted((a[1 - axis], b[1 - axis]))
                start, end = sorted((c[1 - axis], d[1 - axis]))
                assert min(high, end) - max(low, start) <= 0.01, "two lines in one track"


# -- as SVG and as Mermaid ---


def test_what_happens_is_told_in_words_and_by_the_outline(dev: Diagram) -> None:
    root = ET.fromstring(to_svg(dev, prefix="p"))
    drawn = {group.find(f"{SVG}title").text: group for group in root.iter(f"{SVG}g")}

    said = {
        name: [text.text for text in group.findall(f"{SVG}text")]
        for name, group in drawn.items()
        if group.get("class").startswith("node")
    }
    assert said["Prepared, S3 bucket, data loss, Bucket policy changed"][2] == "! data loss"
    assert said["Endpoint/Configuration, Endpoint config, replaced, live"][2] == "↻ replaced, live"
    assert said["Triggers/Weekly, Event rule, removed"][2] == "− removed"  # noqa: RUF001
    assert said["PrepareData, Lambda function, changed, Policy changed"][2] == "~ Policy changed"
    classes = {name: group.get("class") for name, group in drawn.items()}
    assert classes["Prepared, S3 bucket, data loss, Bucket policy changed"] == "node data-loss"
    assert classes["Alarm, Alarm, added"] == "node added"


def test_the_picture_has_a_name_and_a_description(dev: Diagram) -> None:
    root = ET.fromstring(to_svg(dev, prefix="picture-1"))

    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "picture-1-title picture-1-desc"
    assert root.find(f"{SVG}title").text == "dev: resources and data flow"
    assert root.find(f"{SVG}desc").text == (
        "18 resources in 3 stacks, 18 flows between them; "
        "4 changed, 1 added, 1 replaced, 1 removed, 1 data loss."
    )


def test_mermaid_groups_by_stack_and_marks_the_change(dev: Diagram) -> None:
    text = to_mermaid(dev)

    assert '  subgraph g2["movie-recommender-dev-storage"]' in text
    number = nodes(dev)["Prepared"].id
    assert f'    {number}[("Prepared<br/>S3 bucket<br/>#33; data loss")]' in text
    assert f"  class {number} dataloss" in text
    assert '-.->|"− starts"|' in text  # noqa: RUF001
    assert '==>|"+ is watched by"|' in text


MERMAID_LINES = [
    r"flowchart LR",
    r'  subgraph g\d+\["{text}"\]',
    r"  end",
    r'    n\d+(\[\(|\{{\{{|>|\(\[|\[)"{text}"(\)\]|\}}\}}|\]|\]\))',
    r'  n\d+ (-->|<-->|==>|<==>|-\.->|<-\.->)\|"{text}"\| n\d+',
    r"  classDef [a-z]+ [a-zA-Z0-9#:,\- ]+",
    r"  class n\d+(,n\d+)* [a-z]+",
]
MERMAID_TEXT = r"(?:[a-zA-Z0-9 .,/_+~×…↻−-]|#\d+;|<br/>)*"  # noqa: RUF001


@given(hostile)
@settings(max_examples=100, deadline=None)
def test_no_name_breaks_out_of_mermaid(text: str) -> None:
    drawn = to_mermaid(diagram_of(a_review_with(text).environments[0]))

    for line in drawn.split("\n"):
        assert any(re.fullmatch(form.format(text=MERMAID_TEXT), line) for form in MERMAID_LINES), line


@given(hostile)
@settings(max_examples=100, deadline=None)
def test_no_name_breaks_out_of_svg(text: str) -> None:
    drawn = to_svg(diagram_of(a_review_with(text).environments[0]), prefix="p")
    plain = to_svg(diagram_of(a_review_with(like(text)).environments[0]), prefix="p")

    assert [element.tag for element in ET.fromstring(drawn).iter()] == [
        element.tag for element in ET.fromstring(plain).iter()
    ]


@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_long_flows_and_broad_ones_stay_within_reach(shape: str) -> None:
    """Forty boxes are a picture of some columns and rows, not a line of forty."""
    boxes = tuple(Node(f"n{n}", "s", f"Node {n}", "Kind", State.UNCHANGED, False, "") for n in range(40))
    arrows = tuple(
        Edge(f"n{n - 1}" if shape == "chain" else "n0", f"n{n}", "feeds", "forward", State.UNCHANGED)
        for n in range(1, 40)
    )

    layout = lay_out(Diagram("t", (Group("s", "s", ""),), boxes, arrows, ""))

    assert layout.width < 3000
    assert layout.height < 2000
