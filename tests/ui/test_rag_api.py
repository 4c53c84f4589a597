"""The REST service over a library: a real server, real requests; and what it must refuse."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from served_command import Service

pytest.importorskip("tantivy")
KEY = "a-key-of-twenty-letters"
ORDERS = b"# Standing orders\n\n4.1 In a crossing situation the officer calls the master when the CPA is under 1.2 NM.\n"


def serving(home: Path, **environ: str) -> Service:
    home.mkdir(parents=True, exist_ok=True)
    (home / "rag.yaml").write_text("embed: {model: none}\n", encoding="utf-8")
    return Service(home, "rag", "serve", "--domain", "own", SDX_RAG=str(home), **environ)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rag")


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Service]:
    service = serving(home)
    yield service
    service.stop()


@pytest.fixture
def orders(served: Service) -> Iterator[dict[str, Any]]:
    """An uploaded document, gone at the end."""
    added = upload(served, "orders.md", ORDERS)
    assert added.status_code == 201, added.text
    yield added.json()["result"]
    served.http.delete(f"/rag/documents/{added.json()['result']['name']}")


def upload(served: Service, name: str, data: bytes, **more: Any) -> httpx.Response:
    return served.http.post("/rag/documents", files={"file": (name, data)}, **more)


def search(served: Service, query: str, **more: Any) -> list[dict[str, Any]]:
    return served.http.post("/rag/search", json={"query": query} | more).json()["result"]


def names(served: Service) -> list[str]:
    return [one["name"] for one in served.http.get("/rag/documents").json()["result"]]


def kept(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "rag/own/uploads").glob("*"))


def test_health_and_info(served: Service) -> None:
    assert served.http.get("/health").json()["status"] == "success"
    info = served.http.get("/info").json()["result"]
    assert (info["domain"], info["embedder"], info["answers"]) == ("own", None, "quoted")
    assert "question" in info["schemas"]["ask"]["properties"]


def test_an_upload_is_found_cited_and_forgotten(served: Service, home: Path) -> None:
    added = upload(served, "orders.md", ORDERS).json()["result"]
    assert (added["name"], added["title"], added["shipped"]) == ("orders.md", "Standing orders", False)
    assert names(served) == kept(home) == ["orders.md"]
    found = search(served, "when is the master called")
    assert found[0]["citation"] == "Standing orders, 4.1" and "1.2 NM" in found[0]["text"]
    assert search(served, "master", documents=["other.md"]) == []
    assert served.http.delete("/rag/documents/orders.md").json()["result"] == {"name": "orders.md"}
    assert (names(served), kept(home), search(served, "when is the master called")) == ([], [], [])
    assert upload(served, "orders.md", ORDERS).status_code == 201, "a removed name may come again"
    served.http.delete("/rag/documents/orders.md")


def test_an_upload_of_the_same_name_replaces(served: Service, orders: dict[str, Any]) -> None:
    again = upload(served, "orders.md", ORDERS.replace(b"1.2", b"0.9")).json()["result"]
    assert again["sha256"] != orders["sha256"] and names(served) == ["orders.md"]
    assert "0.9 NM" in search(served, "master CPA")[0]["text"]


@pytest.mark.parametrize(
    ("name", "data", "says"), [("empty.txt", b"", "empty"), ("no.pdf", b"nonsense", "PDF"), ("tool.exe", b"MZ\x00\x01", "")]
)
def test_what_cannot_be_read_is_refused_with_its_reason_and_not_kept(
    served: Service, home: Path, orders: dict[str, Any], name: str, data: bytes, says: str
) -> None:
    refused = upload(served, name, data)
    assert (refused.status_code, refused.json()["code"]) == (422, "unreadable")
    assert name in refused.json()["message"] and says in refused.json()["message"]
    assert names(served) == kept(home) == ["orders.md"]


def test_a_document_outlives_an_upload_of_its_name_that_cannot_be_read(served: Service, orders: dict[str, Any]) -> None:
    assert upload(served, "orders.md", b"").status_code == 422
    assert names(served) == ["orders.md"] and "1.2 NM" in search(served, "master CPA")[0]["text"]


@pytest.mark.parametrize("name", ["../orders.md", "a/b.md", "..", ".hidden.md", "a\\b.md", "x" * 250 + ".md", "~$lock.docx", "..%2fx.md"])
def test_a_name_that_leads_elsewhere_is_refused(served: Service, home: Path, name: str) -> None:
    before = {path for path in home.rglob("*") if path.is_file() and path.suffix == ".md"}
    refused = upload(served, name, ORDERS)
    assert refused.status_code == 422, refused.text
    assert {path for path in home.rglob("*") if path.is_file() and path.suffix == ".md"} == before


def test_an_answer_is_quoted_with_its_citation_or_not_there(served: Service, orders: dict[str, Any]) -> None:
    told = served.http.post("/rag/ask", json={"question": "When is the master called in a crossing situation?"}).json()["result"]
    assert told["in_documents"] and "1.2 NM [Standing orders, 4.1]" in told["text"].replace("NM. [", "NM [")
    not_there = served.http.post("/rag/ask", json={"question": "What colour is the galley's kettle?"}).json()["result"]
    assert not not_there["in_documents"] and not_there["sentences"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/rag/search", {"query": ""}), ("/rag/search", {"query": "x", "count": 0}), ("/rag/search", {"query": "x", "side": "psychic"}),
        ("/rag/search", {"query": "x" * 3000}), ("/rag/search", {"query": "x", "limit": 1}), ("/rag/ask", {}), ("/rag/ask", {"question": 7}),
    ],
)  # fmt: skip
def test_a_request_that_is_wrong_is_told_which_field(served: Service, path: str, body: dict[str, Any]) -> None:
    answer = served.http.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_request")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("DELETE", "/rag/documents/none.md", 404, "not_found"), ("DELETE", "/rag/documents/builtin/colreg.yaml", 409, "conflict"),
     ("GET", "/rag/search", 405, "method_not_allowed"), ("GET", "/nowhere", 404, "not_found")],
)  # fmt: skip
def test_errors_have_an_honest_status(served: Service, method: str, path: str, status: int, code: str) -> None:
    answer = served.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_page_from_elsewhere_can_neither_read_nor_add(served: Service) -> None:
    assert served.http.get("/rag/documents", headers={"Host": "evil.example"}).status_code == 403
    sent = upload(served, "evil.md", ORDERS, headers={"Origin": "https://evil.example"})
    assert (sent.status_code, sent.json()["code"]) == (403, "forbidden")
    assert upload(served, "evil.md", ORDERS, headers={"Origin": "null"}).status_code == 403
    assert names(served) == []


def test_a_request_that_is_too_large_is_refused_before_it_is_read(served: Service) -> None:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=30.0)
    connection.putrequest("POST", "/rag/documents")
    connection.putheader("Content-Length", str(10**9))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["code"]) == (413, "too_large")
    connection.close()


def test_beyond_this_machine_a_key_is_needed(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sdx_ui.cli", "rag", "serve", "--domain", "own", "--host", "0.0.0.0"]
    environ = {name: value for name, value in os.environ.items() if name != "SDX_API_KEY"} | {"SDX_RAG": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, env=environ, timeout=60, check=False)
    assert done.returncode == 1 and "SDX_API_KEY" in done.stderr
    done = subprocess.run(words, capture_output=True, text=True, env=environ | {"SDX_API_KEY": "short"}, timeout=60, check=False)
    assert done.returncode == 1 and "at least 16" in done.stderr


def test_with_a_key_nothing_but_health_is_told_without_it(tmp_path: Path) -> None:
    service = serving(tmp_path / "home", SDX_API_KEY=KEY)
    try:
        assert service.http.get("/health").status_code == 200
        assert service.http.get("/rag/documents").status_code == 401
        assert upload(service, "a.md", ORDERS).status_code == 401
        assert service.http.get("/rag/documents", headers={"Authorization": f"Bearer {KEY}"}).json() == {"status": "success", "result": []}
        assert json.dumps(KEY) not in service.log.read_text()
    finally:
        service.stop()
