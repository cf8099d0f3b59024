"""Numbers in scientific notation, which YAML 1.1 reads as texts: `1e-05` has no point, `1.0e5` no sign.

Here: the notation, and such a text as a number. Not here: which fields hold numbers (`ranges`), other ways to
write them (`values.text_numbers`).

It is read by fields that hold numbers, and not where files are read: Dagster reads them with a reader of its own, and a
category `1e5` is a text. Neither reader tells `1e-05` from `"1e-05"`.
"""

from __future__ import annotations

import re
from typing import Any

SCIENTIFIC = r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"
"""As Python and JSON schemas read patterns."""
_SCIENTIFIC = re.compile(SCIENTIFIC)


def as_number(value: Any, *, whole: bool = False) -> Any:
    """A text in scientific notation as the number that it is; anything else as it is.

    Args:
        value: as YAML has read it.
        whole: whether the field holds whole numbers: then `1e3` is 1000, and not 1000.0.
    """
    if not isinstance(value, str) or not _SCIENTIFIC.match(value):
        return value
    number = float(value)
    return int(number) if whole and number.is_integer() else number
