"""Methods against overfitting, and layers with them; for `test_regularized*.py`."""

from tensors import randomize

from keras_rnnx import cells, layers

UNITS, FEATURES, BATCH, STEPS = 6, 4, 3, 5


def made(name, monkeypatch=None, **arguments):
    """A layer with distinct random weights; masks that it draws are noted."""
    layer = layers.RNN(
        cells.get(name, UNITS, **arguments), return_sequences=True, return_state=True
    )
    layer.build((BATCH, STEPS, FEATURES))
    randomize(layer, seed=1, scale=0.6)
    if monkeypatch:
        draw = layer.cell.random_masks.draw

        def noted(*args):
            drawn = draw(*args)
            layer.drawn = by_name(drawn)
            return drawn

        monkeypatch.setattr(layer.cell.random_masks, "draw", noted)
    return layer


def by_name(drawn):
    """Random masks by name: of a weight, "inputs", "recurrent", "update", or "zoneout"
    and a state."""
    found = drawn.weights | {"inputs": drawn.inputs}
    for context in (drawn.whole, drawn.by_step):
        zoneout = {f"zoneout {state}": mask for state, mask in context.zoneout.items()}
        both = {"recurrent": context.recurrent, "update": context.update}
        found |= zoneout | {k: mask for k, mask in both.items() if mask is not None}
    return {name: mask for name, mask in found.items() if mask is not None}


METHODS = {
    "dropout": {"dropout": 0.4, "recurrent_dropout": 0.3},
    "step": {"dropout": 0.4, "recurrent_dropout": 0.3, "dropout_mask": "step"},
    "weights": {"weight_dropout": 0.4, "input_weight_dropout": 0.3},
    "update": {"update_dropout": 0.5},
    "update, step": {"update_dropout": 0.5, "dropout_mask": "step"},
    "zoneout": {"zoneout": 0.4},
    "layer_norm": {"layer_norm": True},
    "all": {
        "dropout": 0.3,
        "recurrent_dropout": 0.2,
        "weight_dropout": 0.2,
        "input_weight_dropout": 0.2,
        "update_dropout": 0.3,
        "zoneout": 0.2,
        "layer_norm": True,
    },
}
