"""Which file declares a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mlops_assets.resources.settings_files import settings_file


def test_the_file_of_a_model_is_found_by_its_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        content = {"type": "mlops_assets.components.MonitoredModel", "attributes": {"name": name}}
        (tmp_path / name / "defs.yaml").write_text(yaml.safe_dump(content))
    assert settings_file(tmp_path, "two") == tmp_path / "two" / "defs.yaml"
    with pytest.raises(ValueError, match=r"declares a monitored model 'three'. Add it"):
        settings_file(tmp_path, "three")
