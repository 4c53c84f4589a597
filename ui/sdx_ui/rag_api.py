"""The REST service over one library: GET /rag/documents, POST /rag/documents (upload), DELETE, POST /rag/search, POST /rag/ask.

Answers and errors look as those of the jobs service: {"status": "success", "result": ...} or {"status": "error", "code", "message"}.
"""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, UploadFile
from fastapi.responses import JSONResponse
from pydantic import Field

from sdx_domains.contract import Closed, Language
from sdx_finetune.journal import write_whole
from sdx_rag.answer import ask
from sdx_rag.borders import EmbeddingError
from sdx_rag.catalogue import Stored
from sdx_rag.ingest import IndexMismatch
from sdx_rag.library import Library
from sdx_rag.lock import Busy
from sdx_rag.planted import BUILTIN
from sdx_rag.vectors import StoreError
from sdx_serving.client import ChatClient
from sdx_ui.envelope import ApiError, Gate, say_errors, success

MOST_BYTES = 64 * 2**20
"""Of a request, so of an uploaded document; larger ones are added with `sdx rag add` where they lie."""
UPLOADS = "uploads"
"""Folder in the library's own."""
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
Words = Annotated[str, Field(min_length=1, max_length=2000)]


class SearchRequest(Closed):
    """POST /rag/search."""

    query: Words
    count: int = Field(5, ge=1, le=50)
    language: Language | None = None
    documents: tuple[str, ...] | None = None
    """Names as GET /rag/documents has them."""
    side: Literal["hybrid", "dense", "lexical"] = "hybrid"


class AskRequest(Closed):
    """POST /rag/ask."""

    question: Words


@dataclass(frozen=True)
class Service:
    """One library, open for writing; it may be asked while it is written."""

    library: Library
    chat: ChatClient | None = None
    """Writes the answers; None: they are quoted."""

    @property
    def uploads(self) -> Path:
        return self.library.folder.absolute() / UPLOADS


def create_rag_api(service: Service, key: str | None = None) -> FastAPI:
    """The service. Without a key it is for this machine alone."""
    app = FastAPI(title="SDx documents", docs_url=None, redoc_url=None)
    app.add_middleware(Gate, key=key, most_bytes=MOST_BYTES)
    say_errors(app)
    _add_service(app, service)
    _add_documents(app, service)
    _add_questions(app, service)
    return app


@contextmanager
def _in_envelope() -> Iterator[None]:
    """What a library may raise, with its message: it says what to do."""
    try:
        yield
    except Busy as error:
        raise ApiError(429, str(error)) from error
    except (IndexMismatch, StoreError, EmbeddingError, OSError) as error:
        raise ApiError(503, str(error), "library") from error


def _add_service(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    def health() -> JSONResponse:
        """200 when the library can be searched, else 503."""
        with _in_envelope():
            service.library.search("health", 1)
            return success({"documents": len(service.library.documents()), "notes": service.library.notes()})

    @app.get("/info")
    def info() -> JSONResponse:
        embedder = service.library.embedder
        schemas = {"search": SearchRequest.model_json_schema(), "ask": AskRequest.model_json_schema()}
        return success(
            {"name": "sdx-rag", "version": version("sdx"), "domain": service.library.domain, "embedder": embedder.id if embedder else None,
             "answers": "generated" if service.chat else "quoted", "schemas": schemas, "limits": {"request_bytes": MOST_BYTES}}
        )  # fmt: skip


def _add_documents(app: FastAPI, service: Service) -> None:
    @app.get("/rag/documents")
    def documents() -> JSONResponse:
        return success([_told(document) for document in service.library.documents()])

    @app.post("/rag/documents")
    def upload(file: UploadFile) -> JSONResponse:
        """Keep a file and index it; one of the same name is replaced. 422 with the reason when it cannot be read: then nothing is kept."""
        name = safe_name(file.filename)
        with _in_envelope():
            reason = keep(service, name, file.file.read())
        if reason:
            raise ApiError(422, f"{name}: {reason}", "unreadable")
        return success(next(_told(one) for one in service.library.documents() if _upload(service, one) == service.uploads / name), 201)

    @app.delete("/rag/documents/{name:path}")
    def remove(name: str) -> JSONResponse:
        """Out of the library; of an uploaded document the file goes too, all other files stay where they are."""
        if name.startswith(BUILTIN):
            raise ApiError(409, f"{name} is shipped and cannot be removed")
        uploaded = [path for one in service.library.documents() if one.name == name and (path := _upload(service, one))]
        try:
            with _in_envelope():
                service.library.remove(name)
        except KeyError as error:
            raise ApiError(404, f"no document {name!r}; GET /rag/documents lists them") from error
        for path in uploaded:
            path.unlink(missing_ok=True)
        return success({"name": name})


def _add_questions(app: FastAPI, service: Service) -> None:
    @app.post("/rag/search")
    def search(body: SearchRequest) -> JSONResponse:
        with _in_envelope():
            found = service.library.search(body.query, body.count, body.language, body.documents, body.side)
        return success([{"citation": one.citation} | one.model_dump(mode="json") for one in found])

    @app.post("/rag/ask")
    def question(body: AskRequest) -> JSONResponse:
        with _in_envelope():
            answered = ask(service.library, body.question, service.chat)
        return success({"text": answered.text, "citations": [one.citation for one in answered.found]} | answered.model_dump(mode="json"))


def safe_name(given: str | None) -> str:
    """The file's own name. ApiError for one that could leave the folder, hide in it, or not be stored."""
    name = unicodedata.normalize("NFC", given or "")
    if not name or name.startswith((".", "~")) or _UNSAFE.search(name) or len(name.encode()) > 200:
        raise ApiError(422, f"file name {name[:80]!r}: give a plain name such as manual.pdf, without folders", "wrong_request")
    return name


def keep(service: Service, name: str, data: bytes) -> str:
    """Write an upload and index it; why that could not be done, else "". A name that was there keeps its old file then."""
    path = service.uploads / name
    if str(service.uploads) not in [source.path for source in service.library.sources()]:
        service.uploads.mkdir(exist_ok=True)
        service.library.add(service.uploads)
    before = path.read_bytes() if path.exists() else None
    write_whole(path, data)
    report = service.library.add(path)
    if not report.failed:
        return ""
    if before is None:
        path.unlink()
    else:
        write_whole(path, before)
    service.library.add(service.uploads)
    return report.failed[0][1]


def _upload(service: Service, document: Stored) -> Path | None:
    """The file of an uploaded document; None for any other."""
    of_uploads = any(source.id == document.source and source.path == str(service.uploads) for source in service.library.sources())
    return service.uploads / document.path if of_uploads else None


def _told(document: Stored) -> dict[str, Any]:
    return {
        "name": document.name, "title": document.title, "shipped": document.name.startswith(BUILTIN), "passages": document.chunks,
        "pages": document.pages, "bytes": document.size, "sha256": document.sha256, "notes": list(document.notes),
    }  # fmt: skip
