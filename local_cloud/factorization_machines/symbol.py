"""The network that SageMaker's container stores beside the parameters, as MXNet's symbol JSON.

The nodes are those of a model that SageMaker trained on sparse data. Of dense data only the parameters' names
and shapes are known; they are those of MXNet's FullyConnected, of which that network is made here. The layout
of the text is that of dmlc-core's JSONWriter
(https://github.com/dmlc/dmlc-core/blob/main/include/dmlc/json.h), which MXNet uses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from local_cloud.factorization_machines.hyperparameters import Hyperparameters, TensorSettings

OUTPUTS = {"regressor": "LinearRegressionOutput", "binary_classifier": "LogisticRegressionOutput"}
_OUT = ("Final_Summation", "out_label")
_ROW_SPARSE, _CSR = "1", "2"
_INITIALIZER_ARGUMENT = {"normal": "sigma", "uniform": "scale", "constant": "value"}
_MXNET_VERSION = 10301
# JSONWriter puts longer arrays of numbers on several lines.
_SHORT = 10


@dataclass(frozen=True)
class _Node:
    name: str
    op: str = "null"
    inputs: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)


def network(settings: Hyperparameters, *, dense: bool = False) -> str:
    """Describe the network: z = dot(x, w1) + w0 + ½ Σ dot(x, v)² - ½ dot(x², Σ v²), then the output layer."""
    nodes = _dense_nodes(settings) if dense else _sparse_nodes(settings)
    return _graph([*nodes, _Node("out_label"), _Node("out", OUTPUTS[settings.predictor_type], _OUT)])


def _dense_nodes(settings: Hyperparameters) -> list[_Node]:
    features, factors = settings.feature_dim, settings.num_factors
    one, several = {"num_hidden": "1"}, {"no_bias": "True", "num_hidden": str(factors)}
    return [
        _Node("data"),
        _Node("Linear_Plus_Bias_weight", attributes=_parameter(settings.linear, (1, features), sparse=False)),
        _Node("Linear_Plus_Bias_bias", attributes=_parameter(settings.bias, (1,), sparse=False)),
        _Node(
            "Linear_Plus_Bias",
            "FullyConnected",
            ("data", "Linear_Plus_Bias_weight", "Linear_Plus_Bias_bias"),
            one,
        ),
        _Node("v", attributes=_parameter(settings.factors, (factors, features), sparse=False)),
        _Node("projection", "FullyConnected", ("data", "v"), several),
        _Node("Square", "square", ("projection",)),
        _Node("sum0", "sum", ("Square",), {"axis": "1", "keepdims": "True"}),
        _Node("x_square", "square", ("data",)),
        _Node("v_square", "square", ("v",)),
        _Node("square_projection", "FullyConnected", ("x_square", "v_square"), several),
        _Node("sum1", "sum", ("square_projection",), {"axis": "1", "keepdims": "True"}),
        _Node("elemwise_sub0", "elemwise_sub", ("sum0", "sum1")),
        _Node("_mulscalar0", "_mul_scalar", ("elemwise_sub0",), {"scalar": "0.5"}),
        _Node("Final_Summation", "elemwise_add", ("Linear_Plus_Bias", "_mulscalar0")),
    ]


def _sparse_nodes(settings: Hyperparameters) -> list[_Node]:
    features, factors = settings.feature_dim, settings.num_factors
    return [
        _Node("data", attributes={"__storage_type__": _CSR}),
        _Node("w1_weight", attributes=_parameter(settings.linear, (features, 1), sparse=True)),
        _Node("dot0", "dot", ("data", "w1_weight")),
        _Node("w0_weight", attributes=_parameter(settings.bias, (1,), sparse=False)),
        _Node("broadcast_plus0", "broadcast_add", ("dot0", "w0_weight")),
        _Node("v", attributes=_parameter(settings.factors, (features, factors), sparse=True)),
        _Node("dot2", "dot", ("data", "v")),
        _Node("Square", "square", ("dot2",)),
        _Node("_mulscalar0", "_mul_scalar", ("Square",), {"scalar": "0.5"}),
        _Node("concat0", "Concat", ("broadcast_plus0", "_mulscalar0"), {"dim": "1", "num_args": "2"}),
        _Node("sum0", "sum", ("concat0",), {"axis": "1", "keepdims": "True"}),
        _Node("x_square", "square", ("data",)),
        _Node("_square_sum0", "_square_sum", ("v",), {"axis": "1", "keepdims": "True"}),
        _Node("dot1", "dot", ("x_square", "_square_sum0")),
        _Node("negative0", "negative", ("dot1",)),
        _Node("_mulscalar1", "_mul_scalar", ("negative0",), {"scalar": "0.5"}),
        _Node("Final_Summation", "elemwise_add", ("sum0", "_mulscalar1")),
    ]


def _parameter(tensor: TensorSettings, shape: tuple[int, ...], *, sparse: bool) -> dict[str, str]:
    initializer = tensor.initializer
    argument = {_INITIALIZER_ARGUMENT[initializer.method]: initializer.parameter}
    return {
        "__init__": json.dumps([initializer.method, argument]),
        "__lr_mult__": str(tensor.learning_rate),
        "__shape__": str(shape),
        **({"__storage_type__": _ROW_SPARSE} if sparse else {}),
        "__wd_mult__": str(tensor.weight_decay),
    }


def _graph(nodes: Sequence[_Node]) -> str:
    number = {node.name: index for index, node in enumerate(nodes)}
    described = []
    for node in nodes:
        fields = [f'"op": {json.dumps(node.op)}', f'"name": {json.dumps(node.name)}']
        if node.attributes:
            attributes = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in node.attributes.items()]
            fields.append('"attrs": ' + _block("{}", attributes, 3, lines=len(attributes) > 1))
        fields.append(f'"inputs": {json.dumps([[number[name], 0, 0] for name in node.inputs])}')
        described.append(_block("{}", fields, 2, lines=True))
    arguments = [index for index, node in enumerate(nodes) if node.op == "null"]
    pointers = [str(index) for index in range(len(nodes) + 1)]
    return _block(
        "{}",
        [
            '"nodes": ' + _block("[]", described, 1, lines=True),
            f'"arg_nodes": {json.dumps(arguments)}',
            '"node_row_ptr": ' + _block("[]", pointers, 1, lines=len(pointers) > _SHORT),
            f'"heads": {json.dumps([[len(nodes) - 1, 0, 0]])}',
            f'"attrs": {json.dumps({"mxnet_version": ["int", _MXNET_VERSION]})}',
        ],
        0,
        lines=True,
    )


def _block(brackets: str, items: Sequence[str], depth: int, *, lines: bool) -> str:
    if not lines:
        return brackets[0] + ", ".join(items) + brackets[1]
    indent = "\n" + "  " * depth
    return brackets[0] + ", ".join(f"{indent}  {item}" for item in items) + indent + brackets[1]
