"""The record of decisions: once each, in order, whole after a kill, and safe with several processes.

The hashes are checked against ones that are computed here from the file alone.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.core.record.entries import Decision, Pause, Promotion, Rejection, Request, Resume, Rollback
from mlops_assets.core.record.entry import OtherEntry
from mlops_assets.world.record import record as module
from mlops_assets.world.record.chain import DamagedRecord
from mlops_assets.world.record.ledger import Ledger
from mlops_assets.world.record.record import Record


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(root=str(tmp_path))


def entry(number: int, **values: object) -> OtherEntry:
    """An entry that may hold anything."""
    plain = {"id": f"e{number}", "kind": "test", "at": "2013-01-01T00:00:00+00:00", "action": "wait", **values}
    return OtherEntry(id=f"e{number}", kind="test", at=datetime(2013, 1, 1, tzinfo=UTC), values=plain)


def test_an_entry_stands_once_and_in_order(ledger: Ledger) -> None:
    assert [ledger.append("m", entry(n)) for n in (1, 2, 1)] == [True, True, False]
    assert [e.id for e in ledger.entries("m")] == ["e1", "e2"]
    assert ledger.entries("another") == []
    assert ledger.file("m") == ledger.folder / "m.jsonl"


def test_an_unfinished_line_was_never_on_record_and_gives_way(ledger: Ledger) -> None:
    ledger.append("m", entry(1))
    with ledger.file("m").open("a") as file:
        file.write('{"id": "e2", "ki')  # killed here
    assert [e.id for e in ledger.entries("m")] == ["e1"]
    assert ledger.append("m", entry(2))
    assert [json.loads(line)["id"] for line in ledger.file("m").read_text().splitlines()] == ["e1", "e2"]


def test_an_edited_line_stops_every_decision_with_its_number(ledger: Ledger) -> None:
    ledger.append("m", entry(1))
    ledger.append("m", entry(2))
    ledger.file("m").write_text(ledger.file("m").read_text().replace('"id": "e1"', '"id": e1'))
    with pytest.raises(ValueError, match=r"m.jsonl, line 1: not a whole entry. Restore the file from a backup"):
        ledger.entries("m")
    assert ledger.append("m", entry(3)), "what a person says about it goes on record"
    assert (ledger.verify("m").fault, ledger.verify("m").line) == ("unreadable", 1)


def test_text_in_any_language_comes_back(ledger: Ledger) -> None:
    ledger.append("m", entry(1, reason="Müller sagt:\nneu trainieren – 再学習"))
    assert ledger.entries("m")[0].to_dict()["reason"] == "Müller sagt:\nneu trainieren – 再学習"


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
    assert sorted(int(e.id[1:]) for e in ledger.entries("m")) == list(range(80))


def test_requests_and_pauses_hold_until_they_are_answered(ledger: Ledger) -> None:
    record = ledger.record
    assert (record.open_request("m"), record.paused("m")) == (None, None)
    record.note("m", Request, reason="new feature", by="ada")
    record.note("m", Pause, reason="feed moves", by="bob")
    asked = record.open_request("m")
    assert asked is not None
    assert asked.startswith("new feature")
    assert record.paused("m") == "feed moves (bob)"
    record.note("m", Decision, action="wait", rule="nothing")
    assert record.open_request("m") == asked  # a wait is no answer
    record.note("m", Decision, action="retrain", rule="request")
    record.note("m", Resume, reason="done", by="bob")
    assert (record.open_request("m"), record.paused("m")) == (None, None)


# --- the chain ---------------------------------------------------------------------------------------------


def written(ledger: Ledger, count: int, *, first: int = 1) -> list[str]:
    """The lines of a record of so many entries."""
    for number in range(first, first + count):
        ledger.append("m", entry(number, gain=0.1 * number, reasons=["größer", None, True]))
    return ledger.file("m").read_text().splitlines(keepends=True)


def rewrite(ledger: Ledger, lines: list[str]) -> None:
    ledger.file("m").write_text("".join(lines))


def canonical(values: dict[str, object]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_each_entry_carries_its_hash_and_that_of_the_one_before(ledger: Ledger) -> None:
    before = hashlib.sha256(b"record of m").hexdigest()
    for line in written(ledger, 3):
        values = json.loads(line)
        own = values.pop("hash")
        assert values["previous_hash"] == before
        assert own == hashlib.sha256(canonical(values)).hexdigest()
        before = own
    found = ledger.verify("m")
    assert (found.whole, found.entries, found.older, found.head, found.line) == (True, 3, 0, before, None)
    assert found.sentence == "3 entries, whole"


def test_what_json_changes_is_hashed_as_it_is_read(ledger: Ledger) -> None:
    ledger.append("m", entry(1, pair=(1, 2), by_number={2: "b", 1: "a"}))
    assert ledger.entries("m")[0].to_dict()["pair"] == [1, 2]
    assert ledger.verify("m").whole


def test_nothing_on_record_is_whole(ledger: Ledger) -> None:
    found = ledger.verify("m")
    assert (found.whole, found.entries, found.head, found.sentence) == (True, 0, None, "0 entries, whole")
    assert not ledger.folder.exists()


def test_a_record_from_before_the_chain_is_chained_from_the_first_new_entry_on(ledger: Ledger) -> None:
    ledger.folder.mkdir(parents=True)
    rewrite(ledger, [json.dumps(entry(n, previous=None).to_dict()) + "\n" for n in (1, 2)])
    assert (ledger.verify("m").sentence, ledger.verify("m").head) == (
        "2 entries, whole, 2 of them older than the chain",
        None,
    )
    lines = written(ledger, 2, first=3)
    assert json.loads(lines[2])["previous_hash"] == hashlib.sha256(canonical(json.loads(lines[1]))).hexdigest()
    assert ledger.verify("m").sentence == "4 entries, whole, 2 of them older than the chain"
    assert [e.id for e in ledger.entries("m")] == ["e1", "e2", "e3", "e4"]
    rewrite(ledger, [lines[0], *lines[2:]])
    assert (ledger.verify("m").fault, ledger.verify("m").line) == ("removed", 2)


def test_the_platforms_own_words_survive(ledger: Ledger) -> None:
    """A promotion's `previous` is the version it replaced, and stays so."""
    ledger.record.note("m", Promotion, version=2, previous=1, reason="better")
    assert ledger.entries("m")[0].to_dict()["previous"] == 1
    assert ledger.verify("m").whole


CHANGES: dict[str, tuple[Callable[[list[str]], list[str]], str, int]] = {
    "edited": (lambda ls: [*ls[:2], ls[2].replace('"wait"', '"retrain"'), *ls[3:]], "edited", 3),
    "edited, the last": (lambda ls: [*ls[:-1], ls[-1].replace('"wait"', '"retrain"')], "edited", 5),
    "without its hash": (lambda ls: [*ls[:2], json.dumps(entry(3).to_dict()) + "\n", *ls[3:]], "edited", 3),
    "half a line": (lambda ls: [*ls[:2], ls[2][:20] + "\n", *ls[3:]], "unreadable", 3),
    "no object": (lambda ls: [*ls[:2], "3\n", *ls[3:]], "unreadable", 3),
    "removed, the first": (lambda ls: ls[1:], "removed", 1),
    "removed, inside": (lambda ls: [*ls[:2], *ls[3:]], "removed", 3),
    "removed, the last": (lambda ls: ls[:-1], "removed", 5),
    "removed, all": (lambda ls: [], "removed", 1),
    "swapped": (lambda ls: [ls[0], ls[2], ls[1], *ls[3:]], "reordered", 2),
    "swapped, the first": (lambda ls: [ls[1], ls[0], *ls[2:]], "reordered", 1),
    "repeated": (lambda ls: [*ls[:3], *ls[2:]], "reordered", 4),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_record_is_found_at_the_first_line_that_does_not_fit(ledger: Ledger, change: str) -> None:
    make, fault, line = CHANGES[change]
    rewrite(ledger, make(written(ledger, 5)))
    found = ledger.verify("m")
    assert (found.whole, found.fault, found.line) == (False, fault, line)
    assert found.sentence.startswith(f"line {line}: ")
    assert "from a backup" in found.sentence


def test_an_edit_with_a_new_hash_breaks_the_line_after_it(ledger: Ledger) -> None:
    lines = written(ledger, 3)
    forged = json.loads(lines[0]) | {"action": "retrain"}
    del forged["hash"]
    forged["hash"] = hashlib.sha256(canonical(forged)).hexdigest()
    rewrite(ledger, [json.dumps(forged) + "\n", *lines[1:]])
    assert (ledger.verify("m").fault, ledger.verify("m").line) == ("removed", 2)


def test_a_record_written_anew_does_not_fit_its_head(ledger: Ledger) -> None:
    written(ledger, 3)
    ledger.file("m").unlink()
    head = ledger.record.head_file("m").read_bytes()
    ledger.record.head_file("m").unlink()
    written(ledger, 3, first=5)
    assert ledger.verify("m").whole
    ledger.record.head_file("m").write_bytes(head)
    assert (ledger.verify("m").fault, ledger.verify("m").line) == ("edited", 3)


def test_a_missing_end_stays_found_when_the_record_goes_on(ledger: Ledger) -> None:
    lines = written(ledger, 4)
    rewrite(ledger, lines[:2])
    for number in (7, 8, 9):
        ledger.append("m", entry(number))
        assert not ledger.verify("m").whole
    assert (ledger.verify("m").fault, ledger.verify("m").line) == ("edited", 4)


@pytest.mark.parametrize("left", [0, 1, 3])
def test_a_record_without_its_end_is_not_decided_on(ledger: Ledger, left: int) -> None:
    """A pause may have stood there."""
    lines = written(ledger, 3)
    ledger.record.note("m", Pause, reason="the audit", by="me")
    rewrite(ledger, lines[:left])
    for read in (ledger.record.entries, ledger.record.paused, ledger.record.reigns):
        with pytest.raises(DamagedRecord, match=r"m\.jsonl: entry 4, .* is not there .* or delete .*m\.head"):
            read("m")
    # What a person says now does not stand for what is gone.
    ledger.record.note("m", Pause, reason="again", by="me")
    assert ledger.record.damage("m")
    ledger.record.head_file("m").unlink()
    assert "again" in str(ledger.record.paused("m"))


@pytest.mark.parametrize(
    "text", ["one", '{"entries": 1e999, "hash": "x"}', '{"entries": 1, "entries": 1, "hash": "x"}']
)
def test_a_head_that_cannot_be_read_says_what_to_do(ledger: Ledger, text: str) -> None:
    written(ledger, 1)
    ledger.record.head_file("m").write_text(text)
    assert ledger.append("m", entry(2))
    found = ledger.verify("m")
    assert (found.whole, found.fault) == (False, "unreadable")
    assert re.search(r"m.head cannot be read .* Restore it from a backup, or delete it", found.sentence)
    assert len(ledger.entries("m")) == 2
    ledger.record.head_file("m").unlink()
    assert ledger.append("m", entry(3))
    assert ledger.verify("m").whole


def test_a_kill_at_any_byte_of_a_write_leaves_the_chain_whole(ledger: Ledger) -> None:
    """A write that is cut off leaves a beginning of the line; the head still names the entry before."""
    whole = written(ledger, 2)
    head = ledger.record.head_file("m").read_bytes()
    line = written(ledger, 1, first=3)[-1].encode()
    for cut in range(len(line)):
        ledger.file("m").write_bytes("".join(whole).encode() + line[:cut])
        ledger.record.head_file("m").write_bytes(head)
        assert (ledger.verify("m").whole, ledger.verify("m").entries) == (True, 2)
        written(ledger, 1, first=3)
        assert (ledger.verify("m").whole, ledger.verify("m").entries) == (True, 3)


def die_at(folder: Path, owner: object, name: str, number: int) -> None:
    """Append, and die (kill -9) right before a call."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, die)
    Record(folder).append("m", entry(number))


@pytest.mark.parametrize(("name", "kept"), [("ftruncate", 2), ("fsync", 2), ("replace", 3)])
def test_a_process_killed_while_it_writes_leaves_the_chain_whole(ledger: Ledger, name: str, kept: int) -> None:
    """Before anything, before the line is on disk, and between the line and the head."""
    written(ledger, 2)
    owner: object = Path if name == "replace" else os
    if name == "ftruncate":
        owner, name = json, "dumps"
    process = multiprocessing.get_context("fork").Process(target=die_at, args=(ledger.folder, owner, name, 3))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    found = ledger.verify("m")
    # What the kernel was given before the kill may stand there: half a line never does.
    assert found.whole
    assert kept <= found.entries <= 3
    ledger.append("m", entry(3))
    ledger.append("m", entry(4))
    assert (ledger.verify("m").sentence, [e.id for e in ledger.entries("m")]) == (
        "4 entries, whole",
        ["e1", "e2", "e3", "e4"],
    )


def test_several_processes_keep_one_chain(ledger: Ledger) -> None:
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=write_many, args=(ledger.folder, first)) for first in (0, 20, 40)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert ledger.verify("m").sentence == "80 entries, whole"


# --- who was champion when ---------------------------------------------------------------------------------


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2013, 4, number, hour, tzinfo=UTC)


def test_who_was_champion_when(ledger: Ledger) -> None:
    record = ledger.record
    assert record.reigns("m") == []
    assert record.champion_at("m", day(1)) is None
    record.note("m", Promotion, at=day(2), version=1, decision="d1", reason="first", previous=None)
    record.note("m", Rejection, at=day(4), version=2, decision="d2", reason="no better")
    record.note("m", Promotion, at=day(6), version=3, decision="d3", reason="better", previous=1)
    record.note("m", Rollback, at=day(9), version=1, reason="too slow", by="ada")
    assert record.champion_at("m", day(1, 23)) is None
    at = {n: record.champion_at("m", day(n)) for n in (2, 5, 6, 8, 9, 30)}
    assert {n: reign.version for n, reign in at.items() if reign} == {2: 1, 5: 1, 6: 3, 8: 3, 9: 1, 30: 1}
    second, last = at[6], at[30]
    assert second is not None
    assert last is not None
    assert (second.since, second.until, second.followed_by, second.decision) == (day(6), day(9), 1, "d3")
    assert (last.kind, last.decision, last.reason, last.until) == ("rollback", None, "too slow", None)


def test_the_same_version_promoted_again_reigns_on(ledger: Ledger) -> None:
    ledger.record.note("m", Promotion, at=day(2), version=1, decision="d1", reason="first")
    ledger.record.note("m", Promotion, at=day(5), version=1, decision="d2", reason="again")
    (reign,) = ledger.record.reigns("m")
    assert (reign.since, reign.until, reign.decision) == (day(2), None, "d1")


# --- damage ------------------------------------------------------------------------------------------------

DAMAGE = {
    "deep": b'{"id": "x", "kind": "a", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "half of a pair": b'{"id": "x", "kind": "a", "reason": "\\ud800"}',
    "a list": b"[1]",
    "no object": b"null",
    "a number that nobody reads": b"9" * 10_000,
    "not UTF-8": b'{"id": "\xff\xfe"}',
    "zeros": b"\x00" * 64,
    "nothing in it": b"{}",
    "a word twice": b'{"id": "x", "kind": "a", "reason": "forged", "reason": "as it was"}',
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_damage_is_named_at_its_line_and_takes_a_word(ledger: Ledger, damage: str, place: int) -> None:
    lines = [line.encode() for line in written(ledger, 3)]
    ledger.file("m").write_bytes(b"".join([*lines[:place], DAMAGE[damage] + b"\n", *lines[place:]]))
    ledger.append("other", entry(1))
    found = ledger.verify("m")
    assert (found.whole, found.line) == (False, place + 1)
    for read in (ledger.record.entries, ledger.record.paused, ledger.record.reigns):
        with pytest.raises(DamagedRecord, match=rf"m\.jsonl, line {place + 1}: not a whole entry.*from a backup"):
            read("m")
    ledger.record.note("m", Pause, reason="the disk", by="me")
    assert b'"the disk"' in ledger.file("m").read_bytes()
    assert ledger.verify("m").line == place + 1, "the damage stays found"
    assert ledger.verify("other").whole
    rewrite(ledger, [line.decode() for line in lines])
    assert ledger.record.paused("m") is None
    assert ledger.verify("m").whole


def test_a_record_that_is_no_file_is_a_sentence(ledger: Ledger) -> None:
    written(ledger, 1)
    ledger.file("m").unlink()
    ledger.file("m").mkdir()
    assert "m.jsonl cannot be read" in ledger.verify("m").sentence
    with pytest.raises(DamagedRecord, match="cannot be read"):
        ledger.entries("m")


def test_half_of_a_surrogate_pair_never_comes_on_record(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        ledger.append("m", entry(1, reason="\ud800"))
    assert ledger.verify("m").entries == 0


def test_a_last_line_without_its_line_break_is_kept_where_the_head_proves_it(ledger: Ledger) -> None:
    lines = written(ledger, 3)
    ledger.file("m").write_text("".join(lines).rstrip("\n"))
    assert [e.id for e in ledger.entries("m")] == ["e1", "e2", "e3"]
    assert ledger.verify("m").entries == 3
    ledger.append("m", entry(4))
    assert ledger.file("m").read_text().startswith("".join(lines))
    assert (ledger.verify("m").whole, ledger.verify("m").entries) == (True, 4)
    # Whole, yet not on record as far as anyone can prove: the head names the entry before.
    head = ledger.record.head_file("m").read_bytes()
    five = written(ledger, 1, first=5)
    ledger.file("m").write_text("".join(five).rstrip("\n"))
    ledger.record.head_file("m").write_bytes(head)
    assert ledger.verify("m").entries == 4


def test_the_record_of_another_model_is_not_whole_under_this_name(ledger: Ledger) -> None:
    for names in (("m", "n"), ("noted", "other")):
        if names[0] == "m":
            written(ledger, 3)
        else:
            ledger.record.note("noted", Pause, reason="x", by="y")
        for of in (ledger.record.file, ledger.record.head_file):
            of(names[1]).write_bytes(of(names[0]).read_bytes())
        assert ledger.verify(names[0]).whole
        assert not ledger.verify(names[1]).whole
    assert (ledger.verify("other").fault, ledger.verify("other").line) == ("foreign", 1)


def test_a_record_that_began_before_it_held_the_name_is_whole(ledger: Ledger) -> None:
    before, lines = "0" * 64, []
    for number in (1, 2):
        values = {**entry(number).to_dict(), "previous_hash": before}
        before = hashlib.sha256(canonical(values)).hexdigest()
        lines.append(json.dumps({**values, "hash": before}) + "\n")
    ledger.folder.mkdir(parents=True)
    rewrite(ledger, lines)
    assert (ledger.verify("m").whole, ledger.verify("m").entries) == (True, 2)
    ledger.append("m", entry(3))
    assert ledger.verify("m").sentence == "3 entries, whole"


def test_an_entry_without_what_its_kind_needs_is_named_with_its_line(ledger: Ledger) -> None:
    ledger.record.note("m", Promotion, version=1)
    line = {"kind": "promotion", "id": "p2", "model": "m", "at": "2013-01-01T00:00:00+00:00"}
    ledger.append("m", OtherEntry(id="p2", kind="promotion", at=datetime(2013, 1, 1, tzinfo=UTC), values=line))
    with pytest.raises(DamagedRecord, match=r"m\.jsonl, line 2: no promotion \(.*version.*\)\. Restore the file"):
        ledger.entries("m")
    assert ledger.verify("m").whole, "it is as it was written"


def test_a_record_is_parsed_once_while_its_files_stand_still(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written within a tick of the system's clock is read anew: it may have the time of what was before."""
    parsed: list[str] = []
    parse = Record._parsed
    monkeypatch.setattr(Record, "_parsed", lambda self, model: (parsed.append(model), parse(self, model))[1])
    ledger.append("m", entry(1))
    for _ in range(3):
        assert [each.id for each in ledger.entries("m")] == ["e1"]
    assert len(parsed) == 3
    monkeypatch.setattr(module, "_SETTLED_NS", 0)
    ledger.entries("m").clear()
    assert [each.id for each in ledger.entries("m")] == ["e1"], "the caller's list is the caller's"
    assert len(parsed) == 4
    ledger.append("m", entry(2))
    assert [each.id for each in ledger.entries("m")] == ["e1", "e2"]
    ledger.record.head_file("m").write_text('{"entries": 3, "hash": "x"}')
    with pytest.raises(DamagedRecord):
        ledger.entries("m")
