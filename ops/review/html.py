"""The review as one HTML file that loads nothing and needs no script: the same review, the same bytes."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ops.review.diagram import diagram_of
from ops.review.model import Grade, ResourceChange, Review
from ops.review.permissions import StatementChange
from ops.review.presentation import sections, wording
from ops.review.presentation.paragraphs import difference_of, first_words, is_long, long_difference
from ops.review.presentation.svg import to_svg

_ASSETS: Final = "ops.review.presentation"
_JOINT: Final = re.compile(r"([/:.]|(?<=[a-z])(?=[A-Z]))")


def to_html(review: Review) -> str:
    """Return `review` as a whole HTML document; to be written as UTF-8."""
    # Only these two files are not escaped: they are ours, and the policy names their hashes.
    style, script = Markup(_asset("review.css")), Markup(_asset("review.js"))  # noqa: S704
    pictures = [(environment, diagram_of(environment)) for environment in review.environments]
    page = (
        _templates()
        .get_template("review.html.j2")
        .render(
            review=review,
            glances=sections.glances(review),
            glance_rows=sections.glance_rows(review),
            diagrams=[
                (environment, diagram, to_svg(diagram, prefix=f"picture-{number}"))
                for number, (environment, diagram) in enumerate(pictures, start=1)
            ],
            style=style,
            script=script,
            policy=_policy(style, script),
        )
    )
    return wording.printable(page)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader(_ASSETS, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        sections=sections,
        wording=wording,
        difference_of=difference_of,
        long_difference=long_difference,
        is_long=is_long,
    )
    environment.filters.update(
        within=wording.within,
        first_words=first_words,
        soft=_soft,
        statement_class=_statement_class,
        deserves_attention=_deserves_attention,
    )
    return environment


def _asset(name: str) -> str:
    return files(_ASSETS).joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A policy under which a browser uses our style and script, and loads and runs nothing else."""
    return f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:"


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _statement_class(statement: StatementChange) -> str:
    if statement.change == "present":
        return ""
    return "widened" if statement.widens else "narrowed"


def _soft(text: str) -> Markup:
    """Let a long name break where its parts meet."""
    return Markup(_JOINT.sub(r"\1<wbr>", str(escape(text))))  # noqa: S704 - escaped


def _deserves_attention(change: ResourceChange) -> bool:
    return bool(change.fails) or change.grade.severity >= Grade.REMOVED.severity
