"""Run by an interpreter that has MXNet: trains, loads and scores with MXNet what a test gave.

    python mxnet_reference.py train|score FOLDER

FOLDER holds data.npz (indptr, keys, values, labels, batch_size, epochs, dense), model-symbol.json,
model-0000.params (the network and the parameters to start from) and, for `train`, optimizer.json. Writes
result.npz: the parameters and each row's score. Written for Python 3.7, which MXNet 1.3 needs.
"""

import json
import sys
from pathlib import Path

import mxnet as mx
import numpy as np


def batches(data, features):
    size, labels = int(data["batch_size"]), data["labels"]
    for first in range(0, len(labels), size):
        last = min(first + size, len(labels))
        missing = size - (last - first)
        indptr = data["indptr"][first : last + 1]
        begin, end = indptr[0], indptr[-1]
        indptr = np.concatenate([indptr - begin, np.full(missing, end - begin)])
        rows = mx.nd.sparse.csr_matrix(
            (data["values"][begin:end], data["keys"][begin:end], indptr), shape=(size, features)
        )
        if data["dense"]:
            rows = rows.tostype("default")
        padded = np.concatenate([labels[first:last], np.zeros(missing, np.float32)])
        yield mx.io.DataBatch([rows], [mx.nd.array(padded)]), last - first


def main(command, folder):
    data = np.load(folder + "/data.npz")
    symbol, arguments, auxiliary = mx.model.load_checkpoint(folder + "/model", 0)
    dense = bool(data["dense"])
    features = arguments["v"].shape[int(dense)]
    bias, linear = "w0_weight", "w1_weight"
    if dense:
        bias, linear = "Linear_Plus_Bias_bias", "Linear_Plus_Bias_weight"
    module = mx.mod.Module(symbol, ["data"], ["out_label"])
    module.bind(
        [mx.io.DataDesc("data", (int(data["batch_size"]), features))],
        [mx.io.DataDesc("out_label", (int(data["batch_size"]),))],
        for_training=command == "train",
    )
    module.set_params(arguments, auxiliary)
    if command == "train":
        settings = json.loads(Path(folder, "optimizer.json").read_text())
        module.init_optimizer(None, "adam", tuple(settings.items()))
        for _ in range(int(data["epochs"])):
            for batch, _ in batches(data, features):
                module.forward_backward(batch)
                module.update()
    scores = []
    for batch, count in batches(data, features):
        module.forward(batch, is_train=False)
        scores.append(module.get_outputs()[0].asnumpy().ravel()[:count])
    arguments, _ = module.get_params()
    np.savez(
        folder + "/result.npz",
        bias=arguments[bias].asnumpy(),
        linear=arguments[linear].asnumpy(),
        factors=arguments["v"].asnumpy().T if dense else arguments["v"].asnumpy(),
        scores=np.concatenate(scores),
    )


main(*sys.argv[1:])
