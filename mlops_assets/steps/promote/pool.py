"""A member of a fleet begins as the pooled model, and follows it until a model of its own is promoted.

It follows a new champion of the pool once its own decision on the one before is made: that knows its windows, and none
has closed since a model that was fitted just now. So the gate can hold a challenger of its own against a champion that
has seen all labels: by what the pool's judged twin said of the member's rows, which it had not seen either.

Here: making the pool's champion that of a member, with what its windows are compared with: the member's own rows. Not
here: when a member's own model takes over, which is a decision like any other (`core.promote.gate`): the champion that
it has to beat is the pool's, on the member's rows.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from mlops_assets.core.record.entries import POOL_DECISION, Freeze, Promotion
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric
from mlops_assets.steps.predict.reference_files import keep_reference
from mlops_assets.steps.predict.references import judged_scores
from mlops_assets.steps.promote.gate import gate_rows
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.model_data import EVENT_TIME, LABEL, ModelData
from mlops_assets.world.platform import (
    FITTED_UNTIL,
    GATE_VALUE,
    GATE_WINDOW,
    POOLED,
    Platform,
    fitted_until,
    gate_window_of,
    hold,
)


def is_pooled(platform: Platform, member: MemberSettings) -> bool:
    """Whether the champion of a member is the pool's."""
    champion = platform.registry.champion(member.name)
    return champion is not None and POOLED in champion.tags


def begin(platform: Platform, member: MemberSettings) -> str:
    """The same for a member that has no champion at all; one that has is asked first what its windows say of it."""
    return "" if platform.registry.champion(member.name) else follow(platform, member)


def follow(platform: Platform, member: MemberSettings) -> str:
    """Make the pool's champion that of a member which has none of its own.

    Called again it changes nothing, and ends what a killed call began.

    Returns:
        Why the member has no champion: its rows are predicted and watched with those of all others; empty where it has.
    """
    own, pool = platform.registry.champion(member.name), platform.registry.champion(member.pool)
    if own is not None and POOLED not in own.tags:
        return ""
    if pool is None:
        return "" if own else f"The pooled model of {member.pool} has no champion yet: that comes first."
    if own is not None and own.tags[POOLED] == str(pool.version):
        return ""
    if why := _held(platform, member):
        return "" if own else why
    try:
        _begin_as(platform, member, pool, own)
    except CannotJudge as cannot:
        # Without rows of it the newer champion says nothing of this member, and the one before stays.
        waits = f"Predicted and watched as part of the pool, {member.pool}, until it has more rows: {cannot.why}."
        return "" if own else waits
    return ""


def _held(platform: Platform, member: MemberSettings) -> str:
    """Why a member may not change its champion now: a person's word, or a candidate of its own; empty where it may."""
    if (paused := platform.ledger.record.paused(member.name)) is not None:
        return f"It is paused: {paused}"
    if (freeze := hold(platform, member.name, Freeze)) is not None and freeze.holds(platform.now(member)):
        return f"It is frozen {freeze.in_words}"
    if (rollout := platform.registry.rollout(member.name)) is not None:
        return f"A rollout of version {rollout.version} is open ({rollout.state})."
    return ""


def _begin_as(platform: Platform, member: MemberSettings, pool: ModelVersion, own: ModelVersion | None) -> None:
    now, data = platform.now(member), platform.data(member)
    rows, scores = _judged_rows(platform, data, pool, now)
    if len(rows) < (needed := member.retrain.min_matured_labels):
        raise CannotJudge(
            f"version {pool.version} of it was judged on {len(rows):,} rows of {member.value}, and {needed:,} are "
            "needed",
            "Wait for more rows, or lower retrain.min_matured_labels",
        )
    fitted = data.training_set(known_by=fitted_until(pool) or now)
    value = metric(member.metric).score(rows[LABEL].to_numpy(), scores)
    reason = (
        f"Version {pool.version} of {member.pool}, the pooled model: {member.metric} {value:.4f} on the {len(rows):,} "
        f"rows of {member.value} on which it was judged."
    )
    version = platform.registry.share(
        member.name,
        pool,
        tags={
            POOLED: pool.version, "training_set": fitted.sha256, "refit_set": "", "verdict": "pooled",
            "judged_sha256": pool.tags.get("judged_sha256", ""), FITTED_UNTIL: pool.tags[FITTED_UNTIL],
            GATE_WINDOW: pool.tags[GATE_WINDOW], GATE_VALUE: value, "reason": reason,
            **{tag: pool.tags[tag] for tag in ("training_window", "code_version", "libraries") if tag in pool.tags},
        },
    )  # fmt: skip
    keep_reference(platform, data, version.version, fitted=fitted, gate_rows=rows, scores=scores)
    decision = f"{POOL_DECISION}{member.name}-{pool.version}"
    # On record first: an entry of the same name stands there once, and what is not champion yet is made so again.
    platform.ledger.record.note(
        member.name, Promotion, at=now, id=f"promotion-{decision}", decision=decision, version=version.version,
        previous=own.version if own else None, promised=None, fitted_until=pool.tags[FITTED_UNTIL], reason=reason,
    )  # fmt: skip
    platform.registry.promote(member.name, version.version, decision_id=decision, reason=reason, at=now)


def _judged_rows(
    platform: Platform, data: ModelData, pool: ModelVersion, now: datetime
) -> tuple[pd.DataFrame, np.ndarray]:
    """The member's rows of the window on which the pool's twin was judged, and what that said of them."""
    rows, keys = gate_rows(data, gate_window_of(pool), as_of=now), [*data.keys, EVENT_TIME]
    places, scores = judged_scores(platform.lake, pool.name, pool.version, rows, keys=keys)
    return rows.iloc[places].reset_index(drop=True), scores
