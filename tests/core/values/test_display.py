"""Some of many texts in one sentence, which has one full stop."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.values.display import sentences, shown, some

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
