"""sdx probe: what this machine is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sdx_serving.devices.probe import Probe


def probe(
    measure: Annotated[bool, typer.Option(help="measure bandwidth and speed; two seconds, best on an idle machine")] = True,
    root: Annotated[Path, typer.Option(exists=True, file_okay=False, help="look at files of another machine below this folder")] = Path(
        "/"
    ),
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="as a device file: put it into ~/.local/share/sdx/devices on other machines")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON on standard output")] = False,
) -> None:
    """What this machine is: cores, instruction sets, memory and its measured bandwidth, card or board, power mode, disk.

    sdx probe

    sdx probe --yaml > boat-7.yaml
    """
    from sdx_serving.devices.probe import device_of
    from sdx_serving.devices.probe import probe as look

    seen = look(root, measure)
    if as_yaml:
        import yaml

        print(yaml.safe_dump(device_of(seen).model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True), end="")
    elif as_json:
        print(seen.model_dump_json(indent=1))
    else:
        _show(seen)


def _show(seen: "Probe") -> None:
    cpu, ram = seen.processor, seen.memory
    rows = {
        "id": seen.id + (f", described by {seen.like}" if seen.like else ""),
        "processor": f"{cpu.name}, {cpu.cores} cores, {' '.join(cpu.instruction_sets) or 'no vector units known'}",
        "memory": f"{ram.total_gb:.1f} GB, {ram.available_gb:.1f} available" + (f", limited to {ram.limit_gb:.1f}" if ram.limit_gb else ""),
        "bandwidth": f"{seen.bandwidth_gb_s:g} GB/s reading, {seen.bandwidth_1_gb_s:g} by one thread" if seen.bandwidth_gb_s else "not measured",
        "speed": f"{1e3 * seen.fp32_tflops:.0f} GFLOPS in float32" if seen.fp32_tflops else "not measured",
        "cards": "; ".join(f"{card.name}, {card.free_gb:.1f} of {card.memory_gb:.1f} GB free" for card in seen.graphics),
        "board": f"{seen.board.model} {seen.board.release} {seen.board.power_mode}".strip() if seen.board else "",
        "disk": f"{seen.disk_free_gb:.1f} GB free",
        "sensors": ", ".join(f"{name} {value:g}" for name, value in seen.readings.items()),
        "energy": "counted by the processor (RAPL)" if seen.energy_readable else "",
    }  # fmt: skip
    for label, value in rows.items():
        if value:
            print(f"{label:<10}{value}")
    for warning in seen.warnings:
        print(f"warning:  {warning}")
