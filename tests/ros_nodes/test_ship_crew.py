"""Plant, guard and agent together, with real ship code, in one process on a clock that the test moves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdx_domains.contract import Proposal
from sdx_ros_nodes import events, topics
from sdx_ros_nodes.deciding import Decided
from sdx_ros_nodes.messages import new

Make = Callable[..., Any]


def test_the_whole_loop_turns(crew: Make) -> None:
    ship = crew(rate=10.0)
    ship.start_agent()
    ship.run(8.0)
    assert ship.last(topics.MODE).data == "agent"
    assert ship.judged("proposal")[0].verdict.kind == "accept"
    commands = ship.commands()
    assert [command.seq for command in commands] == list(range(1, len(commands) + 1))
    assert len(commands) >= 70, "ten a second"
    assert all(command.verdict_id and command.order_id for command in commands)
    assert ship.plant.plant.trace.orders, "the plant carried one out"
    assert ship.heard["picture"] and ship.heard["route"] and ship.heard["plan"] and ship.heard["/clock"]
    nodes = {message.node for message in ship.heard["heartbeat"]}
    assert nodes == {"/ship/ship_plant", "/ship/ship_guard", "/ship/ship_agent"}


def test_every_order_is_on_record_with_its_verdict(crew: Make) -> None:
    ship = crew(rate=10.0)
    ship.start_agent()
    ship.run(8.0)
    ship.recorder.close()
    recorded = {payload["order"]["setpoints"]["heading_deg"] for kind, payload in ship.records if kind == "order"}
    assert recorded and {kind for kind, _ in ship.records} >= {"order", "standing", "judged"}
    ids = {payload["verdict_id"] for kind, payload in ship.records if kind == "order"}
    assert {command.verdict_id for command in ship.commands()} == ids


def test_without_an_agent_the_fallback_has_the_con(crew: Make) -> None:
    ship = crew()
    ship.run(3.0)
    assert ship.last(topics.MODE).data == "fallback" and ship.commands()[-1].source == "fallback"


def test_a_killed_agent_loses_the_con_within_the_watchdog_and_its_successor_gets_it(crew: Make) -> None:
    ship = crew(rate=5.0)
    ship.kill(_started(ship))
    before = len(ship.commands())
    ship.run(2.0)
    assert ship.last(topics.MODE).data == "agent", "the verified order stands for the watchdog's time"
    ship.run(2.0)
    assert ship.last(topics.MODE).data == "fallback"
    assert len(ship.commands()) - before >= 38, "not one tick was missed"
    ship.start_agent()
    ship.run(2.0)
    assert ship.last(topics.MODE).data == "agent"


def _started(ship: Any) -> Any:
    agent = ship.start_agent()
    ship.run(3.0)
    assert ship.last(topics.MODE).data == "agent"
    return agent


def test_an_agent_that_hangs_in_a_decision_shows_it_and_loses_the_con(crew: Make) -> None:
    import threading

    ship = crew(rate=10.0, decision_limit_s=2.0)
    hang = threading.Event()
    planned = ship.domain

    def decide(picture: Any, language: Any) -> Decided:
        if picture.t_s > 30.0:
            hang.wait(20.0)
        options = planned.options(picture)
        order = planned.fallback(picture, options).order
        return Decided(options, Proposal(option_id=order.option_id, confidence=1.0))

    agent = ship.start_agent(decide, decide_every_s=15.0)
    ship.run(2.5)
    assert ship.last(topics.MODE).data == "agent"
    ship.bus.run(8.0)  # without waiting for the decision
    assert agent.shell.busy_since_s is not None
    beats = [message for message in ship.heard["heartbeat"] if message.node == "/ship/ship_agent"]
    assert beats[-1].state == "deciding" and beats[-1].busy > 5.0
    assert ship.last(topics.MODE).data == "fallback"
    hang.set()


def test_a_dead_guard_brings_the_ship_into_its_safe_state_and_a_new_one_takes_over(crew: Make) -> None:
    ship = crew()
    ship.run(3.0)
    ship.kill(ship.guard)
    ship.run(4.0)
    assert ship.plant.safe
    label, setpoints = _last_order(ship)
    assert label == "watchdog" and setpoints["speed_kn"] == 4.0
    ship.guard = ship.start_guard()
    ship.run(2.0)
    assert not ship.plant.safe and _last_order(ship)[0] != "watchdog"


def _last_order(ship: Any) -> tuple[str, dict[str, float]]:
    order = ship.plant.plant.trace.orders[-1][1]
    return order.label, dict(order.setpoints)


@pytest.mark.parametrize("dead", ["nothing", "agent", "guard"])
def test_the_stop_works_with_everything_else_dead(crew: Make, dead: str) -> None:
    ship = crew()
    agent = ship.start_agent()
    ship.run(2.0)
    if dead == "agent":
        ship.kill(agent)
    if dead == "guard":
        ship.kill(agent)
        ship.kill(ship.guard)
    ship.request.publish(new(topics.ESTOP_REQUEST.type_name, data=True))
    ship.run(0.2)
    assert ship.plant.stopped and _last_order(ship)[0] == "stop" and _last_order(ship)[1]["speed_kn"] == 0.0
    ship.run(3.0)
    assert ship.plant.stopped


def test_the_stop_is_latched_repeated_and_survives_the_guard(crew: Make, tmp_path: Path) -> None:
    ship = crew()
    ship.run(1.0)
    ship.act(events.Stop(by="test", reason="drill"))
    ship.run(0.2)
    before, orders = len(ship.heard["estop"]), len(ship.commands())
    ship.run(5.0)
    repeated = ship.heard["estop"][before:]
    assert 4 <= len(repeated) <= 6 and all(message.data for message in repeated)
    assert len(ship.commands()) == orders, "a stopped guard orders nothing"
    ship.recorder.close()
    ship.kill(ship.guard)
    ship.guard = ship.start_guard()
    ship.run(1.0)
    assert ship.last(topics.MODE).data == "stopped" and ship.last(topics.ESTOP).data
    ship.act(events.Reset(by="test"))
    ship.run(3.0)
    assert ship.last(topics.MODE).data == "fallback" and not ship.last(topics.ESTOP).data and not ship.plant.stopped
    ship.recorder.close()
    ship.kill(ship.guard)
    ship.guard = ship.start_guard()
    ship.run(1.0)
    assert ship.last(topics.MODE).data == "fallback", "a reset is remembered too"


def test_a_stop_file_that_cannot_be_read_counts_as_a_stop(crew: Make, tmp_path: Path) -> None:
    (tmp_path / "stop.json").write_text("{")
    ship = crew()
    ship.run(1.0)
    assert ship.last(topics.MODE).data == "stopped"


def test_take_over_and_release(crew: Make) -> None:
    ship = crew()
    ship.start_agent()
    ship.run(2.0)
    ship.act(events.Override(by="mate", setpoints={"heading_deg": 45.0, "speed_kn": 8.0}))
    ship.run(1.0)
    assert ship.last(topics.MODE).data == "override" and ship.commands()[-1].source == "human"
    assert _last_order(ship)[1]["heading_deg"] == pytest.approx(45.0)
    ship.act(events.Release(by="mate"))
    ship.run(1.0)
    assert ship.last(topics.MODE).data in ("fallback", "agent")
    ship.recorder.close()
    assert [payload["kind"] for kind, payload in ship.records if kind == "operator"] == ["override", "release"]


@pytest.mark.parametrize("wish", [{"heading_deg": 400.0, "speed_kn": 8.0}, {"heading_deg": 45.0}, {"level_m": 1.0}])
def test_a_take_over_beyond_the_ships_bounds_is_refused(crew: Make, wish: dict[str, float]) -> None:
    ship = crew()
    ship.run(1.0)
    ship.act(events.Override(by="mate", setpoints=wish))
    ship.act(events.Manual(by="mate", device="rudder", position_pct=50.0))
    ship.run(0.5)
    assert ship.last(topics.MODE).data == "fallback"
    ship.recorder.close()
    why = [payload["why"] for kind, payload in ship.records if kind == "refused"]
    assert len(why) == 2 and "heading_deg" in why[0] and "no device 'rudder'" in why[1]


def _pending(ship: Any) -> events.Pending:
    return events.read_event(events.Pending, ship.last(topics.PENDING))


def test_in_ask_mode_an_order_waits_for_its_own_approval(crew: Make) -> None:
    ship = crew(approval="ask", rate=2.0)
    ship.start_agent()
    ship.run(3.0)
    waiting = _pending(ship)
    assert waiting.order is not None and ship.last(topics.MODE).data == "fallback"
    ship.act(events.Approve(by="mate", order_id="0000000000000000"))
    ship.run(0.5)
    assert ship.last(topics.MODE).data == "fallback", "another id approves nothing"
    ship.act(events.Approve(by="mate", order_id=waiting.order.id))
    ship.run(0.5)
    assert ship.last(topics.MODE).data == "agent" and ship.commands()[-1].order_id == waiting.order.id
    assert _pending(ship).outcome == "approved"
    ship.act(events.Approve(by="mate", order_id=waiting.order.id))
    ship.run(0.5)
    assert ship.commands()[-1].order_id == waiting.order.id
    ship.recorder.close()
    refused = [payload["why"] for kind, payload in ship.records if kind == "refused"]
    assert len(refused) == 2 and "not the one that waits" in refused[0] and "no order is waiting" in refused[1]


def test_approval_expires_and_can_be_refused(crew: Make) -> None:
    ship = crew(approval="ask", rate=10.0, approval_s=20.0)
    ship.start_agent(decide_every_s=1000.0, decide_at_most_every_s=1000.0)
    ship.run(1.5)
    waiting = _pending(ship)
    assert waiting.order is not None
    ship.run(3.0)
    assert _pending(ship).outcome == "expired"
    ship.act(events.Approve(by="mate", order_id=waiting.order.id))
    ship.run(0.5)
    assert ship.last(topics.MODE).data == "fallback"


def test_a_refused_order_is_gone(crew: Make) -> None:
    ship = crew(approval="ask", rate=2.0)
    ship.start_agent()
    ship.run(2.0)
    waiting = _pending(ship)
    assert waiting.order is not None
    ship.act(events.Refuse(by="mate", order_id=waiting.order.id))
    ship.run(0.5)
    assert _pending(ship).outcome == "refused" and ship.last(topics.MODE).data == "fallback"


def test_a_proposal_that_asks_for_a_human_waits_even_in_auto_mode(crew: Make) -> None:
    ship = crew(rate=2.0)
    base = ship.domain

    def decide(picture: Any, language: Any) -> Decided:
        options = base.options(picture)
        order = base.fallback(picture, options).order
        return Decided(options, Proposal(option_id=order.option_id, confidence=0.2, needs_human=True))

    ship.start_agent(decide)
    ship.run(2.0)
    assert _pending(ship).order is not None and ship.last(topics.MODE).data == "fallback"


def test_a_late_proposal_is_a_timeout_and_one_without_an_answer_too(crew: Make) -> None:
    ship = crew(rate=10.0)
    ship.run(2.0)
    picture = ship.domain.load_picture(json.loads(ship.last(topics.PICTURE).json))
    old = events.Proposed(picture_id=picture.id, picture_t_s=picture.t_s, options=(), proposal=Proposal(option_id=None, confidence=1.0))
    failed = old.model_copy(update={"picture_t_s": picture.t_s + 60.0, "failed": "timeout", "note": "no answer in 10 s"})
    ship.run(8.0)
    ship.proposal.publish(events.event("proposal", "1", old, 0.0))
    ship.run(0.1)
    ship.proposal.publish(events.event("proposal", "2", failed, 0.0))
    ship.run(0.5)
    first, second = ship.judged("proposal")
    assert first.verdict.kind == "timeout" and "s old; at most 60 s" in first.verdict.reasons[0]
    assert second.verdict.kind == "timeout" and second.verdict.reasons == ("no answer in 10 s",)


def test_the_same_proposal_counts_once(crew: Make) -> None:
    ship = crew(rate=2.0)
    ship.start_agent()
    ship.run(2.0)
    before = len(ship.judged("proposal"))
    ship.proposal.publish(ship.heard["proposal"][0])
    ship.run(0.5)
    assert len(ship.judged("proposal")) == before


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"options": 3}', "[" * 2000, '{"picture_id":"x","picture_t_s":1e999,"options":[],"proposal":{}}']
)
def test_hostile_proposals_and_actions_change_nothing(crew: Make, text: str) -> None:
    ship = crew()
    ship.run(2.0)
    ship.proposal.publish(new(events.EVENT_TYPE, kind="proposal", json=text))
    ship._operator.publish(new(events.EVENT_TYPE, kind="operator", json=text))
    before = len(ship.commands())
    ship.run(1.0)
    assert len(ship.commands()) - before >= 9
    ship.recorder.close()
    assert [payload["what"] for kind, payload in ship.records if kind == "refused"] == ["proposal", "operator"]


def test_a_new_run_of_the_plant_starts_with_a_new_picture(crew: Make) -> None:
    ship = crew(rate=10.0)
    ship.start_agent()
    ship.run(5.0)
    ship.plant._begin_anew()
    ship.run(2.0)
    assert ship.commands()[-1].header.stamp.sec < 25
    assert ship.plant.plant.trace.orders, "orders reach the new ship"
    ship.recorder.close()
    assert "plant_restart" in {kind for kind, _ in ship.records}


def test_diagnostics_say_who_has_the_con(crew: Make) -> None:
    ship = crew()
    ship.run(3.0)
    status = {entry.name: entry for message in ship.heard["/diagnostics"] for entry in message.status}
    guard = status["/ship/ship_guard: guard"]
    assert guard.level == 1 and guard.message.startswith("fallback") and {value.key for value in guard.values} >= {"tick_ms_max"}
    assert status["/ship/ship_plant: plant"].message == "under orders"
    assert "on disk" in status["/ship/ship_guard: audit"].message


def test_floods_are_bounded_and_told(crew: Make) -> None:
    ship = crew()
    writer = ship.node("flood").publisher(topics.TARGETS.name, topics.TARGETS.type_name, topics.TARGETS.qos)
    track = new("sdx_msgs/msg/TargetTrack", track_id="radar:1", latitude=float("nan"))
    ship.run(1.0)
    for _ in range(3):
        writer.publish(new(topics.TARGETS.type_name, targets=[track] * 1500))
    ship.run(1.5)
    status = [entry for message in ship.heard["/diagnostics"] for entry in message.status if "targets" in entry.name]
    assert status and "1500 targets in one message" in status[-1].message
    assert ship.last(topics.MODE).data == "fallback"


def test_the_guard_sees_through_nmea_alone(crew: Make) -> None:
    """Plant speaks sentences only, the sensors node makes topics of them: the picture is that of the topics, as AIS rounds it."""
    from sdx_ros_nodes.ship_plant_node import PlantParameters, ShipPlantNode
    from sdx_ros_nodes.ship_sensors_node import SensorParameters, build

    ship = crew(scenario="imazu-05", rate=5.0)
    ship.kill(ship.plant)
    build(ship.node("ship_sensors"), SensorParameters(source="topic:", use_sim_time=True))
    parameters = PlantParameters(rate=5.0, sensors="nmea", on_end="hold")
    ship.plant = ShipPlantNode(ship.node("ship_plant"), parameters, lambda run: ship.domain.plant("imazu-05", run))
    ship.run(6.0)
    picture = json.loads(ship.last(topics.PICTURE).json)
    assert len(picture["targets"]) == 2 and ship.last(topics.MODE).data == "fallback"
    truth = ship.plant.plant.own
    assert picture["own"]["heading_deg"] == pytest.approx(truth.heading_deg, abs=1.0)
    assert picture["own"]["age_s"] < 2.0


def test_the_heading_goes_out_to_an_autopilot(crew: Make) -> None:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as autopilot:
        autopilot.bind(("127.0.0.1", 0))
        autopilot.settimeout(2.0)
        ship = crew(autopilot=f"127.0.0.1:{autopilot.getsockname()[1]}")
        ship.run(2.5)
        lines = [autopilot.recv(200).decode() for _ in range(4)]
    assert [line[3:6] for line in lines] == ["HSC", "HTC"] * 2 and lines[0].endswith("\r\n")
    heading = float(lines[0].split(",")[1])
    assert heading == pytest.approx(dict(ship.judged("order")[-1].verdict.order.setpoints)["heading_deg"], abs=0.1)
    ship.guard.close()
