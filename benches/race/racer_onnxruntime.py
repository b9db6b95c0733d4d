"""ONNX Runtime in the race: single rows, from and to NumPy arrays."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import measure
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from workloads import Workload

# In ONNX' names.
ACTIVATIONS = {"relu": "Relu", "elu": "Elu", "selu": "Selu", "sigmoid": "Sigmoid"}
# Versions of ONNX that hold these operations and that older releases of the runtime read too.
OPERATIONS_VERSION = 17
FILE_VERSION = 9


def network(workload: Workload) -> bytes:
    """Return the network as an ONNX file; dropout does nothing outside of training."""
    generator = np.random.default_rng(0)
    nodes, constants = [], []
    values = "x"

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def apply(operation: str, *others: str) -> None:
        nonlocal values
        output = f"values_{len(nodes)}"
        nodes.append(helper.make_node(operation, [values, *others], [output]))
        values = output

    for number, (inputs, outputs) in enumerate(workload.pairs):
        scale = (workload.gain / inputs) ** 0.5
        kernel = constant(f"kernel_{number}", generator.standard_normal((inputs, outputs)) * scale)
        apply("Gemm", kernel, constant(f"bias_{number}", np.zeros(outputs)))
        if number == len(workload.hidden):
            break
        if workload.batch_norm:
            # Scale, shift, mean and variance.
            state = {"gamma": 1.0, "beta": 0.0, "mean": 0.0, "variance": 1.0}
            apply(
                "BatchNormalization",
                *(
                    constant(f"{name}_{number}", np.full(outputs, value))
                    for name, value in state.items()
                ),
            )
        apply(ACTIVATIONS[workload.activation])
    graph = helper.make_graph(
        nodes,
        workload.name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, workload.inputs])],
        [helper.make_tensor_value_info(values, TensorProto.FLOAT, [1, workload.classes])],
        constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPERATIONS_VERSION)],
        ir_version=FILE_VERSION,
    )
    return model.SerializeToString()


def answerer(workload: Workload, _: str, threads: int) -> measure.Answerer:
    """Return the model as a function of one row."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        network(workload), options, providers=["CPUExecutionProvider"]
    )
    x, _ = measure.data(workload)
    return measure.Answerer(
        partial(session.run, None), [{"x": x[:1]}, {"x": x[1:2]}], lambda answer: answer[0]
    )


if __name__ == "__main__":
    measure.run(["onnxruntime", "numpy"], {}, {"one-row": answerer})
