"""Who may call: API keys, kept as hashes, each with its scopes.

Here: reading them, making one, comparing in constant time. Not here: which path wants which scope (`limits`).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREDICT, DRIFT, RETRAIN, ADMIN = "predict", "drift", "retrain", "admin"
SCOPES = (PREDICT, DRIFT, RETRAIN, ADMIN)
VARIABLE, FILE_VARIABLE = "MLOPS_API_KEYS", "MLOPS_API_KEYS_FILE"
_LINE = re.compile(r"([A-Za-z0-9_.-]{1,64}):([a-z+]+):([0-9a-f]{64})")


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        name: whose it is; this is what logs say.
        scopes: what it opens.
        digest: SHA-256 of it. A key is 32 random bytes, so a slow hash would protect nothing.
    """

    name: str
    scopes: frozenset[str]
    digest: bytes


@dataclass(frozen=True)
class Keys:
    """All keys of a service; none means that everybody may call."""

    keys: tuple[Key, ...] = ()

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Keys:
        """The keys that the environment holds, or the file it names.

        Raises:
            ValueError: a line is no key, or a name is there twice; the line itself is not repeated.
        """
        text = environment.get(VARIABLE, "").replace(" ", "\n").replace(";", "\n")
        if path := environment.get(FILE_VARIABLE):
            text += "\n" + Path(path).read_text(encoding="utf-8")
        keys: list[Key] = []
        lines = (line.strip() for line in text.splitlines())
        for number, line in enumerate((line for line in lines if line and not line.startswith("#")), start=1):
            parts = _LINE.fullmatch(line)
            scopes = frozenset(parts[2].split("+")) if parts else frozenset()
            if parts is None or not scopes <= set(SCOPES) or parts[1] in {key.name for key in keys}:
                raise ValueError(
                    f"API key {number} in {VARIABLE} or {FILE_VARIABLE} must read NAME:SCOPE+SCOPE:SHA256 with scopes "
                    f"of {', '.join(SCOPES)} and a name of its own. `mlops api-key NAME --scope predict` writes one."
                )
            keys.append(Key(parts[1], scopes, bytes.fromhex(parts[3])))
        return cls(tuple(keys))

    def find(self, presented: str) -> Key | None:
        """The key that was presented, None for no such key. Takes as long whichever it is."""
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest()
        matching = None
        for key in self.keys:
            if hmac.compare_digest(key.digest, digest):
                matching = key
        return matching


def new_key(name: str, scopes: list[str]) -> tuple[str, str]:
    """A new key, and its line for the environment or the file.

    Raises:
        ValueError: the name or a scope cannot be had.
    """
    key = secrets.token_urlsafe(32)
    line = f"{name}:{'+'.join(dict.fromkeys(scopes))}:{hashlib.sha256(key.encode()).hexdigest()}"
    Keys.read({VARIABLE: line})
    return key, line
