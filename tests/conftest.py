"""For all tests: nothing connects beyond this machine, and nothing is written into its user's own files."""

import socket

import pytest

HERE = ("127.0.0.1", "localhost", "::1", "0.0.0.0")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that tries to reach another machine fails with its address."""
    connect = socket.socket.connect

    def checked(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in HERE:
            raise RuntimeError(f"a test tried to reach {address[0]}; give it a fake at the border")
        connect(self, address)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(socket.socket, "connect", checked)


@pytest.fixture(autouse=True)
def own_files(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.getbasetemp()
    for name, file in (
        ("SDX_JOBS", "jobs"),
        ("SDX_RESULTS", "results.jsonl"),
        ("SDX_REGISTRY", "registry.json"),
        ("SDX_GATEWAY", "gateway"),
        ("SDX_RAG", "rag"),
        ("SDX_CACHE", "cache"),
    ):
        monkeypatch.setenv(name, str(home / file))
