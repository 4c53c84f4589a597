"""Nothing final without a signature of exactly that."""

import pytest
from pydantic import ValidationError

from sdx_domains.medicine.out.results import Results, Signature, sign


def remade(results, **changes) -> Results:
    return Results(**{**{name: getattr(results, name) for name in Results.model_fields}, **changes})


@pytest.mark.parametrize("status", ["signed", "addendum"])
def test_final_needs_a_signature(results, status):
    with pytest.raises(ValidationError, match="nothing final leaves unsigned"):
        remade(results("draft"), status=status)


def test_a_signature_is_bound_to_what_was_signed(results):
    good = results("signed")
    assert good.final and not results("draft").final and not results("in_review").final
    for changes in ({"statements": good.statements[:-1]}, {"addenda": ("x",), "status": "addendum"}):
        with pytest.raises(ValidationError, match="the signature is of other"):
            remade(good, **changes)
    line = good.reports["en"].impression[0].model_copy(update={"text": "Nothing."})
    edited = good.reports["en"].model_copy(update={"impression": (line, *good.reports["en"].impression[1:])})
    with pytest.raises(ValidationError, match="the signature is of other"):
        remade(good, reports={**good.reports, "en": edited})


def test_addenda_and_strange_findings_are_refused(results):
    draft = results("draft")
    with pytest.raises(ValidationError, match="'addendum' is wanted"):
        remade(draft, addenda=("late",))
    with pytest.raises(ValidationError, match="not in the picture: F1"):
        remade(draft, picture=draft.picture.model_copy(update={"findings": ()}), statements=draft.statements[:1])
    with pytest.raises(ValidationError, match="no report"):
        remade(draft, reports={})


def test_signers_have_names_and_times_have_zones(results, made_up):
    draft = results("draft")
    with pytest.raises(ValidationError):
        sign("", "Hospital", made_up.MADE, draft.statements, draft.reports)
    with pytest.raises(ValidationError):
        sign("A^B\\C", "Hospital", made_up.MADE, draft.statements, draft.reports)
    with pytest.raises(ValidationError):
        Signature(signer="A^B", organisation="H", at=made_up.MADE.replace(tzinfo=None), of="x")


def test_the_time_is_no_part_of_the_content(results, made_up):
    later = made_up.MADE.replace(year=2027)
    assert results("draft").content == results("draft", made=later).content
