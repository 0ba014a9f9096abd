"""Draw a diagram as Mermaid, which GitHub shows in a comment."""

from typing import Final

from ops.review.diagram import Diagram, Edge, Node, State
from ops.review.presentation.svg import SIGNS

MOST_EDGES: Final = 400
"""Mermaid draws no diagram of more than 500 edges (https://mermaid.js.org/config/schema-docs/config.html)."""
_LONGEST: Final = 100

# Colours with enough contrast on GitHub's light and dark pages; the dashes tell without colour.
_CLASSES: Final = {
    State.CHANGED: "fill:#fdf1d3,stroke:#735000,color:#3d2b00",
    State.ADDED: "fill:#e3f4e9,stroke:#17643a,color:#0b3b20",
    State.REPLACED: "fill:#fde8d8,stroke:#963c05,stroke-width:3px,color:#5a2402",
    State.REMOVED: "fill:#fde6e6,stroke:#a3161f,stroke-dasharray:6 4,color:#6a0d13",
    State.DATA_LOSS: "fill:#a3161f,stroke:#6a0d13,stroke-width:4px,color:#ffffff",
}
_SHAPES: Final = {
    "S3 bucket": ("[(", ")]"),
    "DynamoDB table": ("[(", ")]"),
    "State machine": ("{{", "}}"),
    "Event rule": (">", "]"),
    "Schedule": (">", "]"),
    "SageMaker endpoint": ("([", "])"),
    "REST API": ("([", "])"),
}
_ARROWS: Final = {"forward": "-->", "back": "-->", "both": "<-->"}
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,/_-+~×…−↻")  # noqa: RUF001


def to_mermaid(diagram: Diagram) -> str:
    """Return `diagram` as the text of a Mermaid flowchart."""
    lines = ["flowchart LR"]
    for number, group in enumerate(diagram.groups, start=1):
        title = " · ".join(filter(None, (group.title, group.note)))
        lines.append(f'  subgraph g{number}["{_text(title)}"]')
        lines += [f"    {_node(node)}" for node in diagram.nodes if node.group == group.id]
        lines.append("  end")
    lines += [f"  {_edge(edge)}" for edge in diagram.edges[:MOST_EDGES]]
    for state, style in _CLASSES.items():
        members = [node.id for node in diagram.nodes if node.state is state]
        if members:
            name = state.replace(" ", "")
            lines += [f"  classDef {name} {style}", f"  class {','.join(members)} {name}"]
    return "\n".join(lines)


def _node(node: Node) -> str:
    before, after = _SHAPES.get(node.kind, ("[", "]"))
    said = [node.label, node.kind]
    if node.state is not State.UNCHANGED:
        what = node.note if node.state is State.CHANGED and node.note else node.state
        said.append(f"{SIGNS[node.state]} {what}{', live' if node.live else ''}")
    label = "<br/>".join(_text(line) for line in said)
    return f'{node.id}{before}"{label}"{after}'


def _edge(edge: Edge) -> str:
    source, target = (edge.target, edge.source) if edge.direction == "back" else (edge.source, edge.target)
    arrow = _ARROWS[edge.direction]
    label = edge.label
    if edge.state is not State.UNCHANGED:
        label = f"{SIGNS[edge.state]} {label}"
        arrow = (
            {"-->": "==>", "<-->": "<==>"}[arrow] if edge.state is State.ADDED else arrow.replace("--", "-.-")
        )
    return f'{source} {arrow}|"{_text(label)}"| {target}'


def _text(text: str) -> str:
    """Escape: Mermaid takes `#` and a character's number for the character, and then only shows it."""
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return "".join(character if character in _PLAIN else f"#{ord(character)};" for character in short)
