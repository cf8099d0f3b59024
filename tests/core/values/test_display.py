"""Some of many texts in one sentence, which has one full stop."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.values.display import BREAK, ROOM, breakable, sentences, shown, some

WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("texts", "between", "told"),
    [
        ([], ", ", ""),
        (["a", "b", "c"], ", ", "a, b, c"),
        (["a", "b", "c", "d", "e"], ", ", "a, b, c and 2 more"),
        (["It moved.", "It fell.", "It rose.", "It stood."], "; ", "It moved; It fell; It rose; and 1 more"),
        ([f"f{number}" for number in range(2003)], ", ", "f0, f1, f2 and 2,000 more"),
        ([shown("x" * 70)], ", ", f"{'x' * 60}..."),
    ],
)
def test_the_first_of_some_texts_and_how_many_more_there_are(texts: list[str], between: str, told: str) -> None:
    assert some(texts, 3, between=between) == told


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([], ""),
        (["", "It holds", "", "Nothing moved.", "Why?"], "It holds. Nothing moved. Why?"),
        (iter(["a"]), "a."),
    ],
)
def test_sentences_follow_each_other_with_one_full_stop_each(texts: Iterable[str], told: str) -> None:
    assert sentences(texts) == told


@given(
    st.lists(st.tuples(WORDS, st.booleans()), min_size=1, max_size=12), st.integers(1, 8), st.sampled_from([", ", "; "])
)
def test_a_sentence_around_them_ends_in_one_full_stop(parts: list[tuple[str, bool]], most: int, between: str) -> None:
    sentence = f"Moved: {some([word + '.' * ends for word, ends in parts], most, between=between)}."
    assert re.search(r"\.[.;, ]", sentence) is None
    counted = re.search(r" and (\d+) more\.$", sentence)
    assert sentence.count(between.strip()) + 1 - (between == "; " and counted is not None) == min(most, len(parts))
    assert (int(counted[1]) if counted else 0) == max(0, len(parts) - most)


LONG_NAME = "feat_customer_orders__customer_orders_mean_of_amount_over_ninety_days"


@pytest.mark.parametrize(
    "word",
    [LONG_NAME, "a" * 64, "x" * 1_000, "/srv/data/" + "day/" * 20 + "file.csv", "é" * 50, "a=b,c=d;" * 20, "_" * 90],
)
def test_a_long_word_of_a_sentence_breaks_and_says_the_same(word: str) -> None:
    told = breakable(f"The value {word}, of version 3, is low.")
    assert told.replace(BREAK, "") == f"The value {word}, of version 3, is low."
    assert max(len(piece) for piece in re.split(rf"[\s{BREAK}]", told)) <= ROOM


@pytest.mark.parametrize(
    "text",
    [
        "Short words alone, of 42 letters at most: " + "a" * 42,
        f"Type mlops --home /srv/{'a' * 60} status",
        f"Type `mlops explain {'a' * 64}` here",
        f"![plot](data:image/svg+xml;base64,{'A' * 500})",
        f"See https://example.org/{'a' * 80}",
    ],
)
def test_what_is_typed_or_drawn_has_no_breaks(text: str) -> None:
    assert breakable(text) == text
