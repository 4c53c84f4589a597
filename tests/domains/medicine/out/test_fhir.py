"""FHIR: every resource validates when read back, statuses follow the signature, references lead somewhere."""

import json

import pytest

pytest.importorskip("fhir.resources")

from sdx_domains.medicine.out import fhir


def written(made_up, results, status, tmp_path, series=None, **more):
    path = fhir.write(series or made_up.series(), results(status, **more), tmp_path / f"{status}.json", b"%PDF-1.4")
    return json.loads(path.read_text(encoding="utf-8"))


def resources(bundle, kind):
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


@pytest.mark.parametrize(
    ("status", "told"), [("draft", "preliminary"), ("in_review", "preliminary"), ("signed", "final"), ("addendum", "amended")]
)
def test_statuses_follow_the_signature(made_up, results, tmp_path, status, told):
    addenda = ("Late note.",) if status == "addendum" else ()
    bundle = written(made_up, results, status, tmp_path, addenda=addenda)
    report = resources(bundle, "DiagnosticReport")[0]
    assert report["status"] == told and {each["status"] for each in resources(bundle, "Observation")} == {told}
    agents = resources(bundle, "Provenance")[0]["agent"]
    assert [each["type"]["coding"][0]["code"] for each in agents] == (["assembler"] if told == "preliminary" else ["assembler", "verifier"])
    assert ("not verified by a radiologist" in report["conclusion"]) == (told == "preliminary")
    assert ("Late note." in report["conclusion"]) == bool(addenda)


def test_it_validates_when_read_back_and_every_reference_is_there(made_up, results, tmp_path):
    from fhir.resources.R4B.bundle import Bundle

    bundle = written(made_up, results, "signed", tmp_path)
    Bundle.model_validate(bundle)
    there = {f"{each['resource']['resourceType']}/{each['resource']['id']}" for each in bundle["entry"]}
    text = json.dumps(bundle)
    assert {part.split('"')[0] for part in text.split('"reference": "')[1:]} <= there
    assert [entry["request"]["url"] for entry in bundle["entry"]] == [
        f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle["entry"]
    ]


def test_an_observation_holds_the_finding(made_up, results, tmp_path):
    bundle = written(made_up, results, "draft", tmp_path)
    found = resources(bundle, "Observation")
    assert len(found) == 5
    nodule = next(each for each in found if each["code"]["coding"][0]["code"] == "427359005")
    values = {each["code"]["text"]: each.get("valueQuantity", {}).get("value") for each in nodule["component"]}
    assert values["Long axis"] == 12.4 and values["Volume"] == 0.71
    assert nodule["bodySite"]["text"].startswith("Middle lobe of right lung") and nodule["valueCodeableConcept"]["text"] == "Present"
    unsure = next(each for each in found if "septal" in each["code"]["text"])
    assert unsure["valueCodeableConcept"]["text"] == "Undetermined"


def test_ids_stay_through_draft_and_signature(made_up, results, tmp_path):
    drafts, signed = (written(made_up, results, status, tmp_path) for status in ("draft", "signed"))
    for kind in ("DiagnosticReport", "Observation", "ImagingStudy", "Device"):
        assert [each["id"] for each in resources(drafts, kind)] == [each["id"] for each in resources(signed, kind)]
    assert resources(drafts, "Provenance")[0]["id"] != resources(signed, "Provenance")[0]["id"]


def test_outside_nothing_identifies(made_up, results, tmp_path):
    from sdx_domains.medicine.out.images import pseudonymous

    text = json.dumps(written(made_up, results, "signed", tmp_path, series=pseudonymous(made_up.series())), ensure_ascii=False)
    assert not [secret for secret in (*made_up.SECRETS, "1.2.826.1.2", "2026-03-01") if secret in text]
    assert "PID-77" in json.dumps(written(made_up, results, "draft", tmp_path))


def test_a_study_without_dicom_and_without_findings(made_up, results, tmp_path):
    from dataclasses import replace

    series = made_up.series()
    bare = replace(series, header=None, sop_uids=(), facts=series.facts.model_copy(update={"source": "nifti"}))
    said = tuple(each.model_copy(update={"present": "no"}) for each in made_up.statements(made_up.picture()))
    bundle = written(made_up, results, "draft", tmp_path, series=bare, said=said)
    report = resources(bundle, "DiagnosticReport")[0]
    assert (
        "result" not in report
        and "series" not in resources(bundle, "ImagingStudy")[0]
        and report["subject"]["identifier"]["value"] == "2.25.11"
    )


@pytest.mark.parametrize("text", ["", "2026", "20261399", "yesterday"])
def test_a_nonsense_date_is_left_out(made_up, text):
    series = made_up.series()
    series.header["StudyDate"]._value = text
    assert fhir._study_date(series) == ""
