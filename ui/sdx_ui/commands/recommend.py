"""sdx recommend: which model, in which form, on which runtime, for a device and a deadline."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sdx_serving.devices.device import Device
    from sdx_serving.recommend.answer import Choice, Interval, Recommendation, RuledOut
    from sdx_serving.recommend.choose import Question

_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "min": 60.0}


def seconds(text: str) -> float:
    """ "10s", "800ms", "1.5min", "3" as seconds. BadParameter for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|)", text.strip())
    if not found or float(found[1]) == 0.0:
        raise typer.BadParameter(f"{text!r} is no time: write 10s, 800ms or 1min")
    return float(found[1]) * _UNITS[found[2]]


def recommend(
    task: Annotated[str, typer.Option(help="what the model is for")] = "ship",
    device: Annotated[str, typer.Option(help="this, an id (`--list` shows them) or a device file")] = "this",
    deadline: Annotated[str | None, typer.Option(help="for a whole answer: 10s, 800ms")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="questions at once")] = 1,
    context: Annotated[int, typer.Option(min=0, help="tokens of question and answer together; 0 takes what the task needs")] = 0,
    watts: Annotated[float | None, typer.Option(min=0.1, help="the device's power is held to this")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="a GGUF file, a folder, an address of either, or a known name as qwen3-8b or qwen3-8b:Q4_K_M; again for more"),
    ] = None,
    runtime: Annotated[list[str] | None, typer.Option(help="only this engine; again for more")] = None,
    prompt_tokens: Annotated[int, typer.Option(min=0, help="instead of the task's")] = 0,
    output_tokens: Annotated[int, typer.Option(min=0, help="instead of the task's")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="of processors; 0 takes all cores")] = 0,
    verify: Annotated[
        bool, typer.Option("--verify", help="run the first choices here, keep what was measured, and recommend again")
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="how many are shown, and verified")] = 5,
    listed: Annotated[bool, typer.Option("--list", help="the devices that are known")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="all of it as JSON on standard output")] = False,
) -> None:
    """Rank models, quantisations and runtimes for a device and a deadline: memory, times, accuracy, what each figure rests on.

    sdx recommend --task ship --device jetson-agx-orin-64 --deadline 10s --concurrency 2

    sdx recommend --device jetson-orin-nano-8 --model qwen3-4b --model llama-3.2-3b:Q4_K_M --deadline 20s

    sdx recommend --verify
    """
    from sdx_serving.recommend.choose import Question
    from sdx_serving.recommend.choose import recommend as choose

    if listed:
        _list(as_json)
        return
    told = _device(device)
    question = Question(
        task, told, seconds(deadline) if deadline else None, concurrency, context, prompt_tokens, output_tokens, watts, threads,
        tuple(model or ()), tuple(runtime or ()), _queueing(device), _missing(device),
    )  # fmt: skip
    found = choose(question)
    if verify:
        _verify(question, found, device, top)
        found = choose(question)
    print(found.model_dump_json(indent=1)) if as_json else _show(found, question, top)
    if not found.choices:
        raise ValueError(f"nothing fits {told.id}: see what was ruled out above")


def _device(name: str) -> "Device":
    from sdx_serving.devices.device import find_device
    from sdx_serving.devices.probe import device_of, probe

    return device_of(probe()) if name == "this" else find_device(name)


def _queueing(device: str) -> frozenset[str]:
    """llama.cpp as this project serves it without llama-server computes one answer after the other."""
    import shutil

    return frozenset({"llama.cpp"}) if device == "this" and shutil.which("llama-server") is None else frozenset()


def _missing(device: str) -> dict[str, str]:
    """Engines that are not installed on this machine, with what to type; of others nothing is known."""
    from sdx_serving.engines.choose import ENGINES

    return {name: told for name, engine in ENGINES.items() if (told := engine.missing())} if device == "this" else {}


def _verify(question: "Question", found: "Recommendation", device: str, top: int) -> None:
    from sdx_ui.verify import verify

    if device != "this":
        raise ValueError(f"--verify runs models on this machine, and the question is about {device}: run it there, without --device")
    startable = [choice for choice in found.choices if choice.here and choice.run][:top]
    if not startable:
        raise ValueError("--verify: none of the choices has its file on this machine; give one with --model FILE")
    for choice in startable:
        print(f"measuring {choice.model} on {choice.runtime}", file=sys.stderr, flush=True)
        row = verify(choice, question)
        told = row.failure or f"{row.decode_tokens_per_s:.1f} tok/s, estimated {_span(choice.figures.tokens_per_s)}"
        print(f"  {told}", file=sys.stderr, flush=True)


def _list(as_json: bool) -> None:
    from sdx_serving.devices.device import devices

    known = devices()
    if as_json:
        print(json.dumps({name: device.model_dump(mode="json") for name, device in known.items()}, ensure_ascii=False))
        return
    for device in sorted(known.values(), key=lambda one: (one.kind, one.id)):
        bandwidth = f"{device.bandwidth_gb_s:g} GB/s" if device.bandwidth_gb_s else "bandwidth unknown"
        print(f"{device.id:<26}{device.kind:<20}{device.usable_gb:>6g} of {device.memory_gb:g} GB  {bandwidth:<14}  {device.name}")


def _show(found: "Recommendation", question: "Question", top: int) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(150, Console().width), highlight=False)
    inputs = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in found.inputs.items() if isinstance(value, (int, float)))
    console.print(f"{question.device.name} ({found.device}), power mode {found.power_mode}, task {found.task}: {inputs}", markup=False)
    table = Table(title="nine of ten lie in the interval")
    for column in ("", "model", "runtime", "memory", "first token", "again", "tok/s", "decision", "accuracy", "in time"):
        table.add_column(column, no_wrap=column in ("", "model", "runtime", "memory", "in time"))
    for choice in found.choices[:top]:
        table.add_row(*_cells(choice, question))
    console.print(table)
    console.print(
        "first token: nothing of the prompt cached; again: its shared beginning is; decision: the last answer of those asked at once"
    )
    for choice in found.choices[:top]:
        _explain(console.print, choice)
    if len(found.choices) > top:
        console.print(f"{len(found.choices) - top} more: --top {len(found.choices)}")
    for out in found.ruled_out:
        where = f" on {out.runtime}" if out.runtime else ""
        console.print(f"ruled out: {_name(out)}{where}: {out.why}", markup=False, soft_wrap=True)
    for note in found.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def _cells(choice: "Choice", question: "Question") -> Sequence[str]:
    figures = choice.figures
    late = {True: "likely", False: "no", None: "unsure"}[choice.meets_deadline]
    return (
        str(choice.rank),
        _name(choice),
        f"{choice.runtime} {choice.unit}",
        _size(figures.memory.total),
        _time(figures.ttft_cold_s),
        _time(figures.ttft_warm_s),
        _span(figures.tokens_per_s) + (f"\nall {_span(figures.total_tokens_per_s)}" if question.concurrency > 1 else ""),
        _time(figures.decision_s),
        choice.accuracy.words.replace(", ", "\n", 1),
        "" if question.deadline_s is None else "surely" if choice.surely else late,
    )


def _explain(say: Callable[..., None], choice: "Choice") -> None:
    figures, need = choice.figures, choice.figures.memory
    parts = f"weights {_size(need.weights)}, context {_size(need.kv)}, runtime {_size(need.runtime)} ({need.basis})"
    say(f"{choice.rank}: {figures.basis}: {figures.rests_on}", markup=False, soft_wrap=True)
    say(
        f"   memory: {parts} of {_size(need.usable)} usable; up to {choice.most_context_tokens} tokens of context fit",
        markup=False,
        soft_wrap=True,
    )
    if figures.energy_j is not None:
        say(
            f"   energy: {figures.energy_j:.{0 if figures.energy_j >= 10 else 2}f} J an answer"
            + ("" if figures.basis == "measured here" else " at the device's stated power")
        )
    for label, words in (("note", choice.note), ("run", choice.run), ("verify", choice.verify if choice.run else "")):
        if words:
            say(f"   {label + ':':<8}{words}", markup=False, soft_wrap=True)


def _name(way: "Choice | RuledOut") -> str:
    return way.model if way.quantisation in way.model else f"{way.model} {way.quantisation}"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _span(interval: "Interval") -> str:
    digits = 0 if interval.high >= 20 else 1
    low_high = f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"
    return low_high if interval.middle is None else f"{interval.middle:.{digits}f} ({low_high})"


def _time(interval: "Interval | None") -> str:
    if interval is None:
        return "unknown"
    if interval.high < 0.1:
        scale, unit, digits = 1000.0, "ms", 1
    else:
        scale, unit, digits = 1.0, "s", 3 if interval.high < 1 else 1 if interval.high >= 10 else 2
    low_high = f"{scale * interval.low:.{digits}f} to {scale * interval.high:.{digits}f}"
    return f"{low_high} {unit}" if interval.middle is None else f"{scale * interval.middle:.{digits}f} {unit} ({low_high})"
