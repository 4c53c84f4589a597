"""The bridge page in a real browser: what is drawn, what the buttons send, what text from outside can do (nothing)."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None and not os.environ.get("SDX_NEED_CHROMIUM"):
    pytest.skip("no chromium on the PATH: apt-get install chromium", allow_module_level=True)

from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

expect.set_options(timeout=20_000)

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


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
def page(browser: Browser, served: Any, situation: dict[str, Any], trouble: list[str]) -> Iterator[Page]:
    served.show(situation)
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(30_000)
    opened.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    opened.on("console", lambda message: trouble.append(f"console: {message.text}") if message.type == "error" else None)

    def away(request: Request) -> None:
        if not request.url.startswith((served.url, "data:", "blob:")):
            trouble.append(f"request to {request.url}")

    opened.on("request", away)
    opened.goto(served.url)
    expect(opened.locator("#targets tr")).to_have_count(len(situation["picture"]["targets"]))
    yield opened
    opened.close()


def eventually(true: Callable[[], bool], within_s: float = 15.0) -> bool:
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_the_situation_is_shown_without_errors_or_a_network(page: Page, served: Any, situation: dict[str, Any], trouble: list[str]) -> None:
    expect(page.locator("#mode")).to_have_text("AGENT")
    expect(page.locator("#description")).to_have_text(served.store.snapshot()["description"]["en"])
    expect(page.locator("#verdict")).to_have_text(situation["verdict"]["kind"])
    expect(page.locator("#order")).to_contain_text("heading")
    expect(page.locator(".sdx-lamp[data-ok=true]")).to_have_count(len(served.store.parts))
    first = situation["picture"]["targets"][0]
    expect(page.locator("#targets tr").first).to_contain_text(f"{first['cpa_nm']:.2f}")
    page.wait_for_timeout(1200)
    assert trouble == []


def test_the_plan_view_is_drawn_and_moves(page: Page, served: Any, situation: dict[str, Any]) -> None:
    def drawn() -> str:
        return page.evaluate("() => document.getElementById('plan').toDataURL()")

    page.locator("[data-range='12']").click()
    before = drawn()
    assert len(before) > 20_000, "the canvas is empty"
    moved = situation["picture"]["targets"][0] | {"lat_deg": situation["picture"]["targets"][0]["lat_deg"] - 0.02}
    served.store.put_picture(situation["picture"] | {"targets": [moved, *situation["picture"]["targets"][1:]]})
    assert eventually(lambda: drawn() != before)


def test_the_language_switch_changes_labels_and_words_and_is_remembered(page: Page, served: Any) -> None:
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("#stop")).to_have_text("정지")
    expect(page.locator("#description")).to_have_text(served.store.snapshot()["description"]["ko"])
    page.reload()
    expect(page.locator("#stop")).to_have_text("정지")
    page.get_by_role("button", name="EN", exact=True).click()
    expect(page.locator("#stop")).to_have_text("STOP")


def test_stop_is_sent_confirmed_and_reset(page: Page, served: Any) -> None:
    page.locator("#stop").click()
    assert eventually(lambda: [command.kind for command in served.sent] == ["stop"])
    expect(page.locator("#ack")).to_contain_text("sent")
    served.store.put_mode("stopped", "stop button (bridge page)")
    served.store.put_estop(True)
    expect(page.locator("#ack")).to_contain_text("acknowledged")
    expect(page.locator("#mode")).to_have_text("STOPPED")
    expect(page.locator("#banner")).to_be_visible()
    page.locator("#reset").click()
    assert eventually(lambda: [command.kind for command in served.sent] == ["stop", "reset"])
    served.store.put_estop(False)
    expect(page.locator("#reset")).to_be_hidden()


def test_stop_works_with_everything_silent(page: Page, served: Any) -> None:
    served.clock_s += 60.0
    expect(page.locator(".sdx-lamp[data-ok=false]")).to_have_count(len(served.store.parts))
    expect(page.locator("#banner")).to_have_text("No picture of the situation")
    page.locator("#stop").click()
    assert eventually(lambda: [command.kind for command in served.sent] == ["stop"])


def test_a_takeover_sends_heading_and_speed_and_release_gives_back(page: Page, served: Any) -> None:
    expect(page.locator("#release")).to_be_disabled()
    page.locator("#heading").fill("45")
    page.locator("#speed").fill("8.5")
    page.get_by_role("button", name="Take over").click()
    assert eventually(lambda: len(served.sent) == 1)
    assert (served.sent[0].kind, served.sent[0].setpoints) == ("takeover", {"heading_deg": 45.0, "speed_kn": 8.5})
    served.store.put_mode("override", "a human has the con")
    expect(page.locator("#mode")).to_have_text("MANUAL")
    page.locator("#release").click()
    assert eventually(lambda: len(served.sent) == 2)
    assert served.sent[1].kind == "release"


def test_a_heading_out_of_range_is_not_sent(page: Page, served: Any) -> None:
    page.locator("#heading").fill("400")
    page.locator("#speed").fill("8")
    page.get_by_role("button", name="Take over").click()
    page.wait_for_timeout(500)
    assert served.sent == []


def test_approve_goes_to_the_order_that_is_shown(page: Page, served: Any) -> None:
    expect(page.locator("#approve")).to_be_disabled()
    served.store.put_pending({"id": "abc123", "label": "alter course 30 deg to starboard"})
    expect(page.locator("#waiting")).to_contain_text("30 deg to starboard")
    page.locator("#approve").click()
    assert eventually(lambda: len(served.sent) == 1)
    assert (served.sent[0].kind, served.sent[0].order_id) == ("approve", "abc123")


def test_names_from_the_radio_stay_text(page: Page, served: Any, situation: dict[str, Any]) -> None:
    named = [target | {"name_untrusted": HOSTILE} for target in situation["picture"]["targets"]]
    served.store.put_picture(situation["picture"] | {"targets": named})
    documents = [{"id": "doc:x", "title": HOSTILE, "text": HOSTILE, "source": HOSTILE}]
    served.store.put_decision(situation["proposal"] | {"reason": HOSTILE}, situation["options"], {"model": HOSTILE, "documents": documents})
    served.store.record("fault", HOSTILE)
    expect(page.locator("#targets tr").first).to_contain_text("onerror")
    expect(page.locator("#reason")).to_contain_text("onerror")
    expect(page.locator("#audit li").first).to_contain_text("onerror")
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("#targets img, #reason img, #audit img").count() == 0


def test_the_chat_answers_about_the_situation(page: Page) -> None:
    page.locator("#question textarea").fill("Which target is dangerous?")
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#chatbot")).to_contain_text("T1 is the most dangerous.")


def test_lost_contact_is_told(page: Page) -> None:
    page.route("**/api/state", lambda route: route.abort())
    expect(page.locator("#banner")).to_contain_text("lost contact")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (820, 1180)])
def test_nothing_sticks_out_sideways(page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(300)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    expect(page.locator("#stop")).to_be_in_viewport()


def test_documents_on_the_situation_are_shown_apart_from_the_decision(page: Page, served: Any, situation: dict[str, Any]) -> None:
    expect(page.locator("#documents details")).to_have_count(0)
    documents = [{"id": "doc:o#1", "title": "Standing orders, 4.1", "text": "Call the master at 1.2 NM.", "source": ""}]
    served.store.put_decision(situation["proposal"], situation["options"], {"model": "scripted", "documents": documents})
    page.locator("#documents summary").click()
    expect(page.locator("#documents")).to_contain_text("not decided with")
    expect(page.locator("#documents details p")).to_have_text("Call the master at 1.2 NM.")
    page.wait_for_timeout(1200)
    expect(page.locator("#documents details p")).to_be_visible()
