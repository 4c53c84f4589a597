"""The installer: when it has nothing to do, which wheel it takes, what it says when something fails."""

import json
import platform
import sys
from pathlib import Path

import pytest

from sdx_ui import install, machine


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a checkout with an installed environment."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("a==1\n")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").touch()
    return tmp_path


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "sdx/wheels"
    folder.mkdir(parents=True)
    return folder


def wheel_name(system: str = {"linux": "linux", "darwin": "macosx_14_0"}.get(sys.platform, "linux")) -> str:
    return f"llama_cpp_python-0.3.36-py3-none-{system}_{platform.machine()}.whl"


def test_without_a_stamp_an_installation_is_due(checkout: Path) -> None:
    assert not install.ready(checkout, [])


def test_a_fitting_stamp_means_nothing_to_do(checkout: Path) -> None:
    install.write_stamp(checkout, ["dev", "train"])
    assert install.ready(checkout, [])
    assert install.ready(checkout, ["dev"])
    assert not install.ready(checkout, ["other"])


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_changed_requirement_makes_the_stamp_stale(checkout: Path, changed: str) -> None:
    install.write_stamp(checkout, [])
    (checkout / changed).write_text("changed\n")
    assert not install.ready(checkout, [])


def test_a_moved_checkout_is_installed_again(checkout: Path) -> None:
    install.write_stamp(checkout, [])
    moved = checkout.rename(checkout.with_name("elsewhere"))
    assert not install.ready(moved, [])


def test_a_damaged_stamp_is_no_stamp(checkout: Path) -> None:
    (checkout / ".venv/sdx-stamp.json").write_text("{")
    assert not install.ready(checkout, [])


def test_a_wheel_put_into_the_cache_by_hand_is_used(cache: Path) -> None:
    assert install.cached_wheel() is None
    (cache / wheel_name()).touch()
    assert install.cached_wheel() == cache / wheel_name()


def test_a_wheel_compiled_for_another_cpu_is_not_used(cache: Path) -> None:
    (cache / wheel_name()).touch()
    mark = (cache / wheel_name()).with_suffix(".cpu")
    mark.write_text("another")
    assert install.cached_wheel() is None
    mark.write_text(machine.cpu_key())
    assert install.cached_wheel() is not None


def test_a_wheel_of_another_version_or_system_is_not_used(cache: Path) -> None:
    (cache / wheel_name().replace("0.3.36", "0.3.35")).touch()
    (cache / "llama_cpp_python-0.3.36-py3-none-linux_mips.whl").touch()
    assert install.cached_wheel() is None


def test_a_compiler_is_only_wanted_when_there_is_something_to_compile(tmp_path: Path) -> None:
    names = {check.name for check in install.wants(tmp_path, build=False)}
    assert "C++ compiler" not in names
    assert {check.name for check in install.wants(tmp_path, build=True)} - names == {"C++ compiler", "make"}


def test_missing_things_end_the_setup_with_one_line_each(
    checkout: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(install.SetupError) as caught:
        install.set_up(checkout, [])
    lines = str(caught.value).splitlines()
    assert [line.removeprefix("error: ").partition(":")[0] for line in lines] == ["git", "C++ compiler", "make"]
    assert all("apt-get install" in line for line in lines)


def test_a_failing_pip_shows_its_end_and_its_log(checkout: Path) -> None:
    arguments = ["install", "--no-index", "--no-build-isolation", "--find-links", str(checkout), "no-such-package-anywhere"]
    with pytest.raises(install.SetupError) as caught:
        install.pip(Path(sys.executable), checkout, arguments, "packages")
    assert "no-such-package-anywhere" in str(caught.value)
    assert str(checkout / ".venv/setup.log") in str(caught.value)
    assert "no-such-package-anywhere" in (checkout / ".venv/setup.log").read_text()


@pytest.mark.parametrize(
    ("line", "shown"),
    [("  [34/212] Building CXX object x.o", "34/212"), ("-- Configuring done", None), ("[1/2] Linking", "1/2")],
)
def test_the_compilers_progress_is_read_from_ninja(line: str, shown: str | None) -> None:
    assert install.compile_progress(line) == shown


def test_pips_progress_names_the_package() -> None:
    assert install.pip_progress("Collecting gradio==6.31.0 (from -c constraints.txt)") == "Collecting gradio==6.31.0"
    assert install.pip_progress("Requirement already satisfied: x") is None


def test_the_engine_is_pinned_alike_everywhere() -> None:
    pins = (install.ROOT / "constraints.txt").read_text().splitlines()
    assert install.LLAMA.replace("-", "_") in pins
    assert install.TORCH in pins


def test_the_stamp_is_readable_by_people(checkout: Path) -> None:
    install.write_stamp(checkout, ["train", "dev"])
    assert json.loads((checkout / ".venv/sdx-stamp.json").read_text())["extras"] == ["dev", "train"]
