"""A command of `sdx` that serves HTTP, as a process, with a client."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from sdx_serving.ports import free_port


class Service:
    """`sdx` with these words and a free port, once it answers."""

    def __init__(self, folder: Path, *words: str, **environ: str) -> None:
        self.port, self.log = free_port(), folder / "service.log"
        with self.log.open("w") as log:
            command = [sys.executable, "-m", "sdx_ui.cli", *words, "--port", str(self.port)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environ)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60.0)
        ends = time.monotonic() + 60.0
        while True:
            try:
                self.http.get("/health")
                return
            except httpx.TransportError:
                assert self.process.poll() is None and time.monotonic() < ends, self.log.read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(20)
