"""Cores: those that the process is bound to, and all where the system does not say."""

from __future__ import annotations

import os

import pytest

from mlops_assets.core.models.cores import cores


def test_only_cores_that_the_process_may_use_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3}, raising=False)
    assert cores() == 2


def test_a_system_that_does_not_bind_processes_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert cores() == 8
