"""A program that stands for an engine that is not installed: takes only its documented options, replays recorded answers.

python fake_engine.py RECORDING ARGUMENT...

RECORDING is a file of data/: the words before the model, the options (those that take a value, those that do not), and
exchanges: the first whose `asks` are all found in the request is answered. How it fails is told by the environment:
FAKE_START_S seconds until it answers, FAKE_CRASH at the start, FAKE_HANG a file that, once there, stops all answers.
"""

import http.server
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar


def parse(arguments: list[str], told: dict[str, Any]) -> dict[str, str]:
    """Options by name, "model" too. SystemExit names an option that is not documented."""
    words = told["words"]
    if arguments[: len(words)] != words:
        raise SystemExit(f"expected {words}, got {arguments[:2]}")
    found, rest = {"model": arguments[len(words)]}, arguments[len(words) + 1 :]
    while rest:
        option = rest.pop(0)
        if option in told["flags"]:
            found[option] = ""
        elif option in told["options"]:
            values = [rest.pop(0)]
            while rest and not rest[0].startswith("--"):
                values.append(rest.pop(0))
            found[option] = " ".join(values)
        else:
            raise SystemExit(f"unrecognized arguments: {option}")
    return found


class Replay(http.server.BaseHTTPRequestHandler):
    """Answers from the recording, whatever the model would say."""

    told: ClassVar[dict[str, Any]] = {}
    model = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer("")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def answer(self, body: str) -> None:
        while os.path.exists(os.environ.get("FAKE_HANG", "")):
            time.sleep(0.1)
        asked = f"{self.command} {self.path} {json.dumps(json.loads(body)) if body else ''}"
        exchange = next((one for one in self.told["exchanges"] if all(part in asked for part in one["asks"])), None)
        status, said = (exchange["status"], exchange["says"]) if exchange else (404, {"error": {"message": "not found"}})
        stream = isinstance(said, list)
        text = "".join(f"data: {event if event == '[DONE]' else json.dumps(event)}\n\n" for event in said) if stream else json.dumps(said)
        sent = text.replace("{model}", self.model).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream" if stream else "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        print("asked", self.path, flush=True)


def main() -> None:
    told = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    options = parse(sys.argv[2:], told)
    print("options", json.dumps(options), flush=True)
    # Engines have workers of their own; this one, too, must be gone when the engine is stopped or killed.
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("worker", worker.pid, flush=True)
    if os.environ.get("FAKE_CRASH"):
        print("RuntimeError: CUDA error: no kernel image is available for execution on the device", flush=True)
        raise SystemExit(1)
    time.sleep(float(os.environ.get("FAKE_START_S", "0")))
    Replay.told, Replay.model = told, options.get("--served-model-name") or Path(options["model"]).name
    http.server.ThreadingHTTPServer((options["--host"], int(options["--port"])), Replay).serve_forever()


if __name__ == "__main__":
    main()
