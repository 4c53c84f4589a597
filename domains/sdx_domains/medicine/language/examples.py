"""Training rows for the embedded decoder: candidates as a detector would give them for imaginary patients, each with the right answer.

    python -m sdx_domains.medicine.language.examples 20 1000000        # twenty rows to look at

No volume is drawn: the truth of a phantom scene is perturbed (missed, false, shifted probabilities), so a row costs milliseconds. The
handle in a prompt names the scene's seed; finetune/vision renders that phantom where the visual tokens are wanted. Start at rows().
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import count as counting
from itertools import islice
from math import exp
from typing import Any

import numpy as np
import yaml

from sdx_domains.contract import Language, Proposal, Situation, Understanding
from sdx_domains.medicine.assure.thresholds import thresholds
from sdx_domains.medicine.findings import Finding, Laterality, Lobe, Presence, Size, Slices, Zone
from sdx_domains.medicine.labels import Label, label, labels
from sdx_domains.medicine.language import prompting
from sdx_domains.medicine.language.render import ranked
from sdx_domains.medicine.language.words import wording
from sdx_domains.medicine.options import options
from sdx_domains.medicine.phantom.scene import SEEDS, Scene, scene
from sdx_domains.medicine.phantom.shapes import AX, AZ, X, Z
from sdx_domains.medicine.picture import DRAFT, Measurements, MedicinePicture, Saw, Statement
from sdx_domains.medicine.volume import StudyFacts

TRAINING_SEED = SEEDS["train"].start
QUESTIONS = 2
LANGUAGES: tuple[Language, ...] = ("en", "ko")
LOBES: dict[tuple[str, str], Lobe] = {
    ("right", "upper"): "RUL",
    ("right", "mid"): "RML",
    ("right", "lower"): "RLL",
    ("left", "upper"): "LUL",
    ("left", "mid"): "LUL",
    ("left", "lower"): "LLL",
}
DIFFUSE = ("emphysema", "mosaic", "septal_thickening", "peribronchial_thickening")


@cache
def book() -> dict[str, Any]:
    """examples.yaml."""
    return yaml.safe_load((files(__package__ or "") / "examples.yaml").read_text(encoding="utf-8"))


def rows(count: int, seed: int = TRAINING_SEED) -> Iterator[dict[str, Any]]:
    """Yield `count` rows {"messages", "meta"}. Raises ValueError for a seed outside the training range."""
    yield from islice((row for number in _seeds(seed) for row in rows_of(*study(number), number)), count)


def situations(count: int, seed: int = TRAINING_SEED) -> Iterator[Situation]:
    """Yield `count` readings to be made, for any teacher to answer. Raises ValueError for a seed outside the training range."""
    for number in islice(_seeds(seed), count):
        picture, truth = study(number)
        language = LANGUAGES[number % 2]
        yield situation(picture, truth, language, {"seed": number, "task": "decide", "language": language})


def _seeds(seed: int) -> Iterator[int]:
    if seed not in SEEDS["train"]:
        raise ValueError(f"seed {seed} is not for training; take one from {TRAINING_SEED} to {SEEDS['train'].stop - 1}")
    return counting(seed)


def study(seed: int) -> tuple[MedicinePicture, tuple[str, ...]]:
    """A scene's picture as a detector would give it, and the ids of the candidates that are true."""
    rng = np.random.default_rng((seed, 7))
    patient = scene(seed)
    facts = _facts(patient, rng)
    noise = book()["noise"]
    drawn = [(finding, True) for finding in _true(patient, facts, rng) if rng.random() >= noise["missed"]]
    absent = [kind for kind in labels() if kind.key not in patient.labels]
    picked = rng.choice(len(absent), size=min(int(rng.poisson(noise["invented"])), len(absent)), replace=False) if absent else []
    drawn += [(_placed(absent[int(place)], facts, rng), False) for place in picked]
    return perturbed(facts, drawn, seed, rng)


def perturbed(
    facts: StudyFacts, drawn: Sequence[tuple[Finding, bool]], seed: int, rng: np.random.Generator
) -> tuple[MedicinePicture, tuple[str, ...]]:
    """Candidates, (finding, whether it is there), with a detector's probabilities and errors of side and size, numbered by label."""
    noise, order = book()["noise"], {kind.key: place for place, kind in enumerate(labels())}
    found: list[Finding] = []
    true: list[str] = []
    for finding, there in sorted(drawn, key=lambda each: order[each[0].label]):
        name, logit = f"F{len(found) + 1}", float(rng.normal(*noise["true_logit" if there else "false_logit"]))
        size = finding.size
        if size is not None:
            factor = float(np.exp(rng.normal(0.0, noise["size"])))
            size = Size(long_mm=round(size.long_mm * factor, 1), short_mm=round(size.short_mm * factor, 1), volume_ml=size.volume_ml)
        side = finding.laterality
        if side in ("right", "left") and rng.random() < noise["wrong_side"]:
            finding = finding.model_copy(update={"laterality": "left" if side == "right" else "right", "lobe": "n/a"})
        found.append(finding.model_copy(update={"id": name, "size": size, "probability": round(1.0 / (1.0 + exp(-logit)), 3)}))
        true += [name] if there else []
    best = {kind.key: max([each.probability for each in found if each.label == kind.key], default=0.03) for kind in labels()}
    saw = Saw(handle=f"scene-{seed}", model="sdx-scene", model_sha256="0" * 64, probability=best, unlike_training=0.3)
    return MedicinePicture(t_s=0.0, study=facts, measured=Measurements(), saw=saw, findings=tuple(found)), tuple(true)


def teacher_proposal(picture: MedicinePicture, true: Sequence[str], language: Language) -> Proposal:
    """The answer to learn: the truth, "uncertain" where the probability lies in its label's band; the reason names its figures."""
    bands = thresholds().labels
    said: dict[str, Presence] = {}
    for finding in picture.findings:
        band = bands[finding.label]
        doubtful = band.low < finding.probability < band.high
        said[finding.id] = "uncertain" if doubtful else "yes" if finding.id in true else "no"
    stated = [each.finding.id for each in ranked([Statement(finding=finding, present=said[finding.id]) for finding in picture.findings])]
    order = [*(name for name in stated if said[name] != "no"), *(finding.id for finding in picture.findings if said[finding.id] == "no")]
    kinds = {finding.id: finding.label for finding in picture.findings}
    maybe = sum(present == "uncertain" for present in said.values())
    return Proposal(
        option_id=DRAFT,
        understanding=tuple(Understanding(subject=name, kind=kinds[name], role=said[name]) for name in order),
        reason=reason_form(picture, said, order, language),
        confidence=0.9 if maybe == 0 else 0.7 if maybe == 1 else 0.4,
        needs_human=maybe > 0,
    )


def reason_form(picture: MedicinePicture, said: dict[str, Presence], order: Sequence[str], language: Language) -> str:
    """What comes first, what stays doubtful, the likeliest that is denied: ids and figures by name."""
    words = book()["reason"][language]
    if not said:
        return words["none"]
    chance = {finding.id: finding.probability for finding in picture.findings}
    sure = [name for name in order if said[name] == "yes"]
    maybe = [name for name in order if said[name] == "uncertain"]
    denied = sorted((name for name in order if said[name] == "no"), key=lambda name: -chance[name])
    forms = words["stated" if sure else "only_denied"]
    first = forms[sum(map(ord, picture.study.study_uid)) % len(forms)] if sure or denied else ""
    told = [
        form
        for form, names in ((first, sure or denied), (words["doubtful"], maybe), (words["denied"], denied if sure else ()))
        if form and names
    ]
    text = words["join"].join(told) + words["end"]
    for slot, names in (("top", sure), ("maybe", maybe), ("not", denied)):
        if names:
            text = text.replace(f"{{{slot}}}", f"{{{names[0]}}}").replace(f"{{{slot}.", f"{{{names[0]}.")
    return text


def situation(picture: MedicinePicture, true: Sequence[str], language: Language, meta: dict[str, Any]) -> Situation:
    """The reading that a picture asks for, with the teacher's answer, and reading back with the truth as its check."""
    offered = options(picture)
    wanted = teacher_proposal(picture, true, language)

    def verify(answer: str) -> str:
        try:
            given = prompting.read_answer(answer, picture, offered)
        except ValueError as error:
            return str(error)
        right = {item.subject: item.role for item in wanted.understanding}
        wrong = [item.subject for item in given.understanding if item.role != right[item.subject]]
        return f"wrong presence for {', '.join(wrong)}" if wrong else ""

    chat = prompting.messages(picture, offered, (), language)
    return Situation(chat, prompting.answer_schema(picture, offered), prompting.write_answer(wanted, picture), verify, meta)


def rows_of(picture: MedicinePicture, true: Sequence[str], seed: int) -> Iterator[dict[str, Any]]:
    """The reading in both languages and a few questions about it, for any picture whose true candidates are known."""
    rng = np.random.default_rng((seed, 8))
    for language in LANGUAGES:
        asked = situation(picture, true, language, {"seed": seed, "task": "decide", "language": language})
        yield {"messages": [*asked.messages, {"role": "assistant", "content": asked.answer}], "meta": asked.meta}
    for number in range(QUESTIONS):
        language = LANGUAGES[(seed + number) % 2]
        question, answer, topic = _question(picture, language, rng)
        chat = prompting.question_messages(picture, question, language)
        meta = {"seed": seed, "task": "question", "topic": topic, "language": language}
        yield {"messages": [*chat, {"role": "assistant", "content": answer}], "meta": meta}


def _question(picture: MedicinePicture, language: Language, rng: np.random.Generator) -> tuple[str, str, str]:
    """(question, answer with figures by name, topic)."""
    forms = book()["questions"][language]
    there = {finding.label: finding for finding in picture.findings}
    finding = picture.findings[int(rng.integers(len(picture.findings)))] if picture.findings and rng.random() < 0.8 else None
    if finding is None:
        kind = [each for each in labels() if each.key not in there][int(rng.integers(20 - len(there)))].key
        topic = "absent"
    else:
        kind = finding.label
        topic = str(rng.choice(["where", "sure", "there", *(["size"] if finding.size else [])]))
    words = wording()["things"][kind]
    name = words["ko"] if language == "ko" else words["one"]
    ask = forms[topic]["ask"][int(rng.integers(len(forms[topic]["ask"])))].replace("{kind}", name)
    answer = forms[topic]["answer"].replace("{kind}", name)
    return ask, answer.replace("{id}", f"{{{finding.id}}}").replace("{id.", f"{{{finding.id}.") if finding else answer, topic


# findings of a scene


def _facts(patient: Scene, rng: np.random.Generator) -> StudyFacts:
    gap = float(rng.choice([1.0, 1.5, 2.0, 3.0, 5.0]))
    slices = int((patient.z_range_mm[1] - patient.z_range_mm[0]) / gap)
    return StudyFacts(
        study_uid=f"2.25.{patient.seed}", series_uid=f"2.25.{patient.seed}1", slice_uids=tuple(f"slice-{n + 1}" for n in range(slices)),
        slices=slices, spacing_mm=(gap, 0.7, 0.7), kernel=patient.taking.kernel, contrast=patient.taking.contrast,
        age_years=patient.age_years, sex=patient.sex, source="phantom",
    )  # fmt: skip


def _true(patient: Scene, facts: StudyFacts, rng: np.random.Generator) -> Iterator[Finding]:
    """One for each disease of the scene: of its largest object where it has some, else placed by chance."""
    for key in patient.labels:
        own = sorted((each for each in patient.lesions if each.label == key), key=lambda each: -float(each.core[AX : AZ + 1].max()))
        finding = _placed(label(key), facts, rng)
        if own:
            axes = sorted((2.0 * float(axis) for axis in own[0].core[AX : AZ + 1]), reverse=True)
            x, z = float(own[0].core[X]), float(own[0].core[Z])
            low, high = float(patient.extents[:, 0].min()), float(patient.extents[:, 1].max())
            share = (z - low) / (high - low)
            place = min(max(int((z - patient.z_range_mm[0]) / facts.spacing_mm[0]), 0), facts.slices - 1)
            finding = _at(
                finding, "left" if x > 0 else "right", "lower" if share < 1 / 3 else "mid" if share < 2 / 3 else "upper", place, facts
            )
            size = Size(long_mm=round(axes[0], 1), short_mm=round(axes[1], 1), volume_ml=round(axes[0] * axes[1] * axes[2] * 0.5236e-3, 2))
            finding = finding.model_copy(update={"size": size, "descriptors": own[0].descriptors, "count": len(own)})
        yield finding


def _placed(kind: Label, facts: StudyFacts, rng: np.random.Generator) -> Finding:
    """A finding of this kind somewhere."""
    place = int(rng.integers(facts.slices))
    finding = Finding(
        id="F0", label=kind.key, laterality="n/a", zone="n/a", lobe="n/a", slices=_slices(place, facts), centroid_lps_mm=(0.0, 0.0, 0.0),
        bbox_lps_mm=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), probability=0.5, found_by="both",
    )  # fmt: skip
    if kind.key in DIFFUSE:
        return finding.model_copy(update={"laterality": "bilateral", "zone": "diffuse", "lobe": "several"})
    side: Laterality = "left" if rng.random() < 0.5 else "right"
    zone: Zone = ("upper", "mid", "lower")[int(rng.integers(3))]
    sized = kind.key in ("nodule", "opacity", "consolidation", "mass")
    long_mm = float(rng.uniform(4.0, 30.0)) if sized else 0.0
    size = Size(long_mm=round(long_mm, 1), short_mm=round(0.8 * long_mm, 1), volume_ml=round(0.3e-3 * long_mm**3, 2)) if sized else None
    return _at(finding, side, zone, place, facts).model_copy(update={"size": size})


def _at(finding: Finding, side: Laterality, zone: Zone, place: int, facts: StudyFacts) -> Finding:
    """Side, zone and lobe where its label has them."""
    kind = label(finding.label)
    where: dict[str, Any] = {"slices": _slices(place, facts), "laterality": side if kind.sided else "n/a"}
    where |= {"zone": zone, "lobe": LOBES[side, zone]} if kind.zoned else {}
    return finding.model_copy(update=where)


def _slices(place: int, facts: StudyFacts) -> Slices:
    first, last = max(place - 3, 0), min(place + 3, facts.slices - 1)
    return Slices(first=first, last=last, key=place, key_uid=facts.slice_uids[place])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="rows to print")
    parser.add_argument("seed", type=int, nargs="?", default=TRAINING_SEED)
    args = parser.parse_args(argv)
    try:
        for row in rows(args.count, args.seed):
            print(json.dumps(row, ensure_ascii=False))
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
