"""XLA compiles a program once for each shape, while weights and inputs change."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_rnnx import engine, layers, testing

# What the tests share takes half a minute: one process runs them all.
pytestmark = pytest.mark.xdist_group("compilations")

TESTS = pathlib.Path(__file__).parent


# Programs that run a few times need not be fast.
QUICK = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_dump_to="
)


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    programs = str(tmp_path_factory.mktemp("programs"))
    paths = [str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [sys.executable, TESTS / "compilations.py", programs],
        capture_output=True,
        text=True,
        env=os.environ
        | {
            "XLA_FLAGS": QUICK + programs,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        },
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
def test_fit_compiles_every_kind_of_cell_once(counts):
    assert counts["fit"] == [1, 1, 1]


def test_fit_compiles_each_length_once(counts):
    """Batches of 3, 3, 4, 3 and 4 steps, of a model that leaves the number open."""
    assert counts["open"] == [1, 1, 2, 2, 2]


@pytest.mark.cases(2)
@pytest.mark.parametrize("how", ["compiled function", "function", "eager"])
def test_a_training_step_of_ones_own_compiles_once(counts, how):
    first, *others = counts[how]
    assert first > 0
    assert set(others) == {first}


def test_checkpoints_in_a_graph_for_all_lengths_compile():
    """Also where no whole segment is there, or no step behind the whole ones."""
    layer = layers.SimpleRNN(2, checkpoint=2)
    layer.build((None, None, 3))
    weights = [v.value for v in layer.trainable_variables]

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3))], jit_compile=True)
    def gradients(x):
        with tf.GradientTape() as tape:
            y = layer(x, training=True)
        return tape.gradient(y, weights)

    rng = np.random.default_rng(0)
    for steps in (1, 4, 5):
        x = rng.normal(size=(2, steps, 3)).astype("float32")
        with engine.force("step"):
            layer.checkpoint = None
            _, (_, *expected) = testing.gradients(
                lambda x: [layer(x)], [x], layer.trainable_variables, [np.ones((2, 2))]
            )
            layer.checkpoint = 2
        for found, wanted in zip(gradients(x), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-5)
