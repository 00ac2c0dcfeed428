"""Matched pairs: the same noise to the bit everywhere, the same bytes in one batch shape, nothing else between arms."""

from __future__ import annotations

import hashlib
import io
from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion.checkpoints import save_network
from generation.recipes.noise import NOISE_VERSION, PairNoise, PairSpec, noise_sha256
from generation.sampling.encoding import to_uint8
from generation.sampling.networks import NetworkStore
from generation.sampling.pairs import GeneratedPair, NoiseFeed, generate_pairs
from generation.sampling.sampler import SamplingStopped
from tests.generation.conftest import CLASS_NAMES, SCHEDULE, Checkpoints
from tests.generation.toys import tiny_classifier, tiny_denoiser

SEED = 2026
SPECS = [PairSpec(SEED, label, index) for index in range(2) for label in range(4)][:7]


@pytest.fixture(scope="module")
def store() -> NetworkStore:
    return NetworkStore()


def made(
    checkpoints: Checkpoints, store: NetworkStore, specs=SPECS, *, micro_batch=4, names=("vanilla", "robust"), **changes
):
    recipes = [checkpoints.recipe(name, **changes) for name in names]
    return {pair.spec: pair for pair in generate_pairs(recipes, specs, micro_batch=micro_batch, store=store)}


def digests(pairs: dict[PairSpec, GeneratedPair], field: str = "sha256") -> dict[tuple[PairSpec, str], str]:
    return {(spec, name): image.record[field] for spec, pair in pairs.items() for name, image in pair.images.items()}


@pytest.fixture(scope="module")
def reference(checkpoints, store) -> dict[PairSpec, GeneratedPair]:
    return made(checkpoints, store)


def test_noise_is_the_same_for_every_batch_size_shard_and_order(checkpoints, store, reference):
    """Check (a): digests of x_T and of every step's noise."""
    expected = {field: digests(reference, field) for field in ("x_T_sha256", "noise_sha256")}
    shards = [SPECS[0::3], SPECS[1::3], SPECS[2::3]]
    for specs, micro_batch in [
        (SPECS, 1),
        (SPECS, 7),
        (SPECS, 64),
        (SPECS[::-1], 4),
        *((shard, 4) for shard in shards),
    ]:
        pairs = made(checkpoints, store, specs, micro_batch=micro_batch)
        assert list(pairs) == specs
        for field, wanted in expected.items():
            found = digests(pairs, field)
            assert found == {key: wanted[key] for key in found}


def test_noise_digests_are_those_of_the_definition(reference):
    spec = SPECS[5]
    noise = PairNoise(spec, (1, 8, 8))
    everything = hashlib.sha256(noise.initial().tobytes())
    for timestep in (999, 799, 599, 400, 200):  # the six kept timesteps but the last
        everything.update(noise.at_timestep(timestep).tobytes())
    for image in reference[spec].images.values():
        assert image.record["x_T_sha256"] == noise_sha256(noise.initial())
        assert image.record["noise_sha256"] == everything.hexdigest()


def test_arms_share_x_t_and_it_is_stored_with_the_pair(reference):
    """Check (b)."""
    for pair in reference.values():
        assert {image.record["x_T_sha256"] for image in pair.images.values()} == {pair.noise_sha256}
        assert len({image.record["noise_sha256"] for image in pair.images.values()}) == 1
    assert len({pair.noise_sha256 for pair in reference.values()}) == len(SPECS)


def test_one_batch_shape_gives_identical_bytes_in_any_order_shard_and_padding(checkpoints, store, reference):
    """Check (c)."""
    expected = digests(reference)
    for specs in (SPECS[::-1], SPECS[2:3], SPECS[1::3], [SPECS[6], SPECS[0], SPECS[3]]):
        found = digests(made(checkpoints, store, specs))
        assert found == {key: expected[key] for key in found}


def test_another_batch_shape_differs_by_rounding_alone(checkpoints, store, monkeypatch):
    """Check (d): within 1e-3 before quantising, hence at most one grey level after it."""
    batches = []
    monkeypatch.setattr("generation.sampling.pairs.to_uint8", lambda x: batches.append(x.clone()) or to_uint8(x))

    def states(micro_batch: int) -> tuple[torch.Tensor, np.ndarray]:
        """The first two pairs' final states by arm and pair, and their pixels."""
        batches.clear()
        pairs = made(checkpoints, store, SPECS[:2], micro_batch=micro_batch).values()
        by_arm = torch.stack([torch.cat(batches[arm::2])[:2] for arm in (0, 1)])
        return by_arm, np.array([[pair.images[name].pixels for pair in pairs] for name in ("vanilla", "robust")])

    expected, pixels = states(4)
    for micro_batch in (1, 7):
        found, found_pixels = states(micro_batch)
        assert (found - expected).abs().max() < 1e-3
        assert np.abs(found_pixels.astype(int) - pixels.astype(int)).max() <= 1


def test_scale_zero_makes_the_arms_one(checkpoints, store):
    """Check (e)."""
    for pair in made(checkpoints, store, SPECS[:2], classifier_scale=0.0).values():
        assert pair.images["vanilla"].png == pair.images["robust"].png
        assert pair.distances == {("robust", "vanilla"): 0.0}


def test_swapping_arms_changes_nothing(checkpoints, store, reference):
    """Check (f)."""
    swapped = made(checkpoints, store, names=("robust", "vanilla"))
    assert digests(swapped) == digests(reference)
    assert all(pair.distances == reference[spec].distances for spec, pair in swapped.items())


def test_arms_are_told_apart_by_their_classifiers_alone(reference):
    for pair in reference.values():
        assert pair.images["vanilla"].sha256 != pair.images["robust"].sha256
        one, other = (pair.images[name].record for name in ("vanilla", "robust"))
        differing = {key for key in one if one[key] != other[key]}
        assert differing == {"arm", "recipe", "recipe_sha256", "sha256", "pixels_sha256"}
        recipes = one["recipe"], other["recipe"]
        assert {key for key in recipes[0] if recipes[0][key] != recipes[1][key]} == {"classifier", "classifier_scale"}


def test_image_record_is_enough_to_make_it_again(checkpoints, store, reference):
    from generation.recipes.recipe import ArmRecipe

    record = reference[SPECS[3]].images["robust"].record
    recipes = [
        ArmRecipe.from_json(name, reference[SPECS[3]].images[name].record["recipe"]) for name in record["arms_together"]
    ]
    spec = PairSpec(record["study_seed"], record["class_label"], record["index"])
    again = next(generate_pairs(recipes, [spec], micro_batch=record["micro_batch"], store=NetworkStore()))
    assert again.images["robust"].sha256 == record["sha256"]
    assert record["noise_version"] == NOISE_VERSION
    assert {"torch", "numpy", "python"} <= set(record["versions"])
    assert len(record["recipe"]["denoiser"]["sha256"]) == 64


def test_png_holds_the_pixels(reference):
    pair = reference[SPECS[0]]
    image = pair.images["vanilla"]
    assert hashlib.sha256(image.png).hexdigest() == image.sha256
    with Image.open(io.BytesIO(image.png)) as opened:
        np.testing.assert_array_equal(np.asarray(opened)[..., None], image.pixels)
    assert pair.class_name == "digit 0"


def test_colour_networks_make_rgb_images(checkpoints, tmp_path):
    facts = {"schedule": SCHEDULE, "class_names": CLASS_NAMES}
    denoiser, classifier = str(tmp_path / "d.safetensors"), str(tmp_path / "c.safetensors")
    save_network(denoiser, tiny_denoiser(in_channels=3), **facts)
    save_network(classifier, tiny_classifier(in_channels=3), **facts)
    recipe = checkpoints.recipe("vanilla", denoiser=denoiser, classifier=classifier)
    image = next(generate_pairs([recipe], SPECS[:1], micro_batch=1)).images["vanilla"]
    assert image.pixels.shape == (8, 8, 3)
    with Image.open(io.BytesIO(image.png)) as opened:
        assert opened.mode == "RGB"


def test_half_precision_is_recorded_and_stays_near_float32(checkpoints, reference):
    half = made(checkpoints, NetworkStore(), SPECS[:4], precision="bfloat16", classifier_precision="bfloat16")
    for spec, pair in half.items():
        for name, image in pair.images.items():
            assert image.record["recipe"]["precision"] == "bfloat16"
            difference = np.abs(image.pixels.astype(int) - reference[spec].images[name].pixels.astype(int))
            # Untrained networks amplify rounding at the first steps: single pixels may flip, the image does not.
            assert 0 < difference.mean() < 15
            assert np.median(difference) <= 8


def test_arms_of_other_samplers_share_the_noise_too(checkpoints, store):
    """A study of samplers: named as the factor, the arms cannot share calls but still x_T."""
    recipes = [checkpoints.recipe("vanilla"), checkpoints.recipe("unguided", sampler="ddim")]
    factors = ["classifier", "classifier_scale", "sampler"]
    pair = next(generate_pairs(recipes, SPECS[:1], micro_batch=2, store=store, factors=factors))
    assert pair.images["vanilla"].record["x_T_sha256"] == pair.images["unguided"].record["x_T_sha256"]
    with pytest.raises(ValueError, match="the arms differ in 'sampler'"):
        generate_pairs(recipes, SPECS[:1], micro_batch=2, store=store)


def test_pairs_are_read_as_they_are_needed(checkpoints, store):
    endless = (PairSpec(SEED, 0, index) for index in count())
    pairs = generate_pairs([checkpoints.recipe("unguided", spacing="2")], endless, micro_batch=2, store=store)
    assert [next(pairs).spec.index for _ in range(3)] == [0, 1, 2]
    assert next(endless).index == 4


def test_out_of_memory_halves_the_batch_and_goes_on(checkpoints, monkeypatch, reference):
    store = NetworkStore()
    shapes = []
    original = store.call

    def scarce(loaded):
        network = original(loaded)

        def call(x, *arguments):
            if loaded.card.kind == "denoiser":
                shapes.append(x.shape[0])
                if x.shape[0] > 4:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")
            return network(x, *arguments)

        return call

    monkeypatch.setattr(store, "call", scarce)
    pairs = made(checkpoints, store, micro_batch=4)
    assert list(pairs) == SPECS
    assert {image.record["micro_batch"] for pair in pairs.values() for image in pair.images.values()} == {2}
    assert max(shapes) == 8
    shapes.clear()
    made(checkpoints, store, SPECS[:1], micro_batch=4)
    assert max(shapes) == 4  # the store remembers what fits
    assert digests(pairs, "noise_sha256") == digests(reference, "noise_sha256")


def test_memory_for_not_even_one_pair_is_an_error(checkpoints, monkeypatch):
    store = NetworkStore()

    def exhausted(*arguments):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    monkeypatch.setattr(store, "call", lambda loaded: exhausted)
    with pytest.raises(MemoryError, match="not even one pair fits into the memory of cpu"):
        made(checkpoints, store)


def test_other_runtime_errors_are_not_taken_for_memory(checkpoints, monkeypatch):
    store = NetworkStore()

    def broken(*arguments):
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(store, "call", lambda loaded: broken)
    with pytest.raises(RuntimeError, match="device-side assert"):
        made(checkpoints, store)


def test_progress_counts_every_step_and_stopping_keeps_nothing(checkpoints, store):
    seen = []
    recipes = [checkpoints.recipe("vanilla")]
    list(generate_pairs(recipes, SPECS[:3], micro_batch=2, store=store, on_step=lambda *step: seen.append(step)))
    assert seen == [(done, 6) for done in range(1, 7)] * 2
    stopping = generate_pairs(recipes, SPECS, micro_batch=2, store=store, should_stop=lambda: True)
    with pytest.raises(SamplingStopped):
        next(stopping)


def test_class_out_of_range_is_refused_before_its_batch(checkpoints, store):
    pairs = generate_pairs(
        [checkpoints.recipe("vanilla")], [PairSpec(SEED, 0, 0), PairSpec(SEED, 9, 0)], micro_batch=1, store=store
    )
    assert next(pairs).spec.class_label == 0
    with pytest.raises(ValueError, match="class 9 is out of range"):
        next(pairs)


@pytest.mark.parametrize("micro_batch", [0, -1, 1.5, True])
def test_micro_batch_below_one_is_refused_at_once(checkpoints, store, micro_batch):
    with pytest.raises(ValueError, match=r"micro_batch is .* at least 1"):
        generate_pairs([checkpoints.recipe("vanilla")], SPECS, micro_batch=micro_batch, store=store)


def test_feed_may_be_asked_out_of_order(checkpoints, store):
    from diffusion.schedule import NoiseSchedule

    schedule = NoiseSchedule.named("linear").respaced("6")
    feed = NoiseFeed(SPECS[:2], (1, 4, 4), schedule, torch.device("cpu"))
    draws = {index: feed.step(index) for index in (5, 4, 2, 3)}
    feed.close()
    for index, draw in draws.items():
        expected = PairNoise(SPECS[1], (1, 4, 4)).at_timestep(int(schedule.timestep_map[index]))
        np.testing.assert_array_equal(draw[1].numpy(), expected)


def test_each_compared_method_is_a_switch_of_one_arm(checkpoints, store, tmp_path):
    weak = tmp_path / "weak.safetensors"
    save_network(weak, tiny_denoiser(9), schedule=SCHEDULE, class_names=CLASS_NAMES)
    switches = {
        "denoised": {"guidance_point": "denoised", "guidance_averaging": 0.9},
        "growing": {"scale_schedule": "cosine"},
        "led": {"weak_denoiser": str(weak), "weak_scale": 1.5},
        "refined": {"refine_steps": 3, "refine_epsilon": 0.5, "refine_classifier": checkpoints.robust},
    }
    guided = {"classifier": checkpoints.vanilla, "classifier_scale": 0.5}
    arms = [checkpoints.recipe("vanilla")]
    arms += [checkpoints.recipe(name, **guided, **switch) for name, switch in switches.items()]
    (pair,) = generate_pairs(arms, SPECS[:1], micro_batch=2, store=store)
    assert len({image.sha256 for image in pair.images.values()}) == len(arms)
    (alone,) = generate_pairs(arms[:1], SPECS[:1], micro_batch=2, store=store)
    assert alone.images["vanilla"].sha256 == pair.images["vanilla"].sha256
    recorded = pair.images["led"].record["recipe"]["weak_denoiser"]
    assert len(recorded["sha256"]) == 64
    assert len(pair.images["refined"].record["recipe"]["refine_classifier"]["sha256"]) == 64
    assert "weak_denoiser" not in pair.images["vanilla"].record["recipe"]


def test_a_classifier_of_clean_images_guides_at_the_denoised_image_alone(checkpoints, store, tmp_path):
    clean = tmp_path / "clean.safetensors"
    facts = {"schedule": SCHEDULE, "class_names": CLASS_NAMES, "provenance": {"training": {"noised": False}}}
    save_network(clean, tiny_classifier(3), **facts)
    guided = {"classifier": str(clean), "classifier_scale": 1.0}
    with pytest.raises(ValueError, match="guidance_point = denoised"):
        list(generate_pairs([checkpoints.recipe("clean", **guided)], SPECS[:1], micro_batch=1, store=store))
    arm = checkpoints.recipe("clean", **guided, guidance_point="denoised")
    assert len(list(generate_pairs([arm], SPECS[:1], micro_batch=1, store=store))) == 1


def test_a_weak_denoiser_of_other_images_is_refused(checkpoints, store, tmp_path):
    weak = tmp_path / "weak.safetensors"
    save_network(weak, tiny_denoiser(9, num_classes=None), schedule=SCHEDULE)
    arm = checkpoints.recipe("led", weak_denoiser=str(weak), weak_scale=1.5)
    with pytest.raises(ValueError, match=r"weak_denoiser .* none"):
        list(generate_pairs([arm], SPECS[:1], micro_batch=1, store=store))
