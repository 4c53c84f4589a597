"""Parameters, metrics and the end of a run in MLflow: a file beside the runs, or any tracking server.

Tracking never ends the work that it watches: what cannot be sent is told once, kept, and tried again. Nothing but the
tracking server is spoken to, and with "local" nothing at all.
"""

import json
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sdx_finetune.journal import write_whole
from sdx_finetune.outcomes import Outcome, outcome_of
from sdx_finetune.progress import Say
from sdx_serving.provenance import provenance

LOCAL = "local"
FILE = "mlflow.json"
SEND_EVERY_S, TRY_AGAIN_S = 5.0, 60.0
MOST_KEPT = 20_000
"""Metrics that wait for a server; beyond, the oldest are lost."""
BATCH, MOST_LETTERS = 1000, 5000
"""MLflow's own limits: metrics in a request, and nearly so many letters in a parameter or tag."""
_NO_NAME = re.compile(r"[^\w\-./ ]")
"""What MLflow takes in no name."""
Log = Callable[[Mapping[str, float], int], None]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def tracked(uri: str | None, name: str, facts: Mapping[str, Any], work: Path, say: Say = _say) -> Iterator[Log]:
    """`log(metrics, step)` for the work inside; its end is FINISHED, KILLED (Ctrl-C, SIGTERM) or FAILED.

    The run's id is kept in work/mlflow.json: the same folder continues the same run.

    Args:
        uri: None does nothing; "local" is mlflow.db in the folder that `work` lies in; else an MLflow tracking URI.
        name: of the experiment; the run is called like the folder.
        facts: the run's parameters, nested as they are.

    Raises:
        ValueError: mlflow is not installed.
    """
    if uri is None:
        yield lambda metrics, step: None
        return
    sender = _Sender(uri, name, facts, work.resolve(), say)
    end = "FINISHED"
    try:
        yield sender.log
    except BaseException as error:
        end = "KILLED" if outcome_of(error) is Outcome.STOPPED else "FAILED"
        raise
    finally:
        sender.end(end)


class _Sender:
    """One run: what waits to be sent, and when to try again."""

    def __init__(self, uri: str, name: str, facts: Mapping[str, Any], work: Path, say: Say) -> None:
        self.uri = f"sqlite:///{work.parent / 'mlflow.db'}" if uri == LOCAL else uri
        self.name, self.work, self.say = name, work, say
        self.facts = {key: str(value)[:MOST_LETTERS] for key, value in _flat(facts)}
        # A server that is away would hold each request for minutes, and the work with it.
        for setting, value in (("MLFLOW_DISABLE_TELEMETRY", "true"), ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")):
            os.environ.setdefault(setting, value)
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        try:
            import mlflow.tracking as mlflow
        except ImportError as error:
            raise ValueError(f"tracking wants the package mlflow ({error}): pip install 'sdx[tune]', or leave `tracking` out") from error
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it tells of every table that it makes
        self._mlflow = mlflow
        self._client: Any = None
        self._run = ""
        self._waiting: list[tuple[str, float, int, int]] = []
        self._next_try = 0.0
        self._told = False
        self._attempt(lambda: None)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep, and send what is kept every few seconds: a request a step would slow the work down."""
        now = int(time.time() * 1000)
        self._waiting += [(_NO_NAME.sub("_", key), float(value), now, step) for key, value in metrics.items()]
        del self._waiting[:-MOST_KEPT]
        if time.monotonic() >= self._next_try:
            self._attempt(self._send)

    def end(self, status: str) -> None:
        def finish() -> None:
            self._send()
            self._client.set_terminated(self._run, status)

        self._attempt(finish)

    def _attempt(self, what: Callable[[], None]) -> None:
        """Do it on an open run; any failure is told once and ends nothing."""
        try:
            with warnings.catch_warnings(action="ignore"):  # MLflow's about its own libraries
                if not self._run:
                    self._open()
                what()
            self._next_try = time.monotonic() + SEND_EVERY_S
        except Exception as error:  # noqa: BLE001  a server, a database and a disk each have their own
            self._next_try = time.monotonic() + TRY_AGAIN_S
            if not self._told:
                self.say(f"tracking: {self.uri} takes nothing now ({str(error).splitlines()[0][:200]}); the work goes on")
            self._told = True

    def _send(self) -> None:
        from mlflow.entities import Metric

        while self._waiting:
            part = self._waiting[:BATCH]
            self._client.log_batch(self._run, [Metric(*one) for one in part])
            del self._waiting[: len(part)]

    def _open(self) -> None:
        """Continue the run that this folder had on this server, or create one."""
        from mlflow.entities import Param, RunTag

        self._client = self._client or self._mlflow.MlflowClient(tracking_uri=self.uri)
        file = self.work / FILE
        kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        run = kept["run"] if kept.get("uri") == self.uri and self._is_there(kept["run"]) else self._create()
        write_whole(file, json.dumps({"uri": self.uri, "run": run}).encode())
        self._client.update_run(run, "RUNNING")
        known: Mapping[str, str] = self._client.get_run(run).data.params
        new = [Param(key, value) for key, value in self.facts.items() if key not in known]
        origin = provenance()
        tags = {"mlflow.source.git.commit": origin["commit"], **{key: str(value)[:MOST_LETTERS] for key, value in _flat(origin)}}
        # A parameter cannot change in MLflow; a run that goes on with another value says so in a tag.
        tags |= {f"resumed_with.{key}": value for key, value in self.facts.items() if known.get(key, value) != value}
        for start in range(0, max(len(new), 1), 100):
            self._client.log_batch(run, params=new[start : start + 100])
        self._client.log_batch(run, tags=[RunTag(key, value) for key, value in tags.items()])
        self._run = run

    def _is_there(self, run: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_run(run).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def _create(self) -> str:
        found = self._client.get_experiment_by_name(self.name)
        folder = (self.work.parent / "mlartifacts" / self.name).as_uri() if self.uri.startswith("sqlite:") else None
        experiment = found.experiment_id if found else self._client.create_experiment(self.name, artifact_location=folder)
        return self._client.create_run(experiment, run_name=self.work.name).info.run_id


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """("train.learning_rate", 0.1) of nested mappings."""
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{before}{key}.")
        else:
            yield _NO_NAME.sub("_", f"{before}{key}"), item
