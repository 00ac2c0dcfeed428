"""The noise of a pair: published known answers, an independent restatement, and digests that must never change."""

from __future__ import annotations

import math

import numpy as np
import pytest

from generation.recipes.noise import (
    NOISE_VERSION,
    PairNoise,
    PairSpec,
    noise_sha256,
    standard_normals,
    timestep_stream,
    uniform_words,
)

WORD = 2**64
SHAPE = (3, 8, 8)


def philox4x64(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x64-10 in whole numbers, from the definition in Salmon et al. 2011."""
    counter, key = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(counter[0] * 0xD2E7470EE14C6C93, WORD)
        high1, low1 = divmod(counter[2] * 0xCA5A826395121157, WORD)
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0]
        key = [(key[0] + 0x9E3779B97F4A7C15) % WORD, (key[1] + 0xBB67AE8584CAA73B) % WORD]
    return counter


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
        ([WORD - 1] * 4, [WORD - 1] * 2, "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0"),
        (
            [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89],
            [0x452821E638D01377, 0xBE5466CF34E90C6C],
            "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
        ),
    ],
)
def test_restated_philox_gives_the_known_answers_of_its_authors(counter, key, expected):
    assert philox4x64(counter, key) == [int(word, 16) for word in expected.split()]


def test_words_are_philox_blocks_at_the_documented_counters():
    words = uniform_words((2**63 - 1, 123456789), stream=17, count=12)
    blocks = [philox4x64([block, 0, 0, 17], [2**63 - 1, 123456789]) for block in (1, 2, 3)]
    assert words.tolist() == [word for block in blocks for word in block]


def test_normals_are_box_muller_of_the_words():
    words = uniform_words((5, 6), stream=1, count=20_000)
    whole = [int(word) >> 11 for word in words]
    expected = []
    for first, second in zip(whole[0::2], whole[1::2], strict=True):
        radius = math.sqrt(-2 * math.log((first + 1) / 2**53))
        angle = 2 * math.pi * second / 2**53
        expected += [radius * math.cos(angle), radius * math.sin(angle)]
    np.testing.assert_allclose(standard_normals(words), expected, rtol=1e-7, atol=1e-15)


def test_extreme_words_give_finite_normals_on_the_axes():
    quarter = 2**62  # a quarter of a turn
    words = np.array([0, 0, 0, quarter, 0, 2 * quarter, 0, 3 * quarter, WORD - 1, 0], dtype=np.uint64)
    largest = math.sqrt(2 * 53 * math.log(2))
    expected = [largest, 0, 0, largest, -largest, 0, 0, -largest, 0, 0]
    np.testing.assert_allclose(standard_normals(words), expected, rtol=1e-7, atol=1e-15)


def test_noise_is_the_published_one_to_the_last_bit():
    """These digests define the version: if one changes, NOISE_VERSION must change with it."""
    assert NOISE_VERSION == "philox4x64-10/box-muller-1"
    noise = PairNoise(PairSpec(study_seed=20230804, class_label=207, index=5), (3, 64, 64))
    assert noise_sha256(noise.initial()) == "82bd4398771019ed3592486a385e61f6671d2d12c5cf1b3f442413a90c79bc1d"
    assert noise_sha256(noise.at_timestep(0)) == "7be0a45cd10bf250be52936eb66c2b6a71f4d3abcf9874960993de227fc5b642"
    assert noise_sha256(noise.at_timestep(999)) == "aacb9f325cacfe30b9742869277f6c64a80f50fd597c59482b6feb83afce8f0b"


def test_first_normals_of_a_pair_are_these():
    normals = PairNoise(PairSpec(1, 2, 3), (4,)).initial()
    assert normals.dtype == np.float32
    assert [value.hex() for value in normals.astype(float)] == [
        "-0x1.87c23c0000000p-3",
        "0x1.e33d120000000p+0",
        "0x1.b30e000000000p-5",
        "0x1.270f880000000p+0",
    ]


def test_each_draw_stands_alone_whatever_was_drawn_before():
    spec = PairSpec(7, 3, 11)
    forward = [noise_sha256(PairNoise(spec, SHAPE).at_timestep(t)) for t in range(5)]
    noise = PairNoise(spec, SHAPE)
    backward = [noise_sha256(noise.at_timestep(t)) for t in reversed(range(5))]
    assert forward == backward[::-1]
    assert len(set(forward)) == 5


def test_every_name_of_a_draw_changes_it():
    base = PairNoise(PairSpec(7, 3, 11), SHAPE)
    others = [PairSpec(8, 3, 11), PairSpec(7, 4, 11), PairSpec(7, 3, 12), PairSpec(7, 11, 3)]
    digests = {noise_sha256(PairNoise(spec, SHAPE).initial()) for spec in others}
    digests |= {noise_sha256(base.initial()), noise_sha256(base.at_timestep(0)), noise_sha256(base.at_timestep(1))}
    assert len(digests) == len(others) + 3


def test_classes_and_indices_never_share_a_key():
    keys = {PairSpec(0, label, index).philox_key for label in (0, 1, 2**24 - 1) for index in (0, 1, 2**40 - 1)}
    assert len(keys) == 9
    assert max(key[1] for key in keys) < WORD


def test_smaller_image_is_the_beginning_of_a_larger_one():
    spec = PairSpec(7, 3, 11)
    small, large = PairNoise(spec, (1, 3, 3)).initial(), PairNoise(spec, (3, 50, 70)).initial()
    assert small.shape == (1, 3, 3)
    np.testing.assert_array_equal(small.ravel(), large.ravel()[:9])


def test_noise_is_standard_normal():
    normals = standard_normals(uniform_words((1, 2), timestep_stream(3), 1_000_000)).astype(float)
    assert abs(normals.mean()) < 4e-3
    assert abs(normals.var() - 1) < 6e-3
    assert abs((normals**4).mean() - 3) < 0.04
    assert abs((normals[0::2] * normals[1::2]).mean()) < 6e-3
    for bound, share in [(1.0, 0.6826895), (1.959964, 0.95), (3.0, 0.9973002)]:
        assert (np.abs(normals) < bound).mean() == pytest.approx(share, abs=2e-3)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ((-1, 0, 0), "study_seed is -1; it must be a whole number from 0 to 9223372036854775807"),
        ((0, 2**24, 0), "class_label is 16777216"),
        ((0, 0, -3), "index is -3"),
        ((0, 0, 1.0), "index is 1.0"),
        ((True, 0, 0), "study_seed is True"),
    ],
)
def test_pair_outside_the_ranges_is_refused(spec, complaint):
    with pytest.raises(ValueError, match=complaint):
        PairSpec(*spec)


def test_pair_key_names_class_and_index():
    assert PairSpec(9, 207, 5).key == "207-000005"
