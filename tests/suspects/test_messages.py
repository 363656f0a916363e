"""The messages over gRPC: those of the protocol, and no trouble for other packages that have them too."""

from __future__ import annotations

import json
import subprocess
import sys

from exitprint.suspects.messages import FIELDS, message

TRITONS = """
import json, sys
from tritonclient.grpc import service_pb2
kinds = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string", 12: "bytes"}
kinds[13] = "uint32"
names = {"InferTensor": ["ModelInferRequest.InferInputTensor", "ModelInferResponse.InferOutputTensor"],
         "TensorMetadata": ["ModelMetadataResponse.TensorMetadata"]}
said = {}
for name, fields in json.loads(sys.argv[1]).items():
    for path in names.get(name, [name]):
        kind = service_pb2
        for part in path.split("."):
            kind = getattr(kind, part)
        for field in fields:
            found = kind.DESCRIPTOR.fields_by_name[field]
            words = "repeated " if found.is_repeated else ""
            said[f"{name}.{field}"] = [found.number, words + kinds.get(found.type, "message")]
print(json.dumps(said))
"""


def test_fields_are_those_of_tritons_client() -> None:
    run = subprocess.run(
        [sys.executable, "-c", TRITONS, json.dumps(FIELDS)], capture_output=True, text=True, check=True
    )
    theirs = json.loads(run.stdout)
    for name, fields in FIELDS.items():
        for field, (number, words) in fields.items():
            *repeated, kind = words.split()
            expected = " ".join([*repeated, "message" if kind in FIELDS else kind])
            assert theirs[f"{name}.{field}"] == [number, expected]


def test_they_are_kept_apart_from_those_of_other_packages() -> None:
    code = (
        "from exitprint.suspects.messages import message; message('ModelInferRequest')(model_name='m'); "
        "import tritonclient.grpc; message('ModelStatisticsRequest')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_written_is_read_again() -> None:
    request = message("ModelInferRequest")(model_name="m", raw_input_contents=[b"12"])
    request.inputs.add(name="x", datatype="FP32", shape=[-1, 3])
    assert message("ModelInferRequest").FromString(request.SerializeToString()) == request
