"""Progress bars on standard error; nothing where that is no terminal."""

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], title: str) -> Iterable[T]:
    """`items` behind a progress bar on standard error; plain where that is no terminal."""
    return tqdm(items, desc=title, disable=None if title else True, leave=False)
