"""A sentence holds only where its passages say the same: figures, sides, negation, duty, addresses, words."""

import pytest

from sdx_rag.passages import Found
from sdx_rag.support import figures, negated, sides, unsupported


def passage(text: str, address: str = "", language: str = "en") -> Found:
    return Found(id=1, document="builtin/a.yaml", title="COLREG", address=address, text=text, language=language, score=1.0)  # type: ignore[arg-type]


CROSSING = passage("When two power-driven ships cross, the one that has the other on her starboard side keeps out of the way.", "R15")
BLASTS = passage("A power-driven ship gives 1 short blast when turning to starboard, 2 when turning to port.", "R34")
FOG = passage("One prolonged blast is sounded at intervals of at most 2 minutes.", "R35(a)")
STAND_ON = passage("The stand-on ship does not turn to port for a ship on her own port side.", "R17(c)")
MAY = passage("The stand-on ship may manoeuvre alone to avoid collision.", "R17(a)(ii)")
KOREAN = passage("길이 50미터 이상의 마스트등은 6해리, 현등은 3해리에서 보인다. 좌현으로 변침하지 않는다.", "R22(a)", "ko")


@pytest.mark.parametrize(
    ("sentence", "by"),
    [
        ("The ship with the other on her starboard side keeps out of the way.", CROSSING),
        ("Under Rule 15 the ship that has the other on her starboard side keeps out of the way.", CROSSING),
        ("Turning to starboard a power-driven ship gives 1 short blast.", BLASTS),
        ("Sound one prolonged blast at intervals of at most two minutes.", FOG),
        ("She does not turn to port for a ship on her own port side.", STAND_ON),
        ("The stand-on ship may manoeuvre alone.", MAY),
        ("마스트등은 6해리에서 보인다.", KOREAN),
        ("좌현으로 변침하지 않는다.", KOREAN),
    ],
)
def test_what_the_passage_says_holds(sentence: str, by: Found) -> None:
    assert unsupported(sentence, [by]) == ""


@pytest.mark.parametrize(
    ("sentence", "by", "reason"),
    [
        ("The ship with the other on her port side keeps out of the way.", CROSSING, "side port"),
        ("Under Rule 14 the ship with the other on her starboard side keeps out of the way.", CROSSING, "address 14"),
        ("Rule 15(b) says that the ship with the other on her starboard side keeps out of the way.", CROSSING, "address 15(b)"),
        ("Turning to port a power-driven ship gives 1 short blast.", BLASTS, "side port"),
        ("Sound one prolonged blast at intervals of at most 3 minutes.", FOG, "figure 3 min"),
        ("Sound one prolonged blast at intervals of at most 2 hours.", FOG, "figure 2 h"),
        ("The ship turns to port for a ship on her own port side.", STAND_ON, "negation"),
        ("The ship with the other on her starboard side does not keep out of the way.", CROSSING, "negation"),
        ("The stand-on ship must manoeuvre alone to avoid collision.", MAY, "duty"),
        ("Call the harbour master by telephone before noon.", CROSSING, "words"),
        ("마스트등은 3마일이 아니라 9해리에서 보인다.", KOREAN, "figure 9 nm"),
        ("우현으로 변침하지 않는다.", KOREAN, "side starboard"),
        ("좌현으로 변침한다.", KOREAN, "negation"),
    ],
)
def test_what_turns_the_meaning_is_refused_with_the_reason(sentence: str, by: Found, reason: str) -> None:
    assert unsupported(sentence, [by]).startswith(reason)


def test_figures_are_alike_in_both_languages_and_rules_are_none() -> None:
    assert figures("within 2 minutes and 0.5 NM, Rule 15(a)") == figures("2분 안에 0.5해리, 제15조 (a)") == {(2.0, "min"), (0.5, "nm")}
    assert (3.0, "times") in figures("three strokes on the bell") and figures("1,000 metres") == {(1000.0, "m")}


def test_right_angles_are_no_side() -> None:
    assert sides("cross at right angles to the flow") == set() and sides("left and right") == {"port", "starboard"}
    assert negated("do not cross") and negated("횡단하지 않는다") and not negated("note the nothern lane")
