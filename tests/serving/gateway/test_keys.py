"""Keys: kept as hashes, held to their models, rates and budgets, over restarts too."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdx_serving.gateway.errors import Refused
from sdx_serving.gateway.keys import KeyStore


class Clock:
    """Unix time that stands still."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys.sqlite"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[KeyStore]:
    with KeyStore(path, clock) as opened:
        yield opened


def test_a_key_opens_and_only_its_hash_is_on_the_disk(store: KeyStore, path: Path) -> None:
    key, text = store.add("bridge")
    assert store.enter(text) == key
    kept = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert text.encode() not in kept and text.split("-", 2)[2].encode() not in kept
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("wrong", ["", "sdx", "sdx--", "sdx-00000000-x", "Bearer", "sdx-' OR 1=1 --", "\x00", "ключ"])
def test_what_is_no_key_does_not_open(store: KeyStore, wrong: str) -> None:
    store.add("bridge")
    with pytest.raises(Refused) as refused:
        store.enter(wrong)
    assert refused.value.status == 401


def test_one_wrong_letter_does_not_open(store: KeyStore) -> None:
    _, text = store.add("bridge")
    with pytest.raises(Refused):
        store.enter(text[:-1] + ("a" if text[-1] != "a" else "b"))


def test_a_revoked_key_is_refused_and_leaves_the_door_shut(store: KeyStore) -> None:
    key, text = store.add("bridge")
    assert store.valid
    store.revoke("bridge")
    with pytest.raises(Refused):
        store.enter(text)
    assert store.any and not store.valid
    with pytest.raises(LookupError, match=f"no valid key '{key.id}'"):
        store.revoke(key.id)


def test_two_keys_do_not_share_a_name_while_both_open(store: KeyStore) -> None:
    store.add("bridge")
    with pytest.raises(ValueError, match="'bridge' already"):
        store.add("bridge")
    store.revoke("bridge")
    store.add("bridge")


def test_the_rate_is_kept_and_told_and_survives_a_restart(store: KeyStore, path: Path, clock: Clock) -> None:
    _, text = store.add("bridge", requests_per_min=3)
    for _ in range(3):
        store.enter(text)
    with KeyStore(path, clock) as again, pytest.raises(Refused) as refused:
        again.enter(text)
    assert refused.value.status == 429
    assert refused.value.headers() == {"retry-after": "20"}
    clock.now_s += 20.0
    store.enter(text)
    clock.now_s += 3600.0  # a quiet hour saves up one minute's requests, not sixty
    for _ in range(3):
        store.enter(text)
    with pytest.raises(Refused):
        store.enter(text)


def test_the_day_budget_counts_what_is_on_the_way_too(store: KeyStore, path: Path, clock: Clock) -> None:
    key, _ = store.add("bridge", tokens_per_day=1000)
    first = store.reserve(key, 400, 300)
    second = store.reserve(key, 400, 300)
    with pytest.raises(Refused, match="200 of 1000 tokens") as refused:
        store.reserve(key, 400, 300)
    assert refused.value.status == 429 and (refused.value.retry_after_s or 0) > 60
    store.spend(key, first, 350)
    store.spend(key, second, 350)
    with KeyStore(path, clock) as again:
        assert again.used(key) == {"requests": 2, "tokens": 700}
        with pytest.raises(Refused):
            again.reserve(key, 400, 300)
        clock.now_s += 86_400.0
        assert again.reserve(key, 400, 300) == 400


def test_scopes(store: KeyStore) -> None:
    key, _ = store.add("bridge", ("ship", "farm"))
    assert key.may("ship") and not key.may("medicine")


def test_the_file_is_a_plain_database_that_another_process_may_read(store: KeyStore, path: Path) -> None:
    store.add("bridge")
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM keys").fetchall() == [("bridge",)]
    other.close()
