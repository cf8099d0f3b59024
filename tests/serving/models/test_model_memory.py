"""The memory of loaded models, held against one that is written down step by step."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.models.model_memory import ModelMemory

SIZES = dict(enumerate((1, 2, 3, 5, 8, 13, 40)))
LIMIT = 20
PARTS = st.sets(st.sampled_from(sorted(SIZES)), min_size=1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 5)),
        st.tuples(st.just("hold"), st.integers(0, 5), st.booleans()),
        st.tuples(
            st.just("put"), st.integers(0, 5), st.sets(st.sampled_from(sorted(SIZES)), min_size=1), st.booleans()
        ),
    ),
    max_size=60,
)


class Written:
    """The same as a list: what was asked for longest ago first."""

    def __init__(self) -> None:
        self.order: list[tuple[str, set[int]]] = []
        self.held: set[str] = set()

    @property
    def used(self) -> int:
        return sum(SIZES[part] for part in set().union(*(parts for _, parts in self.order)))

    def put(self, name: str, parts: set[int], *, asked: bool) -> list[str]:
        names = [each for each, _ in self.order]
        if name not in names:
            self.order.insert(len(self.order) if asked else 0, (name, parts))
        else:
            place = names.index(name)
            self.order[place] = (name, parts)
            if asked:
                self.order.append(self.order.pop(place))
        gone = []
        for each, _ in list(self.order):
            if self.used > LIMIT and each != name and each not in self.held:
                self.order = [(other, of) for other, of in self.order if other != each]
                gone.append(each)
        return gone


@given(STEPS)
def test_what_was_asked_for_longest_ago_goes_and_only_until_the_rest_fits(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    memory, written = ModelMemory[object](LIMIT), Written()
    for step in steps:
        name = f"m{step[1]}"
        known = dict(written.order)
        if step[0] == "ask":
            assert (memory.ask(name) is not None) == (name in known)
            if name in known:
                written.put(name, known[name], asked=True)
        elif step[0] == "hold":
            memory.hold(name, step[2])
            (written.held.add if step[2] else written.held.discard)(name)
        else:
            parts, asked = step[2], step[3]
            fits = sum(SIZES[p] for p in set().union(parts, *(of for each, of in known.items() if each != name)))
            assert memory.fits(name, {part: SIZES[part] for part in parts}) == (fits <= LIMIT)
            gone = memory.put(name, parts, {part: SIZES[part] for part in parts}, asked=asked)
            assert gone == written.put(name, parts, asked=asked)
            assert memory.look(name) is parts
            left = [each for each in memory.names if each != name and each not in written.held]
            assert memory.used <= LIMIT or not left, "above the limit only by what came last, and what is held"
        assert memory.names == [each for each, _ in written.order]
        assert memory.used == written.used


def test_many_threads_leave_the_sums_right() -> None:
    memory = ModelMemory[int](10)

    def work(seed: int) -> None:
        for number in range(2_000):
            which = (number * seed) % 7
            if memory.ask(f"m{which}") is None:
                memory.put(f"m{which}", which, {which: 3, 100: 1}, asked=True)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2, 3, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.used == 3 * len(memory.names) + 1 <= 10
