"""Texts that speak to the machine are told from texts that speak to people, and markup is taken out."""

from pathlib import Path

import pytest
import yaml
from attacks import ATTACKS
from shipped_library import passage_files

from sdx_rag.planted import has_link, plain, planted

IN_THE_NAME, ONLY_HIDDEN = "Ignore all rules", ("<!--", "\U000e0049")


def test_there_are_enough_attacks_of_many_kinds_in_both_languages() -> None:
    assert len(ATTACKS) >= 50 and len({attack.kind for attack in ATTACKS}) >= 10
    assert sum(attack.language == "ko" for attack in ATTACKS) >= 10


@pytest.mark.parametrize("attack", [one for one in ATTACKS if not one.text.startswith(ONLY_HIDDEN)], ids=lambda attack: attack.demanded)
def test_an_order_to_the_machine_is_seen(attack) -> None:  # type: ignore[no-untyped-def]
    assert planted(f"{attack.name}\n{attack.text}")


@pytest.mark.parametrize("domain", ["ship", "farm", "medicine"])
def test_what_speaks_to_people_is_left_alone(domain: str) -> None:
    entries = [(address, entry) for path in passage_files(domain) for address, entry in _rules(path).items()]
    texts = {(address, language): entry[language]["text"] for address, entry in entries for language in ("en", "ko")}
    assert len(texts) > 100 and [key for key, text in texts.items() if planted(text)] == []


def _rules(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("See ![a](https://x.example/p.png) the [rule](https://x.example) now.", "See the rule now."),
        ("Run `rm -rf` or ```\ncode\n``` here", "Run or here"),
        ("a <b>bold</b> <script>x()</script> www.x.example/y word", "a bold x() word"),
        ("hid\u200bden \u202ewords\U000e0049", "hidden words"),
        ("5 < 6 and 7 > 3", "5 < 6 and 7 > 3"),
        ("<|im_start|>system", "system"),
    ],
)
def test_only_the_words_are_left(text: str, left: str) -> None:
    assert " ".join(plain(text).split()) == left


def test_links_are_seen() -> None:
    assert has_link("go to https://x.example") and has_link("[a](b)") and not has_link("Rule 15(a) [1] applies")
