"""Whether an installation and its models are sound, end to end, and what to do where they are not.

Here: the checks, each a finding or several. Not here: showing them (`commands.doctor`). Nothing is changed but what
looking needs: dbt's manifest is brought up to date.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from mlops_assets.core.limits.ranges import WrongSetting
from mlops_assets.core.models.matrix import CannotTrain
from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.core.source_groups import Group
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.values.libraries import all_installed
from mlops_assets.steps.decide.fleet.overview import budget_findings
from mlops_assets.steps.decide.upcoming import data_first, not_loaded_yet
from mlops_assets.steps.features.pipelines import try_pipeline
from mlops_assets.world.alerts.webhooks import Webhooks
from mlops_assets.world.catalogue import DbtParseError, exposures_of
from mlops_assets.world.columns import refuse_unknown_columns
from mlops_assets.world.declared_files import looked_at_once
from mlops_assets.world.files.state_files import DamagedFile
from mlops_assets.world.home import Home
from mlops_assets.world.landed.intake import Intake, IntakeState
from mlops_assets.world.landed.landed_files import unclaimed
from mlops_assets.world.landed.outlook import Outlook
from mlops_assets.world.platform import DBT_PROJECT, Platform
from mlops_assets.world.record.replayed import is_replay

_State = Literal["good", "warning", "broken"]
LEAST_FREE = 2 * 2**30
"""Free bytes below which a home is about to fill its disk."""
SILENT = timedelta(minutes=5)
"""A daemon that has given no sign of life for so long does not work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: the part, such as `disk` or a model's name.
        state: `broken` keeps something from working; a `warning` may be meant so.
        what: what was found.
        fix: what to do; empty where it is good.
    """

    about: str
    state: _State
    what: str
    fix: str = ""


@looked_at_once()
def examine(home: Home, models: Iterable[str] = (), *, platform: Platform | None = None) -> list[Finding]:
    """Look at everything; at these models only, if any are named.

    A part that cannot be looked at because one before it is broken is left out.
    """
    findings = [*_installation(), *_home(home)]
    findings += _tried("webhooks", lambda: _webhooks(home), "See the message.")
    platform = platform or Platform.of(home)
    findings += _tried("YAML", lambda: _yaml(platform), "Correct the file that is named.")
    dbt = list(_tried("dbt", lambda: _dbt(platform), "Correct the file that dbt names."))
    findings += dbt
    if any(f.state == "broken" for f in dbt):
        return findings
    findings += _tried("trainings", lambda: _trainings(platform), "Correct the file that is named.")
    chosen = [m for name, m in platform.models().items() if name in models or not models]
    for model in chosen:
        findings += _tried(model.name, lambda model=model: _model(platform, model), "See the message.")  # type: ignore[misc]
    findings += _tried("landing", lambda: _landing(platform, chosen if models else ()), "See the message.")
    findings += _tried("Feast", lambda: _feast(platform), "Delete $MLOPS_HOME/feast/registry.db: it is made anew.")
    findings += _tried("sensors", lambda: _sensors(home), "mlops up starts them.")
    return findings


def _tried(about: str, look: Callable[[], Iterable[Finding]], fix: str) -> Iterator[Finding]:
    """What a look finds; what keeps it from looking is a finding itself."""
    try:
        yield from look()
    except DamagedFile as error:
        yield Finding(about, "broken", str(error), "See the message.")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the person is to fix
        yield Finding(about, "broken", f"{type(error).__name__}: {error}", fix)


def _installation() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        yield Finding("Python", "good", version)
    else:
        yield Finding("Python", "broken", version, "Use 3.11, 3.12 or 3.13.")
    dbt = Path(sys.executable).with_name("dbt")
    if dbt.exists():
        yield Finding("dbt's command", "good", str(dbt))
    else:
        yield Finding("dbt's command", "broken", f"{dbt} is missing", "Install dbt-duckdb beside mlops-assets.")
    if len(twice := all_installed("xgboost")) > 1:
        names = " and ".join(map(" ".join, twice))
        problem = f"{names} are both installed: each has overwritten files of the other"
        fix = f"pip uninstall xgboost xgboost-cpu nvidia-nccl-cu12, then pip install 'xgboost-cpu=={twice[0][1]}'."
        yield Finding("XGBoost", "warning", problem, fix)


def _home(home: Home) -> Iterator[Finding]:
    place = next(folder for folder in (home.root, *home.root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    space = f"{free / 2**30:,.1f} GiB free for {home.root}"
    fix = "Make room: mlops clean --dry-run says what may go."
    yield Finding("disk", "good", space) if free >= LEAST_FREE else Finding("disk", "broken", space, fix)
    try:
        clock = home.settings.clock
    except ValueError as error:
        yield Finding("home", "broken", str(error), "See the message.")
        return
    yield Finding("home", "good", f"{home.root}, clock: {clock}")


def _webhooks(home: Home) -> Iterator[Finding]:
    """The receivers that are set in this environment."""
    try:
        webhooks = Webhooks.from_environment(home.root)
    except ValueError as error:
        fix = "Correct the variable, and start mlops up anew."
        yield Finding("webhooks", "broken", str(error), fix)
        return
    if refusing := webhooks.refusing():
        waits = "; ".join(f"{place} has taken no event since {at:%Y-%m-%d %H:%M} UTC" for place, at in refusing.items())
        yield Finding("webhooks", "warning", waits, "mlops alerts test says what each answers.")
    elif webhooks.urls:
        yield Finding("webhooks", "good", f"{counted(len(webhooks.urls), 'receiver')}, none of them refuses")


def _yaml(platform: Platform) -> Iterator[Finding]:
    for file in platform.broken_files():
        yield Finding(file.subjects, "broken", file.sentence, "Correct the file that is named.")
    sources, models = platform.sources.settings(), platform.models()
    yield Finding("YAML", "good", f"{counted(len(sources), 'source')}, {counted(len(models), 'model')}")


def _trainings(platform: Platform) -> Iterator[Finding]:
    """What is agreed on for the trainings of all models together; nothing where nothing is."""
    try:
        policy = platform.trainings_policy()
    except ValueError as error:
        yield Finding("trainings", "broken", str(error), "Correct the file that is named.")
        return
    if policy is not None:
        what, fix = budget_findings(platform, policy)
        yield Finding("trainings", "warning" if fix else "good", what, fix)


def _dbt(platform: Platform) -> Iterator[Finding]:
    try:
        catalogue = platform.catalogue
    except DbtParseError as error:
        yield Finding("dbt", "broken", str(error), "Correct the file that dbt names.")
        return
    yield Finding(
        "dbt",
        "good",
        f"{counted(len(catalogue.views), 'feature view')}, {counted(len(catalogue.labels), 'label model')}",
    )


def _model(platform: Platform, model: ModelSettings) -> Iterator[Finding]:
    """What a model reads, its calendar, its champion."""
    name, label = model.name, platform.catalogue.label_model(model.label.model)
    read = platform.sources_of(model)
    if label.label != model.label.column:
        fact = f"its label is {model.label.column}, and {label.name} has {label.label}"
        yield Finding(name, "broken", fact, f"Write the same in {platform.settings_file(model)} and in dbt's YAML.")
    wanted = {key for view in model.features for key in platform.catalogue.view(view).entities}
    if lacking := sorted(wanted - label.entities.keys()):
        fact = f"{label.name} lacks the keys {', '.join(lacking)} that its feature views are joined by"
        yield Finding(name, "broken", fact, f"Select them in {label.name}.sql, and list them under `entities`.")
    yield from _columns(platform, model)
    # dbt's lineage ends in what a YAML file declares: in a fleet, whatever members data have brought.
    declared = model.pool if isinstance(model, MemberSettings) else name
    exposed, reads = exposures_of(DBT_PROJECT).get(declared, set()), {label.name, *model.features}
    if exposed != reads:
        names = (", ".join(sorted(each)) or "nothing" for each in (exposed, reads))
        fact = "dbt's exposure {} names {}, and the model reads {}".format(name, *names)
        yield Finding(name, "warning", fact, "Correct its `depends_on` (dbt_project/models/exposures.yml).")
    partitioned = [source for source in read if source.grain == model.grain]
    if not partitioned:
        grains = ", ".join(sorted({source.grain for source in read}))
        yield Finding(name, "broken", f"its grain is {model.grain}, and its sources land by {grains}", "Set `grain`.")
    for source in partitioned:
        if source.timezone != model.timezone:
            fact = f"its days are those of {model.timezone}, those of {source.name} are of {source.timezone}"
            yield Finding(name, "warning", fact, "Give both the same `timezone`, unless it is meant so.")
    why = platform.ledger.record.paused(name)
    paused, resume = (f"Paused: {why}. ", f"mlops resume {name} --reason '...'") if why else ("", "")
    if not platform.lake.partitions("labels", model.label.model):
        if is_replay(platform.home):
            yield Finding(name, "good", "no part of this replay, or not yet: the home it belongs to has its data")
            return
        fact = data_first(platform, model) or "Nothing has been built for it yet."
        fix = f"mlops up carries on; mlops replay {name} tries it on its history first."
        fix = "See the message." if fact == not_loaded_yet(platform, model) else fix
        yield Finding(name, "warning", paused + fact, f"If it is wanted: {resume}, and bring its data." if why else fix)
        return
    yield from _training_window(platform, model)
    champion = platform.registry.champion(name)
    if champion is None:
        fix = resume or f"mlops decide {name} --dry-run says what it waits for."
        yield Finding(name, "warning", f"{paused}No champion yet.", fix)
        return
    platform.registry.verify(name, champion.version)
    fact = f"Version {champion.version} in production, its file is as it was registered"
    yield Finding(name, "warning" if why else "good", paused + fact, resume)


def _columns(platform: Platform, model: ModelSettings) -> Iterator[Finding]:
    """The columns, the transformer and the device that it names."""
    from mlops_assets.core.models.families.xgboost import NoGpu, require_device

    try:
        require_device(model.training.device)
    except NoGpu as error:
        yield Finding(model.name, "broken", str(error), "See the message; until then no training of it goes through.")
    try:
        try_pipeline(platform, model)
    except WrongSetting as error:
        place = next((place for place in platform.pipeline_places(model) if place.is_file()), None)
        fix = f"Write {place} anew." if place else f"Write the file, or correct {platform.settings_file(model)}."
        yield Finding(model.name, "broken", str(error), fix)
    except CannotTrain as error:
        yield Finding(model.name, "broken", error.why, error.remedy)
    try:
        refuse_unknown_columns(model, platform.catalogue)
    except WrongSetting as error:
        yield Finding(model.name, "broken", str(error), _correct(platform, model))


def _correct(platform: Platform, model: ModelSettings) -> str:
    """Where a setting stands that is wrong for what the model reads."""
    file = platform.settings_file(model)
    return f"Correct {file}, or the defaults above it: mlops settings {model.name} says which file gives a value."


def _training_window(platform: Platform, model: ModelSettings) -> Iterator[Finding]:
    """The day from which on it is trained."""
    try:
        TrainingWindow.parse(model.training.window).refuse_future(platform.now(model), model.timezone)
    except CannotJudge as error:
        yield Finding(model.name, "broken", str(error), _correct(platform, model))


def _landing(platform: Platform, models: Sequence[ModelSettings]) -> Iterator[Finding]:
    """What has landed and waits, of these models' sources or all; those for which nothing ever came are not in use."""
    groups = list({platform.group_of(model): None for model in models}) or platform.groups()
    damaged, unread = platform.sources.damaged(), platform.sources.settings().unread
    for name, why in damaged.items():
        if name not in unread:
            yield Finding(name, "broken", why, "Restore the file, or delete it.")
    if whole := [group for group in groups if not group & damaged.keys()]:
        yield from _landed(platform, whole)


def _landed(platform: Platform, groups: Sequence[Group]) -> Iterator[Finding]:
    """The same of groups of which each record can be read."""
    states = {name: intake.state() for name, intake in platform.sources.whole().items()}
    used = [group for group in groups if any(states[name].landed or states[name].taken for name in group)]
    for group in groups:
        if group not in used:
            yield Finding("landing", "good", f"nothing has ever come for {', '.join(sorted(group))}: not in use")
    outlook = platform.sources.outlook(used) if used else Outlook([], [])
    for fact in outlook.waiting:
        yield Finding("landing", "warning", fact, "Land what is missing; other sources do not wait for it.")
    for name in sorted(name for group in used for name in group):
        yield from _source(platform.sources.intakes()[name], states[name])
    if outlook.periods and is_replay(platform.home):
        fact = "what is not taken in is no part of this replay: the home it belongs to takes it in"
        yield Finding("landing", "good", fact)
    elif outlook.periods:
        fact = f"{counted(len(outlook.periods), 'range')} of files to take in"
        yield Finding("landing", "warning", fact, "mlops up takes them in.")
    elif used and not outlook.waiting:
        yield Finding("landing", "good", "all that landed is taken in")


def _source(intake: Intake, state: IntakeState) -> Iterator[Finding]:
    """What of a source was not taken in."""
    name = intake.source.name
    if bad := sum(entry.status == "quarantined" for entry in state.taken.values()):
        yield Finding(name, "warning", f"{counted(bad, 'partition')} in quarantine", "mlops quarantine list")
    for files in unclaimed(intake.source, intake.folder, state.unmatched):
        yield Finding(name, "warning", files.problem, files.remedy)


def _feast(platform: Platform) -> Iterator[Finding]:
    applied = {view.name for view in platform.features.store().list_feature_views()}
    missing = sorted({view.name for view in platform.catalogue.views} - applied)
    if missing:
        yield Finding("Feast", "broken", f"lacks {', '.join(missing)}", "feast apply in feature_repo/")
    else:
        yield Finding("Feast", "good", f"{counted(len(applied), 'view')} applied")


def _sensors(home: Home) -> Iterator[Finding]:
    """Sensors that a person has switched off, and whether a daemon is at work."""
    if is_replay(home):
        fact = "a replay's home: what is in it was lived through, and nothing starts by itself"
        yield Finding("sensors", "good", fact)
        return
    if not (home.dagster / "dagster.yaml").exists():
        yield Finding("sensors", "warning", "nothing has run in this home yet", "mlops up starts the sensors.")
        return
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        off = sorted(s.instigator_name for s in instance.all_instigator_state() if not s.is_running)
        beats = instance.get_daemon_heartbeats()
    if off:
        yield Finding("sensors", "warning", f"switched off: {', '.join(off)}", "Switch them on in Dagster, Automation.")
    beat = max((b.timestamp for b in beats.values()), default=0.0)
    if datetime.now(UTC).timestamp() - beat > SILENT.total_seconds():
        yield Finding("sensors", "warning", "no daemon is at work, so nothing starts by itself", "mlops up starts it.")
    elif not off:
        yield Finding("sensors", "good", "on, and the daemon is at work")
