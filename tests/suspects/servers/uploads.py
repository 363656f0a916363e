"""A network that takes image files, with FastAPI: `python uploads.py NETWORK` prints its address."""

from __future__ import annotations

import base64
import io
import socket
import sys
import time
from collections import deque

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response, UploadFile
from PIL import Image

from exitprint.networks import load_network

torch.set_num_threads(1)
app = FastAPI()
network = load_network(sys.argv[1])
accepted: deque[float] = deque(maxlen=1)


def predicted(files: list[bytes], response: Response) -> list[dict]:
    start = time.perf_counter()
    _, height, width = network.input_shape
    pictures = [Image.open(io.BytesIO(file)) for file in files]
    kinds = {picture.format.lower() for picture in pictures}
    sizes = {picture.size for picture in pictures}
    arrays = [np.asarray(picture.convert("L").resize((width, height), Image.Resampling.BOX)) for picture in pictures]
    prediction = network.predict(torch.from_numpy(np.stack(arrays))[:, None].float() / 255)
    spent = (time.perf_counter() - start) * 1000
    response.headers["server-timing"] = f'decode;dur=0.1, total;dur={spent:.3f};desc="all of it"'
    response.headers["x-compute-time"] = f"{spent:.3f}"
    return [
        {"label": label, "name": f"digit {label}", "scores": row, "kind": kinds.pop() if kinds else "", "size": sizes}
        for label, row in zip(prediction.labels.tolist(), prediction.probabilities.tolist(), strict=True)
    ]


@app.post("/form")
async def form(file: list[UploadFile], response: Response) -> dict:
    return {"predictions": predicted([await each.read() for each in file], response)}


@app.post("/raw")
async def raw(request: Request, response: Response) -> dict:
    return predicted([await request.body()], response)[0]


@app.post("/json")
async def nested(request: Request, response: Response) -> dict:
    content = await request.json()
    text = content["instances"][0]["image"]["b64"].removeprefix("data:image/png;base64,")
    return {"outputs": predicted([base64.b64decode(text)], response), "top_k": content["top_k"]}


@app.post("/keyed")
async def keyed(request: Request, response: Response, key: str = "") -> dict:
    if key != "secret" or request.headers.get("x-tenant") != "a":
        raise HTTPException(401)
    return predicted([await request.body()], response)[0]


@app.post("/limited")
async def limited(request: Request, response: Response) -> dict:
    now = time.monotonic()
    if accepted and now - accepted[-1] < 0.15:
        raise HTTPException(429)
    accepted.append(now)
    return predicted([await request.body()], response)[0]


@app.post("/small")
async def small(request: Request) -> dict:
    raise HTTPException(413)


@app.post("/silent")
async def silent(request: Request) -> Response:
    await request.body()
    return Response(b"thanks", media_type="text/plain")


class Server(uvicorn.Server):
    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)


with socket.create_server(("127.0.0.1", 0)) as listening:
    Server(uvicorn.Config(app, log_level="critical", access_log=False)).run(sockets=[listening])
