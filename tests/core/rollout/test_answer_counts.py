"""Answering times in buckets against numpy's percentiles of the times themselves."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mlops_assets.core.rollout.answer_counts import LAST, Answering, bucket_of, upper_ms


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_percentile_is_numpys_to_five_percent(share: float) -> None:
    seconds = np.random.default_rng(0).lognormal(-4, 1.2, 20_000)
    counted = Answering(Counter(map(bucket_of, seconds)))
    found, exact = counted.percentile_ms(share), 1_000 * np.quantile(seconds, share, method="inverted_cdf")
    assert found is not None
    assert exact <= found <= 1.05 * exact * (1 + 1e-9)


def test_a_bucket_holds_what_is_above_the_one_below() -> None:
    for seconds in (1e-9, 1e-4, 0.000105, 0.0001051, 0.2, 3.0, 1e9):
        bucket = bucket_of(seconds)
        assert bucket in (0, LAST) or upper_ms(bucket - 1) < 1_000 * seconds <= upper_ms(bucket) * (1 + 1e-9)


def test_only_what_is_surely_slower_counts_as_slow() -> None:
    counted = Answering({bucket_of(0.201): 5, bucket_of(0.3): 2, bucket_of(0.1): 90}, errors=1)
    assert counted.slower_than(200.0) == 2
    assert counted.slower_than(0.0) == counted.answers == 97


def test_nothing_yet() -> None:
    assert Answering({}).percentile_ms() is None
    assert (Answering({}).answers, Answering({}).slower_than(1.0)) == (0, 0)
