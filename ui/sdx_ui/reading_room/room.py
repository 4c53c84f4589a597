"""The REST service and the page of the reading room: /medicine is the page, /medicine/api what it asks. Start at create_reading_room().

Answers look as those of the other services: {"status": "success", "result": ...} or {"status": "error", "code", "message"}.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, FastAPI, Query, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from pydantic import ValidationError
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sdx_agents.reading.case import Case, Illegal, Render, doubts, shown_sha256
from sdx_agents.reading.cases import CaseStore, Conflict
from sdx_domains.medicine.labels import label, labels
from sdx_domains.medicine.picture import MedicinePicture, Statement
from sdx_domains.medicine.report import Report
from sdx_domains.medicine.volume import Series, Volume
from sdx_ui.envelope import ApiError, Gate, in_fields, say_errors, success
from sdx_ui.reading_room.requests import Addend, AddFinding, Ask, Change, Decide, Edit, Sign
from sdx_ui.reading_room.slices import Plane, box_of, crop_png, layout, png, slice_hu, windows
from sdx_ui.reading_room.viewer_3d import nifti

STATIC = files("sdx_ui.reading_room") / "static"
MOST_BYTES = 256 * 1024
"""Of a request: the largest holds two texts."""
MOST_OPEN = 16
"""Volumes kept mapped."""
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; "
    "connect-src 'self' blob: data:; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
)
Grey = Annotated[float, Query(ge=-4096, le=4096, allow_inf_nan=False)]
Width = Annotated[float, Query(ge=1, le=8192, allow_inf_nan=False)]


class Problem(Protocol):
    """What a check says of a report; see sdx_domains.medicine.assure.checks."""

    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


Problems = Callable[[MedicinePicture, Sequence[Statement], Report], Sequence[Problem]]
Export = Callable[[Case, Series, Path], Path]
"""Writes a case's results into a folder and returns the file. ValueError says why it cannot."""
Answer = Callable[[Case, str], str]
"""A question about a case -> the answer."""


@dataclass(frozen=True)
class Room:
    """All that the reading room serves."""

    store: CaseStore
    render: Render
    problems: Problems
    exports: Mapping[str, Export] = field(default_factory=dict)
    """By name, e.g. "sr", "pdf"."""
    answer: Answer | None = None
    viewer_3d: bytes | None = None
    """An ES module that exports `Niivue`; None: the page shows slices alone and says so."""


def create_reading_room(room: Room, key: str | None = None) -> FastAPI:
    """The service. Without a key it is for this machine alone."""
    app = FastAPI(title="SDx reading room", docs_url=None, redoc_url=None, openapi_url="/medicine/api/openapi.json")
    app.add_middleware(Guarded)
    app.add_middleware(Gate, key=key, most_bytes=MOST_BYTES)
    say_errors(app)
    api = APIRouter(prefix="/medicine/api")
    volume = lru_cache(MOST_OPEN)(room.store.volume)
    _add_cases(api, room, volume)
    _add_changes(api, room, volume)
    _add_pictures(api, room, volume)
    _add_results(api, room)
    app.include_router(api)
    app.add_api_route("/medicine", lambda: FileResponse(str(STATIC / "room.html")), include_in_schema=False)
    app.add_api_route("/", lambda: RedirectResponse("/medicine"), include_in_schema=False)
    app.mount("/medicine/static", StaticFiles(directory=str(STATIC)), name="reading_room")
    return app


class Guarded:
    """Headers of every answer: nothing is kept in a browser's cache, nothing is loaded from or shown in another page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers["Referrer-Policy"] = "no-referrer"
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Cache-Control"] = "no-store"
            await send(message)

        await self.app(scope, receive, guarded)


@contextmanager
def _in_envelope() -> Iterator[None]:
    """What the store says no with."""
    try:
        yield
    except Conflict as error:
        raise ApiError(409, str(error)) from error
    except Illegal as error:
        raise ApiError(409, str(error), "illegal") from error
    except (KeyError, IndexError) as error:
        raise ApiError(404, str(error.args[0])) from error
    except ValidationError as error:
        raise ApiError(422, in_fields(error.errors(include_input=False, include_url=False)), "wrong_request") from error
    except ValueError as error:
        raise ApiError(422, str(error), "wrong_request") from error
    except OSError as error:
        raise ApiError(503, "the folder of the cases is full or cannot be written", "disk_full") from error


def _add_cases(api: APIRouter, room: Room, volume: Callable[[str], Volume]) -> None:
    @api.get("/health")
    def health() -> JSONResponse:
        """Whether the audit's chain and every case hold, and whether the drafts have become one template."""
        with _in_envelope():
            collapse = room.store.collapse().model_dump(mode="json")
            return success({"cases": len(room.store.worklist()), "troubles": room.store.troubles(), "collapse": collapse})

    @api.get("/worklist")
    def worklist() -> JSONResponse:
        with _in_envelope():
            return success([entry.model_dump(mode="json") for entry in room.store.worklist()])

    @api.get("/words")
    def words() -> JSONResponse:
        """What a page needs once: windows and labels."""
        known = [{"key": each.key, "en": each.name, "ko": each.ko, "sided": each.sided, "zoned": each.zoned} for each in labels()]
        return success({"windows": [each.model_dump() for each in windows()], "labels": known})

    @api.get("/cases/{name}")
    def case(name: str) -> JSONResponse:
        with _in_envelope():
            return success(shown(room, room.store.case(name), volume(name)))

    @api.get("/cases/{name}/history")
    def history(name: str) -> JSONResponse:
        """What the audit says of it."""
        with _in_envelope():
            return success(room.store.history(room.store.case(name).id))


def shown(room: Room, case: Case, volume: Volume) -> dict[str, Any]:
    """A case as the page draws it, with the hash that a signature of it must name."""
    return {
        "case": case.model_dump(mode="json", exclude={"picture": {"study": {"slice_uids"}}}),
        "urgency": case.urgency,
        "critical": case.critical,
        "undecided": case.undecided,
        "shown_sha256": shown_sha256(case),
        "problems": {
            name: [each.model_dump(mode="json") for each in room.problems(case.picture, case.statements, report)]
            for name, report in case.reports.items()
        },
        "doubts": doubts(case, room.render) if case.edits else [],
        "boxes": {each.finding.id: box_of(volume, each.finding) for each in case.statements},
        "layout": layout(volume),
        "exports": list(room.exports),
        "chat": room.answer is not None,
        "viewer_3d": room.viewer_3d is not None,
    }


def _add_changes(api: APIRouter, room: Room, volume: Callable[[str], Volume]) -> None:
    store = room.store

    def told(case: Case) -> JSONResponse:
        return success(shown(room, case, volume(case.id)))

    @api.post("/cases/{name}/review")
    def begin(name: str, body: Change) -> JSONResponse:
        with _in_envelope():
            return told(store.begin(name, body.revision, body.by))

    @api.post("/cases/{name}/findings/{finding_id}")
    def decide(name: str, finding_id: str, body: Decide) -> JSONResponse:
        with _in_envelope():
            return told(store.decide(name, body.revision, body.by, finding_id, body.present, body.note))

    @api.post("/cases/{name}/findings")
    def add_finding(name: str, body: AddFinding) -> JSONResponse:
        with _in_envelope():
            label(body.label)
            finding = body.finding(volume(name), store.case(name).picture.study)
            return told(store.add_finding(name, body.revision, body.by, finding, body.note))

    @api.post("/cases/{name}/edits")
    def edit(name: str, body: Edit) -> JSONResponse:
        with _in_envelope():
            return told(store.edit(name, body.revision, body.by, body.language, body.was, body.now, body.finding_ids))

    @api.post("/cases/{name}/signature")
    def sign(name: str, body: Sign) -> JSONResponse:
        with _in_envelope():
            return told(store.sign(name, body.revision, body.signer, body.shown_sha256))

    @api.post("/cases/{name}/addenda")
    def addend(name: str, body: Addend) -> JSONResponse:
        with _in_envelope():
            return told(store.addend(name, body.revision, body.signer, body.text, body.shown_sha256))


def _add_pictures(api: APIRouter, room: Room, volume: Callable[[str], Volume]) -> None:
    @api.get("/cases/{name}/slices/{plane}/{index}.png")
    def slice_png(name: str, plane: Plane, index: int, centre: Grey = -600.0, width: Width = 1500.0) -> Response:
        """One slice in a window, in HU."""
        with _in_envelope():
            return Response(png(slice_hu(volume(name), plane, index), centre, width), media_type="image/png")

    @api.get("/cases/{name}/slices/{plane}/{index}.hu")
    def slice_raw(name: str, plane: Plane, index: int) -> Response:
        """Its HU, little-endian 16 bit, row by row as the PNG has them."""
        with _in_envelope():
            return Response(slice_hu(volume(name), plane, index).astype("<i2").tobytes(), media_type="application/octet-stream")

    @api.get("/viewer_3d.js")
    def viewer() -> Response:
        if room.viewer_3d is None:
            raise ApiError(404, "no 3-D viewer is installed; slices are drawn by the server")
        return Response(room.viewer_3d, media_type="text/javascript")

    @api.get("/cases/{name}/volume.nii")
    def whole(name: str) -> Response:
        """For the 3-D view: thinned out."""
        with _in_envelope():
            return Response(nifti(volume(name)), media_type="application/octet-stream")

    @api.get("/cases/{name}/findings/{finding_id}.png")
    def why(name: str, finding_id: str) -> Response:
        """The finding on its key slice."""
        with _in_envelope():
            found = {each.finding.id: each.finding for each in room.store.case(name).statements}
            if finding_id not in found:
                raise KeyError(f"case {name} has no finding {finding_id!r:.40}")
            finding = found[finding_id]
            return Response(crop_png(volume(name), finding, label(finding.label).region), media_type="image/png")


def _add_results(api: APIRouter, room: Room) -> None:
    @api.get("/cases/{name}/out/{kind}")
    def out(name: str, kind: str) -> Response:
        """The results as a file; UNVERIFIED and preliminary until signed."""
        with _in_envelope():
            case = room.store.case(name)
            if kind not in room.exports:
                raise KeyError(f"no export {kind!r:.40}; there are {', '.join(room.exports) or 'none'}")
            with TemporaryDirectory() as folder:
                path = room.exports[kind](case, room.store.series(name), Path(folder))
                body = path.read_bytes()
            room.store.record("exported", name, "", {"what": kind, "status": case.status, "revision": case.revision})
            headers = {"Content-Disposition": f'attachment; filename="{case.id}-{case.status}{path.suffix}"'}
            return Response(body, media_type="application/octet-stream", headers=headers)

    @api.post("/cases/{name}/questions")
    def ask(name: str, body: Ask) -> JSONResponse:
        """About the study; talk only: it changes nothing."""
        with _in_envelope():
            case = room.store.case(name)
            if room.answer is None:
                raise ApiError(503, "nobody answers questions here: the reading room was started without them", "no_chat")
            return success({"answer": room.answer(case, body.question)})
