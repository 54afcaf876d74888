"""Text for one line of a terminal: few of many things, and what others wrote without what would move or colour it."""

import re
from collections.abc import Sequence

# control characters, line and paragraph separators, and marks that turn the direction of writing
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


NAMED = 3  # of many things that one line names


def few(things: Sequence[str]) -> str:
    """The first few of some things, and how many more there are."""
    more = [f"and {len(things) - NAMED} more"] if len(things) > NAMED else []
    return "; ".join([*things[:NAMED], *more])


def plain(text: str) -> str:
    """The text with a blank for each such character, and a question mark for what is no Unicode."""
    return CONTROL.sub(" ", text).encode("utf-8", "replace").decode()
