"""Bytes that a step cannot avoid, counted by hand for one autoencoder, GAN and language model."""

import pytest

from bench import traffic, workloads
from tests.report import samples

AUTOENCODER = (  # convolutions and dense layers with their biases: in·out·taps + out
    (1 * 8 * 16 + 8) + (8 * 16 * 16 + 16) + (784 * 16 + 16) + (16 * 784 + 784) + (16 * 8 * 16 + 8) + (8 * 1 * 16 + 1)
)
BATCH = 48
ADAM = 2  # slots


@pytest.mark.parametrize(
    ("optimizer", "slots"), [("adam", ADAM), ("sgd", 1), ("rmsprop", 2), ("rmsprop-centered", 3), ("adamw+clip", 2)]
)
def test_parameters_gradients_and_slots_are_read_and_written_once(optimizer: str, slots: int) -> None:
    images = BATCH * 28 * 28 * 4
    expected = 2 * (2 + slots) * AUTOENCODER * 4 + images
    assert traffic.least_bytes("autoencoder", "tiny", BATCH, optimizer, "fp32") == expected


@pytest.mark.parametrize(("precision", "number"), [("fp64", 8), ("fp32", 4), ("tf32", 4), ("bf16", 4), ("fp16", 4)])
def test_numbers_lie_as_they_are_stored(precision: str, number: int) -> None:
    found = traffic.least_bytes("autoencoder", "tiny", BATCH, "adam", precision)
    assert found == number * (2 * (2 + ADAM) * AUTOENCODER + BATCH * 28 * 28)


def test_a_gan_reads_images_and_the_noise_of_both_updates() -> None:
    assert traffic.sample_bytes("gan", "tiny", "fp32") == 4 * (28 * 28 + 16 + 16)


def test_tokens_are_whole_numbers_at_every_precision() -> None:
    for precision in ("fp64", "bf16"):
        assert traffic.sample_bytes("lm", "tiny", precision) == 4 * (64 + 1)


def test_intensity_is_operations_over_those_bytes() -> None:
    cell = vars(samples.make_cell("autoencoder"))
    flops = workloads.get("autoencoder", "tiny", BATCH).flops_per_step
    bytes_ = traffic.least_bytes("autoencoder", "tiny", BATCH, "adam", "fp32")
    assert traffic.intensity(cell, flops) == flops / bytes_


def test_each_of_several_devices_moves_parameters_of_its_own() -> None:
    cell = vars(samples.make_cell("autoencoder", devices=2, batch_per_device=24, platform="cuda"))
    flops = workloads.get("autoencoder", "tiny", BATCH).flops_per_step
    bytes_ = 2 * (2 + ADAM) * AUTOENCODER * 4 + 24 * 28 * 28 * 4
    assert traffic.intensity(cell, flops) == flops / 2 / bytes_


@pytest.mark.parametrize(
    ("changed", "flops"),
    [
        ({}, 77_070_337),  # another formula than this version's
        ({}, None),
        ({"workload": "diffusion"}, 77_070_336),
        ({"size": None}, 77_070_336),
        ({"optimizer": "lion"}, 77_070_336),
        ({"devices": 0}, 77_070_336),
        ({"batch_per_device": None}, 77_070_336),
        ({"global_batch": -1}, 77_070_336),
        ({"workload": ["gan"]}, 77_070_336),
    ],
)
def test_a_cell_that_this_version_does_not_know_has_none(changed: dict[str, object], flops: object) -> None:
    cell = vars(samples.make_cell("autoencoder"))
    assert traffic.intensity(cell, 77_070_336)
    assert traffic.intensity(cell | changed, flops) is None
