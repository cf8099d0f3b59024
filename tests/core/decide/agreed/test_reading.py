"""The list under `retrain.on`: what is read, and what is refused with its remedy."""

from __future__ import annotations

import pytest
import yaml

from mlops_assets.core.decide.policy import RetrainPolicy

READ = {
    "[gain]": ["gain"],
    "[psi_0_2]": ["drift (psi 0.2)"],
    "[drift, performance]": ["drift", "performance"],
    "[{drift: {psi: 0.2, features: [feat_flight__distance, feat_flight__hour], windows: 2}}]": [
        "drift (features feat_flight__distance feat_flight__hour, psi 0.2, windows 2)"
    ],
    "[{performance: {metric: f1, floor: 0.85, windows: 3}}]": ["performance (metric f1, floor 0.85, windows 3)"],
    "[{performance: {metric: recall, max_drop: 0.05, sure: true}}]": [
        "performance (metric recall, max_drop 0.05, sure True)"
    ],
    "[importance, {novelty: {share: 0.1}}]": ["importance", "novelty (share 0.1)"],
    "[{data: {rows: 10000}}, {data: {files: 7}}]": ["data (rows 10000)", "data (files 7)"],
    "[{freshness: {lag: 36h}}]": ["freshness (lag 36h)"],
    "[{schedule: {cron: '0 2 * * sun', timezone: Europe/Berlin}}]": [
        "schedule (cron 0 2 * * sun, timezone Europe/Berlin)"
    ],
    "[weekly_or_drift, psi_0_2]": ["schedule (every 7d)", "drift (psi 0.2)"],
    "[monthly_fallback]": ["gain", "schedule (every 30d)"],
}


@pytest.mark.parametrize("text", READ)
def test_a_list_is_read_as_people_write_it(text: str) -> None:
    # YAML 1.1 reads the bare key as true.
    policy = RetrainPolicy.from_dict(yaml.safe_load(f"on: {text}"))
    assert [trigger.name for trigger in policy.on or ()] == READ[text]
    assert RetrainPolicy.from_dict(policy.to_dict()) == policy
    # What asks by default does not, where people have said what shall.
    assert (policy.growth, policy.max_age, policy.definition_change) == (None, None, False)


def test_what_asks_by_itself_still_does_where_the_yaml_says_so() -> None:
    policy = RetrainPolicy.from_dict({"on": ["gain"], "growth": 0.3, "max_age": "90d", "definition_change": True})
    assert (policy.growth, policy.to_dict()["max_age"], policy.definition_change) == (0.3, "90d", True)


def test_a_policy_without_triggers_is_written_as_before() -> None:
    assert "on" not in RetrainPolicy().to_dict()
    assert RetrainPolicy.from_dict({"on": None}) == RetrainPolicy()


def test_a_list_in_place_of_none_silences_what_asked_by_default() -> None:
    changed = RetrainPolicy().changed({"on": ["psi_0_2"]})
    assert changed == RetrainPolicy.from_dict({"on": ["psi_0_2"]})
    # What was agreed beside another list stays.
    assert RetrainPolicy.from_dict({"on": ["gain"], "growth": 0.3}).changed({"on": ["psi_0_2"]}).growth == 0.3


REFUSED = {
    "{drift: {psi: 0.2}}": r"retrain.on is \{'drift': .*write a list, for example",
    "[]": "write a list",
    "psi_0_2": "write a list",
    "[dritf]": "has no trigger 'dritf': write one of gain, drift, .*, or a preset: psi_0_2,",
    "[12]": "has 12: write one trigger an entry",
    "[{drift: {psi: 0.2}, gain: {}}]": "write one trigger an entry",
    "[{gain: {psi: 0.2}}]": "gain: it contains unknown field `psi`; its fields are none",
    "[{drift: {psii: 0.2}}]": "drift: it contains unknown field `psii`; its fields are .*psi, ks_p",
    "[{drift: {psi: .inf}}]": "drift.psi is inf: write a number from 0 to below 41.45, for example 0.2",
    "[{performance: {floor: .nan}}]": "performance.floor is nan: write a number, for example 0.8",
    "[{drift: {psi: -0.1}}]": "drift.psi is -0.1: write a number from 0",
    "[{drift: {ks_p: 1.5}}]": "drift.ks_p is 1.5: write a number between 0 and 1",
    "[{drift: {js: 1.5}}]": "drift.js is 1.5: write a number from 0 to below 0.8326",
    "[{drift: {js: 0.9}}]": "drift.js is 0.9: write a number from 0 to below 0.8326",
    "[{novelty: {share: true}}]": "novelty.share is true, which is no number: write a number between 0 and 1",
    "[{drift: {max_share: 1.0, psi: 0.2}}]": "drift.max_share is 1.0: write a number from 0 to below 1",
    "[{drift: {psi: high}}]": "drift.psi is 'high', which is no number: write a number",
    "[{drift: {windows: 2}}]": "it has no limit: set one of psi, .* or write drift alone",
    "[{drift: {psi: 0.2, windows: 0}}]": "drift.windows is 0: write a whole number from 1",
    "[{drift: {psi: 0.2, of: labels}}]": "matching regex",
    "[{drift: {psi: 0.2, of: scores, features: [a__b]}}]": "scores have no features",
    "[{performance: {metric: f1}}]": "it has no limit: set floor or max_drop",
    "[{importance: {ndcg: 1.2}}]": "importance.ndcg is 1.2: write a number between 0 and 1",
    "[{novelty: {}}]": "it lacks the field `share`; its fields are",
    "[{data: {}}]": "it counts one thing: set rows or files",
    "[{data: {rows: 5, files: 2}}]": "it counts one thing",
    "[{data: {rows: 0}}]": "data.rows is 0: write a whole number from 1",
    "[{freshness: {lag: 0d}}]": "lag is 0d: write a length of time above 0d",
    "[{freshness: {lag: soon}}]": "lag is 'soon', which is not a duration: write a length of time above 0d",
    "[{schedule: {}}]": "it has one rhythm: set every or cron",
    "[{schedule: {every: 7d, cron: '0 2 * * *'}}]": "it has one rhythm",
    "[{schedule: {every: -1d}}]": "not a duration",
    "[{schedule: {every: 7d, timezone: UTC}}]": "a timezone is for a cron",
    "[{schedule: {cron: '0 0 30 2 *'}}]": "or never fires",
    "[{schedule: {cron: '0 0 31 4,6 *'}}]": "never fires",
    "[{schedule: {cron: '61 2 * * *'}}]": "cannot be read",
    "[{schedule: {cron: '0 0 2 * * sun'}}]": "has not five fields",
    "[{schedule: {cron: '@weekly'}}]": "has not five fields",
    "[{schedule: {cron: '0 2 * * *', timezone: Mars/Base}}]": "'Mars/Base' is no time zone: write one such as",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_meant_is_refused_with_its_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){REFUSED[text]}") as refused:
        RetrainPolicy.from_dict({"on": yaml.safe_load(text)})
    assert str(refused.value).startswith("retrain.on")
