"""Text of SQL that several rooms write.

Here: names and texts in quotes, free names, what a blank cell is, and one that means missing. Not here: any statement.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from mlops_assets.core.values.text_formats import PLAIN


def quoted(name: str) -> str:
    """A column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
    """A text, or a path, as an SQL string."""
    return "'" + str(text).replace("'", "''") + "'"


def is_blank(text: str) -> str:
    """A condition: a text (an expression) of nothing but white space, as Python's `str.isspace` has it.

    A text whose first character is an ASCII one that is seen is looked at no further: a tenth of the time.
    """
    pattern = r"[\s\p{Z}\x0b\x1c-\x1f\x{85}]+"
    return f"case when {text} between '!' and '~~' then false else regexp_full_match({text}, '{pattern}') end"


def without_blanks(text: str) -> str:
    """An expression: a text without the white space around it."""
    return rf"regexp_replace({text}, '^[\s\p{{Z}}]+|[\s\p{{Z}}]+$', '', 'g')"


def is_one_of(cell: str, words: Sequence[str]) -> str:
    """A condition: a text (an expression) is one of these, white space around it or not, or the same number."""
    texts = f"{without_blanks(cell)} in ({', '.join(map(literal, words))})"
    numbers = [repr(float(word)) for word in words if re.fullmatch(PLAIN, word) and math.isfinite(float(word))]
    return f"({texts} or try_cast({cell} as double) in ({', '.join(numbers)}))" if numbers else f"({texts})"


def exact(path: object) -> str:
    """A path as DuckDB's readers take it for this one place: to them each path is a pattern, also one in a list.

    A pattern below a folder is `exact(folder)` and what follows.
    """
    return re.sub(r"([*?[])", r"[\1]", str(path))


def free_name(wish: str, taken: Iterable[str]) -> str:
    """A name for a column of our own beside those of data: as wished, longer where that is taken.

    A table alias counts as a column where it stands alone, so it needs a free name too.
    """
    there = {name.casefold() for name in taken}
    while wish.casefold() in there:
        wish = f"{wish}_"
    return wish
