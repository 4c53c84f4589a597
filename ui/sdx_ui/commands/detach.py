"""Commands as jobs: handed over, followed in the terminal, left alone without ending them."""

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from sdx_finetune.jobs.job import Job
    from sdx_finetune.jobs.queue import Queue

Detach = Annotated[bool, typer.Option("--detach", help="run it as a job that outlives this terminal; `sdx jobs` shows it")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda:0; the first GPU where there is one")]
POLL_S = 0.25


def hand_over(kind: str, argv: list[str], work: Path, device: str = "cpu", as_json: bool = False) -> NoReturn:
    """Submit `python -m <argv>` and end, saying how to follow it. For a command of ours: argv ["sdx_ui.cli", "finetune", ...]."""
    from sdx_finetune.jobs.submit import submit

    job = submit(kind, argv, work, device)
    print(json.dumps(job.as_json()) if as_json else f"{job.id} is {job.state}; {how_to(job)}")
    raise typer.Exit(0)


def joined(kind: str, argv: list[str], work: Path, device: str) -> "tuple[Queue, str]":
    """Submit, or find the same command where it waits or runs; (queue, id) to follow, and a word to the person."""
    from sdx_finetune.jobs.queue import Queue
    from sdx_finetune.jobs.worker import ensure_worker

    queue = Queue()
    job, new = queue.add(kind, argv, work, device)
    ensure_worker(queue.home, job.device)
    print(
        f"{job.id} {f'goes on, try {job.tries}' if job.tries > 1 else 'begins'}"
        if new
        else f"{job.id} is {job.state} already; following it"
    )
    return queue, job.id


def alone_in(work: Path) -> None:
    """ValueError when a job works in a folder, or is to: two at once would spoil each other's files."""
    from sdx_finetune.jobs.queue import Queue

    if there := next((job for job in Queue().jobs() if job.unfinished and Path(job.work) == work), None):
        raise ValueError(f"{there.id} is {there.state} in {work}: follow it with `sdx jobs logs {there.id} -f`, or stop it first")


def how_to(job: "Job") -> str:
    return f"follow: sdx jobs logs {job.id} -f    state: sdx jobs status {job.id}    stop: sdx jobs stop {job.id}"


def follow(queue: "Queue", name: str) -> NoReturn:
    """Show log and progress until the job ends; its outcome is the exit code. Ctrl-C leaves it running."""
    try:
        job = _shown(queue, name)
    except KeyboardInterrupt:
        job = queue.job(name)
        print(f"\n{job.id} goes on without this terminal; {how_to(job)}")
        raise typer.Exit(130) from None
    print(f"{job.id}: {job.words}")
    raise typer.Exit(exit_code(job))


def exit_code(job: "Job") -> int:
    """Of the command; 128 + signal as shells have it; 1 where nobody saw the end."""
    if job.code is None:
        return 0 if job.state == "done" else 1
    return job.code if job.code >= 0 else 128 - job.code


def print_new(path: Path, offset: int) -> int:
    """Print what a log holds beyond `offset` (whole lines only); the new offset."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            found = file.read()
    except FileNotFoundError:
        return offset
    whole = found.rfind(b"\n") + 1
    if whole:
        print(found[:whole].decode("utf-8", "replace"), end="", flush=True)
    return offset + whole


def start_of_try(queue: "Queue", job: "Job") -> int:
    """Where the log of the present try begins; its end when that is still to be written."""
    path = queue.log(job.id)
    held = path.read_bytes() if path.exists() else b""
    return at if (at := held.find(f" try {job.tries}: ".encode())) >= 0 else len(held)


def _shown(queue: "Queue", name: str) -> "Job":
    """On a terminal a line of progress below the log; elsewhere the log alone."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    job = queue.job(name)
    offset, looked = start_of_try(queue, job), time.monotonic()
    with Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else nullcontext() as live:
        while True:
            job = queue.job(name)
            offset = print_new(queue.log(job.id), offset)
            if not job.unfinished:
                return job
            if live:
                live.update(_progress_line(queue, job), refresh=True)
            if time.monotonic() - looked > 2.0:
                _look_after(queue)
                looked = time.monotonic()
            time.sleep(POLL_S)


def _look_after(queue: "Queue") -> None:
    from sdx_finetune.jobs.submit import look_after

    look_after(queue)


def _progress_line(queue: "Queue", job: "Job") -> str:
    from rich.markup import escape

    from sdx_finetune.jobs.view import line, progress

    waits = queue.in_the_way(job)
    text = f"waits for {', '.join(waits)}" if waits else line(job, progress(job)) if job.started else job.state
    return f"[bold]{job.id}[/] {escape(text)}   [dim](Ctrl-C leaves it running)[/]"
