"""The queue of long work: an SQLite file that any number of processes write, whole after a kill at any moment.

Start reading at submit(). A job waits (queued), runs, and ends; each step is one transaction that names the state it comes from.

<home>/queue.sqlite      <home>/logs/<id>.log      <home>/started/<id>.json (0600, while unfinished)      <home>/worker-<device>.lock
"""

import errno
import fcntl
import json
import os
import secrets
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sdx_finetune.jobs import job as states
from sdx_finetune.jobs.job import Job, checked_device, default_home, from_row
from sdx_finetune.jobs.processes import alive

STOP_WAIT_S = 60.0
"""Default time for a checkpoint; ten seconds after SIGTERM follows SIGKILL."""
_LETTERS = "abcdefghkmnpqrstuvwxyz23456789"
_BALLAST = 256 * 1024
_MIGRATIONS = (
    """
    CREATE TABLE jobs (
      id TEXT PRIMARY KEY, kind TEXT NOT NULL, argv TEXT NOT NULL, work TEXT NOT NULL, cwd TEXT NOT NULL, device TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'stopping', 'done', 'failed', 'stopped', 'lost')),
      words TEXT NOT NULL DEFAULT '', code INTEGER, turn INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 1,
      created REAL NOT NULL, started REAL, ended REAL, pid INTEGER NOT NULL DEFAULT 0, mark TEXT NOT NULL DEFAULT '',
      witness INTEGER NOT NULL DEFAULT 0, witness_mark TEXT NOT NULL DEFAULT '', stop_asked REAL, stop_wait_s REAL NOT NULL DEFAULT 60,
      signals INTEGER NOT NULL DEFAULT 0, params TEXT NOT NULL DEFAULT '{}',
      UNIQUE (kind, argv, work)
    );
    CREATE INDEX by_state ON jobs (state, device, turn);
    """,
)
"""Statements that lead from version N to N + 1; user_version of the file says how many it has seen."""
_QUEUED_AGAIN = (
    "UPDATE jobs SET state = 'queued', words = '', code = NULL, started = NULL, ended = NULL, pid = 0, mark = '', witness = 0, "
    "witness_mark = '', stop_asked = NULL, signals = 0, tries = tries + 1, turn = (SELECT MAX(turn) + 1 FROM jobs), cwd = ?, device = ? WHERE id = ?"
)
_IN_ITS_WAY = (
    "o.id <> j.id AND (o.device = j.device OR o.work = j.work) AND "
    "(o.state IN ('running', 'stopping') OR o.state = 'queued' AND o.turn < j.turn)"
)


class Queue:
    """The jobs under one folder. Every call opens the file anew, so that threads and forks may share a Queue."""

    def __init__(self, home: Path | None = None) -> None:
        """ValueError when a newer edition wrote the file."""
        self.home = home or default_home()
        self.home.parent.mkdir(parents=True, exist_ok=True)
        for name in (".", "logs", "started"):
            (self.home / name).mkdir(exist_ok=True, mode=0o700)
        with self._open() as db:
            if self._version(db) < len(_MIGRATIONS):
                self._migrate(db)
        self._reserve()

    def _migrate(self, db: sqlite3.Connection) -> None:
        # The journal's mode is changed without waiting for others, hence a lock of our own.
        with (self.home / "queue.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN IMMEDIATE")
            for version in range(self._version(db), len(_MIGRATIONS)):
                for statement in _MIGRATIONS[version].split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {version + 1}")
            db.execute("COMMIT")

    def _version(self, db: sqlite3.Connection) -> int:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(_MIGRATIONS):
            raise ValueError(
                f"{self.home / 'queue.sqlite'} was written by a newer edition (schema {version}, known {len(_MIGRATIONS)}): update this one"
            )
        return version

    def _reserve(self) -> None:
        """A little room on the disk, given up when the end of a job that filled it is to be read or written."""
        ballast = self.home / "ballast"
        with suppress(OSError):
            if not ballast.exists() and shutil.disk_usage(self.home).free > 8 * _BALLAST:
                ballast.write_bytes(os.urandom(_BALLAST))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            db = self._connected()
        except OSError:
            (self.home / "ballast").unlink(missing_ok=True)
            db = self._connected()
        try:
            yield db
        except sqlite3.OperationalError as error:
            raise _named(error, self.home) from error
        finally:
            db.close()

    def _connected(self) -> sqlite3.Connection:
        """OSError on a full disk: even reading needs a little room there."""
        db = sqlite3.connect(self.home / "queue.sqlite", timeout=30.0, isolation_level=None)
        db.row_factory = sqlite3.Row
        try:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            db.close()
            raise _named(error, self.home) from error
        return db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all or nothing, and no other writer in between."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    # Reading

    def jobs(self, kinds: Sequence[str] = ()) -> list[Job]:
        """Unfinished ones first, in their order, then the others, the latest first."""
        with self._open() as db:
            found = [from_row(row) for row in db.execute("SELECT * FROM jobs")]
        chosen = [job for job in found if not kinds or job.kind in kinds]
        return sorted(chosen, key=lambda job: (not job.unfinished, job.turn if job.unfinished else -(job.ended or job.created)))

    def job(self, name: str) -> Job:
        """By its id, or by an end of it of three letters or more where only one fits. KeyError names what there is."""
        with self._open() as db:
            rows = db.execute(
                "SELECT * FROM jobs WHERE id = ?1 OR length(?1) > 2 AND substr(id, -length(?1)) = ?1 ORDER BY id = ?1 DESC", (name,)
            ).fetchall()
        if rows and (len(rows) == 1 or rows[0]["id"] == name):
            return from_row(rows[0])
        if rows:
            raise KeyError(f"{name!r} may be {' or '.join(row['id'] for row in rows)}: write the whole id")
        latest = ", ".join(job.id for job in self.jobs()[:5])
        raise KeyError(f"no job {name!r} in {self.home}; there are: {latest or 'none'}; `sdx jobs` lists all")

    def in_the_way(self, job: Job) -> list[str]:
        """Ids of those that a queued job waits for: on its device, or in its folder."""
        if job.state != states.WAITING:
            return []
        with self._open() as db:
            rows = db.execute(f"SELECT o.id FROM jobs o, jobs j WHERE j.id = ? AND {_IN_ITS_WAY} ORDER BY o.turn", (job.id,))
            return [row["id"] for row in rows]

    def next(self, device: str) -> Job | None:
        """The one whose turn it is on a device."""
        free = f"NOT EXISTS (SELECT 1 FROM jobs o WHERE {_IN_ITS_WAY})"
        with self._open() as db:
            row = db.execute(f"SELECT * FROM jobs j WHERE j.device = ? AND j.state = 'queued' AND {free} LIMIT 1", (device,)).fetchone()
        return from_row(row) if row else None

    def on(self, device: str, *wanted: str) -> list[Job]:
        """Jobs of a device in these states."""
        return [job for job in self.jobs() if job.device == device and job.state in wanted]

    # Steps of a job's life

    def add(
        self,
        kind: str,
        argv: Sequence[str],
        work: Path,
        device: str = "cpu",
        *,
        cwd: Path | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> tuple[Job, bool]:
        """(the job, whether it was put in line now). The same command in the same folder is the same job: it goes on, or is joined."""
        key = (kind, json.dumps(list(argv)), str(work.absolute()))
        place = str((cwd or Path.cwd()).absolute())
        with self._writing() as db:
            row = db.execute("SELECT * FROM jobs WHERE kind = ? AND argv = ? AND work = ?", key).fetchone()
            if row and row["state"] in states.UNFINISHED:
                return from_row(row), False
            name = row["id"] if row else self._new_id(db, kind)
            self._keep_setting(name)
            if row:
                db.execute(_QUEUED_AGAIN, (place, checked_device(device), name))
            else:
                db.execute(
                    "INSERT INTO jobs (id, kind, argv, work, cwd, device, state, turn, created, params) "
                    "VALUES (?, ?, ?, ?, ?, ?, 'queued', (SELECT COALESCE(MAX(turn), 0) + 1 FROM jobs), ?, ?)",
                    (name, *key, place, checked_device(device), time.time(), json.dumps(dict(params or {}))),
                )
            return from_row(db.execute("SELECT * FROM jobs WHERE id = ?", (name,)).fetchone()), True

    @staticmethod
    def _new_id(db: sqlite3.Connection, kind: str) -> str:
        while True:
            name = f"{kind}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
            if not db.execute("SELECT 1 FROM jobs WHERE id = ?", (name,)).fetchone():
                return name

    def again(self, name: str) -> Job:
        """Put an ended job in line again. ValueError when there is nothing to go on with."""
        with self._writing() as db:
            job = from_row(db.execute("SELECT * FROM jobs WHERE id = ?", (self.job(name).id,)).fetchone())
            if job.unfinished or job.state == states.DONE:
                raise ValueError(f"{job.id} is {job.state}; only what was stopped, failed or lost can go on")
            self._keep_setting(job.id)
            db.execute(_QUEUED_AGAIN, (job.cwd, job.device, job.id))
        return self.job(job.id)

    def _keep_setting(self, name: str) -> None:
        """Python and environment of whoever starts it, readable by nobody else (keys may be in it); gone with the job's end."""
        path = self.home / "started" / f"{name}.json"
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"python": sys.executable, "environ": dict(os.environ)}, file)

    def setting(self, name: str) -> tuple[str, dict[str, str]]:
        """(python, environment) to run it with."""
        try:
            held = json.loads((self.home / "started" / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return sys.executable, dict(os.environ)
        return held["python"], held["environ"]

    def begin(self, name: str, command: tuple[int, str], witness: tuple[int, str]) -> bool:
        """It runs now, as this process; False when it is not in line any more."""
        with self._writing() as db:
            done = db.execute(
                "UPDATE jobs SET state = 'running', started = ?, pid = ?, mark = ?, witness = ?, witness_mark = ? "
                "WHERE id = ? AND state = 'queued'",
                (time.time(), *command, *witness, name),
            )
            return done.rowcount == 1

    def end(self, job: Job, state: str, words: str, code: int | None) -> bool:
        """It ended so. Only the try that `job` shows: one that was resumed since is left alone."""
        change = (
            "UPDATE jobs SET state = ?, words = ?, code = ?, ended = ? WHERE id = ? AND tries = ? AND state IN ('queued', 'running', "
            "'stopping', 'lost')"
        )
        values = (state, words, code, time.time(), job.id, job.tries)
        try:
            with self._writing() as db:
                ended = db.execute(change, values).rowcount == 1
        except OSError:
            (self.home / "ballast").unlink(missing_ok=True)
            with self._writing() as db:
                ended = db.execute(change, values).rowcount == 1
        (self.home / "started" / f"{job.id}.json").unlink(missing_ok=True)
        return ended

    def ask_stop(self, name: str, wait_s: float = STOP_WAIT_S) -> Job:
        """A queued job is taken out; a running one is to be stopped by the worker. ValueError when it has ended."""
        with self._writing() as db:
            job = from_row(db.execute("SELECT * FROM jobs WHERE id = ?", (self.job(name).id,)).fetchone())
            if not job.unfinished:
                raise ValueError(f"{job.id} is {job.state} already")
            now = time.time()
            if job.state == states.WAITING:
                words = f"taken out of the queue before it began; `sdx jobs resume {job.id}` puts it in again"
                db.execute("UPDATE jobs SET state = 'stopped', words = ?, ended = ? WHERE id = ?", (words, now, job.id))
                (self.home / "started" / f"{job.id}.json").unlink(missing_ok=True)
            elif job.state == states.RUNNING:
                db.execute("UPDATE jobs SET state = 'stopping', stop_asked = ?, stop_wait_s = ? WHERE id = ?", (now, wait_s, job.id))
        return self.job(job.id)

    def signalled(self, job: Job, count: int) -> None:
        """So many signals were sent to stop it."""
        with self._writing() as db:
            db.execute("UPDATE jobs SET signals = ? WHERE id = ? AND tries = ?", (count, job.id, job.tries))

    def remove(self, name: str) -> Job:
        """Take away the record and the log. ValueError while it runs."""
        with self._writing() as db:
            job = from_row(db.execute("SELECT * FROM jobs WHERE id = ?", (self.job(name).id,)).fetchone())
            if job.state in (states.RUNNING, states.STOPPING):
                raise ValueError(f"{job.id} is {job.state}; `sdx jobs stop {job.id}` first")
            db.execute("DELETE FROM jobs WHERE id = ?", (job.id,))
        self.log(job.id).unlink(missing_ok=True)
        (self.home / "started" / f"{job.id}.json").unlink(missing_ok=True)
        return job

    def find_lost(self) -> list[Job]:
        """Mark those whose processes are all gone without a word: after a power loss, or kill -9 of everything."""
        gone = [job for job in self.jobs() if job.state in (states.RUNNING, states.STOPPING) and not running(job)]
        return [job for job in gone if self.end(job, *lost_words(job), None)]


def _named(error: sqlite3.OperationalError, home: Path) -> Exception:
    """A full disk as an OSError that says so; SQLite has two words for it."""
    if "full" in str(error) or "disk I/O" in str(error):
        return OSError(errno.ENOSPC, f"no space left on device for the queue of jobs: {error}", str(home))
    return error


def running(job: Job) -> bool:
    """Its command, or the witness who is about to write down its end."""
    return alive(job.pid, job.mark) or alive(job.witness, job.witness_mark)


def lost_words(job: Job) -> tuple[str, str]:
    """State and words for an end that nobody saw."""
    if job.state == states.STOPPING:
        return states.STOPPED, f"stopped; its last words are in the log; `sdx jobs resume {job.id}` goes on from the last checkpoint"
    return states.LOST, (
        f"its processes are gone and nobody saw how (power loss, or killed); `sdx jobs resume {job.id}` goes on from the last checkpoint"
    )
