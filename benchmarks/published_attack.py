"""The published robust-training step, restated from its description, as the yardstick for results and speed.

Full batch at every step although stopped images no longer move; mean cross-entropy; gradients of all parameters on the
way (L-infinity) or of the attention blocks' (L2, by their recomputation in the backward pass); contiguous layout.
"""

from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion.blocks import SelfAttention2d


def published_l2(
    classifier, x: Tensor, y: Tensor, t: Tensor, *, epsilon: float, step_size: float, steps: int
) -> Tensor:
    """L2 PGD: normalised gradient of the mean loss, projection, moved only where the prediction is still right."""
    origin, current = x.detach(), x.detach().clone()
    for _ in range(steps):
        leaf = current.clone().requires_grad_(True)
        logits = classifier(leaf, t)
        right = logits.argmax(dim=1) == y
        if not right.any():
            break
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, y), leaf)
        length = gradient.flatten(1).norm(dim=1)[:, None, None, None]
        delta = current + step_size * gradient / (length + 1e-10) - origin
        radius = delta.flatten(1).norm(dim=1).clamp(min=epsilon)[:, None, None, None]
        projected = origin + delta * epsilon / (radius + 1e-10)
        current = torch.where(right[:, None, None, None], projected, current)
    return current.detach()


def published_linf(
    classifier, x: Tensor, y: Tensor, t: Tensor, *, epsilon: float, step_size: float, steps: int
) -> Tensor:
    """L-infinity PGD: sign of the gradient by a full backward pass, clamp."""
    delta = torch.zeros_like(x, requires_grad=True)
    for _ in range(steps):
        logits = classifier(x + delta, t)
        right = logits.argmax(dim=1) == y
        if not right.any():
            break
        F.cross_entropy(logits, y).backward()
        with torch.no_grad():
            moved = (delta + step_size * delta.grad.sign()).clamp(-epsilon, epsilon)
            delta.copy_(torch.where(right[:, None, None, None], moved, delta))
            delta.grad.zero_()
    return (x + delta).detach()


def published_step(
    attack, classifier: nn.Module, optimizer, x: Tensor, y: Tensor, t: Tensor, **attack_options
) -> Tensor:
    """Attack, then one ordinary training step; returns the attacked images."""
    x_adv = attack(classifier, x, y, t, **attack_options)
    loss = F.cross_entropy(classifier(x_adv, t), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return x_adv


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, block, x, *parameters):
        ctx.block = block
        ctx.save_for_backward(x, *parameters)
        return _attend(block, x)

    @staticmethod
    def backward(ctx, gradient):
        x, *parameters = ctx.saved_tensors
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            again = _attend(ctx.block, x)
        return None, *torch.autograd.grad(again, [x, *parameters], gradient)


@contextmanager
def recomputed_attention(network: nn.Module):
    """Let self-attention blocks recompute their forward pass in the backward pass, as the published code always does.

    Its backward pass also differentiates the block's parameters, even where only the input's gradient is wanted. The
    attention is written out as two products around a float32 softmax.
    """
    blocks = [module for module in network.modules() if isinstance(module, SelfAttention2d)]

    def recompute(block):
        return lambda x: _Recomputed.apply(block, x, *block.parameters())

    for block in blocks:
        block.forward = recompute(block)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def _attend(block: SelfAttention2d, x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    flat = x.reshape(batch, channels, -1)
    qkv = block.qkv(block.norm(flat))
    head = channels // block.heads
    if block.new_order:
        q, k, v = (part.reshape(batch * block.heads, head, -1) for part in qkv.chunk(3, dim=1))
    else:
        q, k, v = qkv.reshape(batch * block.heads, 3 * head, -1).split(head, dim=1)
    scale = head**-0.25
    weights = torch.einsum("bct,bcs->bts", q * scale, k * scale).float().softmax(dim=-1)
    h = torch.einsum("bts,bcs->bct", weights, v).reshape(batch, channels, -1)
    return (flat + block.proj_out(h)).reshape(batch, channels, height, width)
