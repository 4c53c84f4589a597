"""One MQTT connection that comes back by itself; what arrives is queued for whoever owns it. paho runs its own thread."""

import contextlib
import queue
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

RECONNECT_S = (1, 30)
KEEPALIVE_S = 10
QUEUED = 10_000
"""Messages that wait to be read; when nobody reads, the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes


class Connection:
    """mqtt://user:password@host:1883 or mqtts://host:8883. Subscribes again after every reconnect.

    Args:
        will: (topic, payload, retained) that the broker publishes when this connection is lost.
    """

    def __init__(self, url: str, topics: Sequence[str], client_id: str = "", will: tuple[str, bytes, bool] | None = None) -> None:
        at = urlsplit(url)
        if at.scheme not in ("mqtt", "mqtts") or not at.hostname:
            raise ValueError(f"{url!r} is no broker: mqtt://HOST:1883 or mqtts://HOST:8883")
        self.births = 0
        """How often it was connected and its subscriptions stood; whoever announces itself does so again when this grows."""
        self._topics = list(topics)
        self._waiting: queue.Queue[Message] = queue.Queue(QUEUED)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        if at.username:
            self._client.username_pw_set(unquote(at.username), unquote(at.password or ""))
        if at.scheme == "mqtts":
            self._client.tls_set_context(ssl.create_default_context())
        if will is not None:
            self._client.will_set(will[0], will[1], qos=1, retain=will[2])
        self._client.reconnect_delay_set(*RECONNECT_S)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect_async(at.hostname, at.port or (8883 if at.scheme == "mqtts" else 1883), KEEPALIVE_S)
        self._client.loop_start()

    @property
    def up(self) -> bool:
        return self._client.is_connected()

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> bool:
        """False when there is no connection; then nothing is sent, now or later."""
        return self.up and self._client.publish(topic, payload, qos, retain).rc == paho.MQTT_ERR_SUCCESS

    def arrived(self) -> list[Message]:
        """What came since the last call."""
        found: list[Message] = []
        while True:
            try:
                found.append(self._waiting.get_nowait())
            except queue.Empty:
                return found

    def wait(self, timeout_s: float) -> Message | None:
        """The next message, or None when none came in time."""
        try:
            return self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            return
        if self._topics:
            client.subscribe([(topic, 1) for topic in self._topics])
        else:
            self.births += 1

    def _on_subscribe(self, client: paho.Client, userdata: Any, number: int, reasons: Any, properties: Any) -> None:
        self.births += 1

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        if self._waiting.full():
            with contextlib.suppress(queue.Empty):
                self._waiting.get_nowait()
        self._waiting.put(Message(message.topic, bytes(message.payload)))
