"""The service that people write instead: FastAPI around onnxruntime or OpenVINO, for `make bench-http`.

    uvicorn peer:app    with PEER_ENGINE=onnxruntime|openvino PEER_PRECISION=f32|bf16 PEER_MODEL=model.onnx PEER_THREADS=1

The photo is decoded and resized by Pillow as model.json asks (the central 0.875 of the shorter side, bicubic, 224).
"""
import io
import os

import numpy
from fastapi import FastAPI, Request
from PIL import Image

SIDE, CROP = 224, 0.875
THREADS = int(os.environ.get("PEER_THREADS", "1"))
MODEL = os.environ["PEER_MODEL"]


def onnxruntime_network():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def openvino_network():
    import openvino

    core = openvino.Core()
    precision = "bf16" if os.environ.get("PEER_PRECISION") == "bf16" else "f32"
    model = core.read_model(MODEL)
    model.reshape([1, 3, SIDE, SIDE])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": precision,
                                                 "PERFORMANCE_HINT": "LATENCY"})
    infer = compiled.create_infer_request()
    return lambda x: infer.infer([x])[compiled.output(0)]


network = {"onnxruntime": onnxruntime_network, "openvino": openvino_network}[os.environ["PEER_ENGINE"]]()
app = FastAPI()


def tensor_of(data):
    image = Image.open(io.BytesIO(data)).convert("RGB")
    side = min(image.size) * CROP
    left, top = (image.width - side) / 2, (image.height - side) / 2
    image = image.resize((SIDE, SIDE), Image.BICUBIC, box=(left, top, left + side, top + side))
    pixels = (numpy.asarray(image, dtype=numpy.float32) - 127) / 128
    return numpy.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


@app.post("/v1/classify")
async def classify(request: Request):
    logits = network(tensor_of(await request.body()))[0]
    p = numpy.exp(logits - logits.max())
    p /= p.sum()
    best = numpy.argsort(-p)[:5]
    return {"predictions": [{"index": int(i), "probability": float(p[i])} for i in best]}
