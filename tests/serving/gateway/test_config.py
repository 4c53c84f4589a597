"""The gateway's file: what is wrong in it is named."""

from pathlib import Path

import pytest

from sdx_serving.gateway.check import faults
from sdx_serving.gateway.config import ConfigError, builtin, load, template
from sdx_serving.registry import Entry, Registry, Score

GOOD = """
upstreams:
  cloud: {url: "http://127.0.0.1:9/v1", model: big, can: [json_schema]}
  edge: {local: {model: embedded}}
routes:
  ship: {to: [cloud, edge], deadline_s: 10}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("deadline_s: 10", "deadline_s: -1", "routes.ship.deadline_s: Input should be greater than 0, got '-1'"),
        ("deadline_s: 10", "dead_line: 10", "routes.ship.dead_line: no such field"),
        ("[cloud, edge]", "[clout, edge]", "no upstream 'clout'; did you mean 'cloud'?"),
        ("[cloud, edge]", "[]", "routes.ship.to"),
        ('url: "http://127.0.0.1:9/v1", ', "", "upstreams.cloud: give either `url` or `local`"),
        ("http://127.0.0.1:9/v1", "ftp://x", "must begin with http"),
        ("can: [json_schema]", "can: [dance]", "upstreams.cloud.can.0"),
        ("  ship:", "  sh ip:", "routes.sh ip"),
        ("upstreams:", "upstream:", "upstreams: is missing"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, GOOD.replace(old, new)))
    assert says in str(error.value) and "gateway.yaml" in str(error.value)


@pytest.mark.parametrize("text", ["", "- a", "a: [", "\x00"])
def test_what_is_no_configuration_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="gateway.yaml"):
        load(written(tmp_path, text))
    with pytest.raises(ConfigError, match="sdx gateway init"):
        load(tmp_path / "absent.yaml")


def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, GOOD.replace("model: big", "key: sk-very-secret")))
    assert "sk-very-secret" not in str(error.value)


def test_the_template_is_valid_and_serves_what_the_built_in_does(tmp_path: Path) -> None:
    config = load(written(tmp_path, template()))
    assert config.upstreams == builtin().upstreams
    assert faults(config, Registry()) == []


def test_adapters_are_models_and_the_first_route_is_the_default(tmp_path: Path) -> None:
    text = GOOD.replace("model: embedded", "model: embedded, adapters: {ship-ko: a/ko.gguf}")
    config = load(written(tmp_path, text))
    routes = config.all_routes()
    assert routes["default"] == routes["ship"]
    assert (routes["ship-ko"].to[0].upstream, routes["ship-ko"].to[0].model) == ("edge", "ship-ko")
    edge = config.upstreams["edge"].local
    assert edge and edge.adapters["ship-ko"] == tmp_path / "a/ko.gguf"


def test_check_finds_what_cannot_be_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    text = GOOD.replace("model: big", "model: big, key_env: NO_SUCH_KEY").replace("model: embedded", "model: gone.gguf")
    said = "\n".join(faults(load(written(tmp_path, "listen: {host: 0.0.0.0}\nstate: own\n" + text)), Registry()))
    assert "NO_SUCH_KEY is not set" in said
    assert "gone.gguf" in said and "upstreams.edge.local" in said
    assert "there is no API key" in said


def test_check_finds_a_fallback_that_would_never_answer(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "shipped.json", tmp_path / "own.json")
    text = GOOD.replace("deadline_s: 10", "deadline_s: 10, task: ship")
    config = load(written(tmp_path, text))
    (fault,) = faults(config, registry)
    assert "routes.ship.to: edge would never answer" in fault
    sha256 = fault.split("weights ")[1][:12]
    model = next(iter((Path(__file__).parents[3] / "serving/sdx_serving/models").glob("*.gguf")))
    import hashlib

    whole = hashlib.sha256(model.read_bytes()).hexdigest()
    assert whole.startswith(sha256)
    score = Score(metric="accepted", value=0.9, rows=10, passed=True)
    registry.record(
        Entry(name="e", sha256=whole, compression="Q8_0", parameters=1, weights_bytes=1, context_tokens=2048, tasks={"ship": score})
    )
    assert faults(config, registry) == []


def test_an_address_that_is_not_there_is_found_when_asked_for(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD))
    assert faults(config, Registry()) == []
    assert any("upstreams.cloud.url" in fault for fault in faults(config, Registry(), reach=True))


def test_a_model_larger_than_the_budget_is_refused(tmp_path: Path) -> None:
    assert any("memory_mb is 20" in fault for fault in faults(load(written(tmp_path, "memory_mb: 20\n" + GOOD)), Registry()))
