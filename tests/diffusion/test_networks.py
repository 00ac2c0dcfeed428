import copy
import hashlib
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from diffusion.blocks import (
    AttentionPool2d,
    GroupNorm32,
    HalvingMean,
    SelfAttention2d,
    fuse_attention,
    pack_convolutions,
    timestep_embedding,
)
from diffusion.classifier import ClassifierConfig
from diffusion.cpu_convolutions import DoublingConv2d, PackedConv2d, has_packed_kernels
from diffusion.published import PUBLISHED
from diffusion.unet import DenoiserConfig

DATA = Path(__file__).parents[1] / "data"
LAYOUTS = json.loads((DATA / "adm_layouts.json").read_text())["networks"]
GOLDEN = json.loads((DATA / "network_golden.json").read_text())["cases"]
SMALL = {"image_size": 16, "model_channels": 32, "channel_mult": (1, 2), "attention_resolutions": (8,)}


def layout_of(config):
    with torch.device("meta"):
        network = config.build()
    return {name: list(tensor.shape) for name, tensor in network.state_dict().items()}


def filled(network):
    """Fill a network as tests/data/network_golden.json says: values that depend on the parameter's name alone."""
    state = {}
    for name, tensor in network.state_dict().items():
        values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(tensor.shape))
        if tensor.ndim > 1:
            values *= 1.5 / np.sqrt(values[0].size)
        else:
            values = 0.3 * values + (1.0 if name.endswith("weight") else 0.0)
        state[name] = torch.from_numpy(values.astype(np.float32))
    network.load_state_dict(state)
    return network.eval()


def golden_network(case):
    config = {"denoiser": DenoiserConfig, "classifier": ClassifierConfig}[case["kind"]](**case["config"])
    return filled(config.build())


def golden_input(network):
    x = torch.from_numpy(np.random.RandomState(1).standard_normal((2, 3, 16, 16)).astype(np.float32))
    labelled = isinstance(network.config, DenoiserConfig) and network.config.num_classes
    return x, torch.tensor([37, 901]), *([torch.tensor([1, 2])] if labelled else [])


def spread(values):
    return values.flatten()[:: max(1, values.numel() // 12)][:12]


def test_layouts_cover_every_published_network():
    assert set(LAYOUTS) == set(PUBLISHED)
    assert sum("shapes" in layout for layout in LAYOUTS.values()) == 6


@pytest.mark.parametrize("name", PUBLISHED)
def test_layout_is_the_published_one(name):
    expected = LAYOUTS[name]
    found = layout_of(PUBLISHED[name])

    if "shapes" in expected:
        assert found == expected["shapes"]
    assert len(found) == expected["keys"]
    assert sum(torch.Size(shape).numel() for shape in found.values()) == expected["parameters"]
    digest = hashlib.sha256(json.dumps(sorted([k, v] for k, v in found.items())).encode()).hexdigest()
    assert digest == expected["layout_sha256"]


@pytest.mark.parametrize("name", GOLDEN)
def test_output_and_input_gradient_equal_the_published_code(name):
    case = GOLDEN[name]
    network = golden_network(case)
    x, *rest = golden_input(network)
    x.requires_grad_(True)

    output = network(x, *rest)
    (gradient,) = torch.autograd.grad(output.square().sum(), x)

    torch.testing.assert_close(spread(output.detach()), torch.tensor(case["output"]), rtol=1e-5, atol=1e-5)
    assert output.norm().item() == pytest.approx(case["output_norm"], rel=1e-5)
    scale = gradient.abs().max().item()
    expected = torch.tensor(case["gradient"])
    torch.testing.assert_close(gradient.flatten()[::128], expected, rtol=0, atol=1e-5 * scale)
    assert gradient.norm().item() == pytest.approx(case["gradient_norm"], rel=1e-5)


@pytest.mark.parametrize("name", ["denoiser_head_width", "classifier_attention"])
def test_channels_last_changes_nothing(name):
    network = golden_network(GOLDEN[name])
    x, *rest = golden_input(network)
    expected = network(x, *rest)

    network = network.to(memory_format=torch.channels_last)
    found = network(x.contiguous(memory_format=torch.channels_last), *rest)

    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["denoiser_4_heads", "classifier_attention"])
def test_half_torso_stays_close_and_keeps_other_layers_in_float32(name):
    network = golden_network(GOLDEN[name])
    x, *rest = golden_input(network)
    expected = network(x, *rest)

    found = network.cast_torso(torch.float16)(x, *rest)

    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 0.02 * expected.abs().max()
    halved = {n.split(".")[0] for n, p in network.named_parameters() if p.dtype == torch.float16}
    assert halved == {"input_blocks", "middle_block"} | ({"output_blocks"} if "denoiser" in name else set())
    assert all(p.ndim > 1 or n.endswith("bias") for n, p in network.named_parameters() if p.dtype == torch.float16)


def test_image_is_the_same_in_any_batch():
    network = golden_network(GOLDEN["classifier_attention"])
    x, t = golden_input(network)
    alone = torch.cat([network(x[:1], t[:1]), network(x[1:], t[1:])])

    torch.testing.assert_close(network(x, t), alone, rtol=1e-5, atol=1e-5)


def test_fresh_denoiser_predicts_zero():
    network = DenoiserConfig(**SMALL).build()

    assert not network(torch.randn(2, 3, 16, 16), torch.tensor([0, 999])).any()


def test_features_are_what_the_last_linear_map_reads():
    for name in ("classifier_attention", "classifier_adaptive", "classifier_spatial"):
        network = golden_network(GOLDEN[name])
        x, t = golden_input(network)
        last = network.out[2].c_proj if "attention" in name else network.out[3 if "adaptive" in name else 2]
        weight = last.weight.flatten(1)

        logits = F.linear(network.features(x, t), weight, last.bias)

        torch.testing.assert_close(logits, network(x, t), rtol=1e-5, atol=1e-5)


def test_timestep_embedding_puts_cosines_first():
    embedding = timestep_embedding(torch.tensor([0, 3]), 5)

    assert embedding.shape == (2, 5)
    torch.testing.assert_close(embedding[0], torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0]))
    expected = [np.cos(3), np.cos(0.03), np.sin(3), np.sin(0.03), 0]
    torch.testing.assert_close(embedding[1], torch.tensor(expected, dtype=torch.float32))


def attention_written_out(x, layer):
    """Softmax attention with loops over images and heads."""
    batch, channels, _, _ = x.shape
    width = channels // layer.heads
    result = torch.empty_like(x).flatten(2)
    for i in range(batch):
        qkv = layer.qkv.weight[:, :, 0] @ layer.norm(x)[i].flatten(1) + layer.qkv.bias[:, None]
        heads = []
        for h in range(layer.heads):
            if layer.new_order:
                q, k, v = (qkv[part * channels + h * width :][:width] for part in range(3))
            else:
                q, k, v = (qkv[(3 * h + part) * width :][:width] for part in range(3))
            weights = torch.softmax(q.T @ k / width**0.5, dim=-1)
            heads.append(v @ weights.T)
        result[i] = layer.proj_out.weight[:, :, 0] @ torch.cat(heads) + layer.proj_out.bias[:, None]
    return x + result.reshape(x.shape)


@pytest.mark.parametrize("new_order", [False, True])
def test_attention_follows_the_formula(new_order):
    layer = filled(SelfAttention2d(64, heads=4, new_order=new_order))
    x = torch.randn(2, 64, 3, 5, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(layer(x), attention_written_out(x, layer), rtol=1e-5, atol=1e-5)


def test_attention_pool_reads_the_mean_token():
    pool = filled(AttentionPool2d(3, 64, 7, head_channels=16))
    x = torch.randn(2, 64, 3, 3, generator=torch.Generator().manual_seed(0))
    tokens = torch.cat([x.flatten(2).mean(-1, keepdim=True), x.flatten(2)], -1) + pool.positional_embedding
    q, k, v = pool.qkv_proj(tokens).chunk(3, dim=1)
    heads = []
    for h in range(4):
        part = slice(16 * h, 16 * (h + 1))
        weights = torch.softmax(torch.einsum("bct,bcs->bts", q[:, part], k[:, part]) / 4, dim=-1)
        heads.append(torch.einsum("bts,bcs->bct", weights, v[:, part]))
    expected = pool.c_proj(torch.cat(heads, dim=1))[:, :, 0]

    torch.testing.assert_close(pool(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", [DenoiserConfig, ClassifierConfig])
def test_fused_attention_changes_outputs_and_gradients_by_rounding_alone(config):
    network = filled(config(**SMALL, num_classes=10).build()).eval()
    x = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    t, labels = torch.tensor([0, 400, 999]), torch.tensor([1, 2, 3])
    results = []
    for attending in (network, fuse_attention(copy.deepcopy(network))):
        leaf = x.clone().requires_grad_(True)
        out = attending(leaf, t, labels) if config is DenoiserConfig else attending(leaf, t)
        results.append((out.detach(), *torch.autograd.grad(out.square().sum(), leaf)))
    for plain, fused in zip(*results, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-5 * plain.abs().max().item())


needs_packed_kernels = pytest.mark.skipif(not has_packed_kernels(), reason="needs oneDNN on an AVX processor")


@needs_packed_kernels
@pytest.mark.parametrize("resblock_updown", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_packed_convolutions_change_outputs_by_rounding_alone(resblock_updown, layout):
    config = DenoiserConfig(**SMALL, num_classes=10, resblock_updown=resblock_updown)
    plain = filled(config.build())
    packed = pack_convolutions(copy.deepcopy(plain).to(memory_format=layout))
    kinds = [type(module) for module in packed.modules()]
    assert torch.nn.Conv2d not in kinds
    assert kinds.count(DoublingConv2d) == 1
    for batch in (3, 2):
        x = torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        t, labels = torch.tensor([0, 400, 999])[:batch], torch.tensor([1, 2, 3])[:batch]
        with torch.no_grad():
            expected = plain(x, t, labels)
            found = packed(x, t, labels)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@needs_packed_kernels
def test_half_convolutions_stay_as_they_are():
    network = pack_convolutions(DenoiserConfig(**SMALL, resblock_updown=False).build().cast_torso(torch.bfloat16))

    kinds = {name: type(layer) for name, layer in network.named_modules() if name in ("input_blocks.0.0", "out.2")}

    assert kinds == {"input_blocks.0.0": torch.nn.Conv2d, "out.2": PackedConv2d}


@needs_packed_kernels
def test_convolution_of_a_doubled_map_is_made_of_four_smaller_ones():
    generator = torch.Generator().manual_seed(0)
    conv = torch.nn.Conv2d(4, 6, 3, padding=1).requires_grad_(False)
    x = torch.randn(2, 4, 5, 3, generator=generator)
    for parameter in conv.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))

    expected = conv(F.interpolate(x, scale_factor=2, mode="nearest"))

    torch.testing.assert_close(DoublingConv2d.of(conv)(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_halving_is_the_mean_of_four_pixels_and_so_is_its_gradient(layout):
    x = torch.randn(2, 5, 6, 8, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)
    weight = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(1))
    results = []
    for halve in (HalvingMean(), torch.nn.AvgPool2d(2)):
        leaf = x.clone().requires_grad_(True)
        halved = halve(leaf)
        results.append((halved.detach(), *torch.autograd.grad((halved * weight).sum(), leaf)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_group_norm_of_half_input_is_computed_in_float32():
    norm = GroupNorm32(32)
    x = torch.full((1, 32, 2, 2), 1000.0, dtype=torch.float16) + torch.arange(4).reshape(2, 2)

    torch.testing.assert_close(norm(x).float(), norm(x.float()), rtol=0, atol=1e-3)
    assert norm(x).dtype == torch.float16


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"image_size": 15}, "image_size is 15"),
        ({"model_channels": 24}, "model_channels is 24"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"num_heads": 5}, "num_heads is 5"),
        ({"num_head_channels": 48}, "num_head_channels is 48"),
        ({"channel_mult": ()}, "channel_mult is ()"),
        ({"out_channels": 4}, "out_channels is 4"),
        ({"num_classes": 0}, "num_classes is 0"),
    ],
)
def test_config_refuses_a_bad_value_by_name(change, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        DenoiserConfig(**{**SMALL, **change})


def test_classifier_config_refuses_an_unknown_pool():
    with pytest.raises(ValueError, match="pool is 'max'"):
        ClassifierConfig(**SMALL, num_classes=3, pool="max")


def test_network_refuses_wrong_input():
    denoiser = DenoiserConfig(**SMALL, num_classes=3).build()
    x, t = torch.zeros(2, 3, 16, 16), torch.zeros(2)
    with pytest.raises(ValueError, match=r"\(B, 3, 16, 16\)"):
        denoiser(x[:, :1], t, torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="t has shape"):
        denoiser(x, t[:1], torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="labels"):
        denoiser(x, t)
