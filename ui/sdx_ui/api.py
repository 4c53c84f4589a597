"""The REST API of the bridge: what is going on (/api/state), is it healthy (/api/health), what the operator does (/api/operator).

A stop goes from here to the wire without asking anybody: not the agent, not a model, not a queue.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator

from sdx_domains.contract import Closed
from sdx_ui.page.store import BridgeStore, Payload


class OperatorCommand(Closed):
    """What a person does. Set-points belong to takeover, device and position to manual, order_id to approve and reject."""

    kind: Literal["stop", "reset", "takeover", "manual", "release", "approve", "reject"]
    setpoints: Mapping[str, Annotated[float, Field(allow_inf_nan=False)]] | None = Field(default=None, max_length=100)
    """By name, unit in it; the domain holds them to its bounds."""
    device: str | None = Field(default=None, max_length=100)
    position_pct: float | None = Field(default=None, ge=0.0, le=100.0, allow_inf_nan=False)
    """None gives the device back to the controller."""
    order_id: str | None = None

    @model_validator(mode="after")
    def whole(self) -> "OperatorCommand":
        if self.kind == "takeover" and not self.setpoints:
            raise ValueError("takeover needs setpoints, each with a name and a number")
        if self.kind == "manual" and not self.device:
            raise ValueError("manual needs the device, and its position_pct (0 to 100; none gives it back)")
        if self.kind in ("approve", "reject") and not self.order_id:
            raise ValueError(f"{self.kind} needs the order_id of the order that was shown")
        return self


Send = Callable[[OperatorCommand], None]


def create_api(store: BridgeStore, send: Send) -> FastAPI:
    """The API over a store; `send` puts a command on the wire."""
    app = FastAPI(title="SDx bridge", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")

    @app.get("/api/state")
    def state() -> Payload:
        return store.snapshot()

    @app.get("/api/health")
    def health() -> JSONResponse:
        """200 when every part is alive and the picture is fresh, else 503; the body says which part is silent."""
        snapshot = store.snapshot()
        body = {"ok": store.healthy(), "parts": snapshot["parts"], "picture_age_s": snapshot["picture_age_s"], "mode": snapshot["mode"]}
        return JSONResponse(body, status_code=200 if body["ok"] else 503)

    @app.post("/api/operator")
    def operator(command: OperatorCommand) -> Payload:
        """Send it; the id is among the state's acks once its effect was seen on the wire."""
        if command.kind in ("approve", "reject") and command.order_id != (store.pending or {}).get("id"):
            raise HTTPException(409, "this order is not the one that waits any more: look at the new one")
        if command.kind == "takeover":
            try:
                store.domain.wished(store.picture, command.setpoints)
            except ValueError as error:
                raise HTTPException(422, str(error)) from error
        number = store.expect(command.kind, command.setpoints)
        send(command)
        return {"id": number}

    return app
