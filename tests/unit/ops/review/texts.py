"""Text that tries to break out of whatever shows it."""

import re

from hypothesis import strategies as st

_PIECES = (
    "<script>alert(1)</script>",
    "</script>",
    "</style>",
    "</details>",
    "<details open>",
    "<!--",
    "-->",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "</svg>",
    "]]>",
    "&lt;",
    "&amp;#60;",
    "```",
    "````\n",
    "~~~",
    "`",
    "|",
    "\\|",
    "\\",
    "\n\n",
    "\n# heading\n",
    "\r\n---\r\n",
    "\n- item",
    "1. item",
    "***bold***",
    "__x__",
    "~~x~~",
    "[link](javascript:alert(1))",
    "![image](https://example.com/x.png)",
    "<https://example.com>",
    "[^1]",
    "$x$",
    "@someone",
    '"]',
    '"] --> n1',
    "%%{init: {}}%%",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "\x00",
    "\x1b[31m",
    "\x85",
    "\u2028",
    "\u202e",
    "\ud800",
    "\ufffe",
    "é",
    "🎬",
    " ",
    "a",
    "::",
    "${Token[1]}",
)

_WORD = re.compile(r"[\w:.]+")

hostile = st.one_of(
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6).map("".join),
    st.text(min_size=1, max_size=40),
).filter(lambda text: bool(text.strip()) and not _WORD.fullmatch(text))
"""Never just a word, such as a resource type: it would break nothing, but mean something."""


def like(text: str) -> str:
    """Return harmless text of the same length, with line ends in the same places."""
    return re.sub(r"\S", "v", text)
