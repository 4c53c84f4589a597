"""Training rows: each answer is read back and accepted, true to its candidates, the same for the same seed, and never of a held-out one."""

import json

import jsonschema
import numpy as np
import pytest

from sdx_domains.medicine.assure.thresholds import thresholds
from sdx_domains.medicine.language import examples, prompting
from sdx_domains.medicine.language.examples import TRAINING_SEED, perturbed, rows, rows_of, situation, situations, study, teacher_proposal
from sdx_domains.medicine.language.figures import fill
from sdx_domains.medicine.options import options


@pytest.fixture
def noisy(found, study):
    """A study as a detector gives it, by number."""

    def make(seed):
        drawn = [
            (found(mm=(9.0, 8.0)), True),
            (found(key="mass", side="left", lobe="LUL", mm=(40.0, 30.0)), True),
            (found(key="emphysema", side="bilateral", lobe="several"), False),
            (found(key="opacity", side="left", lobe="LLL"), False),
        ]
        return perturbed(study().study, drawn, seed, np.random.default_rng(seed))

    return make


def test_answers_are_read_back_accepted_and_true(noisy) -> None:
    bands, uncertain = thresholds().labels, 0
    for seed in range(15):
        picture, true = noisy(seed)
        for language in ("en", "ko"):
            asked = situation(picture, true, language, {})
            assert asked.verify(asked.answer) == ""
            jsonschema.validate(json.loads(asked.answer), asked.schema)
            for item in prompting.read_answer(asked.answer, picture, options(picture)).understanding:
                finding = next(each for each in picture.findings if each.id == item.subject)
                doubtful = bands[finding.label].low < finding.probability < bands[finding.label].high
                assert item.role == ("uncertain" if doubtful else "yes" if finding.id in true else "no")
                uncertain += doubtful
    assert uncertain > 1


def test_another_answer_is_not_accepted(noisy) -> None:
    picture, true = noisy(1)
    asked = situation(picture, true, "en", {})
    said = json.loads(asked.answer)
    said["findings"] |= {"F1": "no" if said["findings"]["F1"] != "no" else "yes"}
    said["impression"] = [name for name, present in said["findings"].items() if present != "no"]
    assert asked.verify(json.dumps(said)) == "wrong presence for F1" and asked.verify("nonsense")


def test_reasons_name_their_figures(noisy) -> None:
    for seed in range(30):
        picture, true = noisy(seed)
        for language in ("en", "ko"):
            form = teacher_proposal(picture, true, language).reason
            assert not any(letter.isdigit() for letter in examples_bare(form)) and fill(form, picture, language)


def examples_bare(form: str) -> str:
    return "".join(part.partition("}")[2] if "}" in part else part for part in form.split("{"))


def test_the_detector_errs_now_and_then(noisy) -> None:
    pictures = [noisy(seed)[0] for seed in range(120)]
    chance = {
        key: [each.probability for picture in pictures for each in picture.findings if each.label == key] for key in ("nodule", "opacity")
    }
    assert np.mean(np.array(chance["nodule"]) < 0.5) < 0.1 and np.mean(np.array(chance["opacity"]) > 0.5) < 0.1
    assert min(chance["nodule"]) < 0.5 < max(chance["opacity"])
    assert 0 < sum(each.laterality == "left" for picture in pictures for each in picture.findings if each.label == "nodule") < 9


def test_rows_of_a_study(noisy) -> None:
    picture, true = noisy(3)
    made = list(rows_of(picture, true, 3))
    assert [(row["meta"]["task"], row["meta"]["language"]) for row in made[:2]] == [("decide", "en"), ("decide", "ko")]
    assert len(made) == 2 + examples.QUESTIONS and made == list(rows_of(picture, true, 3))
    for row in made:
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
        assert fill(row["messages"][-1]["content"], picture) if row["meta"]["task"] == "question" else True


def test_held_out_seeds_are_refused() -> None:
    for start in (lambda: next(rows(1, 500_000_000)), lambda: next(situations(1, 0)), lambda: next(rows(1, 900_000_000))):
        with pytest.raises(ValueError, match="is not for training; take one from 1000000"):
            start()


@pytest.mark.slow
def test_scenes_give_rows() -> None:
    """Compiles the phantom's geometry first."""
    made = list(rows(80, TRAINING_SEED + 5))
    assert made[:8] == list(rows(8, TRAINING_SEED + 5))
    tasks = {row["meta"]["task"] for row in made}
    assert tasks == {"decide", "question"} and len({row["meta"]["seed"] for row in made}) == 20
    picture, true = study(TRAINING_SEED + 5)
    assert set(true) <= {finding.id for finding in picture.findings}
    assert made[0]["messages"][1]["content"].startswith(f"<ct:scene-{TRAINING_SEED + 5}>")
