"""Works ahead in a thread: NumPy lets go of the interpreter's lock, so that two steps run at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


def ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """Yield `items`, of which the next is made while one is used; what making one raises is raised here."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(lambda: next(items, _END))
        while (item := following.result()) is not _END:
            following = thread.submit(lambda: next(items, _END))
            yield item  # type: ignore[misc]


_END = object()
