"""Reading of requests: bodies are counted while they arrive, messages are checked against what they should be."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, FiniteFloat, StrictBool, StrictInt, ValidationError
from starlette.requests import Request

from mecca_agents.serve.settings import Settings

MOST_MESSAGE = 1 << 16
"""Bytes of a message without an array."""

ROOM = 1 << 20
"""Bytes that a packed array may have more than the array itself."""

Message = TypeVar("Message", bound=BaseModel)
Three = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Sides = Annotated[list[tuple[FiniteFloat, FiniteFloat]], Field(min_length=3, max_length=3)]


class Refused(Exception):
    """A request is refused.

    Args:
        status: Of HTTP.
        sentence: What was expected and what was given.
        headers: Of the answer.
    """

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


class Prompt(BaseModel):
    """What all prompts have: their side, and whether the agent is to act at once."""

    include_interaction: StrictBool = True
    run_prediction: StrictBool = True


class Point(Prompt):
    """A point, in the order of the array's axes."""

    coordinates: Three


class BoundingBox(Prompt):
    """A box, high exclusive."""

    bbox_coords: Sides


class Mark(Prompt):
    """A scribble or a lasso; its array is what lies in the box, or the whole volume."""

    interaction_bbox: Annotated[list[tuple[StrictInt, StrictInt]], Field(min_length=3, max_length=3)] | None = None


class FirstMask(BaseModel):
    """A mask to go on from."""

    run_prediction: StrictBool = False


class ImageProperties(BaseModel):
    """What is known of an image: the size of its voxels, in the order of the array's axes, millimetres."""

    spacing: tuple[
        Annotated[FiniteFloat, Field(gt=0)], Annotated[FiniteFloat, Field(gt=0)], Annotated[FiniteFloat, Field(gt=0)]
    ] = (1.0, 1.0, 1.0)


class Image(BaseModel):
    """An image."""

    image_properties: ImageProperties | None = None


class TargetBuffer(BaseModel):
    """The array that a viewer shows masks in."""

    shape: Annotated[list[Annotated[StrictInt, Field(gt=0)]], Field(min_length=3, max_length=3)]
    dtype: str


class Zoom(BaseModel):
    """Whether the agent may look at more than it did."""

    do_autozoom: StrictBool


async def read_body(request: Request, most: int, settings: Settings) -> bytearray:
    """The body of a request.

    Raises:
        Refused: It has more bytes than that, or takes too long.
    """
    too_large = Refused(413, f"body: expected at most {most} bytes, got more")
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or len(length) > 19 or int(length) > most:
        raise too_large
    body = bytearray()
    loop = asyncio.get_running_loop()
    end = loop.time() + settings.longest_body
    while True:
        try:
            message = await asyncio.wait_for(request.receive(), min(settings.patience, end - loop.time()))
        except asyncio.TimeoutError as error:
            raise Refused(408, "body: expected the rest of it in time, got nothing for long", _CLOSE) from error
        if message["type"] == "http.disconnect":
            raise Refused(400, "body: expected all of it, got the end of the connection")
        body += message.get("body", b"")
        if len(body) > most:
            raise too_large
        if not message.get("more_body", False):
            return body


async def read_message(request: Request, kind: type[Message], settings: Settings) -> Message:
    """The body of a request, as a message. Raises `Refused`."""
    return checked("body", bytes(await read_body(request, MOST_MESSAGE, settings)), kind)


def read_meta(request: Request, kind: type[Message]) -> Message:
    """The message in the header of a request whose body is an array. Raises `Refused`."""
    return checked("X-Meta", request.headers.get("x-meta", "{}").encode("latin-1"), kind)


def checked(where: str, text: bytes, kind: type[Message]) -> Message:
    """A message. Raises `Refused`."""
    try:
        return kind.model_validate_json(text or b"{}")
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'it'}: {fault['msg']}" for fault in error.errors()[:3]
        )
        raise Refused(400, f"{where}: expected a {kind.__name__}, got another thing: {faults[:300]}") from error


def affine_of(spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """Voxel to world of a scan that nothing is known of but the size of its voxels, (X, Y, Z)."""
    return np.diag([*spacing, 1.0])


def meta(**values: Any) -> dict[str, str]:
    """The header of an answer whose body is an array."""
    return {"X-Meta": json.dumps(values)}


_CLOSE = {"Connection": "close"}
