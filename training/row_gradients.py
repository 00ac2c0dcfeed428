"""Parameters' gradients of some images of a batch, out of the backward pass that gives all images their own.

Autograd sums a parameter's gradient over every image that went forward. The attack and the training read one forward
pass differently: an image that goes on needs its own gradient alone, one that has stopped the parameters' alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn


class RowGradients:
    """Adds the gradients of chosen rows of a batch to the `grad` of a network's parameters.

    Every layer that owns parameters is watched; when its output's gradient arrives, its parameters' gradients are
    worked out for the chosen rows. Layers must be called as modules, with tensors whose first dimension is the batch,
    and rows must not interact.
    """

    def __init__(self, network: nn.Module):
        self.layers = [
            layer for layer in network.modules() if any(p.requires_grad for p in layer.parameters(recurse=False))
        ]
        self._called: set[nn.Module] = set()
        self._origins: list[Tensor] = []
        self._rows: Tensor | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the forward passes made meanwhile."""
        self._called, self._origins = set(), []
        with ExitStack() as stack:
            for layer in self.layers:
                stack.callback(layer.register_forward_hook(self._watch).remove)
            yield

    def backward(self, loss: Tensor, x: Tensor, rows: Tensor) -> Tensor:
        """Return the gradient of the loss by the input of the last forward pass; add that of `rows` to the parameters'.

        Parameters
        ----------
        loss : Tensor, scalar
        x : Tensor (B, ...)
        rows : Tensor (R,), int64
            May be empty.

        Raises
        ------
        RuntimeError
            A layer was not called, so that its gradient would be lost.
        """
        called, origins = self._called, self._origins
        self._called, self._origins = set(), []
        if len(rows) == 0:
            return torch.autograd.grad(loss, x)[0]
        if missed := [type(layer).__name__ for layer in self.layers if layer not in called]:
            raise RuntimeError(f"{len(missed)} layers with parameters were not called as modules: {', '.join(missed)}")
        self._rows = rows
        try:
            return torch.autograd.grad(loss, [x, *origins])[0]
        finally:
            self._rows = None

    def _watch(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Within a backward pass a layer goes forward again for its parameters alone.
        if self._rows is not None:
            return
        self._called.add(layer)
        # A backward pass that is asked for x alone would leave out what was computed beside it, from t.
        if not any(value.requires_grad for value in inputs):
            self._origins.append(output)
        output.register_hook(partial(self._learn, layer, inputs))

    def _learn(self, layer: nn.Module, inputs: tuple[Tensor, ...], gradient: Tensor) -> None:
        rows = self._rows
        if rows is None:
            return
        own = [parameter for parameter in layer.parameters(recurse=False) if parameter.requires_grad]
        found = parameter_gradients(layer, own, [value[rows] for value in inputs], gradient[rows])
        for parameter, part in zip(own, found, strict=True):
            part = part.to(parameter.dtype)
            parameter.grad = part if parameter.grad is None else parameter.grad.add_(part)


def parameter_gradients(
    layer: nn.Module, parameters: Sequence[Tensor], inputs: Sequence[Tensor], gradient: Tensor
) -> Sequence[Tensor]:
    """Return the gradients of a layer's own parameters from its inputs and the gradient of its output."""
    if isinstance(layer, nn.Conv1d | nn.Conv2d) and len(parameters) == 2:
        # A convolution's output is not needed for this: the others are cheap enough to go forward again.
        _, weight, bias = torch.ops.aten.convolution_backward(
            gradient,
            inputs[0].detach().to(gradient.dtype),
            layer.weight.detach().to(gradient.dtype),
            list(layer.bias.shape),
            layer.stride,
            layer.padding,
            layer.dilation,
            False,
            [0] * len(layer.stride),
            layer.groups,
            [False, True, True],
        )
        return weight, bias
    with torch.enable_grad():
        # In the parameters' own type, whatever autocast chose.
        output = layer.forward(*(value.detach().to(parameters[0].dtype) for value in inputs))
    return torch.autograd.grad(output, parameters, gradient.to(output.dtype))
