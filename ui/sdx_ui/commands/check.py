"""sdx doctor, sdx version: what this machine has, what is installed."""

import json
import sys
from typing import Annotated

import typer


def doctor(
    port: Annotated[int, typer.Option(help="the page's port")] = 7860,
    as_json: Annotated[bool, typer.Option("--json", help="the checks as JSON on standard output")] = False,
) -> None:
    """Check what a run needs; each line says what was found and, where something is missing, what to do.

    sdx doctor
    """
    from sdx_ui import diagnosis

    checks = diagnosis.all_checks(port)
    if as_json:
        print(json.dumps([{"name": c.name, "ok": c.ok, "found": c.found, "todo": "" if c.ok else c.todo} for c in checks], indent=1))
    else:
        for check in checks:
            print(f"{'ok  ' if check.ok else 'MISS'}  {check.line()}")
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


def version(as_json: Annotated[bool, typer.Option("--json", help="as JSON on standard output")] = False) -> None:
    """Version of sdx, commit, Python, and the packages that decide results.

    sdx version
    """
    from importlib.metadata import version as installed

    from sdx_agents.bench import commit

    packages = ("llama-cpp-python", "langgraph", "cyclonedds", "gradio", "pydantic", "numpy")
    facts = {"sdx": installed("sdx"), "commit": commit(), "python": sys.version.split()[0]} | {name: installed(name) for name in packages}
    if as_json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            print(f"{name} {value}")
