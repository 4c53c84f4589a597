"""API keys: who may ask which models, how often, for how many tokens a day. Start at KeyStore.enter().

A key is 256 random bits, shown once; only its SHA-256 is kept (a slow hash guards guessable passwords, which these are not).
Keys and what was used of them lie in one SQLite file, so that a restart forgives nothing and `sdx gateway keys` acts at once.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from sdx_serving.gateway.errors import Refused
from sdx_serving.gateway.tables import open_tables

_TABLES = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, models TEXT NOT NULL, requests_per_min INTEGER NOT NULL,
    tokens_per_day INTEGER NOT NULL, created REAL NOT NULL, revoked REAL, room REAL NOT NULL, room_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS usage (
    id TEXT NOT NULL, day TEXT NOT NULL, requests INTEGER NOT NULL, tokens INTEGER NOT NULL, PRIMARY KEY (id, day));
"""
_GUESS_TOKENS = 256
"""An answer without a bound is reserved as so long."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of one."""

    id: str
    name: str
    models: tuple[str, ...]
    """Route names; "*" is all."""
    requests_per_min: int
    tokens_per_day: int
    """0 sets no bound, here and above."""
    created: float
    revoked: float | None

    def may(self, model: str) -> bool:
        return "*" in self.models or model in self.models


class KeyStore:
    """The file of one gateway. `now` is Unix time, for tests."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._db = open_tables(path, _TABLES)
        self._now = now
        self._reserved: dict[str, int] = {}

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def any(self) -> bool:
        """Was there ever a key? Revoking the last one does not open the door."""
        return self._db.execute("SELECT 1 FROM keys LIMIT 1").fetchone() is not None

    @property
    def valid(self) -> bool:
        """Is there a key that opens?"""
        return self._db.execute("SELECT 1 FROM keys WHERE revoked IS NULL LIMIT 1").fetchone() is not None

    def add(self, name: str, models: Sequence[str] = ("*",), requests_per_min: int = 0, tokens_per_day: int = 0) -> tuple[Key, str]:
        """A new key, and its text, which is kept nowhere. ValueError: the name is in use."""
        if any(key.name == name and key.revoked is None for key in self.all()):
            raise ValueError(f"there is a key named {name!r} already: revoke it first, or choose another name")
        key = Key(secrets.token_hex(4), name, tuple(models), requests_per_min, tokens_per_day, self._now(), None)
        text = f"sdx-{key.id}-{secrets.token_urlsafe(32)}"
        row = (
            key.id,
            name,
            _sha256(text),
            json.dumps(list(models)),
            requests_per_min,
            tokens_per_day,
            key.created,
            float(requests_per_min),
            key.created,
        )
        self._db.execute("INSERT INTO keys VALUES (?,?,?,?,?,?,?,NULL,?,?)", row)
        return key, text

    def revoke(self, name: str) -> Key:
        """By name or id. LookupError when none is valid."""
        for key in self.all():
            if name in (key.id, key.name) and key.revoked is None:
                self._db.execute("UPDATE keys SET revoked=? WHERE id=?", (self._now(), key.id))
                return key
        raise LookupError(f"no valid key {name!r}: `sdx gateway keys list` shows them")

    def all(self) -> list[Key]:
        with closing(
            self._db.execute("SELECT id,name,models,requests_per_min,tokens_per_day,created,revoked FROM keys ORDER BY created")
        ) as rows:
            return [Key(row[0], row[1], tuple(json.loads(row[2])), *row[3:]) for row in rows]

    def used(self, key: Key) -> Mapping[str, Any]:
        """Of today (UTC)."""
        row = self._db.execute("SELECT requests, tokens FROM usage WHERE id=? AND day=?", (key.id, self._day())).fetchone()
        return {"requests": row[0] if row else 0, "tokens": row[1] if row else 0}

    def enter(self, text: str) -> Key:
        """The key of a request, one request taken from its rate. Refused: 401 unknown or revoked, 429 too many."""
        parts = text.split("-", 2)
        found = self._db.execute(
            "SELECT id,name,models,requests_per_min,tokens_per_day,created,revoked,sha256,room,room_at FROM keys WHERE id=?",
            (parts[1] if len(parts) == 3 else "",),
        ).fetchone()
        right = hmac.compare_digest(_sha256(text), found[7] if found else "0" * 64)
        if not found or not right or found[6] is not None:
            raise Refused(401, "send a valid key as `Authorization: Bearer KEY`; `sdx gateway keys add NAME` makes one", "invalid_api_key")
        key = Key(found[0], found[1], tuple(json.loads(found[2])), *found[3:7])
        self._take(key, found[8], found[9])
        return key

    def reserve(self, key: Key, prompt_bytes: int, tokens: int | None) -> int:
        """Tokens set aside for an answer until spend(). Refused (429) when the day's are gone."""
        if not key.tokens_per_day:
            return 0
        wanted = prompt_bytes // 4 + (tokens or _GUESS_TOKENS)
        left = key.tokens_per_day - self.used(key)["tokens"] - self._reserved.get(key.id, 0)
        if left <= 0 or (tokens and wanted > left):
            message = f"key {key.name}: {max(left, 0)} of {key.tokens_per_day} tokens a day are left, about {wanted} are asked for"
            raise Refused(429, message, "token_budget_exceeded", retry_after_s=self._until_midnight_s())
        self._reserved[key.id] = self._reserved.get(key.id, 0) + wanted
        return wanted

    def spend(self, key: Key, reserved: int, tokens: int) -> None:
        """What an answer took in the end."""
        if reserved:
            self._reserved[key.id] -= reserved
        self._db.execute(
            "INSERT INTO usage VALUES (?,?,1,?) ON CONFLICT (id, day) DO UPDATE SET requests=requests+1, tokens=tokens+excluded.tokens",
            (key.id, self._day(), tokens),
        )

    def _take(self, key: Key, room: float, room_at: float) -> None:
        """One request out of a bucket that fills at the key's rate and holds one minute's."""
        if not key.requests_per_min:
            return
        now, per_s = self._now(), key.requests_per_min / 60.0
        room = min(float(key.requests_per_min), room + max(0.0, now - room_at) * per_s)
        if room < 1.0:
            message = f"key {key.name}: {key.requests_per_min} requests a minute are allowed"
            raise Refused(429, message, "rate_limit_exceeded", retry_after_s=(1.0 - room) / per_s)
        self._db.execute("UPDATE keys SET room=?, room_at=? WHERE id=?", (room - 1.0, now, key.id))

    def _day(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).date().isoformat()

    def _until_midnight_s(self) -> float:
        now = datetime.fromtimestamp(self._now(), UTC)
        return ((now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0) - now).total_seconds()


def shown(store: KeyStore, key: Key) -> dict[str, Any]:
    """For people and programs; nothing secret."""
    return asdict(key) | {"used_today": store.used(key)}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
