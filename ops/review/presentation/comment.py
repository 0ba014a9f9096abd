"""The sections of a review as Markdown, in parts that can be shown in full, briefly or not at all."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from ops.review.cost import CostLine
from ops.review.diagram import diagram_of
from ops.review.exposure import Door
from ops.review.findings import Finding, Suppression
from ops.review.model import EnvironmentReview, Grade, PropertyChange, ResourceChange, Review
from ops.review.parity import ParityRow
from ops.review.permissions import StatementChange
from ops.review.presentation import sections, wording
from ops.review.presentation.budget import Part, Piece, piece
from ops.review.presentation.github import code, fenced, folded, in_html, one_line, prose
from ops.review.presentation.mermaid import to_mermaid
from ops.review.presentation.paragraphs import long_difference
from ops.review.protection import ProtectionRow

SECTIONS: Final = ("Resources", "Permissions", "Protection", "Cost", "Findings", "Parity", "Picture")

_MOST_ENVIRONMENTS: Final = 8
_MOST_PROPERTIES: Final = 12
_MOST_COMPARED: Final = 60
"""Lines of a resource's comparison after which no other property is begun."""
_MOST_LINES: Final = 24
_LONGEST_LINE: Final = 240


def parts_of(review: Review) -> tuple[Part, ...]:
    """Return the parts of the sections on `review`, in the sections' order."""
    return tuple(_parts(review))


def more(number: int, what: str) -> list[str]:
    """Return the remark that `number` things are not shown, if any."""
    return [f"… and {number:,} {what}."] if number > 0 else []


def _parts(review: Review) -> Iterator[Part]:
    for environment in review.environments:
        yield from _resources(environment)
    for environment in review.environments:
        yield from _permissions(environment)
    for environment in review.environments:
        yield from _protection(environment)
    yield from _costs(review)
    for environment in review.environments:
        yield from _findings(environment)
    if len(review.environments) > 1:
        yield from _parity(review)
    changing = [environment for environment in review.environments if _changes(environment)]
    pictures = tuple(piece(_picture(environment)) for environment in changing)
    if pictures:
        yield Part("Picture", "", pictures, "", ("picture", "pictures"), "\n\n", weight=3)


def _changes(environment: EnvironmentReview) -> bool:
    return environment.before is None or any(c.grade is not Grade.NO_EFFECT for c in environment.changes)


def _resources(environment: EnvironmentReview) -> Iterator[Part]:
    notes = [*environment.refusals, *environment.notes]
    if notes:
        pieces = tuple(piece(f"- {prose(note)}") for note in notes)
        yield Part("Resources", f"**{prose(environment.name)}**\n\n", pieces, "", ("note", "notes"), weight=2)
    for stack in sections.by_stack(environment):
        title = f"#### {prose(environment.name)}: {code(stack.name)}\n\n"
        if stack.changes:
            pieces = tuple(_resource(change) for change in stack.changes)
            yield Part("Resources", title, pieces, "", ("resource", "resources"), weight=4)
        if stack.without_effect:
            pieces = tuple(
                piece(f"- {code(wording.within(change.path, change.stack))} {prose(change.type)}")
                for change in stack.without_effect
            )
            number = wording.count(len(pieces), "resource")
            summary = f"{in_html(stack.name)}: {number} with differences that have no effect"
            opening = f"<details><summary>{summary}</summary>\n\n"
            unit = ("resource without effect", "resources without effect")
            yield Part("Resources", opening, pieces, "\n\n</details>", unit)


def _resource(change: ResourceChange) -> Piece:
    grades = " ".join(f"<b>{wording.SIGNS[grade]} {wording.GRADES[grade]}</b>" for grade in change.grades)
    path = in_html(wording.within(change.path, change.stack))
    summary = f"{grades} <code>{path}</code> {in_html(change.type, longest=80)}"
    reasons = [f"refused: {change.fails}"] if change.fails else []
    lines = [f"- {prose(sentence)}" for sentence in [*reasons, *change.because][:_MOST_PROPERTIES]]
    told = sections.telling(change)
    compared: list[str] = []
    shown = 0
    for found in told[:_MOST_PROPERTIES]:
        if len(compared) < _MOST_COMPARED:
            compared += _compared(found)
            shown += 1
    missing = more(len(told) - shown, "more properties")
    quiet = len(change.properties) - len(told)
    quiet_note = [f"{wording.count(quiet, 'difference')} without effect."] if quiet else []
    content = ["\n".join(lines)] if lines else []
    content += [fenced(compared, "diff")] if compared else []
    content += [*missing, *quiet_note]
    brief = f"- {summary}"
    return Piece(folded(summary, "\n\n".join(content)), brief) if content else piece(brief)


def _compared(change: PropertyChange) -> list[str]:
    remarks = filter(None, (wording.REPLACES[change.replaces], change.reason))
    name = one_line(wording.property_name(change), _LONGEST_LINE)
    title = f"@@ {name} @@ {one_line(', '.join(remarks), _LONGEST_LINE)}"
    compared = long_difference(change)
    if compared:
        lines = [f"{line.sign} {_cut(line.text)}" for line in compared]
    else:
        lines = [
            f"{sign} {_cut(line)}"
            for sign, found in (("-", change.before), ("+", change.after))
            if found is not None
            for line in wording.value(found).split("\n")
        ]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"  … {len(lines) - _MOST_LINES:,} more lines"]
    return [title.rstrip(), *lines]


def _cut(line: str) -> str:
    return (
        line
        if len(line) <= _LONGEST_LINE
        else f"{line[:_LONGEST_LINE]}… (+{len(line) - _LONGEST_LINE:,} characters)"
    )


def _permissions(environment: EnvironmentReview) -> Iterator[Part]:
    opened, _ = sections.doors(environment)
    if opened:
        pieces = tuple(piece(_door(door)) for door in opened)
        opening = f"**{prose(environment.name)}: ways in that the change opens**\n\n"
        yield Part("Permissions", opening, pieces, "", ("way in", "ways in"), weight=3)
    unit = ("statement", "statements")
    for group in sections.by_principal(environment):
        changes = [*group.statements, *group.trusts]
        pieces = tuple(piece(_statement(each, trust=each in group.trusts)) for each in changes)
        if environment.before is None:
            number = wording.count(len(pieces), "statement")
            summary = f"{in_html(environment.name)}: <code>{in_html(group.principal)}</code>, {number}"
            opening = f"<details><summary>{summary}</summary>\n\n{_STATEMENTS}"
            yield Part("Permissions", opening, pieces, "\n\n</details>", unit)
            continue
        more = " **may do more**" if group.opens else ""
        opening = f"#### {prose(environment.name)}: {code(group.principal)}{more}\n\n{_STATEMENTS}"
        yield Part("Permissions", opening, pieces, "", unit, weight=3 if group.opens else 2)


def _door(door: Door) -> str:
    who = "**public**" if door.public else "another account"
    return f"- {code(door.subject)}: {who}, {prose(door.what)}"


_STATEMENTS: Final = "| Change | Action | On | Only if |\n| --- | --- | --- | --- |\n"


def _statement(statement: StatementChange, *, trust: bool) -> str:
    change = f"**{statement.change}**" if statement.widens else statement.change
    effect = "" if statement.effect == "Allow" else f" {prose(statement.effect)}"
    alarms = [f"▲ {prose(alarm, longest=200)}" for alarm in statement.alarms[:_MOST_PROPERTIES]]
    resources = [*(["may act as"] if trust else []), *_codes(statement.resources)]
    cells = (
        f"{change}{effect}",
        "<br>".join([*_codes(statement.actions), *alarms]),
        "<br>".join(resources),
        code(statement.conditions, longest=300),
    )
    return f"| {' | '.join(cells)} |"


def _codes(texts: tuple[str, ...]) -> list[str]:
    shown = [code(text, longest=160) for text in texts[:_MOST_PROPERTIES]]
    return [*shown, *more(len(texts) - _MOST_PROPERTIES, "more")]


def _protection(environment: EnvironmentReview) -> Iterator[Part]:
    groups = sections.protection_groups(environment)
    unit = ("aspect", "aspects")
    heads = "| Resource | Aspect | Before | After | |\n| --- | --- | --- | --- | --- |\n"
    if groups.changed:
        what = "what is not protected" if environment.before is None else "what changes"
        opening = f"**{prose(environment.name)}: {what}**\n\n{heads}"
        pieces = tuple(piece(_protection_row(each)) for each in groups.changed)
        yield Part("Protection", opening, pieces, "", unit, weight=2)
    for rows, what in ((groups.unprotected, "not protected, as before"), (groups.fine, "protected")):
        if rows:
            summary = f"{in_html(environment.name)}: {wording.count(len(rows), 'aspect')} {what}"
            opening = f"<details><summary>{summary}</summary>\n\n{heads}"
            pieces = tuple(piece(_protection_row(each)) for each in rows)
            yield Part("Protection", opening, pieces, "\n\n</details>", unit)


def _protection_row(row: ProtectionRow) -> str:
    judged = " ".join([*(["**weaker**"] if row.weaker else []), *([] if row.ok else ["**not protected**"])])
    cells = (code(row.subject), prose(row.aspect), prose(row.before), prose(row.after), judged or "fine")
    return f"| {' | '.join(cells)} |"


def _costs(review: Review) -> Iterator[Part]:
    rows = tuple(piece(_month(environment)) for environment in review.environments)
    heads = "| A month | Before | After | Difference |\n| --- | --: | --: | --: |\n"
    yield Part("Cost", heads, rows, "", ("environment", "environments"), weight=3)
    for environment in review.environments:
        yield from _cost(environment)


def _month(environment: EnvironmentReview) -> str:
    before, after = environment.cost.monthly_before, environment.cost.monthly_after
    return (
        f"| {code(environment.name)} | {_money(before)} | {_money(after)} | {_delta(before, after, before)} |"
    )


def _cost(environment: EnvironmentReview) -> Iterator[Part]:
    cost = environment.cost
    name = in_html(environment.name)
    compared = cost.monthly_before is not None
    changed, same = sections.cost_lines(environment)
    dated = f"prices as of {in_html(cost.prices_as_of)}"
    for lines, what in (
        (changed, f"{wording.count(len(changed), 'part')} {'that change' if same else 'priced'}, {dated}"),
        (same, f"{wording.count(len(same), 'part')} that cost the same as before, {dated}"),
    ):
        if lines:
            rows = tuple(piece(_cost_line(line, compared=compared)) for line in lines)
            opening = (
                f"<details><summary>{name}: {what}</summary>\n\n"
                "| Resource | For | Before | After | Difference |\n| --- | --- | --: | --: | --: |\n"
            )
            yield Part("Cost", opening, rows, "\n\n</details>", ("cost", "costs"), weight=2)
    for items, what, unit in (
        (cost.unpriced, "not priced, and so not in the sums", ("unpriced item", "unpriced items")),
        (cost.assumptions, "assumed", ("assumption", "assumptions")),
    ):
        if items:
            opening = f"<details><summary>{name}: {len(items):,} {what}</summary>\n\n"
            yield Part(
                "Cost", opening, tuple(piece(f"- {prose(item)}") for item in items), "\n\n</details>", unit
            )


def _cost_line(line: CostLine, *, compared: bool) -> str:
    cells = (
        code(line.subject),
        prose(line.driver, longest=200),
        _money(line.before) if compared else "",
        f"{_money(line.after)}{_range(line.floor, line.ceiling)}",
        prose(wording.delta(line.before, line.after)) if compared else "",
    )
    return f"| {' | '.join(cells)} |"


def _findings(environment: EnvironmentReview) -> Iterator[Part]:
    new, old = sections.new_first(environment.findings.findings)
    accepted, old_accepted = sections.new_suppressions(environment.findings.suppressions)
    name = prose(environment.name)
    finding, suppression = ("finding", "findings"), ("suppression", "suppressions")
    if new:
        yield Part(
            "Findings",
            f"**{name}: new findings**\n\n",
            tuple(piece(_finding(each)) for each in new),
            "",
            finding,
            weight=3,
        )
    if accepted:
        opening = f"**{name}: new suppressions**\n\n"
        yield Part(
            "Findings",
            opening,
            tuple(piece(_suppression(each)) for each in accepted),
            "",
            suppression,
            weight=3,
        )
    plain = in_html(environment.name)
    if old:
        opening = f"<details><summary>{plain}: {wording.count(len(old), 'finding')} from before</summary>\n\n"
        yield Part(
            "Findings", opening, tuple(piece(_finding(each)) for each in old), "\n\n</details>", finding, "\n"
        )
    if old_accepted:
        number = wording.count(len(old_accepted), "suppression")
        opening = f"<details><summary>{plain}: {number} from before, with reasons</summary>\n\n"
        yield Part(
            "Findings",
            opening,
            tuple(piece(_suppression(each)) for each in old_accepted),
            "\n\n</details>",
            suppression,
            "\n",
        )


def _finding(finding: Finding) -> str:
    rule = f"{prose(finding.severity)} {code(finding.rule, longest=120)} ({prose(finding.tool)})"
    return f"- {rule} {code(finding.resource)}: {prose(finding.message, longest=300)}"


def _suppression(suppression: Suppression) -> str:
    reason = prose(suppression.reason, longest=300) or "**no reason given**"
    return f"- {code(suppression.rule, longest=160)} {code(suppression.resource)}: {reason}"


def _parity(review: Review) -> Iterator[Part]:
    groups = sections.parity_groups(review)
    names = [environment.name for environment in review.environments][:_MOST_ENVIRONMENTS]
    heads = (
        f"| What | {' | '.join(code(name, longest=60) for name in names)} | Meant? |\n"
        f"| --- |{' --- |' * len(names)} --- |\n"
    )
    unit = ("row", "rows")
    if groups.unexplained:
        opening = f"**Differs, and no setting says that it should**\n\n{heads}"
        pieces = tuple(piece(_parity_row(row, names)) for row in groups.unexplained)
        yield Part("Parity", opening, pieces, "", unit, weight=2)
    for rows, what in (
        (
            groups.explained,
            f"{wording.count(len(groups.explained), 'difference')} that the configuration explains",
        ),
        (groups.alike, f"{wording.count(len(groups.alike), 'thing')} alike"),
    ):
        if rows:
            opening = f"<details><summary>{what}</summary>\n\n{heads}"
            yield Part(
                "Parity", opening, tuple(piece(_parity_row(r, names)) for r in rows), "\n\n</details>", unit
            )


def _parity_row(row: ParityRow, names: list[str]) -> str:
    meant = "" if not row.differs else "yes" if row.explained else "**not explained**"
    explained = f" {prose(row.explanation, longest=200)}" if row.explanation else ""
    values = [prose(row.values.get(name, wording.ABSENT), longest=120) for name in names]
    return f"| {' | '.join([code(row.key), *values, f'{meant}{explained}'])} |"


def _picture(environment: EnvironmentReview) -> str:
    diagram = diagram_of(environment)
    remark = prose(" ".join(filter(None, (diagram.description, diagram.left_out))))
    picture = fenced(to_mermaid(diagram).split("\n"), "mermaid")
    return folded(f"{in_html(environment.name)}: resources and data flow", f"{picture}\n\n{remark}")


def _money(amount: Decimal | None) -> str:
    return prose(wording.money(amount))


def _range(floor: Decimal | None, ceiling: Decimal | None) -> str:
    return "" if floor is None and ceiling is None else f"<br>{_money(floor)} to {_money(ceiling)}"


def _delta(before: Decimal | None, after: Decimal | None, total_before: Decimal | None) -> str:
    return "" if total_before is None else prose(wording.delta(before, after))
