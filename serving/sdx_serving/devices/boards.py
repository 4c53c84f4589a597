"""Which board or graphics card a machine has, and the power mode it is in. Start at board() and graphics()."""

import re
import shutil
import subprocess
from collections.abc import Mapping

from sdx_serving.closed import Closed
from sdx_serving.devices.device import Device
from sdx_serving.devices.hardware import Root

_PATIENCE_S = 5.0


class Board(Closed):
    """A board that its device tree names."""

    model: str
    compatible: str = ""
    """Its parts' names, e.g. "rockchip,rk3588"."""
    release: str = ""
    """Of NVIDIA's Linux for Tegra, e.g. "R36 (release), REVISION: 4.3"."""
    power_mode: str = ""
    """As nvpmodel names it; "" when it is not told."""
    clocks_fixed: bool | None = None
    """Whether clocks are held at their highest (jetson_clocks); None when it is not told."""


class Graphics(Closed):
    """One NVIDIA card."""

    name: str
    memory_gb: float
    free_gb: float
    driver: str = ""
    compute: str = ""
    """Compute capability, e.g. "9.0"."""
    power_limit_w: float | None = None


def board(root: Root) -> Board | None:
    """None for a machine without a device tree."""
    model = root.text("proc/device-tree/model")
    if not model:
        return None
    release = root.text("etc/nv_tegra_release").removeprefix("# ").partition(", GCID")[0]
    compatible = root.text("proc/device-tree/compatible").replace("\0", " ")
    return Board(model=model, compatible=compatible, release=release, power_mode=_power_mode(root), clocks_fixed=_clocks_fixed(root))


def _power_mode(root: Root) -> str:
    """The mode's number is kept in one file, the names are in another."""
    number = re.search(r"pmode:(\d+)", root.text("var/lib/nvpmodel/status"))
    if not number:
        return ""
    named = re.search(rf"<\s*POWER_MODEL\s+ID={int(number[1])}\s+NAME=(\S+)", root.text("etc/nvpmodel.conf"))
    return named[1] if named else f"mode {int(number[1])}"


def _clocks_fixed(root: Root) -> bool | None:
    folder = "sys/devices/system/cpu/cpu0/cpufreq"
    low, high = root.number(f"{folder}/scaling_min_freq"), root.number(f"{folder}/cpuinfo_max_freq")
    return None if low is None or high is None else low >= high


def graphics() -> list[Graphics]:
    """NVIDIA cards that nvidia-smi lists; none where it is absent, hangs or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    fields = "name,memory.total,memory.free,driver_version,compute_cap,power.limit"
    try:
        told = subprocess.run(
            [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_PATIENCE_S,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [card for line in told.splitlines() if (card := _card([word.strip() for word in line.split(",")]))]


def _card(words: list[str]) -> Graphics | None:
    """Fields that a board does not know read "[N/A]": Jetson's memory is the machine's, so it is no card."""
    if len(words) != 6 or not words[1].replace(".", "").isdigit():
        return None
    number: Mapping[str, float] = {
        key: float(word) for key, word in zip("tfp", (words[1], words[2], words[5]), strict=True) if re.fullmatch(r"[\d.]+", word)
    }
    mebibyte = (1 << 20) / 1e9
    return Graphics(
        name=words[0],
        memory_gb=round(number["t"] * mebibyte, 2),
        free_gb=round(number.get("f", number["t"]) * mebibyte, 2),
        driver=words[3],
        compute=words[4],
        power_limit_w=number.get("p"),
    )


def warnings(found: Board | None, device: Device | None) -> list[str]:
    """What makes other people's figures not apply here."""
    if found is None:
        return []
    told: list[str] = []
    if found.power_mode and not found.power_mode.upper().startswith("MAXN"):
        told.append(
            f"power mode {found.power_mode}, not MAXN: figures of others do not apply (`sudo nvpmodel -m 0`, or give `--watts` to `sdx recommend`)"
        )
    if found.clocks_fixed is False and found.release:
        told.append("clocks are not held at their highest: up to four times slower was seen (`sudo jetson_clocks`)")
    if device is None:
        told.append(f"no device file describes {found.model!r}: estimates come from measured bandwidth only")
    return told
