"""A recipe that is really trained as a job: followed, stopped half way, resumed to a file that is proved."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from sdx_finetune.jobs.view import progress, view
from sdx_finetune.recipe import Recipe

SDX = [sys.executable, "-m", "sdx_ui.cli"]


def sdx(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SDX, *words], capture_output=True, text=True, check=False)


def test_a_recipe_is_trained_as_a_job_stopped_and_resumed_to_a_proved_file(bench: Any, recipe: Recipe, tmp_path: Path) -> None:
    raw = recipe.model_dump(mode="json", exclude_unset=True)
    raw["train"] |= {"max_steps": 100_000, "checkpoint_minutes": 0.01}
    path, work = tmp_path / "toy.yaml", tmp_path / "work"
    path.write_text(yaml.safe_dump(raw))
    words = ["finetune", "run", str(path), "--work", str(work), "--device", "cpu", "--workers", "1"]
    job = bench.queue.job(json.loads(sdx(*words, "--detach", "--json").stdout)["id"])
    bench.until(lambda: (work / "checkpoint.pt").exists() or not bench.queue.job(job.id).unfinished, 200)
    facts = progress(bench.queue.job(job.id))
    assert facts["step"] >= 1 and facts["loss"] > 0

    stopped = sdx("finetune", "stop", job.id)
    assert stopped.returncode == 0 and "is stopped: stopped; `sdx jobs resume" in stopped.stdout, stopped.stdout + stopped.stderr
    assert bench.queue.job(job.id).code == 130
    told = re.search(r"stopped at step (\d+)", bench.queue.log(job.id).read_text())
    assert told
    reached = int(told[1])

    raw["train"]["max_steps"] = reached + 40
    path.write_text(yaml.safe_dump(raw))
    followed = sdx(*words)
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert f"{job.id} goes on, try 2" in followed.stdout
    assert f"continues at step {reached}" in followed.stdout and "PASS toy-Q8_0.gguf" in followed.stdout
    run = json.loads((work / "run.json").read_text())
    assert run["steps"] == reached + 40
    assert [step for step, _ in run["losses"]] == sorted(step for step, _ in run["losses"])
    assert run["losses"][-1][1] < run["losses"][0][1]
    done = view(bench.queue, bench.queue.job(job.id), curve=True)
    assert done["state"] == "done" and done["curve"][0]["step"] == 1
