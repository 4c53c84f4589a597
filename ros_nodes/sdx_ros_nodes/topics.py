"""Every topic in one table: name, type, quality of service. Names are relative to the namespace, /<domain> unless another is given."""

from dataclasses import dataclass

from sdx_ros_nodes.qos import BULK, COMMAND, HISTORY, LATCHED, SENSOR, STATE, QoS

NAMESPACE = "/ship"


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    type_name: str
    qos: QoS
    meaning: str


FIX = Topic("fix", "sensor_msgs/msg/NavSatFix", SENSOR, "own position")
VEL = Topic("vel", "geometry_msgs/msg/TwistStamped", SENSOR, "course and speed over ground as an ENU vector")
IMU = Topic("imu/data", "sensor_msgs/msg/Imu", SENSOR, "heading (yaw) and rate of turn")
OWN_STATE = Topic("own_state", "sdx_msgs/msg/OwnState", SENSOR, "rudder, ordered heading and speed")
TARGETS = Topic("targets", "sdx_msgs/msg/TargetArray", STATE, "reports about other vessels")
ENVIRONMENT = Topic("environment", "sdx_msgs/msg/EnvironmentState", LATCHED, "visibility, wind, current, depth")
ROUTE = Topic("route", "sdx_msgs/msg/Route", LATCHED, "waypoints still ahead and the planned speed")
PLAN = Topic("plan", "nav_msgs/msg/Path", LATCHED, "the route for display, frame map (ENU, m), origin at the first position")
NMEA = Topic("nmea", "std_msgs/msg/String", BULK, "NMEA 0183 and AIS sentences as received")
CLOCK = Topic("/clock", "rosgraph_msgs/msg/Clock", SENSOR, "the simulated plant's time")
COMMAND_COURSE = Topic("cmd/course", "sdx_msgs/msg/HelmCommand", COMMAND, "the guard's order, 10 Hz; the guard is its only writer")
ESTOP = Topic("estop", "std_msgs/msg/Bool", LATCHED, "the stop is on; latched, republished at 1 Hz")
ESTOP_REQUEST = Topic("estop/request", "std_msgs/msg/Bool", STATE, "true: stop now; whoever may write")
MODE = Topic("mode", "std_msgs/msg/String", LATCHED, "agent, fallback, override or stopped")
HEARTBEAT = Topic("heartbeat", "sdx_msgs/msg/Heartbeat", STATE, "every node, 2 Hz")
PICTURE = Topic("picture", "sdx_msgs/msg/Event", LATCHED, "the situation as the guard sees it, 1 Hz and on change")
PROPOSAL = Topic("proposal", "sdx_msgs/msg/Event", LATCHED, "the agent's decision with the options it had")
VERDICT = Topic("verdict", "sdx_msgs/msg/Event", HISTORY, "what the guard says of a proposal, and each new order")
PENDING = Topic("pending", "sdx_msgs/msg/Event", LATCHED, "the order that waits for a human, or none")
OPERATOR = Topic("operator", "sdx_msgs/msg/Event", BULK, "stop, reset, override, manual, release, approve, refuse, policy")
DIAGNOSTICS = Topic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", STATE, "health of every node, 1 Hz")

AIR_TEMPERATURE = Topic("air/temperature", "sensor_msgs/msg/Temperature", BULK, "of the air, deg C; frame_id names the sensor")
AIR_HUMIDITY = Topic("air/humidity", "sensor_msgs/msg/RelativeHumidity", BULK, "of the air, 0..1; frame_id names the sensor")
LIGHT = Topic("light", "sensor_msgs/msg/Illuminance", BULK, "lux; frame_id names the sensor")
MEASUREMENT = Topic("measurement", "sdx_msgs/msg/Measurement", BULK, "every other sensor, and what is suspect or missing")
ACTUATOR_STATE = Topic("actuator/state", "sdx_msgs/msg/ActuatorState", BULK, "each device as read back from it")
ACTUATOR_COMMAND = Topic("actuator/cmd", "sdx_msgs/msg/ActuatorCommand", BULK, "what devices are told; the guard is its only writer")
INFORMATION = Topic("information", "sdx_msgs/msg/Event", HISTORY, "readings of the domain's own kinds: forecast, prices, date")
ALARM = Topic("alarm", "sdx_msgs/msg/Alarm", HISTORY, "each alarm when it begins and when it ends")

SHIP: tuple[Topic, ...] = (FIX, VEL, IMU, OWN_STATE, TARGETS, ENVIRONMENT, ROUTE, PLAN, NMEA, COMMAND_COURSE)
EQUIPMENT: tuple[Topic, ...] = (
    AIR_TEMPERATURE, AIR_HUMIDITY, LIGHT, MEASUREMENT, ACTUATOR_STATE, ACTUATOR_COMMAND, INFORMATION, ALARM,
)  # fmt: skip
"""Of domains that steer devices."""
COMMON: tuple[Topic, ...] = (
    CLOCK, ESTOP, ESTOP_REQUEST, MODE, HEARTBEAT, PICTURE, PROPOSAL, VERDICT, PENDING, OPERATOR, DIAGNOSTICS,
)  # fmt: skip
ALL: tuple[Topic, ...] = (*SHIP, *EQUIPMENT, *COMMON)
