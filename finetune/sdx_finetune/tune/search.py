"""Search the best values for fields of a recipe with Optuna: each trial trains in its own process and folder. Start at search().

In the work folder: study.db (Optuna's SQLite), trials/NNN (a recipe and all that its run makes), trials.json, best.yaml. A kill loses
nothing but what the running trial did since its last checkpoint: the same command goes on with that very trial.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sdx_domains.contract import digest
from sdx_finetune import progress
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.journal import write_whole
from sdx_finetune.measure.report import losses
from sdx_finetune.outcomes import Outcome
from sdx_finetune.progress import Say
from sdx_finetune.recipe import Recipe
from sdx_finetune.run import load_recipe
from sdx_finetune.tune.spec import HELD_OUT, StudySpec, check_fields, field_at, with_values

LOOK_EVERY_S = 1.0
MOST_FAILURES = 3
"""So many trials that fail one after the other end the search: it is not the values."""
_ENDS_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Failed(Exception):
    """A trial came to nothing, the search goes on; the message says why."""


class Pruned(Exception):
    """A trial was ended early."""


def search(path: Path, work: Path, say: Say = lambda line: None) -> dict[str, Any]:
    """Run or go on with a study; {"best": {...} or None, "trials": [...]}, also in work/trials.json; work/best.yaml is a recipe.

    Raises:
        ValueError: a wrong file, field or range; another study in this folder; Optuna is not installed; only failing trials.
        KeyboardInterrupt: after the running trial wrote its checkpoint.
    """
    spec = StudySpec.load(path)
    recipe = load_recipe(spec.recipe)
    if recipe.method == "vision":
        raise ValueError(f"{spec.recipe}: recipes of method vision have no study; change a field and run it again")
    check_fields(spec, recipe)
    if spec.objective != HELD_OUT and isinstance(recipe, Recipe):
        raise ValueError(f'objective {spec.objective!r}: a recipe from scratch has no stage `evaluate`; search by "{HELD_OUT}"')
    (work / "trials").mkdir(parents=True, exist_ok=True)
    with _alone(work / "search.lock", 0.0):
        _hold_to(spec, work)
        return _Search(spec, recipe, work, say).run()


def _hold_to(spec: StudySpec, work: Path) -> None:
    """The study that this folder began with is the one that goes on; only its length may change."""
    raw = yaml.safe_load(spec.recipe.read_text(encoding="utf-8"))
    fixed = {**spec.model_dump(mode="json", exclude={"trials", "max_minutes", "recipe"}), "recipe": digest(raw)}
    file = work / "study.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else fixed
    if changed := [name for name in fixed if known.get(name) != fixed[name]]:
        raise ValueError(f"{work} holds a study with another {', '.join(changed)}: take another --work folder, or remove it to begin anew")
    write_whole(file, json.dumps(fixed, indent=1).encode())


@contextmanager
def _alone(path: Path, wait_s: float) -> Iterator[int]:
    """Hold a lock, also for processes that inherit it. ValueError when another process has it for longer than wait_s."""
    with path.open("w") as file:
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise ValueError(f"{path.parent} is in use by another process: stop it, or take another --work folder") from None
                time.sleep(0.2)
        yield file.fileno()


class _Search:
    def __init__(self, spec: StudySpec, recipe: Recipe | AdaptRecipe, work: Path, say: Say) -> None:
        try:
            import optuna
        except ImportError as error:
            raise ValueError(f"the search wants the package optuna ({error}): pip install 'sdx[tune]'") from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.spec, self.recipe, self.work, self.say, self.optuna = spec, recipe, work, say, optuna
        self.raw: dict[str, Any] = yaml.safe_load(spec.recipe.read_text(encoding="utf-8"))
        reward = isinstance(recipe, AdaptRecipe) and recipe.method == "grpo"
        self.higher = reward or spec.objective != HELD_OUT
        storage = optuna.storages.RDBStorage(f"sqlite:///{work.resolve() / 'study.db'}")
        pruners: dict[str, Any] = {
            "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=spec.startup_trials),
            "hyperband": optuna.pruners.HyperbandPruner,
            "none": optuna.pruners.NopPruner,
        }
        self.study = optuna.create_study(
            study_name=spec.name, storage=storage, load_if_exists=True, pruner=pruners[spec.pruner](),
            direction="maximize" if self.higher else "minimize",
        )  # fmt: skip
        # Not the same numbers again when the search goes on.
        seed = spec.seed + len(self.study.trials)
        self.study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=2 * spec.startup_trials)

    def run(self) -> dict[str, Any]:
        failures = 0
        while (trial := self._next()) is not None:
            state, value = self._one(trial)
            failures = failures + 1 if state == "fail" else 0
            self.study.tell(trial, value, state=self.optuna.trial.TrialState[state.upper()])
            result = self._write()
            self.say(_line(result["trials"][trial.number], result["best"]))
            if failures >= MOST_FAILURES:
                raise ValueError(f"{failures} trials failed one after the other, the last: {result['trials'][trial.number]['why']}")
        return self._write()

    def _next(self) -> Any:
        """The trial that was interrupted, a new one, or None at the end."""
        trials = self.study.get_trials(deepcopy=False)
        running = next((one for one in trials if one.state == self.optuna.trial.TrialState.RUNNING), None)
        if running is not None:
            self.say(f"trial {running.number} goes on")
            return self.optuna.trial.Trial(self.study, running._trial_id)
        late = self.spec.max_minutes is not None and self._spent_s() >= 60 * self.spec.max_minutes
        return None if late or len(trials) >= self.spec.trials else self.study.ask()

    def _spent_s(self) -> float:
        return sum(one.user_attrs.get("seconds", 0.0) for one in self.study.get_trials(deepcopy=False))

    def _one(self, trial: Any) -> tuple[str, float | None]:
        """(complete, pruned or fail; the value) of a trial that was run to its end."""
        values = {path: self._suggested(trial, path) for path in self.spec.search}
        folder = self.work / "trials" / f"{trial.number:03d}"
        self._tell(trial.number, 0.0)
        self.say(f"trial {trial.number}: " + ", ".join(f"{path} {_short(value)}" for path, value in values.items()))
        try:
            file = self._recipe_in(folder, values)
            with _alone(folder / "lock", 60.0) as lock:  # a run whose search was killed is still writing its checkpoint
                self._clocked(trial, lambda: self._run(trial, file, folder, lock))
            return "complete", self._value(folder)
        except Pruned as why:
            trial.set_user_attr("why", str(why))
            return "pruned", None
        except Failed as why:
            trial.set_user_attr("why", str(why))
            return "fail", None

    def _clocked(self, trial: Any, what: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            what()
        finally:
            trial.set_user_attr("seconds", round(trial.user_attrs.get("seconds", 0.0) + time.monotonic() - began, 1))

    def _suggested(self, trial: Any, path: str) -> Any:
        wanted = self.spec.search[path]
        if wanted.choices:  # as JSON: Optuna takes no lists
            return json.loads(trial.suggest_categorical(path, [json.dumps(choice) for choice in wanted.choices]))
        if field_at(type(self.recipe), path)[1]:
            return trial.suggest_int(path, wanted.low, wanted.high, step=int(wanted.step or 1), log=wanted.log)
        return trial.suggest_float(path, wanted.low, wanted.high, step=wanted.step, log=wanted.log)

    def _recipe_in(self, folder: Path, values: Mapping[str, Any]) -> Path:
        """The trial's recipe as a file; made rows are shared, for they carry what they were made from in their names."""
        folder.mkdir(exist_ok=True)
        made = with_values(self.raw, {**self.spec.fixed, **values})
        try:
            type(self.recipe).model_validate(made)
        except ValidationError as error:
            first = error.errors()[0]
            raise Failed(f"{'.'.join(map(str, first['loc'])) or 'recipe'}: {first['msg']}") from error
        for name in ("data", "tokens"):
            (self.work / name).mkdir(exist_ok=True)
            if isinstance(self.recipe, Recipe) and not (folder / name).is_symlink():
                (folder / name).symlink_to(Path("../..") / name)
        write_whole(folder / "recipe.yaml", yaml.safe_dump(made, sort_keys=False, allow_unicode=True).encode())
        return folder / "recipe.yaml"

    def _run(self, trial: Any, file: Path, folder: Path, lock: int) -> None:
        if isinstance(self.recipe, Recipe):
            stages = ("data", "tokenizer", "train")
        else:
            stages = ("data", "train") if self.spec.objective == HELD_OUT else ("data", "train", "merge", "export", "evaluate")
        for stage in stages:
            command = [sys.executable, "-m", "sdx_finetune.run", str(file), "--work", str(folder), "--stage", stage]
            with (folder / "log").open("ab") as log:
                process = subprocess.Popen(
                    command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=(lock,),
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, preexec_fn=_end_with_parent,  # noqa: PLW1509  no thread runs here
                )  # fmt: skip
            self._watch(trial, process, folder)

    def _watch(self, trial: Any, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Until the process ends; Pruned or Failed when that was not well. Any end of ours is its end too, with a checkpoint."""
        pruned = False
        try:
            while process.poll() is None:
                time.sleep(LOOK_EVERY_S)
                self._tell(trial.number, progress.told(folder).get("done", 0.0))
                if not pruned and self._hopeless(trial, folder):
                    pruned = True
                    process.send_signal(signal.SIGTERM)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait()
        self._judge(process.returncode, pruned, trial, folder)

    def _judge(self, code: int, pruned: bool, trial: Any, folder: Path) -> None:
        if code == Outcome.DONE:
            return
        if pruned:
            raise Pruned(f"after {len(self._held_out(folder))} held-out figures")
        if code == Outcome.STOPPED:
            raise KeyboardInterrupt
        why = _last_line(folder / "log")
        if code == Outcome.DISK_FULL:
            raise OSError(f"trial {trial.number}: {why}")
        if code < 0 and code != -signal.SIGKILL:
            raise Failed(f"ended by signal {-code}: {why}")
        raise Failed("killed, most likely for its memory" if code == -signal.SIGKILL else why)

    def _hopeless(self, trial: Any, folder: Path) -> bool:
        """Report new held-out figures, each by its place: steps differ between trials."""
        known = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        for place, (_, value) in enumerate(self._held_out(folder), 1):
            if place not in known:
                trial.report(value, place)
        return self.spec.objective == HELD_OUT and trial.should_prune()

    def _held_out(self, folder: Path) -> list[tuple[float, float]]:
        return losses(folder / "train.jsonl")[1]

    def _value(self, folder: Path) -> float:
        if self.spec.objective == HELD_OUT:
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            return float(record["best" if self.higher else "held_out_loss"])
        figures = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["models"][-1]["figures"]
        if self.spec.objective not in figures:
            raise ValueError(f"objective {self.spec.objective!r} is no metric of the evaluation; there are {', '.join(figures)}")
        return float(figures[self.spec.objective]["mean"])

    def _tell(self, number: int, done: float) -> None:
        facts = {"trial": number, "trials": self.spec.trials, "left_s": None}
        progress.tell(self.work, "tune", (number + done) / self.spec.trials, **facts)

    def _write(self) -> dict[str, Any]:
        """trials.json, and best.yaml when there is a best."""
        trials = [
            {
                "trial": one.number,
                "state": one.state.name.lower(),
                "value": one.value,
                "values": {path: json.loads(v) if self.spec.search[path].choices else v for path, v in one.params.items()},
                "measurements": len(one.intermediate_values),
                "seconds": one.user_attrs.get("seconds", 0.0),
                "why": one.user_attrs.get("why", ""),
            }
            for one in self.study.get_trials(deepcopy=False)
        ]
        complete = [one for one in trials if one["state"] == "complete"]
        best = (max if self.higher else min)(complete, key=lambda one: one["value"], default=None)
        result = {"study": self.spec.name, "objective": self.spec.objective, "best": best, "trials": trials}
        write_whole(self.work / "trials.json", json.dumps(result, indent=1).encode())
        if best is not None:
            head = f"# Best of {len(complete)} whole trials of the study {self.spec.name}: {self.spec.objective} {best['value']:.5f} (trial {best['trial']}).\n"
            text = yaml.safe_dump(with_values(self.raw, best["values"]), sort_keys=False, allow_unicode=True)
            write_whole(self.work / "best.yaml", (head + text).encode())
        return result


def _end_with_parent() -> None:
    """In the child: SIGTERM when the search is killed, so that no training goes on unwatched."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_ENDS_WITH_PARENT, signal.SIGTERM)


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else "it ended without a word"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(trial: Mapping[str, Any], best: Mapping[str, Any] | None) -> str:
    ended = f"{trial['value']:.5f}" if trial["value"] is not None else f"{trial['state']}, {trial['why']}"
    return f"trial {trial['trial']}: {ended}" + (f"; best {best['value']:.5f} by trial {best['trial']}" if best else "")
