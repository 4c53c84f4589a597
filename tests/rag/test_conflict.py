"""Where a document says otherwise than a rule on the same thing, it is told in what."""

import pytest

from sdx_rag.conflict import differs

RULES = [
    "This system keeps a CPA of at least 0.5 NM in open waters.",
    "Both power-driven ships alter course to starboard, so that each passes on the other's port side.",
    "Vessels do not anchor in a narrow channel.",
]


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("This system keeps a CPA of at least 0.1 NM in open waters.", "figures"),
        ("This system keeps a CPA of at least 0.5 NM in open waters.", ""),
        ("Both power-driven ships alter course to port.", "side"),
        ("Both power-driven ships alter course to starboard.", ""),
        ("Vessels anchor in a narrow channel.", "negation"),
        ("The galley opens at 7 hours, 0.1 NM from nowhere.", ""),
        ("The cook turns to port.", ""),
    ],
)
def test_in_what_a_document_differs(sentence: str, kind: str) -> None:
    assert differs(sentence, RULES) == kind


def test_without_rules_nothing_differs() -> None:
    assert differs("Turn to port.", []) == ""
