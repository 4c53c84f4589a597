"""A file of what no device tells."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from heated_tank import NoteReading, Tank

from sdx_ros_nodes.facts import WithFacts, facts


def test_facts_come_with_the_first_readings_and_once(tmp_path: Path) -> None:
    file = tmp_path / "facts.yaml"
    file.write_text("readings:\n  - {kind: NoteReading, text: north side}\n")
    told = facts(file, [NoteReading])
    assert told == [NoteReading(t_s=0.0, source="facts", text="north side")]
    equipment = WithFacts(Tank("cold", 0), told)
    first, again = equipment.read(), equipment.read()
    assert told[0] in first and told[0] not in again and len(again) == 2
    assert [device.name for device in equipment.devices()] == ["heater", "water"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (": :", "cannot be read"),
        ("[]", "needs a list `readings:`"),
        ("readings: {}", "needs a list `readings:`"),
        ("readings: [{text: a}]", r"readings\[0\] needs `kind:`, one of NoteReading"),
        ("readings: [{kind: Note}]", r"readings\[0\] needs `kind:`"),
        ("readings: [{kind: NoteReading, text: a}, {kind: NoteReading}]", r"readings\[1\]: text: Field required"),
        ("readings: [{kind: NoteReading, text: a, colour: red}]", "colour: Extra inputs"),
    ],
)
def test_a_bad_file_is_told_with_entry_and_field(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "facts.yaml").write_text(text)
    with pytest.raises(ValueError, match=said):
        facts(tmp_path / "facts.yaml", [NoteReading])
    with pytest.raises(ValueError, match="cannot be read"):
        facts(tmp_path / "none.yaml", [NoteReading])
