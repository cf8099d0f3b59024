"""The platform's own JSON files, damaged in every way that disks and people know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.commands import running
from mlops_assets.steps.features.code_versions import built_code
from mlops_assets.steps.land.stream_lag import lag_file, read_lag
from mlops_assets.world.alerts.incidents import Incidents
from mlops_assets.world.costs import Costs
from mlops_assets.world.files.state_files import DamagedFile, read_state
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.partitions import TakenRecord
from mlops_assets.world.landed.sources import Sources

DAMAGE = {
    "empty": b"", "a space": b" ", "null": b"null", "a list": b"[]", "a number": b"5", "a text": b'"x"',
    "deep": b'{"a":' * 100_000, "half": b'{"clock": "da', "bytes": b"\xff\xfe\x00", "twice": b'{"a": {}, "a": {}}',
    "a surrogate": b'{"a": "\\ud800"}', "another object": b'{"a": 1}', "many digits": b"9" * 6000,
}  # fmt: skip


def _lag(home: Home) -> Path:
    return lag_file(home, "sales")


READERS: dict[str, tuple[Callable[[Home], Path], Callable[[Home], Any]]] = {
    "home.json": (lambda home: home.settings_file, lambda home: home.settings),
    "_built.json": (
        lambda home: home.lake / "_built.json",
        lambda home: Sources(lake=Lake(root=str(home.root))).built(),
    ),
    "_code.json": (lambda home: home.lake / "_code.json", lambda home: built_code(Lake(root=str(home.root)))),
    "_taken.json": (lambda home: TakenRecord(home, "sales").file, lambda home: TakenRecord(home, "sales").entries()),
    "incidents.json": (lambda home: home.root / "incidents.json", lambda home: Incidents(home.root).state()),
    "lag.json": (_lag, lambda home: read_lag(home, "sales")),
    "up.json": (lambda home: home.root / "up.json", running._where),
}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize(("place", "read"), READERS.values(), ids=READERS)
def test_damage_is_a_sentence_with_file_and_remedy(
    tmp_path: Path, place: Callable[[Home], Path], read: Callable[[Home], Any], content: bytes
) -> None:
    home = Home(tmp_path)
    read(home)
    file = place(home)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    with pytest.raises(
        DamagedFile, match=r"cannot be read \(.+\)\. Restore it from a backup, or delete it: "
    ) as damaged:
        read(home)
    assert str(damaged.value).startswith(str(file))
    assert len(str(damaged.value)) < 600
    assert file.read_bytes() == content
    file.unlink()
    read(home)
    file.mkdir()
    with pytest.raises(DamagedFile, match="Is a directory"):
        read(home)
    file.rmdir()
    for target, fault in (("nowhere", "No such file"), (file.name, "Too many levels of symbolic links")):
        file.symlink_to(target)
        with pytest.raises(DamagedFile, match=fault):
            read(home)
        file.unlink()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"limit": {}}, "limit is no setting of a home; correct it to one of clock, until, landing, trials, limits"),
        ({"limits": {"file_byte": 1}}, "file_byte is no setting of a home"),
        ({"limits": {"file_bytes": "10"}}, "limits.file_bytes"),
        ({"limits": {"file_bytes": -1}}, "limits.file_bytes"),
        ({"limits": {"file_bytes": 0}}, "limits.file_bytes"),
        ({"limits": None}, "limits"),
        ({"landing": 5}, "landing"),
        ({"landing": ""}, "landing"),
        ({"trials": 2.5}, "trials"),
        ({"trials": True}, "trials"),
        ({"clock": "sun"}, "clock"),
        ({"until": "2013-01-01T00:00:00"}, "has no time zone"),
    ],
    ids=str,
)
def test_a_setting_that_a_home_has_not_is_refused_by_name(tmp_path: Path, values: dict[str, Any], why: str) -> None:
    home = Home(tmp_path)
    home.settings_file.write_text(json.dumps(values))
    with pytest.raises(DamagedFile) as refused:
        _ = home.settings
    assert why in str(refused.value)


def test_a_file_without_the_right_to_read_it_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refused)  # tests may run as root, to whom nothing is refused
    file = tmp_path / "a.json"
    file.touch()
    with pytest.raises(DamagedFile, match=f"Give the right to read it: chmod u\\+r {file}"):
        read_state(file, dict[str, str], lost="nothing is lost")


def test_a_damaged_line_of_the_costs_is_named(tmp_path: Path) -> None:
    costs = Costs(tmp_path)
    costs.append("step", {"seconds": 1.0})
    costs.file.write_bytes(costs.file.read_bytes() + b"[1]\n")
    with pytest.raises(DamagedFile, match=r"costs\.jsonl cannot be read \(line 2: it is no JSON object\)"):
        costs.lines()
