"""sdx jobs: long work that outlives the terminal. The same commands stand under `sdx finetune`, for its kinds alone."""

import inspect
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sdx_ui.commands.detach import follow, how_to, print_new, start_of_try

if TYPE_CHECKING:
    from sdx_finetune.jobs.job import Job
    from sdx_finetune.jobs.queue import Queue

FINETUNE_KINDS = ("train", "augment", "tune", "prompt", "evaluate", "export")
app = typer.Typer(help="Long work that outlives the terminal: list, follow, stop, go on.", invoke_without_command=True)
Name = Annotated[str, typer.Argument(help="a job's id, or the end of it, e.g. k7mp")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON on standard output")]


@app.callback()
def jobs(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Long work that outlives the terminal: list, follow, stop, go on. Without a command it lists.

    sdx jobs
    """
    if ctx.invoked_subcommand is None:
        list_jobs(ctx, as_json=as_json)


def list_jobs(
    ctx: typer.Context,
    kind: Annotated[list[str] | None, typer.Option(help="only this kind, e.g. train; may be given again")] = None,
    as_json: AsJson = False,
) -> None:
    """All jobs with their progress: what runs and waits first, then what has ended, the latest first.

    sdx jobs list --kind train
    """
    from sdx_finetune.jobs.submit import look_after
    from sdx_finetune.jobs.view import view

    queue = _queue()
    look_after(queue)
    shown = queue.jobs(kind or _kinds(ctx))
    if as_json:
        print(json.dumps([view(queue, job) for job in shown]))
    elif not shown:
        print("no jobs; `sdx finetune run RECIPE` makes one")
    else:
        _table(queue, shown)


def status(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """How one job stands: state, progress, what it waits for, how it ended and what to do.

    sdx jobs status k7mp --json
    """
    from sdx_finetune.jobs.submit import look_after
    from sdx_finetune.jobs.view import line, view

    queue = _queue()
    look_after(queue)
    job = _job(ctx, queue, name)
    facts = view(queue, job, curve=as_json)
    if as_json:
        print(json.dumps(facts))
        return
    rows = {
        "state": job.state, "": line(job, facts["progress"]), "waits for": ", ".join(facts["waits_for"]), "device": job.device,
        "works in": job.work, "command": f"python -m {' '.join(job.argv)}", "started": _clock(job.started), "ended": _clock(job.ended),
        "tries": str(job.tries), "log": facts["log"],
    }  # fmt: skip
    print(job.id)
    for label, value in rows.items():
        if value:
            print(f"  {label:<10}{value}")


def logs(
    ctx: typer.Context,
    name: Name,
    following: Annotated[bool, typer.Option("--follow", "-f", help="go on showing until the job ends; Ctrl-C leaves it running")] = False,
    everything: Annotated[bool, typer.Option("--all", help="of earlier tries too")] = False,
) -> None:
    """What a job said.

    sdx jobs logs k7mp -f
    """
    queue = _queue()
    job = _job(ctx, queue, name)
    if following:
        follow(queue, job.id)
    begin = start_of_try(queue, job)
    print_new(queue.log(job.id), 0 if everything or not job.started else begin)


def stop(
    ctx: typer.Context,
    name: Name,
    wait: Annotated[float, typer.Option(min=0.0, help="seconds for a checkpoint before SIGTERM; ten more, and it is killed")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Stop a job with a checkpoint, and wait until it has ended; one that waits is taken out of the queue.

    sdx jobs stop k7mp --wait 120
    """
    from sdx_finetune.jobs.submit import look_after
    from sdx_finetune.jobs.submit import stop as ask

    queue = _queue()
    job = ask(queue, _job(ctx, queue, name).id, wait)
    if job.unfinished and not as_json:
        print(f"{job.id} is asked to stop; it has {wait:g} s for its checkpoint")
    while job.unfinished:
        time.sleep(0.1)
        look_after(queue)
        job = queue.job(job.id)
    _say(job, as_json)


def resume(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Go on with a job that was stopped, failed or lost, from its last checkpoint.

    sdx jobs resume k7mp
    """
    from sdx_finetune.jobs.submit import resume as again

    queue = _queue()
    job = again(queue, _job(ctx, queue, name).id)
    print(json.dumps(job.as_json()) if as_json else f"{job.id} is {job.state}; {how_to(job)}")


def remove(
    ctx: typer.Context,
    name: Name,
    files: Annotated[bool, typer.Option("--files", help="also the folder that it worked in, with all that is in it; asks first")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Forget a job and its log; one that runs is refused.

    sdx jobs rm k7mp --files
    """
    from shutil import rmtree

    queue = _queue()
    job = _job(ctx, queue, name)
    work = Path(job.work)
    if files and work.exists():
        _may_go(work, queue.home, [other.id for other in queue.jobs() if other.id != job.id and _share(work, Path(other.work))])
        count = sum(1 for path in work.rglob("*") if path.is_file())
        if not yes and not typer.confirm(f"remove {work} with its {count} files?"):
            print("nothing was removed")
            raise typer.Exit(1)
    queue.remove(job.id)
    if files:
        rmtree(work, ignore_errors=True)
    print(f"{job.id} is removed" + (f", and {work}" if files else ""))


def add_to(group: typer.Typer, prefix: str) -> None:
    """The commands under a group's name; help shows that name."""
    named: dict[str, Callable[..., None]] = {
        "list": list_jobs, "status": status, "logs": logs, "stop": stop, "resume": resume, "rm": remove,
    }  # fmt: skip
    for name, command in named.items():
        group.command(name, help=inspect.cleandoc(command.__doc__ or "").replace("sdx jobs", prefix))(command)


add_to(app, "sdx jobs")


def _queue() -> "Queue":
    from sdx_finetune.jobs.queue import Queue

    return Queue()


def _kinds(ctx: typer.Context) -> tuple[str, ...]:
    """Under `sdx finetune` its kinds, under `sdx jobs` all."""
    above = ctx.parent.info_name if ctx.parent else ""
    return FINETUNE_KINDS if "finetune" in (above, ctx.info_name) else ()


def _job(ctx: typer.Context, queue: "Queue", name: str) -> "Job":
    job = queue.job(name)
    if (kinds := _kinds(ctx)) and job.kind not in kinds:
        raise KeyError(f"{job.id} is no fine-tuning work; `sdx jobs` has it")
    return job


def _say(job: "Job", as_json: bool) -> None:
    print(json.dumps(job.as_json()) if as_json else f"{job.id} is {job.state}: {job.words}")


def _share(work: Path, other: Path) -> bool:
    return work.is_relative_to(other) or other.is_relative_to(work)


def _may_go(work: Path, home: Path, others: list[str]) -> None:
    """ValueError for a folder that is more than a job's: a home, a checkout, where one stands, where others work."""
    if (work / ".git").exists() or any(kept.is_relative_to(work) for kept in (Path.home(), Path.cwd(), home)):
        raise ValueError(f"{work} is more than a job's folder; remove by hand what you do not need there")
    if others:
        raise ValueError(f"{', '.join(others)} worked in {work} too; remove them first: sdx jobs rm ID")


def _clock(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else ""


def _table(queue: "Queue", shown: list["Job"]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from sdx_finetune.jobs.view import line, progress

    table = Table("job", "state", "device", "since", "how far", box=box.SIMPLE_HEAD, pad_edge=False)
    colours = {"running": "green", "stopping": "yellow", "failed": "red", "lost": "red"}
    for job in shown:
        waits = queue.in_the_way(job)
        words = f"waits for {', '.join(waits)}" if waits else line(job, progress(job))
        since = time.strftime("%d %b %H:%M", time.localtime(job.ended or job.started or job.created))
        table.add_row(job.id, Text(job.state, style=colours.get(job.state, "")), job.device, since, Text(words))
    Console().print(table)
