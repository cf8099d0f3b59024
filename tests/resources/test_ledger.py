"""The record of decisions: once each, in order, whole after a kill, and safe with several processes."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from mlops_assets.resources.ledger import Ledger
from mlops_assets.resources.record import Record


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(root=str(tmp_path))


def entry(number: int, **values: object) -> dict[str, object]:
    return {"id": f"e{number}", "kind": "decision", "action": "wait", **values}


def test_an_entry_stands_once_and_in_order(ledger: Ledger) -> None:
    assert [ledger.append("m", entry(n)) for n in (1, 2, 1)] == [True, True, False]
    assert [e["id"] for e in ledger.entries("m")] == ["e1", "e2"]
    assert ledger.entries("another") == []
    assert ledger.file("m") == ledger.folder / "m.jsonl"


def test_an_unfinished_line_was_never_on_record_and_gives_way(ledger: Ledger) -> None:
    ledger.append("m", entry(1))
    with ledger.file("m").open("a") as file:
        file.write('{"id": "e2", "ki')  # killed here
    assert [e["id"] for e in ledger.entries("m")] == ["e1"]
    assert ledger.append("m", entry(2))
    assert [json.loads(line)["id"] for line in ledger.file("m").read_text().splitlines()] == ["e1", "e2"]


def test_an_edited_line_stops_every_decision_with_its_number(ledger: Ledger) -> None:
    ledger.append("m", entry(1))
    ledger.append("m", entry(2))
    ledger.file("m").write_text(ledger.file("m").read_text().replace('"id": "e1"', '"id": e1'))
    with pytest.raises(ValueError, match=r"m.jsonl, line 1: not a whole entry. Restore the file from a backup"):
        ledger.entries("m")
    with pytest.raises(ValueError, match="line 1"):
        ledger.append("m", entry(3))


def test_text_in_any_language_comes_back(ledger: Ledger) -> None:
    ledger.append("m", entry(1, reason="Müller sagt:\nneu trainieren – 再学習"))
    assert ledger.entries("m")[0]["reason"] == "Müller sagt:\nneu trainieren – 再学習"


def write_many(folder: Path, first: int) -> None:
    for number in range(first, first + 40):
        Record(folder).append("m", entry(number))


def test_several_processes_lose_and_double_nothing(ledger: Ledger) -> None:
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=write_many, args=(ledger.folder, first)) for first in (0, 20, 40)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(int(e["id"][1:]) for e in ledger.entries("m")) == list(range(80))


def test_requests_and_pauses_hold_until_they_are_answered(ledger: Ledger) -> None:
    record = ledger.record
    assert (record.open_request("m"), record.paused("m")) == (None, None)
    record.note("m", "request", reason="new feature", by="ada")
    record.note("m", "pause", reason="feed moves", by="bob")
    asked = record.open_request("m")
    assert asked is not None
    assert asked.startswith("new feature")
    assert record.paused("m") == "feed moves (bob)"
    ledger.append("m", entry(1))
    assert record.open_request("m") == asked  # a wait is no answer
    ledger.append("m", entry(2, action="retrain"))
    record.note("m", "resume", reason="done", by="bob")
    assert (record.open_request("m"), record.paused("m")) == (None, None)
