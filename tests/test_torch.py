"""torch: the kernels it has on the CPU, and what is said of them."""

import catalogue
import keras
import numpy as np
import oracles
import pytest
import torch

import keras_rnnx
from keras_rnnx import cells, engine, layers
from keras_rnnx.constraints import recurrent
from keras_rnnx.engine.backends.torch import recurrent_kernels

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason="the kernels are cuDNN's: see test_gpu.py"
)
KERNELS = oracles.KERNELS | {
    "janet_coupled": "gru",
    "mgu_reset_after": "gru",
    "leaky_rnn_sigmoid": "gru",
    "simple_rnn_sigmoid": "rnn_tanh",
    "simple_rnn_relu": "rnn_relu",
    "simple_rnn_leaky_relu": "rnn_relu",
    "leaky_rnn_relu": "rnn_relu",
    "leaky_rnn_leaky_relu": "rnn_relu",
    "leaky_rnn_learned": "rnn_relu",
    "fast_rnn_relu": "rnn_relu",
    "lstmp_narrow": "lstmp",
}
# torch has one function for both, and tells them apart by their states.
FUNCTIONS = {"lstmp": "lstm"}


def test_every_lowering_has_its_kernel_here():
    assert set(KERNELS) == set(catalogue.VARIANTS) - set(catalogue.WITHOUT_LOWERING)


@pytest.mark.parametrize("variant", KERNELS)
def test_the_kernel_that_is_planned_is_the_one_that_is_called(variant, monkeypatch):
    layer = layers.RNN(catalogue.make(variant))
    assert engine.refusal(layer, "native") is None
    with engine.force("native"):
        plan = engine.plan(layer)
    assert plan == engine.Plan("native", f"torch {KERNELS[variant]}", "forced")
    called = []
    function = FUNCTIONS.get(KERNELS[variant], KERNELS[variant])
    real = getattr(torch, function)

    def counting(*args, **kwargs):
        called.append(args[0].shape)
        return real(*args, **kwargs)

    monkeypatch.setattr(torch, function, counting)
    with engine.force("native"):
        layer(np.ones((3, 6, 4), "float32"))
    assert len(called) == 1 and tuple(called[0][:2]) in {(3, 6), (6, 3)}


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN", "CIFG"])
def test_a_named_layer_takes_the_kernel_by_itself(name):
    plan = engine.plan(getattr(layers, name)(4))
    assert (plan.engine, plan.kernel[:6]) == ("native", "torch ")
    assert plan.reason.startswith("exact")


def test_explain_says_which_kernel_and_why():
    model = keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.LSTM(4, return_sequences=True, name="a"),
            layers.CIFG(4, return_sequences=True, name="b"),
            layers.GRU(4, reset_after=False, return_sequences=True, name="c"),
            layers.LSTM(4, recurrent_dropout=0.1, name="d"),
        ]
    )
    rows = {row.layer: row for row in keras_rnnx.explain(model)}
    assert rows["a"][1:] == ("LSTMCell", "native", "torch lstm", "exact")
    assert rows["b"][1:4] == ("CIFGCell", "native", "torch lstm")
    assert rows["b"].reason == "exact: input gate tied to the forget gate"
    assert rows["c"].engine == "fused"
    assert "reset_after=False multiplies by U" in rows["c"].reason
    assert rows["d"].engine == "fused"
    assert "recurrent_dropout=0.1 draws a mask" in rows["d"].reason


@pytest.mark.parametrize(
    "layer, training, reason",
    [
        (layers.LSTM(3, unroll=True), True, "unroll=True"),
        (layers.LSTM(3, recurrent_dropout=0.5), True, "recurrent_dropout=0.5"),
        (layers.LSTM(3, recurrent_dropout=0.5), False, None),
        (layers.LSTM(3, dropout=0.5), True, None),
        (layers.LSTM(3, activation="relu"), True, "activation='relu'"),
        (layers.GRU(3, recurrent_activation="hard_sigmoid"), True, "hard_sigmoid"),
        (layers.GRU(3, dtype="mixed_float16"), True, "have no float16"),
        (layers.GRU(3, dtype="mixed_bfloat16"), True, None),
        (layers.FastRNN(3, dtype="mixed_bfloat16"), True, "not exact enough"),
        (layers.JANET(3), True, "beta=1.0 forgets and writes by different amounts"),
        (layers.MGU(3), True, "reset_after=False"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_the_kernels_refuse(layer, training, reason):
    found = engine.refusal(layer, "native", training)
    assert (found is None) if reason is None else (reason in found)
    if reason is not None:
        with engine.force("native"), pytest.raises(ValueError, match="was forced, but"):
            engine.plan(layer, training)
        assert engine.plan(layer, training).engine == "fused"


def test_cudnn_cannot_be_had_without_a_gpu():
    layer = layers.LSTM(3, use_cudnn=True)
    with pytest.raises(ValueError, match="LSTMCell on the torch.*finds no GPU"):
        layer(np.ones((2, 4, 3), "float32"))
    # It is about cuDNN alone: the kernels of the CPU stay.
    assert engine.plan(layers.LSTM(3, use_cudnn=False)).engine == "native"


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_the_kernel_runs_without_a_graph(context):
    layer = catalogue.built("lstm")
    x = torch.tensor(np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32"))
    with engine.force("native"):
        expected = layer(x).detach().numpy()
        with context():
            found = layer(x)
    assert not found.requires_grad
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_the_kernel_serves_a_cell_of_ones_own():
    class TiedCell(cells.Cell):
        """An LSTM whose output gate is its input gate."""

        states = ("h", "c")
        gates = ("i", "f", "c")

        def update(self, state, gate):
            i, f = keras.ops.sigmoid(gate.i), keras.ops.sigmoid(gate.f)
            c = f * state.c + i * keras.ops.tanh(gate.c)
            return cells.State(h=i * keras.ops.tanh(c), c=c)

        def lowering(self):
            return cells.Lowering(
                "lstm", lambda w: {"i": w.i, "f": w.f, "c": w.c, "o": w.i}
            )

    report = keras_rnnx.testing.check_cell(TiedCell(5))
    assert report.engines == ("native", "fused", "step")


def test_a_wrong_lowering_does_not_conform():
    class SwappedCell(cells.CIFGCell):
        def lowering(self):
            return cells.Lowering(
                "lstm", lambda w: {"i": w.f, "f": -w.f, "c": w.c, "o": w.o}
            )

    with pytest.raises(AssertionError, match="SwappedCell: the native engine differs"):
        keras_rnnx.testing.check_cell(SwappedCell(5))


def test_weights_for_cudnn_lie_in_one_piece_with_all_biases_behind():
    shapes = [(8, 3), (8, 2), (8,), (8,)], [(8, 4), (8, 2), (8,), (8,)]
    given = [[torch.randn(shape) for shape in layer] for layer in shapes]
    found = recurrent_kernels.in_one_piece(given)
    for ours, theirs in zip(sum(found, []), sum(given, []), strict=True):
        assert torch.equal(ours, theirs)
    (w, u, b, c), (w2, u2, b2, c2) = found
    at = w.data_ptr()
    for tensor in (w, u, w2, u2, b, c, b2, c2):
        assert tensor.is_contiguous() and tensor.data_ptr() == at
        at += tensor.numel() * tensor.element_size()


def test_second_derivatives_through_a_stack_in_one_call():
    stack = layers.Stack("gru", 3, depth=2, dtype="float64")
    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, 2, dtype=torch.float64)

    def second(*way):
        with engine.force(*way):
            loss = (stack(x, training=True) ** 2).sum()
            (slope,) = torch.autograd.grad(loss, x, create_graph=True)
        return torch.autograd.grad((slope * weight).sum(), x)[0]

    torch.testing.assert_close(second("native", True), second("step"))


@pytest.mark.parametrize("kernel", ["lstm", "gru", "rnn_tanh", "lstmp"])
def test_what_does_not_fit_the_weights_reaches_no_kernel(kernel):
    gates = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "lstmp": 4}[kernel]
    width = 2 if kernel == "lstmp" else 5
    shapes = [(3, 5 * gates), (width, 5 * gates), (5 * gates,), (5 * gates,)]
    shapes += [(5, 2)] * (kernel == "lstmp")
    weights = [[torch.zeros(shape) for shape in shapes]]

    def run(features=3, rows=4, units=width, count=1):
        states = [torch.zeros(count, rows, units), torch.zeros(count, rows, 5)]
        states = states if kernel.startswith("lstm") else states[:1]
        x = torch.zeros(4, 6, features)
        return recurrent_kernels.run_kernel(kernel, x, states, weights, None)

    assert run()[0].shape == (4, 6, width)
    for wrong, message in (
        ({"features": 4}, "with 4 features, but its weights are for 3"),
        ({"rows": 2}, r"received 4 sequences and 1 layer.*received shape \(1, 2, "),
        ({"count": 2}, r"received shape \(2, 4, "),
        ({"units": 6}, f"states of 6 units, but its weights are for {width}"),
    ):
        with pytest.raises(ValueError, match=message):
            run(**wrong)


@pytest.mark.parametrize("name", ["LSTM", "CIFG", "Stack"])
def test_a_layer_refuses_inputs_of_another_width(name):
    args = ("lstm", 4) if name == "Stack" else (4,)
    layer = getattr(layers, name)(*args)
    layer(np.zeros((2, 5, 3), "float32"))
    with pytest.raises(ValueError):
        layer(np.zeros((2, 5, 4), "float32"))


@pytest.mark.parametrize("distance, products", [(0.0, 2), (1e-5, 2), (1e-3, 3)])
def test_an_orthogonal_constraint_starts_from_where_the_matrix_is(
    distance, products, monkeypatch
):
    count, real = [], recurrent._gram
    monkeypatch.setattr(recurrent, "_gram", lambda x: count.append(0) or real(x))
    rng = np.random.default_rng(0)
    matrix = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    matrix += distance * rng.normal(size=(6, 6))
    recurrent.Orthogonal()(matrix.astype("float32"))
    assert len(count) == products
