"""Of a bundle, int8 holds what becomes faster or smaller by it, in operators that every ONNX runtime knows."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from cnn_graph import cnn_graph, run
from conftest import ROOT, TINY
from onnx import TensorProto

from looksay.export import onnx_graphs
from looksay.export.quantize import convolutions, products, quantize
from looksay.runtime.bundle import DECODER, ENCODER
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training import build, recipe_file

IMAGES = np.random.default_rng(1).uniform(-1, 1, size=(12, 3, 64, 64)).astype(np.float32)
WORDS = [f"word{number}" for number in range(60)]


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[onnx.ModelProto, onnx.ModelProto]]:
    """Return the encoder and the decoder of a small model, with its tied embedding: in float32 and in int8."""
    changes = (*TINY, "encoder.name=test_resnet", "embedding.tied=true", "decoder.size=64")
    recipe = recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes)
    model = build.caption_model(recipe, Vocabulary((*SPECIAL, *WORDS))).eval()
    folder = tmp_path_factory.mktemp("graphs")
    onnx_graphs.write(model, 64, folder)
    before = {name: onnx.load(folder / name) for name in (ENCODER, DECODER)}
    quantize(folder, IMAGES)
    return {name: (graph, onnx.load(folder / name)) for name, graph in before.items()}


def int8_weights(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Return the weights, not vectors, that are stored in int8."""
    return [one for one in model.graph.initializer if one.data_type == TensorProto.INT8 and len(one.dims) > 1]


def test_all_but_the_first_three_convolutions_are_int8(graphs: dict[str, tuple[onnx.ModelProto, ...]]) -> None:
    before, after = graphs[ENCODER]
    count = sum(node.op_type == "Conv" for node in before.graph.node)
    assert sum(len(weight.dims) == 4 for weight in int8_weights(after)) == count - 3 > 3
    assert np.square(run(after, IMAGES) - run(before, IMAGES)).mean() < 0.1**2 * np.square(run(before, IMAGES)).mean()
    names = [node.name for node in convolutions(cnn_graph()) if node.op_type == "Conv"]
    assert names == ["deep", "narrow", "last"]


@pytest.mark.parametrize("kind", ["two convolutions", "SiLU"])
def test_a_cnn_that_int8_would_not_make_faster_is_left_as_it_is(kind: str) -> None:
    model = cnn_graph()
    if kind == "SiLU":
        (node,) = (node for node in model.graph.node if node.name == "relu")
        node.op_type = "HardSwish"
    else:
        del model.graph.node[4:]
        model.graph.node[-1].output[0] = "features"
    assert convolutions(model) == []


def test_all_products_with_weights_are_int8_and_the_embedding_is_not(
    graphs: dict[str, tuple[onnx.ModelProto, ...]],
) -> None:
    before, after = graphs[DECODER]
    weights = {weight.name.removesuffix("_quantized"): sorted(weight.dims) for weight in int8_weights(after)}
    sizes = {weight.name: sorted(weight.dims) for weight in before.graph.initializer}
    nodes = products(before)  # with a copy of the output layer's weight, which the embedding reads too
    assert len(nodes) == 4  # two LSTMs, the attention's query, the output layer
    assert weights.keys() == {node.input[1] for node in nodes}
    assert sum(weights[name] == size for name, size in sizes.items() if name in weights) == 3
    halves = [weight for weight in after.graph.initializer if weight.data_type == TensorProto.FLOAT16]
    assert [list(weight.dims) for weight in halves] == [[len(SPECIAL) + len(WORDS), 64]]


def test_only_standard_operators_are_used(graphs: dict[str, tuple[onnx.ModelProto, ...]]) -> None:
    for _, after in graphs.values():
        assert {node.domain for node in after.graph.node} == {""}
        onnx.checker.check_model(after, full_check=True)
