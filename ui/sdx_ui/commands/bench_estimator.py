"""sdx bench estimator: how good the estimates of sdx recommend are."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def estimator(
    rows: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="CSV file with the columns of published.csv; without it that one")
    ] = None,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="estimate the rows of --rows by the constants that ship, and fit nothing")
    ] = False,
    here: Annotated[bool, typer.Option("--here", help="on this machine: the embedded model, or --model")] = False,
    model: Annotated[list[str] | None, typer.Option(help="with --here: a GGUF file or an ONNX folder; three or more of one model")] = None,
    threads: Annotated[int, typer.Option(min=1, help="with --here")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="with --here: of each file the least disturbed of so many counts")] = 3,
    fit: Annotated[bool, typer.Option("--fit", help="write fitted.yaml anew from the rows")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON on standard output")] = False,
) -> None:
    """Published rows against estimates that no row of their device has touched; or this machine, each file from measurements of the others.

    sdx bench estimator

    sdx bench estimator --here --model m-F32.gguf --model m-Q8_0.gguf --model m-Q4_K_M.gguf --model m-onnx-int8 --model m-onnx-fp32
    """
    from sdx_serving.devices.device import devices
    from sdx_serving.recommend.constants import constants, read_priors
    from sdx_serving.recommend.fit import refit, write_fitted
    from sdx_serving.recommend.rows import published, read_rows
    from sdx_serving.recommend.trial import published_trial

    if here:
        from sdx_ui.verify import trial_here

        result = trial_here(model or [], threads, rounds, lambda line: print(line, file=sys.stderr, flush=True))
    else:
        if fit:
            print(f"wrote {write_fitted(refit(read_rows(rows or published(), devices(), read_priors()), read_priors()))}", file=sys.stderr)
        result = published_trial(rows or published(), devices(), read_priors(), constants() if shipped else None)
    print(json.dumps(result, indent=1)) if as_json else _show(result)


def _show(result: dict[str, Any]) -> None:
    for row in result["rows"]:
        print("  ".join(f"{key.replace('_', ' ')} {value}" for key, value in row.items()))
    print(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in result.items() if key != "rows"))
