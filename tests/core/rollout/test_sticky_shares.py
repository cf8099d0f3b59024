"""The sticky share: even, nested, and the same everywhere."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.stats import kstest

from mlops_assets.core.rollout.sticky_shares import place


def test_places_are_even() -> None:
    places = [place(7, {"entity": n}) for n in range(5_000)]
    assert 0.0 <= min(places) <= max(places) < 1.0
    assert kstest(places, "uniform").pvalue > 0.01


def test_a_place_is_blake2b_of_version_and_keys_whatever_their_order() -> None:
    digest = hashlib.blake2b(b'[7,[["a",1],["b","x"]]]', digest_size=8).hexdigest()
    assert place(7, {"b": "x", "a": 1}) == place(7, {"a": 1, "b": "x"}) == int(digest, 16) / 2**64


def test_another_rollout_tries_on_others() -> None:
    one, other = (np.array([place(v, {"entity": n}) < 0.1 for n in range(5_000)]) for v in (7, 8))
    assert (one & other).mean() < 0.02  # a hundredth, where they are independent
