"""The reading room in a real browser: scroll, reject, edit, sign, addendum; English and Korean; text from outside stays text."""

import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

import chest
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None and not os.environ.get("SDX_NEED_CHROMIUM"):
    pytest.skip("no chromium on the PATH: apt-get install chromium", allow_module_level=True)

from playwright.sync_api import Browser, Page, expect, sync_playwright

from sdx_agents.reading.case import Case

expect.set_options(timeout=30_000)
PICTURES = os.environ.get("SDX_PICTURES")
"""A folder for pictures of the page, for a person to look at."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def trouble() -> list[str]:
    """Errors of the page and requests to anywhere but this machine."""
    return []


@pytest.fixture
def page(browser: Browser, served: Any, trouble: list[str]) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(60_000)
    opened.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    opened.on("console", lambda message: trouble.append(f"console: {message.text}") if message.type == "error" else None)
    opened.on(
        "request",
        lambda request: None if request.url.startswith((served.url, "data:", "blob:")) else trouble.append(f"away: {request.url}"),
    )
    yield opened
    opened.close()


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def open_case(page: Page, served: Any, case: Case) -> None:
    page.goto(f"{served.url}/medicine#{case.id}")
    expect(page.locator("#findings > li")).to_have_count(3)
    drawn(page, "axial/12.png")


def drawn(page: Page, which: str) -> None:
    page.wait_for_function("(which) => document.getElementById('stage').dataset.drawn.startsWith(which)", arg=which)


def finding(page: Page, name: str) -> Any:
    return page.locator(f'#findings > li[data-id="{name}"]')


def test_from_the_worklist_to_the_addendum(page: Page, served: Any, trouble: list[str]) -> None:
    case = served.add()
    page.goto(f"{served.url}/medicine")
    expect(page.locator("#not-a-device")).to_contain_text("not a medical device")
    page.locator(f'#entries tr[data-case="{case.id}"]').click()
    expect(page.locator("#status")).to_have_text("AI DRAFT")
    expect(page.locator("#critical")).to_contain_text("Pneumothorax")
    expect(page.locator("#warnings")).to_contain_text("neither a measurement")
    expect(page.locator("#prior")).to_contain_text("120 days before")
    expect(finding(page, "F1").get_by_text("Reject")).to_be_disabled()
    page.locator("#begin").click()
    expect(page.locator("#trouble")).to_contain_text("who you are")
    page.locator("#reader").fill("Kim^A")
    page.locator("#begin").click()
    expect(page.locator("#status")).to_have_text("IN REVIEW")
    finding(page, "F2").get_by_text("Reject").click()
    expect(finding(page, "F2")).to_have_attribute("data-present", "no")
    expect(page.locator('#report-en p[data-findings="F2"]')).to_have_count(0)
    expect(page.locator('#report-ko p[data-findings="F2"]')).to_have_count(0)
    sign(page)
    expect(page.locator("#trouble")).to_contain_text("critical findings first")
    finding(page, "F3").get_by_text("Accept").click()
    expect(finding(page, "F3")).to_contain_text("stated")
    for language, words in (("en", "A nodule of 20 mm at the right base."), ("ko", "우측 폐하부에 20 mm 결절.")):
        line = page.locator(f'#report-{language} p[data-findings="F1"] [contenteditable]').first
        line.fill(words)
        line.press("Enter")
        expect(page.locator(f'#report-{language} p[data-edited="true"]')).to_contain_text(words)  # else what is confirmed next is old
    picture(page, "review")
    sign(page)
    expect(page.locator("#status")).to_have_text("SIGNED")
    expect(page.locator("#report-en .statement")).to_contain_text("Kim^A")
    expect(page.locator("#report-en [contenteditable]")).to_have_count(0)
    page.locator("#addendum").fill("Told to the ward.")
    page.locator("#confirmed").check()
    page.locator("#sign").click()
    expect(page.locator("#status")).to_have_text("SIGNED, ADDENDUM")
    expect(page.locator("#signatures")).to_contain_text("Told to the ward")
    page.locator("summary").click()
    expect(page.locator("#history")).to_contain_text("addendum_signed")
    picture(page, "addendum")
    done = served.room.store.case(case.id)
    assert done.status == "addendum" and done.signature.signer.organisation == "Hospital" and done.signature.distance_words["ko"] > 0
    assert len(done.edits) == 2 and served.room.store.troubles() == ()
    assert [each for each in trouble if "409" not in each] == []


def sign(page: Page) -> None:
    page.locator("#signer").fill("Kim^A")
    page.locator("#organisation").fill("Hospital")
    page.locator("#confirmed").check()
    page.locator("#sign").click()


def test_the_viewer_scrolls_windows_reads_and_measures(page: Page, served: Any, trouble: list[str]) -> None:
    open_case(page, served, served.add())
    stage = page.locator("#stage")
    stage.hover()
    page.mouse.wheel(0, 100)
    drawn(page, "axial/11.png")
    stage.focus()
    page.keyboard.press("ArrowUp")
    drawn(page, "axial/12.png?centre=-600&width=1500")
    page.keyboard.press("2")
    drawn(page, "axial/12.png?centre=40&width=400")
    finding(page, "F1").locator(".what").click()
    drawn(page, f"axial/{chest.NODULE[0]}.png")
    expect(page.locator('#report-en p[data-findings="F1"]').first).to_have_attribute("data-chosen", "true")
    x, y = on_screen(page, *chest.NODULE[1:])
    page.mouse.move(x, y)
    expect(page.locator("#readout")).to_have_text("35 HU")
    expect(page.locator("#place")).to_contain_text("z -20.0 mm")
    assert x < 400, "the patient's right must be on the left"
    page.locator("#ruler").click()
    page.mouse.move(x, y)
    page.mouse.down()
    to = on_screen(page, chest.NODULE[1] + 10, chest.NODULE[2])
    page.mouse.move(*to, steps=4)
    page.mouse.up()
    picture(page, "ruler")
    page.locator("#planes [data-value=coronal]").click()
    drawn(page, "coronal/32.png")
    page.keyboard.press("3")
    drawn(page, "coronal/32.png?centre=400")
    picture(page, "coronal")
    page.locator("#planes [data-value=sagittal]").click()
    drawn(page, "sagittal/40.png")
    assert trouble == []


def on_screen(page: Page, row: float, column: float) -> tuple[float, float]:
    """The middle of an axial voxel on the screen: the picture fills the stage's narrower side."""
    box = page.locator("#stage").bounding_box()
    assert box is not None
    down, across = chest.ROWS * chest.SPACING[1], chest.COLUMNS * chest.SPACING[2]
    scale = min((box["width"] - 2) / across, (box["height"] - 2) / down)
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    at = (column + 0.5) * chest.SPACING[2] - across / 2, (row + 0.5) * chest.SPACING[1] - down / 2
    return middle[0] + at[0] * scale, middle[1] + at[1] * scale


def test_a_click_on_the_picture_chooses_and_a_finding_is_added_there(page: Page, served: Any) -> None:
    case = served.add()
    open_case(page, served, served.room.store.begin(case.id, 0, "Kim"))
    page.locator("#reader").fill("Kim^A")
    x, y = on_screen(page, 18, 57)
    page.mouse.click(x, y)
    expect(finding(page, "F3")).to_have_attribute("data-chosen", "true")
    page.locator("#add").click()
    page.locator("#add-label").select_option("mass")
    page.locator("#add-side").select_option("left")
    page.locator("#add-zone").select_option("mid")
    page.locator("#add-long").fill("41")
    page.locator("#adding button").click()
    expect(finding(page, "R1")).to_contain_text("Lung mass")
    expect(page.locator("#critical")).to_contain_text("Lung mass")
    added = served.room.store.case(case.id).statements[-1].finding
    assert added.slices.key == 12 and added.size.long_mm == 41


def test_two_browsers_do_not_overwrite_each_other(page: Page, served: Any) -> None:
    case = served.add()
    open_case(page, served, served.room.store.begin(case.id, 0, "Kim"))
    page.locator("#reader").fill("Kim^A")
    served.room.store.decide(case.id, 1, "Lee^B", "F1", "no")
    finding(page, "F2").get_by_text("Accept").click()
    expect(page.locator("#trouble")).to_contain_text("Somebody else changed this case")
    expect(finding(page, "F1")).to_have_attribute("data-present", "no")
    finding(page, "F2").get_by_text("Accept").click()
    expect(finding(page, "F2")).to_have_attribute("data-present", "yes")


def test_what_is_being_written_outlasts_the_answer_to_the_edit_before(page: Page, served: Any) -> None:
    case = served.add()
    open_case(page, served, case)
    page.locator("#reader").fill("Kim^A")
    page.locator("#begin").click()
    expect(page.locator("#status")).to_have_text("IN REVIEW")
    held: list[Any] = []
    page.route("**/edits", lambda route: held.append(route), times=1)
    english, korean = (page.locator(f'#report-{language} p[data-findings="F1"] [contenteditable]').first for language in ("en", "ko"))
    english.fill("A nodule of 20 mm at the right base.")
    english.press("Enter")
    korean.click()
    page.keyboard.press("Control+A")
    page.keyboard.type("20 mm ")
    page.wait_for_timeout(50)
    held.pop().continue_()  # one request: the other language is still being written
    expect(page.locator('#report-en p[data-edited="true"]')).not_to_have_count(0)
    page.keyboard.type("nodule.")
    page.keyboard.press("Enter")
    expect(page.locator('#report-ko p[data-edited="true"]').first).to_have_text("20 mm nodule.")
    assert {(each.language, each.now) for each in served.room.store.case(case.id).edits} == {
        ("en", "A nodule of 20 mm at the right base."),
        ("ko", "20 mm nodule."),
    }


@pytest.mark.parametrize("left_for", ["other", "worklist"])
def test_what_is_changed_in_a_case_goes_to_that_case_though_another_was_opened(page: Page, served: Any, left_for: str) -> None:
    other, case = (served.room.store.begin(served.add().id, 0, "Kim") for _ in range(2))
    open_case(page, served, case)
    page.locator("#reader").fill("Kim^A")
    held: list[Any] = []
    page.route("**/findings/F1", lambda route: held.append(route), times=1)
    finding(page, "F1").get_by_text("Reject").click()
    sentence = page.locator('#report-en p[data-findings="F2"] [contenteditable]').first
    sentence.click()
    page.keyboard.press("Control+A")
    page.keyboard.type("Fluid on the left.")
    page.evaluate("id => { location.hash = id }", other.id if left_for == "other" else "")
    if left_for == "other":
        expect(page.locator(f'#report-en[data-case="{other.id}"]')).not_to_contain_text("Fluid on the left.")
    else:
        expect(page.locator("#list")).to_be_visible()
    held.pop().continue_()
    deadline = time.monotonic() + 30
    while not served.room.store.case(case.id).edits and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    changed, kept = (served.room.store.case(each.id) for each in (case, other))
    assert [(each.finding_id, each.present) for each in changed.decisions] == [("F1", "no")]
    assert [each.now for each in changed.edits] == ["Fluid on the left."]
    assert (kept.decisions, kept.edits, kept.revision) == ((), (), other.revision)
    if left_for == "other":
        assert page.locator("#report-en").get_attribute("data-case") == other.id


def test_script_in_tags_and_notes_stays_text(page: Page, served: Any) -> None:
    case = served.add(hostile=True)
    served.room.store.begin(case.id, 0, chest.HOSTILE[:60])
    served.room.store.decide(case.id, 1, "Kim", "F1", "yes", chest.HOSTILE)
    open_case(page, served, case)
    expect(page.locator("#report-en")).to_contain_text("onerror")
    expect(page.locator("#warnings")).to_contain_text("onerror")
    page.locator("#question").fill(chest.HOSTILE)
    page.locator("#asking button").click()
    expect(page.locator("#talk li[data-who=sdx]")).to_contain_text("nodule? <img")
    page.locator("summary").click()
    expect(page.locator("#history")).to_contain_text("onerror")
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("#reports img, #warnings img, #talk img, #history img").count() == 0


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_korean_and_narrow_and_the_banner_never_leaves(page: Page, served: Any, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    open_case(page, served, served.add())
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("#begin")).to_have_text("판독 시작")
    expect(page.locator("#status")).to_have_text("AI 초안")
    expect(finding(page, "F1")).to_contain_text("폐결절")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(page.locator("#not-a-device")).to_be_in_viewport(ratio=1)
    expect(page.locator("#not-a-device")).to_contain_text("의료기기가 아닙니다")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    picture(page, f"korean-{width}")
