"""SageMaker's sparse tensors: protobuf records in RecordIO frames, written and read many rows at a time.

The record is `aialgs.data.Record` (https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-training.html), the
frame is dmlc-core's (https://github.com/dmlc/dmlc-core/blob/main/include/dmlc/recordio.h):

    frame    magic ced7230a, length of the payload (both uint32, little-endian), payload, zeros up to 4 bytes
    payload  features {"values": {float32_tensor {values, keys, shape}}}
             label    {"values": {float32_tensor {values}}}

What is written equals, byte for byte, what `write_spmatrix_to_sparse_tensor` of the SageMaker Python SDK v2
writes for the same float32 matrix.
"""

from data_prep.recordio.decoder import decode_sparse
from data_prep.recordio.encoder import encode_dense, encode_sparse
from data_prep.recordio.layout import MAGIC, SparseRecords

__all__ = ["MAGIC", "SparseRecords", "decode_sparse", "encode_dense", "encode_sparse"]
