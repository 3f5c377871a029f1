"""Which gates have a block in which weight of a cell."""

from __future__ import annotations

from typing import Any

from keras import ops


class Blocks:
    """The part of a `Cell` that says how its weights are cut by gate."""

    @property
    def projected(self) -> tuple[str, ...]:
        """Gates with a block in `kernel`, in its order."""
        return tuple(k for k in self.gates if k not in self.states_only)

    @property
    def multiplied(self) -> tuple[str, ...]:
        """Gates with a block in `recurrent_kernel`, if it is a matrix, in its order."""
        if self.diagonal:
            return ()
        without = (*self.inputs_only, *self.projection)
        return tuple(k for k in self.gates if k not in without)

    @property
    def products(self) -> tuple[str, ...]:
        """Gates for which a step multiplies by a matrix: `multiplied`, then those with
        a block in `projection_kernel`."""
        return (*self.multiplied, *self.projection)

    @property
    def scaled(self) -> tuple[str, ...]:
        """Gates with a recurrent weight for each unit, in the order of its blocks."""
        if not self.diagonal:
            return ()
        return tuple(k for k in self.gates if k not in self.inputs_only)

    @property
    def biased(self) -> tuple[str, ...]:
        """Gates with a block in `bias`, in its order."""
        if self.biases is None:
            late = set(self.late) & set(self.states_only)
            return tuple(k for k in self.gates if k not in late)
        return tuple(k for k in self.gates if k in self.biases)

    @property
    def product_biased(self) -> tuple[str, ...]:
        """Gates of which the recurrent part has a bias that is not added to the sum."""
        if self.bias is None or self.normalization:
            return ()
        if self.recurrent_bias:
            return tuple(k for k in self.multiplied if k in self.apart)
        late = self.apart if self.bias_part == "recurrent" else ()
        alone = set(self.states_only) | set(late)
        return tuple(k for k in self.multiplied if k in self.biased and k in alone)

    @property
    def whole(self) -> bool:
        """Whether every gate that is no projection has a block in every weight."""
        return self.projected == self.multiplied == self.biased

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of all states, that of a window among them."""
        return (*self.states, "window") if self.window > 1 else tuple(self.states)

    @property
    def zoned_states(self) -> tuple[str, ...]:
        """Names of the states that zoneout may keep."""
        if self.zoned is not None:
            return self.zoned
        return tuple(k for k in self.states if self.state_kinds.get(k) != "count")

    @property
    def state_widths(self) -> dict[str, int]:
        """Width of each of `states`, by name."""
        return {k: self.state_units.get(k, self.units) for k in self.states}

    @property
    def even(self) -> bool:
        """Whether all states are of width `units`."""
        return set(self.state_widths.values()) == {self.units}

    def product_widths(self, gate: str) -> tuple[int, int]:
        """Widths of what the matrix of a gate multiplies, and of what that gives."""
        output = self.state_widths[self.states[0]]
        if gate in self.projection:
            return self.units, output
        return output, self.units

    @property
    def linear_states(self) -> tuple[str, ...]:
        """Names of the states that a scan computes."""
        pairs = (k if isinstance(k, tuple) else (k,) for k in self.linear)
        return tuple(k for pair in pairs for k in pair)

    def gates_of(self, weight: str) -> tuple[str, ...]:
        """Gates with a block in `kernel`, `recurrent_kernel`, `projection_kernel` or
        `bias`."""
        return {
            "kernel": self.projected,
            "recurrent_kernel": self.scaled if self.diagonal else self.multiplied,
            "projection_kernel": self.projection,
            "bias": self.biased,
        }[weight]

    def blocks(self, tensor: Any, weight: str) -> dict[str, Any]:
        """The blocks of a weight's last axis, by gate."""
        gates = self.gates_of(weight)
        if len(gates) == 1:
            return {gates[0]: tensor}
        return dict(zip(gates, ops.split(tensor, len(gates), axis=-1)))

    def biases_by_gate(self, bias: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Biases of the inputs' part, or of the sum, and those of products.

        Args:
            bias: the weight, or None.
        """
        if bias is None:
            return {}, {}
        apart = self.product_biased
        if self.recurrent_bias:
            first, second = (self.blocks(bias[i], "bias") for i in range(2))
            of_inputs = {
                k: v if k in apart else v + second[k] for k, v in first.items()
            }
            return of_inputs, {k: second[k] for k in apart}
        found = self.blocks(bias, "bias")
        of_inputs = {k: v for k, v in found.items() if k not in apart}
        return of_inputs, {k: found[k] for k in apart}
