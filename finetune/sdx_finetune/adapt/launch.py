"""Several processes that train together on this machine, as accelerate's configuration files in finetune/recipes/accelerate say.

Not accelerate's own launcher: its children outlive a killed parent and would go on writing beside the next run's.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import cuda

from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.outcomes import Outcome
from sdx_finetune.progress import Say
from sdx_finetune.stopping import Stop

CONFIGURATIONS = Path(__file__).resolve().parents[2] / "recipes" / "accelerate"
PATIENCE_S = 60.0
"""For the others to end after one has."""


def environment_of(strategy: str, processes: int) -> dict[str, str]:
    """What accelerate tells the processes of a strategy through their environment, read from its configuration file.

    Raises:
        ValueError: the file is wrong, or DeepSpeed is wanted and not installed.
    """
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    path = CONFIGURATIONS / f"{strategy}.yaml"
    deep = strategy.startswith("zero")
    if deep and find_spec("deepspeed") is None:
        raise ValueError(f"run.strategy {strategy!r} wants the package deepspeed: pip install deepspeed, or set run.strategy: fsdp")
    given = ["--config_file", str(path), "--num_processes", str(processes), "--main_process_port", str(_free_port()), "-m", "train"]
    try:
        args, defaults, _ = _validate_launch_command(launch_command_parser().parse_args(given))
        args.deepspeed_fields_from_accelerate_config = ",".join(defaults.deepspeed_config)
        made = prepare_deepspeed_cmd_env(args)[1] if deep else prepare_multi_gpu_env(args)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is no configuration that accelerate takes: {error}") from error
    port = str(args.main_process_port)
    return {
        **{key: str(value) for key, value in made.items()},
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": str(processes),
    }


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def launch(recipe: AdaptRecipe, recipe_path: Path, work: Path, say: Say) -> None:
    """Start them, pass a stop on, and end when they have.

    Raises:
        KeyboardInterrupt: stopped, with a checkpoint.
        ValueError: the strategy does not go with this machine.
        SystemExit: one failed; its exit code is theirs, its error is on standard error.
    """
    run = recipe.run
    if run.strategy.startswith("zero") and not cuda.is_available():
        raise ValueError(f"run.strategy {run.strategy!r} wants CUDA devices, and there is none here: set run.strategy: fsdp or ddp")
    environment = environment_of(run.strategy, run.processes)
    command = [sys.executable, "-m", "sdx_finetune.adapt.train", str(recipe_path), "--work", str(work)]
    say(f"{run.processes} processes, {run.strategy}")
    children: list[subprocess.Popen[bytes]] = []
    with Stop(say) as stop:
        try:
            for rank in range(run.processes):
                own = environment | {"RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
                # A session of its own: Ctrl-C reaches them once, through us, and not from the terminal as well.
                children.append(subprocess.Popen(command, env=own, start_new_session=True))
            worst = _wait(children, stop)
        finally:
            _end(children)
    if worst is Outcome.STOPPED:
        raise KeyboardInterrupt
    if worst is not Outcome.DONE:
        raise SystemExit(int(worst))


def _wait(children: list[subprocess.Popen[Any]], stop: Stop) -> Outcome:
    """Until all have ended, or one has failed: the others would wait for it for ever."""
    passed_on = False
    while any(child.poll() is None for child in children):
        if stop.asked and not passed_on:
            passed_on = True
            for child in children:
                child.send_signal(signal.SIGTERM)
        if any(child.poll() for child in children):
            break
        time.sleep(0.1)
    until = time.monotonic() + (PATIENCE_S if passed_on else 2.0)
    while any(child.poll() is None for child in children) and time.monotonic() < until:
        time.sleep(0.1)
    codes = [code for child in children if (code := child.poll())]
    return _outcome(codes[0]) if codes else Outcome.DONE


def _outcome(code: int) -> Outcome:
    """A signal's -9 and an unknown code are failures."""
    return Outcome(code) if code in {int(one) for one in Outcome} else Outcome.FAILED


def _end(children: list[subprocess.Popen[Any]]) -> None:
    for child in children:
        if child.poll() is None:
            child.kill()
        child.wait()
