"""Rows from a teacher: checked one by one, resumed to the same set, refused when the configuration changed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdx_finetune.augment.accept import Acceptance
from sdx_finetune.augment.requests import requests
from sdx_finetune.augment.review import decide, rejected_rows, unreviewed
from sdx_finetune.augment.run import augment, finished, preview
from sdx_finetune.augment.shots import choose_shots
from sdx_finetune.augment.spec import AugmentSpec, CheckSpec, ShotSpec
from sdx_finetune.datasets.gather import gather
from sdx_finetune.datasets.store import ALL, Store
from sdx_serving.client import DeadlineExceeded, EngineUnavailable, RequestRefused, Scripted

WORDS = [f"word{n}" for n in range(500)]
HERE = Path(__file__).parent


def sentence(rng: random.Random, words: int = 12) -> str:
    return " ".join(rng.choices(WORDS, k=words))


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    rng = random.Random(1)
    rows = [{"system": "Be short.", "prompt": sentence(rng), "completion": sentence(rng), "meta": {"kind": n % 3}} for n in range(12)]
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def spec_of(examples: Path, **changed: Any) -> AugmentSpec:
    held = {"name": "more", "task": "Numbers.", "rows": 8, "examples": str(examples), "teacher": {"model": "http://x/v1"}}
    return AugmentSpec.model_validate(yaml.safe_load(yaml.safe_dump(held | changed)))


def writes(seed: int = 0) -> Any:
    """A teacher that writes two new rows, decided by the prompt alone."""

    def say(messages: Any) -> str:
        rng = random.Random(f"{seed}{messages[-1]['content']}")
        return json.dumps({"rows": [{"user": sentence(rng), "assistant": sentence(rng)} for _ in range(2)]})

    return say


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def quiet(line: str) -> None: ...


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdx_finetune.augment.teacher.WAITS_S", (0.0, 0.0))


def test_rows_are_made_from_shots_and_say_where_they_come_from(examples: Path, tmp_path: Path) -> None:
    teacher = Scripted(writes())
    made, path = augment(spec_of(examples), teacher, tmp_path / "work", quiet)
    rows = rows_of(path)
    assert len(rows) == 8 and not made.rejected and made.requests == 4
    assert rows[0]["messages"][0] == {"role": "system", "content": "Be short."}
    assert rows[0]["meta"]["made_by"] == "scripted" and rows[0]["meta"]["made_key"] and rows[0]["meta"]["language"] == "en"
    prompt = teacher.asked[0][0]["content"]
    assert "Numbers." in prompt and prompt.count('"user"') == 4 + 1 and "Be short." not in prompt


@pytest.mark.parametrize(
    ("said", "changed", "reason"),
    [
        ("no json", {}, "the answer is no"),
        ('{"rows": [{"user": "a"}]}', {}, "the answer is no"),
        ('{"rows": [{"user": "a b c", "assistant": " "}]}', {}, "messages.2.content: empty"),
        ('{"rows": [{"user": "a b c", "assistant": "3"}]}', {"checks": {"ranges": {"w1": [0, 100]}}}, "answer.w1: missing"),
        ('{"rows": [{"user": "a b c", "assistant": "{\\"w1\\": 130}"}]}', {"checks": {"ranges": {"w1": [0, 100]}}}, "130 is outside 0..100"),
        ('{"rows": [{"user": "a b c", "assistant": "in English"}]}', {"languages": ["ko"]}, "asked for in ko, written in en"),
        ('{"rows": [{"user": "a b c", "assistant": "d e f"}]}', {"balance": {"language": {"en": 0.001}}}, "has its 0% of the rows already"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_pass_keeps_its_reason(said: str, changed: dict[str, Any], reason: str, examples: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    spec = spec_of(examples, most_requests=2, per_request=1, **changed)
    made, path = augment(spec, Scripted(said), tmp_path / "work", lines.append)
    kept = len(made.accepted)
    assert made.rejected + kept == 2 and rows_of(path) == made.accepted and kept <= ("balance" in changed)
    assert reason in [found for found, _ in rejected_rows(tmp_path / "work")][-1]
    assert any("gave up after 2 requests" in line for line in lines)


def test_an_answer_is_held_to_its_json_schema(examples: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "object", "properties": {"w1": {"type": "integer"}}, "required": ["w1"]}))
    acceptance = Acceptance(spec_of(examples, checks={"answer_schema": str(schema)}), [], [])
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": '{"w1": "x"}'}], "images": [], "meta": {}}
    assert acceptance.take(row) == "answer.w1: 'x' is not of type 'integer'"


def test_copies_of_examples_and_of_rows_kept_apart_are_refused(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDX_DATASETS", str(tmp_path / "home"))
    rng = random.Random(9)
    apart = tmp_path / "apart.jsonl"
    apart.write_text(json.dumps({"prompt": sentence(rng), "completion": sentence(rng)}))
    facts = {
        "name": "eval",
        "sources": [],
        "licence": "",
        "description": "",
        "dropped": 0,
        "tokens": 0,
        "tokenizer": "",
        "languages": {},
        "groups": 1,
    }
    card = Store().add({ALL: gather([apart]).rows}, facts)
    pairs = [
        (row["messages"][-2]["content"], row["messages"][-1]["content"]) for row in [gather([examples]).rows[3], gather([apart]).rows[0]]
    ]
    said = json.dumps({"rows": [{"user": user, "assistant": answer} for user, answer in pairs]})
    spec = spec_of(examples, most_requests=1, checks={"apart_from": [f"eval@{card.version}"]})
    augment(spec, Scripted(said), tmp_path / "work", quiet)
    assert [reason for reason, _ in rejected_rows(tmp_path / "work")] == ["100% like an example", "100% like a row that is kept apart"]


def test_a_slow_and_uneven_teacher_gives_the_same_rows(examples: Path, tmp_path: Path) -> None:
    def uneven(messages: Any) -> str:
        time.sleep(random.random() * 0.02)
        return writes()(messages)

    spec = spec_of(examples, rows=40, teacher={"model": "http://x/v1", "concurrency": 8})
    _, fast = augment(spec_of(examples, rows=40), Scripted(writes()), tmp_path / "a", quiet)
    _, slow = augment(spec, Scripted(uneven), tmp_path / "b", quiet)
    assert fast.read_bytes() == slow.read_bytes()


def test_more_rows_are_added_and_a_changed_configuration_is_refused(examples: Path, tmp_path: Path) -> None:
    _, path = augment(spec_of(examples), Scripted(writes()), tmp_path / "work", quiet)
    before = rows_of(path)
    augment(spec_of(examples, rows=12), Scripted(writes()), tmp_path / "work", quiet)
    assert rows_of(path)[:8] == before and len(rows_of(path)) == 12
    with pytest.raises(ValueError, match="holds rows of another configuration.*another --work to fork"):
        augment(spec_of(examples, seed=5), Scripted(writes()), tmp_path / "work", quiet)


def test_a_teacher_that_is_gone_stops_the_run_and_loses_nothing(examples: Path, tmp_path: Path) -> None:
    spec = spec_of(examples, teacher={"model": "http://x/v1", "concurrency": 1})
    gone = Scripted(writes(), writes(), EngineUnavailable("nothing answers"))
    with pytest.raises(EngineUnavailable):
        augment(spec, gone, tmp_path / "work", quiet)
    assert (tmp_path / "work/journal.jsonl").read_text().count("\n") >= 1
    _, path = augment(spec, Scripted(writes()), tmp_path / "work", quiet)
    _, whole = augment(spec, Scripted(writes()), tmp_path / "other", quiet)
    assert path.read_bytes() == whole.read_bytes()


def test_an_answer_that_is_late_is_a_rejected_request(examples: Path, tmp_path: Path) -> None:
    made, _ = augment(spec_of(examples, most_requests=1), Scripted(DeadlineExceeded("no answer within 1 s")), tmp_path / "w", quiet)
    assert made.reasons.total() == 1 and "no answer within" in next(iter(made.reasons))


def test_preview_writes_nothing_and_says_what_it_would_take(examples: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    rows, _ = preview(spec_of(examples, rows=100), Scripted(writes()), 2, lines.append)
    assert len(rows) == 2 and "100 rows would take about 50 requests" in lines[-1]


KILLED = """
import sys, time
from pathlib import Path
import yaml
from sdx_finetune.augment.run import augment
from sdx_finetune.augment.spec import AugmentSpec
spec = AugmentSpec.model_validate(yaml.safe_load(Path(sys.argv[1]).read_text()))
augment(spec, None, Path(sys.argv[2]), lambda line: None)
"""


def test_killed_at_any_moment_it_ends_with_the_same_rows(tmp_path: Path) -> None:
    held = {"name": "toy", "rows": 120, "situations": "toy_situations:situations", "seed": 0, "checks": {"near": 1.0}}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(held))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}

    def start(work: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "spec.yaml"), str(tmp_path / work)], env=environment)

    assert start("whole").wait(60) == 0
    rng = random.Random(4)
    journal = tmp_path / "killed/journal.jsonl"
    for kill in range(10):
        process = start("killed")
        ends, wanted = time.monotonic() + 30, 400 + kill * rng.randint(200, 900)
        while process.poll() is None and time.monotonic() < ends and not (journal.exists() and journal.stat().st_size > wanted):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start("killed").wait(60) == 0
    assert (tmp_path / "killed/rows.jsonl").read_bytes() == (tmp_path / "whole/rows.jsonl").read_bytes()
    assert (tmp_path / "whole/rows.jsonl").read_text().count("\n") == 120


def test_a_refused_answer_becomes_a_preference_for_the_domains_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    teacher = {"model": "http://x/v1", "concurrency": 1}
    spec = AugmentSpec.model_validate({"name": "sums", "rows": 2, "situations": "toy_situations:situations", "teacher": teacher, "seed": 5})

    def adds(messages: Any) -> str:  # right for even sums alone
        a, b = (int(word.strip("?")) for word in messages[-1]["content"].split()[2::2])
        return str(a + b if (a + b) % 2 == 0 else a - b)

    augment(spec, Scripted(adds), tmp_path / "work", quiet)
    found = gather([tmp_path / "work" / "pairs.jsonl"])
    assert found.rows and not found.faults
    for row in found.rows:
        a, b = (int(word.strip("?")) for word in row["messages"][0]["content"].split()[2::2])
        assert (a + b) % 2 and row["messages"][-1]["content"] in (str(a + b), str(a + b + 1)) and row["rejected"] == str(a - b)
        assert "is not" in row["meta"]["refused"]


def test_decisions_by_hand_count_when_the_rows_are_written_again(examples: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    _, path = augment(spec_of(examples), Scripted(writes()), work, quiet)
    first, second, *rest = unreviewed(work)
    decide(work, first, "reject")
    decide(work, second, "edit", "better")
    decide(work, rest[0], "accept")
    with pytest.raises(ValueError, match="must not be empty"):
        decide(work, rest[1], "edit")
    assert len(unreviewed(work)) == 5
    augment(spec_of(examples), Scripted(writes()), work, quiet)
    rows = rows_of(path)
    assert len(rows) == 7 and rows[0]["messages"][-1]["content"] == "better" and rows[0]["meta"]["edited"]


def test_shots_are_diverse_similar_or_of_each_class(examples: Path) -> None:
    pool = gather([examples]).rows
    close = {**pool[0], "key": "close", "messages": [*pool[0]["messages"][:-1], {"role": "assistant", "content": "other"}]}
    both = {"close", pool[0]["key"]}
    for seed in range(5):
        diverse = choose_shots([*pool, close], ShotSpec(count=6, choose="diverse"), random.Random(seed))
        assert len(diverse) == 6 and not both <= {row["key"] for row in diverse}
    pair = choose_shots([pool[0], close, pool[5]], ShotSpec(count=2, choose="similar"), random.Random(2))
    assert pair[0]["key"] not in both or {row["key"] for row in pair} == both
    kinds = choose_shots(pool, ShotSpec(count=3, choose="class", key="kind"), random.Random(0))
    assert sorted(row["meta"]["kind"] for row in kinds) == [0, 1, 2]
    with pytest.raises(ValueError, match="has no meta.colour"):
        choose_shots(pool, ShotSpec(choose="class", key="colour"), random.Random(0))


def test_languages_and_temperatures_take_turns(examples: Path) -> None:
    spec = spec_of(examples, languages=["en", "ko"], teacher={"model": "http://x/v1", "temperatures": [0.2, 0.9]})
    rows = gather([examples]).rows
    asked = [request for request, _ in zip(requests(spec, rows, 0), range(4), strict=False)]
    assert [request.temperature for request in asked] == [0.2, 0.2, 0.9, 0.9]
    assert ["과제" in request.messages[0]["content"] for request in asked] == [False, True, False, True]
    later = next(requests(spec, rows, 3))
    assert later.key("m", 9) == asked[3].key("m", 9) != asked[2].key("m", 9)


def test_a_template_that_asks_for_what_is_not_there_is_named(examples: Path, tmp_path: Path) -> None:
    (tmp_path / "own.j2").write_text("{{ topic }}")
    with pytest.raises(ValueError, match=r"own.j2: 'topic' is undefined; it may use task"):
        next(requests(spec_of(examples, prompt=str(tmp_path / "own.j2")), gather([examples]).rows, 0))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("rows: 3", "either examples"),
        ("rows: 3\nexamples: a.jsonl", "teacher.model"),
        ("rows: 3\nexamples: a.jsonl\nteacher: {model: 'http://x'}", "task: say in a sentence"),
        ("rows: 0\nsituations: a:b", "rows: .*greater than or equal to 1.*given: 0"),
        ("rows: 3\nsituations: a:b\nshots: {choose: class}", "shots.key goes with"),
        ("rows: 3\nsituations: a:b\nchecks: {apart_from: [port]}", "names no version"),
        ("rows: 3\nsituations: a:b\nnaer: 1", "naer: Extra inputs"),
        ("rows: [", "not YAML"),
    ],
)
def test_a_wrong_file_names_field_value_and_what_is_wanted(fields: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"name: more\n{fields}\n")
    with pytest.raises(ValueError, match=f"own.yaml: .*{message}"):
        AugmentSpec.load(path)


def test_paths_are_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("name: more\ntask: t\nrows: 3\nexamples: a.jsonl\nteacher: {model: embedded}\n")
    assert AugmentSpec.load(tmp_path / "own.yaml").examples == tmp_path / "a.jsonl"
    assert CheckSpec().near == 0.9


def test_a_busy_server_is_asked_again_and_a_refused_request_is_passed_over(examples: Path, tmp_path: Path) -> None:
    busy, too_long = RequestRefused("429", 429), RequestRefused("prompt too long", 400)
    spec = spec_of(examples, rows=4, teacher={"model": "http://x/v1", "concurrency": 1})
    _, path = augment(spec, Scripted(busy, too_long, EngineUnavailable("gone"), writes()), tmp_path / "work", quiet)
    assert len(rows_of(path)) == 4 and [reason for reason, _ in rejected_rows(tmp_path / "work")] == ["prompt too long"]
    with pytest.raises(RequestRefused):
        augment(spec, Scripted(RequestRefused("no such key", 401)), tmp_path / "other", quiet)


def test_an_answer_that_was_cut_off_is_told_so(examples: Path, tmp_path: Path) -> None:
    class Cut(Scripted):
        def complete(self, *asked: Any, **named: Any) -> Any:
            return replace(super().complete(*asked, **named), finish_reason="length")

    augment(spec_of(examples, most_requests=1), Cut(writes()), tmp_path / "work", quiet)
    assert "cut off at teacher.max_tokens 800" in next(rejected_rows(tmp_path / "work"))[0]


def test_answers_that_had_come_are_not_asked_for_again(examples: Path, tmp_path: Path) -> None:
    spec = spec_of(examples, rows=40, teacher={"model": "http://x/v1", "concurrency": 4})
    with pytest.raises(EngineUnavailable):
        augment(spec, Scripted(*[writes()] * 12, EngineUnavailable("gone")), tmp_path / "work", quiet)
    kept = (tmp_path / "work/answers.jsonl").read_text().count("\n")
    teacher = Scripted(writes())
    augment(spec, teacher, tmp_path / "work", quiet)
    assert kept == 12 and len(teacher.asked) <= 20 - 12 + 8


def test_a_finished_run_asks_nobody(examples: Path, tmp_path: Path) -> None:
    augment(spec_of(examples), Scripted(writes()), tmp_path / "work", quiet)
    assert finished(spec_of(examples), tmp_path / "work") and not finished(spec_of(examples, rows=9), tmp_path / "work")
    gone = Scripted(EngineUnavailable("gone"))
    augment(spec_of(examples), gone, tmp_path / "work", quiet)
    assert not gone.asked


def test_changed_examples_are_another_configuration(examples: Path, tmp_path: Path) -> None:
    augment(spec_of(examples), Scripted(writes()), tmp_path / "work", quiet)
    moved = examples.rename(tmp_path / "moved.jsonl")
    augment(spec_of(moved), Scripted(writes()), tmp_path / "work", quiet)
    moved.write_text(moved.read_text() + '\n{"prompt": "one more", "completion": "row"}')
    with pytest.raises(ValueError, match="another configuration"):
        augment(spec_of(moved), Scripted(writes()), tmp_path / "work", quiet)


def test_a_decision_that_a_kill_cut_off_is_taken_away(examples: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    augment(spec_of(examples), Scripted(writes()), work, quiet)
    first, second, *_ = unreviewed(work)
    decide(work, first, "reject")
    with (work / "review.jsonl").open("a") as file:
        file.write('{"key": "hal')
    decide(work, second, "reject")
    assert len(unreviewed(work)) == 6


def test_a_check_of_the_users_own_that_fails_rejects_the_row(examples: Path, tmp_path: Path) -> None:
    augment(spec_of(examples, most_requests=1, checks={"domain": "json:loads"}), Scripted(writes()), tmp_path / "work", quiet)
    assert "json:loads failed on it" in next(rejected_rows(tmp_path / "work"))[0]
