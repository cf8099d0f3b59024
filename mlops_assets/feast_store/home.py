"""Feast's registry and online store in the home folder, so that plain `feast` commands work without set-up.

What lives here: the default for `MLOPS_HOME`, which Feast's YAML cannot express (it expands `${MLOPS_HOME}`,
and leaves the text as it is when the variable is unset), and a registry file that is replaced, never
overwritten. What doesn't: what the online store does (`online`).
"""

from __future__ import annotations

from pathlib import Path

from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto
from feast.repo_config import RegistryConfig
from pydantic import field_validator

from mlops_assets.feast_store.online import TtlSqliteOnlineStore, TtlSqliteOnlineStoreConfig

_UNSET = "${MLOPS_HOME}"
_DEFAULT = Path(__file__).resolve().parents[2] / ".mlops"


def in_home(path: str) -> str:
    """Return the path with an unset `${MLOPS_HOME}` replaced by `.mlops` in the checkout."""
    return path.replace(_UNSET, str(_DEFAULT))


class HomeRegistryStore(FileRegistryStore):
    """Feast's registry file, in the home; a process that dies while writing leaves the old registry."""

    def __init__(self, registry_config: RegistryConfig, repo_path: Path):
        super().__init__(registry_config.model_copy(update={"path": in_home(registry_config.path)}), repo_path)
        self._filepath.parent.mkdir(parents=True, exist_ok=True)

    def _write_registry(self, registry_proto: RegistryProto) -> None:
        final = self._filepath
        self._filepath = final.with_name(f".{final.name}.tmp")
        try:
            super()._write_registry(registry_proto)
            self._filepath.replace(final)
        finally:
            self._filepath = final


class HomeSqliteOnlineStoreConfig(TtlSqliteOnlineStoreConfig):
    """The `online_store` section of feature_store.yaml, with a default for the home."""

    type: str = "mlops_assets.feast_store.home.HomeSqliteOnlineStore"  # type: ignore[assignment]

    @field_validator("path", "clock_file")
    @classmethod
    def _in_home(cls, path: str | None) -> str | None:
        return None if path is None else in_home(path)


class HomeSqliteOnlineStore(TtlSqliteOnlineStore):
    """The online store of the home; all it does is in `TtlSqliteOnlineStore`."""
