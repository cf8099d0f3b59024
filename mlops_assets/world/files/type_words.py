"""What a column is that is neither number, text nor flag, in words by which two tables are told apart.

Here: the words for a type of Arrow, whatever its width and its writer. Not here: columns with a distribution
(`table_files`).
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as is_

TIME = "a time"
"""Of a text in CSV: with or without a zone, or a date."""
_ZONED, _LOCAL, _DATE = "a time with a zone", "a time without a zone", "a date"


def same_type(word: str, another: str) -> bool:
    """Whether two columns are of one type by their words; texts of CSV say only that they are times."""
    return word == another or (TIME in (word, another) and {word, another} <= {TIME, _ZONED, _LOCAL, _DATE})


def words_of(dtype: pa.DataType) -> str:
    """What a type is, in words."""
    if is_.is_timestamp(dtype):
        return _ZONED if dtype.tz else _LOCAL
    if is_.is_map(dtype):
        return f"a map from {words_of(dtype.key_type)} to {words_of(dtype.item_type)}"
    if is_.is_list(dtype) or is_.is_large_list(dtype) or is_.is_fixed_size_list(dtype):
        return f"a list of {words_of(dtype.value_type)}"
    if is_.is_struct(dtype):
        return f"a record of {', '.join(f'{field.name} ({words_of(field.type)})' for field in dtype)}"
    if is_.is_dictionary(dtype):
        return words_of(dtype.value_type)
    known = {
        "numbers": (is_.is_integer, is_.is_floating, is_.is_decimal),
        "texts": (is_.is_string, is_.is_large_string, is_.is_string_view),
        "flags": (is_.is_boolean,),
        _DATE: (is_.is_date,),
        "a time of day": (is_.is_time,),
        "a duration": (is_.is_duration,),
        "bytes": (is_.is_binary, is_.is_large_binary, is_.is_fixed_size_binary, is_.is_binary_view),
    }
    return next((word for word, kinds in known.items() if any(is_a(dtype) for is_a in kinds)), str(dtype))
