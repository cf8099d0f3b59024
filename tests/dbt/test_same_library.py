"""The library's macros beside a change: a git ref that lacks them, or holds them, is compared by the same ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlops_assets.steps.features.dbt_ci import changed
from mlops_assets.steps.features.report import report
from mlops_assets.world.catalogue import LIBRARY, LIBRARY_LINK, link_library
from mlops_assets.world.home import Home
from tests.dbt.conftest import PROJECT, git
from tests.real_slice import World

VIEW = Path("models/features/feat_origin_weather.sql")


def checkout(folder: Path, *, ignored: str = "target\n") -> Path:
    """The project in a checkout of its own, with the link that lies in its folder, committed on main."""
    project = folder / "dbt_project"
    left = shutil.ignore_patterns("target", "logs", *(() if (project / LIBRARY_LINK).is_symlink() else (LIBRARY_LINK,)))
    shutil.copytree(PROJECT, project, ignore=left, dirs_exist_ok=True)
    link_library(project)
    (folder / ".gitignore").write_text(ignored)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "as it is")
    return project


@pytest.fixture
def unlinked(tmp_path: Path) -> Path:
    """A project as `mlops init` makes it: git ignores the link into the installed library."""
    return checkout(tmp_path / "checkout", ignored=f"target\ndbt_project/{LIBRARY_LINK}\n")


@pytest.mark.slow
def test_nothing_differs_where_git_ignores_the_link_to_the_library(world: World, home: Home, unlinked: Path) -> None:
    assert (unlinked / LIBRARY_LINK).readlink() == LIBRARY
    found = report(world.platform, unlinked, "HEAD", rows=500)
    assert (found.views, found.models, found.uncompared) == ((), (), ())
    assert found.notes[0] == "Built aside: nothing. Everything else was read where it stands."
    assert not [note for note in found.notes if "WARNING" in note or "changed too" in note]
    sql = unlinked / VIEW
    sql.write_text(sql.read_text().replace("humidity_percent,", "humidity_percent * 1.0 as humidity_percent,"))
    with changed(home, unlinked, "HEAD", start="2013-03-01", tests=False) as change:
        assert change.built == (VIEW.stem,)


@pytest.mark.slow
def test_a_link_that_was_committed_may_lead_anywhere(home: Home, tmp_path: Path) -> None:
    """Into an installation that is gone: it is followed on neither side."""
    project = checkout(tmp_path / "checkout")
    link = project / LIBRARY_LINK
    link.unlink()
    link.symlink_to("/no/such/installation/mlops_assets/dbt")
    git(project, "commit", "-qam", "as it was on another machine")
    link_library(project)
    with changed(home, project, "HEAD", tests=False) as change:
        assert change.built == ()


@pytest.mark.slow
def test_macros_that_the_checkout_itself_holds_are_those_of_the_ref(home: Home, tmp_path: Path) -> None:
    """A relative link to a folder of the same checkout, as in ours: one macro changes, and the models that use it."""
    folder = tmp_path / "checkout"
    shutil.copytree(LIBRARY, folder / "own" / "dbt")
    (folder / "dbt_project").mkdir()
    (folder / "dbt_project" / LIBRARY_LINK).symlink_to("../own/dbt", target_is_directory=True)
    project = checkout(folder)
    with changed(home, project, "HEAD", tests=False) as change:
        assert change.built == ()
    macro = folder / "own" / "dbt" / "macros" / "range.sql"
    body = "between_days(column, range_bound('start'), range_bound('end'), 0)"
    macro.write_text(macro.read_text().replace(body, body.replace("0)", "none)")))
    cards = ("stg_card_payments", "stg_card_confirmations")
    with changed(home, project, "HEAD", start="2013-03-08", tests=False, without=cards) as change:
        assert set(change.built) > {VIEW.stem, "feat_flight", "lbl_flight_delay"}
        assert not [name for name in change.built if name.startswith("stg_")]
