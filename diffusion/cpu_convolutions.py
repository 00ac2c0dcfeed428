"""Convolutions of a network that only computes outputs, on a CPU: the same mathematics with less work around it.

A plain convolution lays its weights out anew for the processor's kernels at every call, a tenth of its time or more
where batches are small and maps are wide. A convolution of a doubled map multiplies equal pixels again and again.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DoublingConv2d", "PackedConv2d", "has_packed_kernels"]


def has_packed_kernels() -> bool:
    """Whether this processor and this build of torch have the kernels, those of oneDNN on x86."""
    if not torch.backends.mkldnn.is_available() or not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        return False
    # Not part of torch's public interface: a version without them samples with plain convolutions.
    return all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_convolution_weight", "_convolution_pointwise"))


class PackedConv2d(nn.Module):
    """A convolution whose weights were laid out once.

    Outputs are those of the plain one to the bit where that runs on the same kernels; torch takes others for 1x1
    convolutions on one thread.

    Parameters
    ----------
    weight : Tensor (out, in, height, width), float32
    bias : Tensor (out,), float32
    stride, padding : (int, int)
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, *, stride: tuple[int, int] = (1, 1), padding: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__()
        self.bias, self.stride, self.padding = bias.detach(), stride, padding
        plain = weight.detach().contiguous(memory_format=torch.channels_last)
        # Not a parameter: the layout is the kernels' own and means nothing in a state dict.
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(plain, padding, stride)

    @classmethod
    def of(cls, conv: nn.Conv2d) -> PackedConv2d:
        """Pack a convolution without groups or dilation."""
        (rows, columns), padding = conv.stride, conv.padding
        if conv.bias is None or isinstance(padding, str):
            raise ValueError("a convolution without bias, or with padding by name, cannot be packed")
        return cls(conv.weight, conv.bias, stride=(rows, columns), padding=(padding[0], padding[1]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, self.stride, (1, 1), 1, "none", [], ""
        )


class DoublingConv2d(nn.Module):
    """Double height and width by repeating pixels, then a 3x3 convolution of padding 1, in four ninths of its products.

    The 3x3 window of an output pixel holds 2x2 different pixels of the small map. Which of the nine weights fall on the
    same one depends only on whether the output's row and column are even or odd: four 2x2 convolutions of the small
    map, their weights being the sums, give the four interleaved parts. Equal up to rounding.

    Parameters
    ----------
    weight : Tensor (out, in, 3, 3), float32
    bias : Tensor (out,), float32
    """

    # How a side's three weights add up to two. An even output begins one pixel of the small map earlier than it lies
    # in, an odd one ends one later.
    _SUMS = (((1.0, 0.0, 0.0), (0.0, 1.0, 1.0)), ((1.0, 1.0, 0.0), (0.0, 0.0, 1.0)))

    def __init__(self, weight: Tensor, bias: Tensor):
        super().__init__()
        self.width = len(bias)
        sums = weight.new_tensor(self._SUMS)
        self.parts = nn.ModuleList(
            PackedConv2d(torch.einsum("ik,ockl,jl->ocij", sums[row], weight.detach(), sums[column]), bias)
            for row in (0, 1)
            for column in (0, 1)
        )

    @classmethod
    def of(cls, conv: nn.Conv2d) -> DoublingConv2d:
        """Take over the weights of the convolution that follows the doubling."""
        if conv.bias is None:
            raise ValueError("a convolution without bias cannot follow the doubling")
        return cls(conv.weight, conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        shape = (batch, self.width, 2 * height, 2 * width)
        doubled = torch.empty(shape, memory_format=torch.channels_last)
        for number, part in enumerate(self.parts):
            row, column = divmod(number, 2)
            # One padded side each: an even output reaches back by one pixel, an odd one ahead.
            doubled[:, :, row::2, column::2] = part(F.pad(x, (1 - column, column, 1 - row, row)))
        return doubled
