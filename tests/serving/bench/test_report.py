"""What an experiment leaves on the disk, and its page in a real browser."""

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdx_serving.bench.plan import Impairment, Plan, WaySpec
from sdx_serving.bench.report import write_report
from sdx_serving.bench.rows import Origin
from sdx_serving.bench.run import Outcome
from sdx_serving.bench.trial import Cores
from sdx_serving.results import Results

pytest.importorskip("jinja2")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<script>window.hacked=1</script>|x"
COMMAND = "sdx bench serve own.yaml --out runs/own"


@pytest.fixture
def report(tmp_path: Path, plan: Plan, measured: Any) -> Path:
    far = WaySpec(way="http-impaired", impairment=Impairment(round_trip_ms=40))
    rows = [
        measured(compression, (seconds, 1.02 * seconds), scores=scores, runtime=runtime, way=way, weights=size)
        for compression, seconds, scores, size in (("F32", 0.9, (1.0,) * 8, 40_000_000), ("Q8_0", 0.4, (1.0,) * 7 + (0.0,), 10_000_000))
        for runtime in ("llama.cpp", "onnx")
        for way in (WaySpec(way="http"), WaySpec(way="http", concurrency=4), far)
    ]
    rows += [measured("Q2_K", failure=f"unsupported: {HOSTILE}"), measured("Q3_K", failure=f"unsupported: {HOSTILE}")]
    outcome = Outcome(
        plan.model_copy(update={"notes": (HOSTILE,)}), tuple(rows), (rows[0].cell,), Origin("toys"), "right", Cores((0,), (1,))
    )
    write_report(outcome, tmp_path, "Toys, served", COMMAND)
    return tmp_path


def test_everything_is_there_and_the_rows_are_read_back(report: Path) -> None:
    assert {path.name for path in report.rglob("*") if path.is_file()} == {
        "results.jsonl", "results.csv", "README.md", "report.html", "front.svg", "concurrency.svg", "memory.svg",
    }  # fmt: skip
    rows = list(Results(report / "results.jsonl"))
    assert len(rows) == 14
    with (report / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 14
    assert {row["request_p95_s"] for row in table[:1]} == {str(rows[0].request_s.p95)} if rows[0].request_s else set()
    assert table[-1]["request_p50_s"] == ""
    assert HOSTILE in table[-1]["failure"]


def test_the_text_names_command_machine_commit_and_seed_and_groups_failures(report: Path) -> None:
    text = (report / "README.md").read_text()
    for part in (f"`{COMMAND}`", "this:test", "commit c0ffee", "seed 0", "measured 2026-01-02 (UTC)", "plots/front.svg"):
        assert part in text
    failed = next(line for line in text.splitlines() if line.startswith("| unsupported"))
    assert failed.count("|") == 4, "what stands in a cell does not end it"
    assert "| 2 |" in failed
    assert "Time did not reach 1 cells" in text


def test_a_plot_alone_carries_its_colours(report: Path) -> None:
    svg = (report / "plots/front.svg").read_text()
    assert "prefers-color-scheme: dark" in svg
    assert svg.rstrip().endswith("</svg>")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None and not os.environ.get("SDX_NEED_CHROMIUM"):
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_opens_without_trouble_on_a_desk_and_a_phone(report: Path, browser: Any, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else trouble.append(request.url))
    page.goto((report / "report.html").as_uri())
    assert page.locator("figure svg").count() == 3
    assert page.locator("table").first.locator("tr").count() == 13
    assert page.locator("td.reason").count() == 1
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out sideways"
    ink = page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
    assert ink == ("rgb(29, 33, 37)" if scheme == "light" else "rgb(230, 232, 234)")
    assert "c0ffee" in page.locator("figcaption").first.inner_text()
    page.close()
    assert not trouble
