"""Text that others wrote, as a terminal may show it: in one line, and without what would move, colour or reorder it."""

import re

# control characters, line and paragraph separators, and marks that turn the direction of writing
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """The text with a blank for each such character, and a question mark for what is no Unicode."""
    return CONTROL.sub(" ", text).encode("utf-8", "replace").decode()
