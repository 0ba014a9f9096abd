"""Text that GitHub's Markdown shows as it is, whatever is in it.

GitHub's dialect: https://github.github.com/gfm/. Beside Markdown's own characters, `$` begins a formula and
`@`, outside code, a mention.
"""

import html
import re
from typing import Final

from ops.review.presentation.wording import printable

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|~#&])")
_AT_START: Final = re.compile(r"^(\d{0,9})([-+=.)])")
"""What begins a list, or underlines a heading, where a line begins."""
_NO_MENTION: Final = "@\u200b"
_BACKTICKS: Final = re.compile(r"`+")


def one_line(text: str, longest: int) -> str:
    """Return `text` without line ends, cut to `longest` characters and with the number of the others."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= longest else f"{line[:longest]}… (+{len(line) - longest:,} characters)"


def prose(text: str, *, longest: int = 600) -> str:
    """Return `text` as Markdown that shows it, for a sentence or a table's cell."""
    return _escaped(text, longest).replace("@", _NO_MENTION)


def code(text: str, *, longest: int = 200) -> str:
    """Return `text` as Markdown that shows it as code, in tables too."""
    return f"<code>{_escaped(text, longest)}</code>" if text else ""


def _escaped(text: str, longest: int) -> str:
    line = _SPECIAL.sub(r"\\\1", one_line(text, longest)).replace("$", "&#36;")
    return _AT_START.sub(r"\1\\\2", line)


def in_html(text: str, *, longest: int = 200) -> str:
    """Return `text` for a line of HTML, such as a fold's summary."""
    return html.escape(one_line(text, longest)).replace("@", _NO_MENTION)


def fenced(lines: list[str], language: str) -> str:
    """Return `lines` as a block of code that nothing within it can end."""
    content = [printable(line) for line in lines]
    longest = max((len(run) for line in content for run in _BACKTICKS.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *content, fence])


def folded(summary: str, content: str) -> str:
    """Return `content` in a fold; `summary` is HTML already."""
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"
