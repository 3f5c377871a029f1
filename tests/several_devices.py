"""Trains models on one device and on two, and prints how far they are apart.

It fails if there are not two devices, or if training does not move the weights.

    KERAS_BACKEND=jax python tests/several_devices.py

A program of its own: a backend learns how many devices there are before it is used.
On TensorFlow with `MirroredStrategy`, on JAX with the batch and with the weights
divided (`keras.distribution`), on torch with `DistributedDataParallel`.
"""

import json
import os
import pathlib
import socket
import sys
import tempfile

import quick

os.environ.update(quick.environment())
os.environ.update(
    XLA_FLAGS=os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=2"
)

import keras
import numpy as np
import seeds

from keras_rnnx import layers

# A loop that is compiled, a scan, a stack of a kernel's layers, both directions.
MODELS = {
    "loop": lambda: layers.LSTM(4, layer_norm=True),
    "scan": lambda: layers.MinGRU(4),
    "stack": lambda: layers.Stack("gru", 4, depth=2),
    "both": lambda: layers.Bidirectional(layers.LeakyRNN(4)),
}
BATCH, STEPS = 16, 6


def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(2 * BATCH, STEPS, 3)).astype("float32")
    x[::3, 4:] = 0
    return x, (x[:, 0, :2] + x[:, 1, 1:]).astype("float32")


def made(name):
    seeds.seed(name)
    inputs = [keras.Input((STEPS, 3)), keras.layers.Masking()]
    return keras.Sequential([*inputs, MODELS[name](), keras.layers.Dense(2)])


def fitted(name):
    model = made(name)
    model.compile(keras.optimizers.SGD(0.01), "mse")
    first = weights(model)
    model.fit(*data(), batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    return moved(first, weights(model))


def weights(model):
    return [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]


def moved(first, last):
    """The last weights; every one of them is another one than at first."""
    for one, other in zip(first, last, strict=True):
        assert apart([one], [other]) > 1e-4
    return last


def apart(ones, others):
    return max(
        float(np.abs(one - other).max())
        for one, other in zip(ones, others, strict=True)
    )


def on_tensorflow():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    both = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, both)
    found = {}
    for name in MODELS:
        alone = fitted(name)
        strategy = tf.distribute.MirroredStrategy(
            ["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice()
        )
        assert strategy.num_replicas_in_sync == 2
        with strategy.scope():
            found[name] = apart(alone, fitted(name))
    return found


def on_jax():
    alone = {name: fitted(name) for name in MODELS}
    found, devices = {}, keras.distribution.list_devices("cpu")
    assert len(devices) == 2
    mesh = keras.distribution.DeviceMesh((1, 2), ["batch", "model"], devices)
    divided = keras.distribution.LayoutMap(mesh)
    divided[".*kernel"] = (None, "model")
    for kind, distribution in {
        "data": keras.distribution.DataParallel(devices=devices),
        "model": keras.distribution.ModelParallel(
            layout_map=divided, batch_dim_name="batch"
        ),
    }.items():
        keras.distribution.set_distribution(distribution)
        for name in MODELS if kind == "data" else ("loop", "both"):
            found[f"{name}, {kind}"] = apart(alone[name], fitted(name))
    return found


def by_hand(model, module, rows):
    import torch

    x, y = (torch.tensor(values[rows]) for values in data())
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    first = weights(model)
    for _ in range(2):
        optimizer.zero_grad()
        ((module(x) - y) ** 2).mean().backward()
        optimizer.step()
    return moved(first, weights(model))


def process(rank, folder, port):
    import torch

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    for name in MODELS:
        model = made(name)
        module = torch.nn.parallel.DistributedDataParallel(model)
        values = by_hand(model, module, slice(rank * BATCH, (rank + 1) * BATCH))
        if rank == 0:
            np.savez(f"{folder}/{name}.npz", *values)
    # A process that leaves early would take the other one's connection with it.
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


def on_torch():
    import torch

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(process, (folder, free_port()), nprocs=2)
        for name in MODELS:
            model = made(name)
            values = np.load(pathlib.Path(folder) / f"{name}.npz").values()
            found[name] = apart(by_hand(model, model, slice(None)), list(values))
    return found


if __name__ == "__main__":
    made_for = {"tensorflow": on_tensorflow, "jax": on_jax, "torch": on_torch}
    json.dump(made_for[keras.backend.backend()](), sys.stdout)
