"""The REST service over the queue of jobs, by the partner contract: GET /health, GET /info, POST /run, then poll /jobs/{id}.

Every answer is {"status": "success", "result": ...} or {"status": "error", "code": ..., "message": ...} with an honest HTTP status.
TANGO2's few-shot service is understood too: its fields in POST /run, and GET /status?job_id=.
"""

import asyncio
import json
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, get_args

from fastapi import FastAPI, Header
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sdx_finetune.jobs.job import DONE, Job, default_device
from sdx_finetune.jobs.queue import Queue
from sdx_finetune.jobs.submit import look_after, resume, stop, submit
from sdx_finetune.jobs.view import view
from sdx_finetune.prompt.service_fields import FewShotRequest, answer
from sdx_ui.envelope import MOST_BYTES, ApiError, Gate, failure, in_fields, say_errors, success
from sdx_ui.jobs_requests import REQUEST, Bounds, Kind, Params, Plan, planned

SYNC_S = 50.0
"""The contract ends a request after 60 s."""
LOG_BYTES = 256 * 1024
RESULTS = ("run.json", "parity.json", "evaluation.json", "prompt.json")
SHOWN = ("id", "kind", "state", "words", "code", "device", "created", "started", "ended", "tries", "progress", "waits_for")
Id = Annotated[str | None, Header(max_length=200)]


class RunRequest(BaseModel):
    """POST /run. What is not known here belongs to TANGO2's few-shot service, whose fields may stand outside params."""

    model_config = ConfigDict(extra="allow")

    workspace_id: str | int | None = None
    project_id: str | int | None = None
    params: dict[str, Any] = Field(default_factory=dict[str, Any])


def create_jobs_api(queue: Queue, bounds: Bounds, key: str | None = None) -> FastAPI:
    """The service. Without a key it is for this machine alone."""
    app = FastAPI(title="SDx jobs", docs_url=None, redoc_url=None)
    app.add_middleware(Gate, key=key)
    say_errors(app)
    _add_service(app, queue, bounds)
    _add_jobs(app, queue)
    return app


def _add_service(app: FastAPI, queue: Queue, bounds: Bounds) -> None:
    @app.get("/health")
    def health() -> JSONResponse:
        """200 when the queue can be read and there is room to work, else 503."""
        waiting = sum(job.unfinished for job in queue.jobs())
        free = shutil.disk_usage(queue.home).free
        if free < MOST_BYTES:
            return failure(503, "disk_full", "the disk of the queue is full: make room")
        return success({"unfinished": waiting, "free_bytes": free})

    @app.get("/info")
    def info() -> JSONResponse:
        schemas = {"params": Params.model_json_schema(), "few_shot": FewShotRequest.model_json_schema()}
        return success(
            {"name": "sdx-finetune", "version": version("sdx"), "kinds": get_args(Kind), "schemas": schemas,
             "limits": {"request_bytes": MOST_BYTES, "waiting": bounds.most_waiting, "sync_s": SYNC_S}}
        )  # fmt: skip

    @app.post("/run")
    async def run(
        body: RunRequest, x_workspace_id: Id = None, x_project_id: Id = None, x_resource_gpu: Id = None, x_resource_cpu: Id = None,
        x_resource_memory: Id = None,
    ) -> JSONResponse:  # fmt: skip
        """Put a job in line; its id comes at once, with sync its result if that is there in time."""
        where = {"workspace_id": _agreed("workspace_id", body.workspace_id, x_workspace_id), "project_id": _agreed("project_id", body.project_id, x_project_id)}  # fmt: skip
        resources = {"gpu": x_resource_gpu, "cpu": x_resource_cpu, "memory": x_resource_memory}
        asked = {name: value for name, value in resources.items() if value is not None}
        plan = await asyncio.to_thread(_planned, body, queue, bounds)
        device = plan.device or (default_device() if plan.kind in ("train", "tune") and x_resource_gpu != "0" else "cpu")
        params = {**plan.params, **where, "resources": asked}
        job = await asyncio.to_thread(submit, plan.kind, plan.argv, plan.work, device, params=params, cwd=plan.work)
        ends = time.monotonic() + SYNC_S
        while plan.sync and job.unfinished and time.monotonic() < ends:
            await asyncio.sleep(0.2)
            job = await asyncio.to_thread(queue.job, job.id)
        if plan.sync and not job.unfinished and job.state != DONE:
            raise ApiError(500, f"{job.id} {job.state}: {job.words}", "job_failed")
        shown = await asyncio.to_thread(_shown, queue, job) if plan.sync else {}
        return success({"job_id": job.id, **shown}, 200 if plan.sync and not job.unfinished else 202, job_id=job.id)


def _planned(body: RunRequest, queue: Queue, bounds: Bounds) -> Plan:
    if sum(job.unfinished for job in queue.jobs()) >= bounds.most_waiting:
        raise ApiError(429, f"{bounds.most_waiting} jobs wait already; try again later")
    strange = body.model_extra or {}
    if strange and body.params:
        raise ApiError(422, f"{', '.join(strange)}: belongs into params", "wrong_request")
    try:
        return planned(body.params or strange, queue.home, bounds)
    except ValidationError as error:
        raise ApiError(422, f"params: {in_fields(error.errors(include_input=False, include_url=False))}", "wrong_request") from error
    except (ValueError, OSError) as error:
        if isinstance(error, OSError):
            raise ApiError(503, "the disk of the service is full or cannot be written", "disk_full") from error
        raise ApiError(422, f"params: {str(error).replace(str(queue.home), '')}", "wrong_request") from error


def _agreed(name: str, in_body: str | int | None, in_header: str | None) -> str | None:
    """One value from body and header; ApiError when they differ."""
    if in_body is not None and in_header is not None and str(in_body) != in_header:
        raise ApiError(400, f"{name} is {in_body} in the body and {in_header} in the header")
    return in_header if in_body is None else str(in_body)


def _add_jobs(app: FastAPI, queue: Queue) -> None:
    @app.get("/jobs")
    def jobs(x_workspace_id: Id = None) -> JSONResponse:
        look_after(queue)
        return success([_record(queue, job) for job in queue.jobs() if _belongs(job, x_workspace_id)])

    @app.get("/jobs/{name}")
    def job(name: str, x_workspace_id: Id = None) -> JSONResponse:
        look_after(queue)
        return success(_shown(queue, _found(queue, name, x_workspace_id)))

    @app.get("/status")
    def status(job_id: str, x_workspace_id: Id = None) -> JSONResponse:
        """/jobs/{id} as TANGO2's few-shot service has it."""
        look_after(queue)
        return success(_shown(queue, _found(queue, job_id, x_workspace_id)), job_id=job_id)

    @app.get("/jobs/{name}/logs")
    def logs(name: str, offset: Annotated[int, Field(ge=0)] = 0, x_workspace_id: Id = None) -> JSONResponse:
        """Text from `offset` on, and the offset to ask with next."""
        found = _found(queue, name, x_workspace_id)
        path = queue.log(found.id)
        data = b""
        if path.exists():
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(LOG_BYTES)
        return success({"text": data.decode("utf-8", "replace"), "offset": offset + len(data), "ended": not found.unfinished})

    @app.post("/jobs/{name}/cancel")
    def cancel(name: str, x_workspace_id: Id = None) -> JSONResponse:
        """Ask it to stop with a checkpoint; it has ended when its state says so."""
        return success(_record(queue, _changed(stop, queue, _found(queue, name, x_workspace_id))), 202)

    @app.post("/jobs/{name}/resume")
    def go_on(name: str, x_workspace_id: Id = None) -> JSONResponse:
        return success(_record(queue, _changed(resume, queue, _found(queue, name, x_workspace_id))), 202)


def _changed(change: Any, queue: Queue, job: Job) -> Job:
    try:
        return change(queue, job.id)
    except ValueError as error:
        raise ApiError(409, str(error)) from error


def _found(queue: Queue, name: str, workspace: str | None) -> Job:
    """ApiError 404 when there is none, or it belongs to another workspace: which of the two is nobody's business."""
    try:
        job = queue.job(name)
    except KeyError:
        job = None
    if job is None or job.id != name or not _belongs(job, workspace):
        raise ApiError(404, f"no job {name!r}; GET /jobs lists them")
    return job


def _belongs(job: Job, workspace: str | None) -> bool:
    return workspace is None or job.params.get("workspace_id") == workspace


def _record(queue: Queue, job: Job) -> dict[str, Any]:
    seen = view(queue, job)
    kept = {name: job.params.get(name) for name in ("workspace_id", "project_id")}
    return {"job_id": job.id, **{name: seen[name] for name in SHOWN if name != "id"}, **kept}


def _shown(queue: Queue, job: Job) -> dict[str, Any]:
    """The record, the curve, and the result once it is done."""
    return {**_record(queue, job), "curve": view(queue, job, curve=True)["curve"], "result": _result(job) if job.state == DONE else None}


def _result(job: Job) -> Any:
    """TANGO2's fields for a few-shot request, else the work's own result files by name."""
    work = Path(job.work)
    if (work / REQUEST).exists():
        return answer(FewShotRequest.model_validate_json((work / REQUEST).read_bytes()), work)
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for name in RESULTS if (path := work / name).exists()}
    rows = work / "rows.jsonl"
    return {**found, **({"rows": rows.read_bytes().count(b"\n")} if job.kind == "augment" and rows.exists() else {})}
