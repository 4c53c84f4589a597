"""A store of templates alarms, a store of honest reports does not."""

from sdx_domains.medicine.assure.collapse import Told, collapse
from sdx_domains.medicine.assure.random_studies import study
from sdx_domains.medicine.language.render import render


def told(count: int) -> list[Told]:
    made = []
    for number in range(count):
        of = study(500_000_500 + number)
        text = render(of.picture, of.statements, "en", "draft").findings_text()
        stated = frozenset(each.finding.label for each in of.statements if each.present == "yes")
        made.append(Told(text=text, labels=stated, truth=stated))
    return made


HONEST = told(40)


def test_honest_reports_raise_no_alarm():
    found = collapse(HONEST)
    assert found.alarms == () and found.distinct_ratio > 0.9 and found.drift_bits < 0.1 and found.rare_recall in (None, 1.0)


def test_templates_are_seen():
    same = [each.model_copy(update={"text": HONEST[0].text}) for each in HONEST]
    assert "differ in words" in " ".join(collapse(same).alarms)
    figures = [each.model_copy(update={"text": f"A nodule, {n}.5 mm (slice {n}/99)."}) for n, each in enumerate(HONEST)]
    assert "differ in words" in " ".join(collapse(figures).alarms)


def test_everything_normal_is_seen_with_and_without_the_truth():
    normal = [each.model_copy(update={"labels": frozenset()}) for each in HONEST]
    assert "the studies have nothing" in " ".join(collapse(normal).alarms)
    blind = [each.model_copy(update={"truth": None}) for each in normal]
    assert "look into it" in " ".join(collapse(blind).alarms) and collapse(blind).rare_recall is None


def test_forgotten_rare_labels_are_seen():
    store = [
        Told(text=f"a{n}", labels=frozenset({"nodule"}), truth=frozenset({"nodule"} | ({"mosaic"} if n < 4 else set()))) for n in range(60)
    ]
    found = collapse(store)
    assert found.rare_recall == 0.0 and "rare findings" in " ".join(found.alarms)


def test_drift_between_halves_is_seen():
    first = [Told(text=f"a{chr(97 + n)}", labels=frozenset({"nodule"})) for n in range(20)]
    second = [Told(text=f"b{chr(97 + n)}", labels=frozenset({"mass"})) for n in range(20)]
    found = collapse([*first, *second])
    assert found.drift_bits == 1.0 and "drifted" in " ".join(found.alarms)


def test_a_small_store_raises_no_alarm():
    assert collapse([Told(text="x", labels=frozenset())] * 5).alarms == () and collapse([]).reports == 0
