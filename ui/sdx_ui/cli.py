"""The `sdx` command: `sdx --help`. Groups are one file each in commands/; heavy packages load when a command runs."""

import os
import sys
from collections.abc import Sequence

import typer

from sdx_ui.commands import (
    bench,
    check,
    compress,
    data,
    deploy,
    finetune,
    finetune_evaluate,
    finetune_export,
    finetune_prompt,
    finetune_serve,
    finetune_tune,
    gateway,
    jobs,
    medicine,
    probe,
    rag,
    recommend,
    registry,
    run,
    serve,
    stop,
    up,
)

app = typer.Typer(
    name="sdx",
    help="Agents that understand a situation, decide, explain and act under a safety layer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(up.up)
app.add_typer(run.app, name="run")
app.add_typer(bench.app, name="bench")
app.command()(stop.stop)
app.command()(run.replay)
app.command()(serve.serve)
app.add_typer(gateway.app, name="gateway")
app.command()(probe.probe)
app.command()(recommend.recommend)
app.add_typer(registry.app, name="registry")
app.command()(compress.compress)
app.add_typer(deploy.app, name="deploy")
app.add_typer(data.app, name="data")
finetune_commands = (
    finetune_evaluate.evaluate, finetune_tune.tune, finetune_prompt.prompt, finetune_export.export, finetune_export.parity,
    finetune_serve.serve,
)  # fmt: skip
for command in finetune_commands:
    finetune.app.command()(command)
app.add_typer(finetune.app, name="finetune")
app.add_typer(rag.app, name="rag")
app.command()(medicine.room)
app.command()(medicine.opinion)
app.add_typer(medicine.app, name="dicom")
app.add_typer(jobs.app, name="jobs")
app.command()(check.doctor)
app.command()(check.version)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. 0 only on success, 1 when it failed, 2 for wrong arguments, 130 when interrupted."""
    try:
        app(args=list(argv) if argv is not None else None, prog_name="sdx")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # the operator sees one line; a developer asks for the trace
        if os.environ.get("SDX_DEBUG"):
            raise
        print(f"error: {in_words(error)} (SDX_DEBUG=1 shows the trace)", file=sys.stderr)
        return exit_code(error)
    return 0


def exit_code(error: Exception) -> int:
    """1, but for the two ends that want room and not a correction: a full disk, and memory that ran out."""
    from sdx_finetune.outcomes import Outcome, outcome_of

    outcome = outcome_of(error)
    return outcome if outcome in (Outcome.DISK_FULL, Outcome.OUT_OF_MEMORY) else 1


def in_words(error: Exception) -> str:
    """An exception as one line. KeyError's own text is the repr of its message."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, ModuleNotFoundError):
        return f"{text}: this needs a package that is not installed; run `make test` once, or pip install it"
    return text or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
