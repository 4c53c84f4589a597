"""Published decode rates: one measured row each, with its source, in published.csv. Start at read_rows()."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from sdx_serving.devices.device import Device, UnitName
from sdx_serving.recommend.constants import Priors
from sdx_serving.recommend.facts import BadModel, ModelFacts
from sdx_serving.recommend.shapes import find_shape, guessed_facts, named_facts
from sdx_serving.recommend.timing import Load, Place

_SAME_RUNTIME = {"mlc-llm": "mlc", "llamacpp": "llama.cpp", "llama-cpp": "llama.cpp", "trt-llm": "tensorrt-llm", "rknn-llm": "rkllm"}
PROMPT_OF_PREFILL = 1024
"""Tokens of the prompt behind a published prefill rate that does not say."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement that somebody published."""

    label: str
    """File, line and what was measured, for messages."""
    facts: ModelFacts
    place: Place
    load: Load
    tokens_per_s: float
    with_prefill: bool
    """The prompt's time is in the figure."""
    prefill_per_s: float | None
    source: str


class Implausible(ValueError):
    """A row breaks physics; the message names it."""


def published() -> Path:
    return Path(str(files("sdx_serving.recommend").joinpath("published.csv")))


def read_rows(path: Path, known: Mapping[str, Device], priors: Priors) -> list[Row]:
    """All rows of a CSV file with the columns of published.csv. ValueError names line and field; Implausible the row."""
    rows: list[Row] = []
    note = ""
    with path.open(encoding="utf-8", newline="") as file:
        for number, line in enumerate(csv.DictReader(file), 2):
            note = note if line.get("note") == "as above" else line.get("note") or ""
            row = _row(f"{path.name}:{number}", {**line, "note": note}, known)
            refuse_implausible(row, priors)
            rows.append(row)
    return rows


def _row(where: str, line: Mapping[str, str], known: Mapping[str, Device]) -> Row:
    try:
        device = known[line["device"]]
        facts = facts_of_row(line["model"], float(line["params_b"]), line["quant"])
        load = Load(int(line["prompt_tokens"]), int(line["output_tokens"]), int(line["concurrency"]))
        rate = float(line["tok_s"])
    except KeyError as error:
        raise ValueError(f"{where}: no device file or column {error}") from error
    except BadModel as error:
        raise ValueError(f"{where}: {error}") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from error
    note, prefill = line["note"], re.search(r"prefill (\d+(?:\.\d+)?) tok/s", line["note"])
    label = f"{where} {line['device']} {line['model']} {line['quant']} {line['runtime']} at {load.concurrency}"
    with_prefill = "prefill inside" in note and "cached" not in note
    return Row(
        label,
        facts,
        place_of(device, _SAME_RUNTIME.get(line["runtime"].lower(), line["runtime"].lower())),
        load,
        rate,
        with_prefill,
        float(prefill[1]) if prefill else None,
        line["source"],
    )


def facts_of_row(model: str, billions: float, quant: str) -> ModelFacts:
    """By the model's shape where it is known, else by its size."""
    return named_facts(model, quant) if find_shape(model) else guessed_facts(model, billions, quant)


def place_of(device: Device, engine: str) -> Place:
    """Where an engine runs on a device. ValueError when the device's bandwidth is not known."""
    if device.bandwidth_gb_s is None:
        raise ValueError(f"{device.id}: bandwidth_gb_s is not known")
    listed = device.runtime(engine)
    unit = listed.unit if listed else _likely_unit(device)
    tflops = device.tflops(unit, *(("int8", "fp16") if unit == "npu" else ("fp32",) if unit == "cpu" else ("fp16", "fp32")))
    return Place(device.id, unit, engine, device.bandwidth_gb_s, tflops)


def _likely_unit(device: Device) -> UnitName:
    found: list[UnitName] = [unit for unit in device.compute if unit != "cpu"]
    return found[0] if found else "cpu"


def implied_gb_s(facts: ModelFacts, load: Load, tokens_per_s: float) -> float:
    """Bandwidth without which the rate is impossible: all that a step reads, as often as there are steps."""
    steps_per_s = tokens_per_s / load.concurrency
    read = facts.read_bytes(load.concurrency) + load.concurrency * facts.kv_bytes(load.prompt_tokens + load.output_tokens // 2)
    return read * steps_per_s / 1e9


def refuse_implausible(row: Row, priors: Priors) -> None:
    """Raises Implausible for a row that reads faster than the memory can."""
    implied = implied_gb_s(row.facts, row.load, row.tokens_per_s)
    most = priors.most_share * row.place.bandwidth_gb_s
    if implied > most:
        raise Implausible(
            f"{row.label}: {row.tokens_per_s:g} tok/s would read {implied:.0f} GB/s, the memory gives {row.place.bandwidth_gb_s:g} (x {priors.most_share:g}): "
            "the row is mislabelled (quantisation, experts, speculation, batch) or the device is another"
        )
