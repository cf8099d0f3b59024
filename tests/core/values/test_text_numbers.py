"""Numbers in texts: each is the number that it means where its column says how it is written, and else refused."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.sources.contract import SourceContract
from mlops_assets.core.sources.contract_cast import conform
from mlops_assets.core.sources.contract_check import check_frame, check_frames
from mlops_assets.core.values.text_formats import MISSING, NUMBER_FORMATS, NumberFormat
from mlops_assets.core.values.text_numbers import hint, look_at, read_number

SIGNS = ["", "€", "$", "£", "EUR", "US$", "kr"]
hundredths = st.integers(-(10**11), 10**11)


def written(hundredths: int, mark: str, thousands: str, sign: str, before: bool) -> str:
    """A number of two places as people write it, made by Python's own grouping."""
    whole, places = divmod(abs(hundredths), 100)
    body = f"{whole:,}".replace(",", thousands) + mark + f"{places:02}"
    body = f"{sign} {body}" if before else f"{body} {sign}"
    return ("-" if hundredths < 0 else "") + body.strip()


@given(hundredths, st.sampled_from(["", "'", "’", " ", "\u00a0", "\u202f"]), st.sampled_from(SIGNS), st.booleans())
def test_thousands_decimals_and_currencies(number: int, thousands: str, sign: str, before: bool) -> None:
    for mark, apart, form in ((".", thousands or ",", "point"), (",", thousands or ".", "comma")):
        text = written(number, mark, apart, sign, before)
        read = read_number(text, form)  # type: ignore[arg-type]
        assert read is not None
        assert float(read) == number / 100
        assert look_at([text]).mark == form


@given(st.integers(1, 10**9))
def test_brackets_are_below_zero(hundredths: int) -> None:
    text = f"({hundredths / 100:,.2f})"
    assert float(str(read_number(text, "point"))) == -hundredths / 100
    assert look_at([text, "1.5"]).bracketed == text


@given(st.integers(1, 10**9), st.sampled_from(["", "€", "USD"]))
def test_a_minus_behind_is_below_zero(hundredths: int, sign: str) -> None:
    text = f"{hundredths / 100:,.2f}- {sign}".strip()
    assert float(str(read_number(text, "point"))) == -hundredths / 100
    assert look_at([text, "1.5"]).bracketed == text
    assert read_number(f"-{text}", "point") is None
    assert "minus in front" in hint(f"{hundredths}-")
    assert "`format: point`" in hint(text) or "`format: comma`" in hint(text)


@given(st.integers(-10_000, 10_000))
def test_percent_are_shares(tenths: int) -> None:
    assert float(str(read_number(f"{tenths / 10} %", "point %"))) == pytest.approx(tenths / 1000, abs=1e-15)
    assert float(str(read_number(f"{tenths / 10}%".replace(".", ","), "comma %"))) == pytest.approx(tenths / 1000)
    assert read_number(f"{tenths / 10} %", "point") is None
    assert read_number(f"{tenths / 10}", "point %") is None


@pytest.mark.parametrize(
    ("texts", "mark", "is_open", "why"),
    [
        (["1,234", "5,678"], None, True, ""),
        (["1,234", "5,6"], "comma", True, ""),
        (["1,234", "5.6"], "point", True, ""),
        (["0,500", "0,250"], "comma", False, ""),
        (["1.5", "1,5"], None, False, "decimal point"),
        (["5 %", "5"], None, False, "percent"),
        (["€ 5", "$ 5"], None, False, "several currencies"),
    ],
)
def test_the_mark_is_proven_by_some_text_or_stays_open(
    texts: list[str], mark: str | None, is_open: bool, why: str
) -> None:
    found = look_at(texts)
    assert (found.mark, found.either is not None, found.failed) == (mark, is_open, 0)
    assert why in found.why_not if why else not found.why_not


@pytest.mark.parametrize(
    "text", ["12-34", "1.2.3", "10.0.0.1", "12,34,5", "abc", "", "-", "1e", "5-", "+-5", "(-5)", "(5", "()", "0171 12"]
)
def test_what_is_no_number_is_not_read_as_one(text: str) -> None:
    assert all(read_number(text, form) is None for form in NUMBER_FORMATS)


@given(st.text(max_size=20), st.sampled_from(NUMBER_FORMATS))
def test_no_text_is_an_error_and_what_is_read_is_a_number(text: str, form: NumberFormat) -> None:
    read = read_number(text, form)
    assert read is None or isinstance(float(read), float)
    look_at([text])
    hint(text)


def test_a_contract_reads_by_its_format_and_names_the_row_without() -> None:
    frame = pd.DataFrame({"price": ["12", "1.234,50 €", None, "2,5"]}, dtype=object)
    plain = conform(SourceContract.from_dict({"columns": {"price": "number"}}), frame)
    assert "rows 2, 4" in plain.failures[0].sentence
    assert "`format: comma`" in plain.failures[0].sentence
    stated = conform(SourceContract.from_dict({"columns": {"price": {"type": "number", "format": "comma"}}}), frame)
    assert stated.frame["price"].tolist()[::3] == [12.0, 2.5]
    assert stated.frame["price"][1] == 1234.5
    assert not stated.failures


@pytest.mark.parametrize("form", ["comma", "point"])
@pytest.mark.parametrize("wrong", ["5.12", "5.1", "12.3456", "0.512", "1,234.5", "abc"])
def test_a_cell_that_the_format_cannot_read_is_refused_and_by_no_other_format(form: str, wrong: str) -> None:
    cells = ["5,12", "7,25", wrong, "1.234,5"]
    if form == "point":
        cells = [cell.translate(str.maketrans(",.", ".,")) for cell in cells]
    contract = SourceContract.from_dict({"columns": {"x": {"type": "number", "format": form}}})
    (failure,) = check_frame(contract, pd.DataFrame({"x": cells}, dtype=object)).failures
    assert "(row 3)" in failure.sentence
    assert cells[2] in failure.sentence
    assert f"written as {form}" in failure.sentence


@given(st.lists(st.integers(1_001, 9_999).filter(lambda n: n % 10), min_size=2, max_size=30), st.data())
def test_thousandths_behind_two_marks_are_refused_by_row_in_one_file_and_in_many(cells: list[int], data: Any) -> None:
    for form, mark, other in (("comma", ",", "."), ("point", ".", ",")):
        texts = [f"{n / 1000:.3f}".replace(".", mark) for n in cells]
        contract = SourceContract.from_dict({"columns": {"x": {"type": "number", "format": form}}})
        good = pd.DataFrame({"x": texts}, dtype=object)
        assert check_frame(contract, good).frame["x"].tolist() == [n / 1000 for n in cells]
        odd = data.draw(st.integers(0, len(texts) - 2))
        texts[odd] = texts[odd].replace(mark, other)
        bad = pd.DataFrame({"x": texts}, dtype=object)
        (failure,) = check_frame(contract, bad).failures
        assert (failure.n_rows, f"(row {odd + 1})" in failure.sentence) == (1, True)
        sure = pd.DataFrame({"x": [f"1{other}234{mark}5", f"2{other}345"]}, dtype=object)
        found = check_frames(contract, [good, bad, sure], partitions=[None] * 3)
        assert [one.ok for one in found] == [True, False, True]
        assert found[2].frame["x"].tolist() == [1234.5, 2345.0]


def test_a_message_stands_for_itself() -> None:
    contract = SourceContract.from_dict({"columns": {"x": {"type": "number", "format": "comma"}}})
    frame = pd.DataFrame({"x": ["5,123", "5.123"]}, dtype=object)
    assert check_frame(contract, frame, alone=True).frame["x"].tolist() == [5.123, 5123.0]


def test_a_format_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"format is 'dmy', of a column of type number: set one of point, comma"):
        SourceContract.from_dict({"columns": {"price": {"type": "number", "format": "dmy"}}})


def test_the_words_of_pandas_are_among_those_for_missing() -> None:
    from pandas._libs.parsers import STR_NA_VALUES

    assert set(MISSING) >= STR_NA_VALUES
