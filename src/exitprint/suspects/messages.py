"""The messages of the Open Inference Protocol v2 over gRPC, as far as they are needed.

Written down here and kept apart from other packages' (Triton's client and KServe's SDK both claim the same names in one
process, and cannot be imported together). Source: the protocol's `open_inference_grpc.proto`; statistics are Triton's.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from exitprint.errors import require_extra

PACKAGE = "inference"
FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "ModelMetadataRequest": {"name": (1, "string"), "version": (2, "string")},
    "TensorMetadata": {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "repeated int64")},
    "ModelMetadataResponse": {"name": (1, "string"), "inputs": (4, "repeated TensorMetadata")},
    "InferTensorContents": {
        "bool_contents": (1, "repeated bool"),
        "int_contents": (2, "repeated int32"),
        "int64_contents": (3, "repeated int64"),
        "uint_contents": (4, "repeated uint32"),
        "uint64_contents": (5, "repeated uint64"),
        "fp32_contents": (6, "repeated float"),
        "fp64_contents": (7, "repeated double"),
    },
    "InferTensor": {
        "name": (1, "string"),
        "datatype": (2, "string"),
        "shape": (3, "repeated int64"),
        "contents": (5, "InferTensorContents"),
    },
    "ModelInferRequest": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "inputs": (5, "repeated InferTensor"),
        "raw_input_contents": (7, "repeated bytes"),
    },
    "ModelInferResponse": {"outputs": (5, "repeated InferTensor"), "raw_output_contents": (6, "repeated bytes")},
    "ModelStatisticsRequest": {"name": (1, "string"), "version": (2, "string")},
    "StatisticDuration": {"count": (1, "uint64"), "ns": (2, "uint64")},
    "InferStatistics": {"compute_infer": (5, "StatisticDuration")},
    "ModelStatistics": {"name": (1, "string"), "inference_stats": (6, "InferStatistics")},
    "ModelStatisticsResponse": {"model_stats": (1, "repeated ModelStatistics")},
}
"""Number and type of each field of each message."""


@cache
def message(name: str) -> Any:
    """The class of a message.

    Raises `ExitprintError` if protobuf, of the extra `grpc`, is not installed.
    """
    require_extra("google.protobuf", "grpc")
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


@cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="exitprint.proto", package=PACKAGE, syntax="proto3")
    for name, fields in FIELDS.items():
        described = file.message_type.add(name=name)
        for field, (number, words) in fields.items():
            *repeated, kind = words.split()
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if kind in FIELDS:
                named = {"type": kinds.TYPE_MESSAGE, "type_name": f".{PACKAGE}.{kind}"}
            else:
                named = {"type": getattr(kinds, f"TYPE_{kind.upper()}")}
            described.field.add(name=field, number=number, label=label, **named)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
