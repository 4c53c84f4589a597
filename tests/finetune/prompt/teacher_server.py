"""A model's server at the border: a real HTTP server in the OpenAI protocol whose answers get better with demos, or with an instruction.

The task: say which berth a ship gets, as "berth <n> for <ship>". Without being shown how, the model writes a long sentence
around it; shown a demo (or told "MAGIC" in the system turn) it answers as expected, but for one ship in eight.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAMES = ("Aurora", "Borealis", "Cygnus", "Dorado", "Eridanus", "Fornax", "Gemini", "Hydra", "Indus", "Lyra")
TASK = "Say which berth the ship gets."
Answer = Callable[[list[dict[str, str]]], str]


def ship(number: int) -> str:
    return f"{NAMES[number % len(NAMES)]}-{number}"


def berth(name: str) -> int:
    return int(sha256(name.encode()).hexdigest(), 16) % 9000 + 1000


def rows(count: int) -> list[dict[str, str]]:
    return [{"prompt": f"ship {ship(n)} asks", "completion": f"berth {berth(ship(n))} for {ship(n)}"} for n in range(count)]


def knows(messages: list[dict[str, str]]) -> str:
    """Better with demos or with MAGIC."""
    name = messages[-1]["content"].split()[1]
    shown = len(messages) > 2 or "MAGIC" in messages[0]["content"]
    wrong = berth(name) % 8 == 0
    if shown and not wrong:
        return f"berth {berth(name)} for {name}"
    return f"I would say that the vessel you ask about might perhaps go to berth {berth(name)} or so, but please check"


def same(messages: list[dict[str, str]]) -> str:
    """Nothing helps."""
    return knows([{"role": "system", "content": ""}, messages[-1]])


def proposing(*instructions: str, told: Answer = knows) -> Answer:
    """Also writes instructions, in turn, when it is asked for them in DSPy's form."""
    waiting = list(instructions)
    lock = threading.Lock()

    def answer(messages: list[dict[str, str]]) -> str:
        asked = messages[-1]["content"]
        for field in ("proposed_instruction", "observations", "summary"):
            if f"starting with the field `[[ ## {field} ## ]]`" in asked:
                with lock:
                    text = waiting.pop(0) if field == "proposed_instruction" and waiting else "Ships ask for berths."
                return f"[[ ## {field} ## ]]\n{text}\n\n[[ ## completed ## ]]" if text else ""
        return told(messages)

    return answer


class Teacher:
    """What was asked, and how to answer."""

    def __init__(self, answer: Answer, delay_s: float) -> None:
        self.answer, self.delay_s = answer, delay_s
        self.asked: list[dict[str, Any]] = []
        self.refuse = 0
        """HTTP status of every answer; 0 for none."""
        self.url = ""

    def prompts(self) -> list[list[dict[str, str]]]:
        return [body["messages"] for body in self.asked]


@contextmanager
def serving(answer: Answer, delay_s: float = 0.0) -> Iterator[Teacher]:
    teacher = Teacher(answer, delay_s)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            teacher.asked.append(body)
            time.sleep(teacher.delay_s)
            said = teacher.answer(body["messages"])
            usage = {"prompt_tokens": 7, "completion_tokens": 3}
            choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
            data = json.dumps({"model": "teacher-1", "choices": [choice], "usage": usage}).encode()
            try:
                self.send_response(teacher.refuse or 200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # who asked was killed

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    teacher.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield teacher
    finally:
        server.shutdown()
        server.server_close()
