"""What an installation weighs: packages and megabytes of a bare one, and what each extra adds.

Here: walking from the requirements in pyproject.toml through the metadata of what is installed beside this Python,
with the markers of this platform, and adding up the files that each package's RECORD names (without compiled ones,
which each machine makes for itself): a requirement that is not installed is named and not counted. With `--timed`
each is installed into an environment of its own, too, twice: with an empty cache of pip, and with a full one. The table
goes to benchmarks/install.md.

    .venv/bin/python benchmarks/install.py [--before REVISION] [--timed]
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import time
import tomllib
import venv
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 12


def closure(requirements: Iterable[str]) -> tuple[set[str], set[str]]:
    """The packages that requirements lead to on this platform, and those among them that are not installed."""
    found: set[tuple[str, str]] = set()
    missing: set[str] = set()
    left = [(Requirement(text), "") for text in requirements]
    while left:
        requirement, of_extra = left.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": of_extra}):
            continue
        name = canonicalize_name(requirement.name)
        try:
            needs = [Requirement(text) for text in distribution(name).requires or ()]
        except PackageNotFoundError:
            missing.add(name)
            continue
        for extra in ("", *requirement.extras):
            if (name, extra) not in found:
                found.add((name, extra))
                left += [(need, extra) for need in needs]
    return {name for name, _ in found}, missing


def megabytes(name: str) -> float:
    """Of the files in a package's RECORD, in millions of bytes."""
    files = distribution(name).files or ()
    return sum(file.size or 0 for file in files if "__pycache__" not in file.parts) / 1e6


def weight(names: Iterable[str]) -> str:
    """Their number and size."""
    names = list(names)
    return f"{len(names):,} | {sum(map(megabytes, names)):,.0f}"


def own(text: str) -> dict[str, list[str]]:
    """Of a pyproject.toml: the requirements of a bare installation under "", and those of each extra."""
    project: dict[str, Any] = tomllib.loads(text)["project"]
    return {"": project["dependencies"], **project.get("optional-dependencies", {})}


def timed(revision: str, folder: Path) -> list[str]:
    """The lines of a revision: seconds of `pip install`, from afar and then from pip's cache, and MB on the disk."""
    source, lines = folder / "source", []
    source.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", source], input=archive, check=True)
    for cache in ("empty", "full"):
        place = folder / cache
        venv.create(place, with_pip=True)
        begin, before = time.monotonic(), os.times()
        subprocess.run(
            [place / "bin" / "pip", "install", "-q", source],
            check=True,
            env=os.environ | {"PIP_CACHE_DIR": str(folder / "cache")},
        )
        wall, after = time.monotonic() - begin, os.times()
        cpu = sum(after[2:4]) - sum(before[2:4])
        disk = sum(file.stat().st_size for file in place.rglob("*") if file.is_file() and not file.is_symlink()) / 1e6
        lines.append(f"| {revision}, pip's cache {cache} | {wall:,.0f} | {cpu:,.0f} | {disk:,.0f} |")
    return lines


def report(before: str | None, *, is_timed: bool) -> list[str]:
    """The lines of the table."""
    now = own((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    # The extras of this project may name each other.
    now = {extra: [one for one in needs if not one.startswith("mlops-assets[")] for extra, needs in now.items()}
    bare, missing = closure(now[""])
    full, more = closure(need for needs in now.values() for need in needs)
    machine = f"{platform.system()} {platform.machine()}"
    lines = [
        "# What an installation weighs",
        "",
        f"Python {platform.python_version()} on {machine}, made by `benchmarks/install.py`: "
        "sizes of the files that the packages' RECORDs name, unpacked, without compiled ones.",
        "",
        "| installation | packages | MB |",
        "| --- | ---: | ---: |",
    ]
    if before:
        show = ["git", "show", f"{before}:pyproject.toml"]
        then = own(subprocess.run(show, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        was, _ = closure(then[""])
        lines.append(f"| bare, before the extras ({before}) | {weight(was)} |")
        lines.append(f"| of these no longer | {weight(was - bare)} |")
    lines.append(f"| bare: `pip install mlops-assets` | {weight(bare)} |")
    for extra in sorted(now.keys() - {""}):
        lines.append(f"| `[{extra}]` adds | {weight(closure(now[extra])[0] - bare)} |")
    lines.append(f"| all extras | {weight(full)} |")
    if before:
        largest = ", ".join(
            f"{name} {megabytes(name):,.0f}" for name in sorted(was - bare, key=megabytes)[: -LARGEST - 1 : -1]
        )
        lines += ["", f"No longer in a bare one, MB: {largest}."]
    lines += ["", f"The {LARGEST} largest packages of a bare installation:", "", "| package | MB |", "| --- | ---: |"]
    largest = sorted(bare, key=megabytes, reverse=True)[:LARGEST]
    lines += [f"| {name} {distribution(name).version} | {megabytes(name):,.0f} |" for name in largest]
    if missing | more:
        lines += ["", f"Not installed here, so not counted: {', '.join(sorted(missing | more))}."]
    if is_timed:
        lines += ["", "| `pip install` | seconds | of CPU | MB on the disk, compiled |", "| --- | ---: | ---: | ---: |"]
        for revision in filter(None, (before, "HEAD")):
            with TemporaryDirectory() as folder:
                lines += timed(revision, Path(folder))
    return lines


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", metavar="REVISION", help="also weigh the requirements of this revision")
    parser.add_argument("--timed", action="store_true", help="install each, which needs the network and minutes")
    options = parser.parse_args()
    text = "\n".join(report(options.before, is_timed=options.timed)) + "\n"
    (ROOT / "benchmarks" / "install.md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
