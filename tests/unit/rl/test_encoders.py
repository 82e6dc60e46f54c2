"""Encoders: how often which channel is active, and when."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.errors import InputError, ParameterError
from eprop.rl import LatencyCode, PoissonCode, PopulationCode, RateCode
from refusals import refusals

pytestmark = pytest.mark.tiny


def rates(encoder, observations, n_steps=4000, seed=1):
    observations = np.asarray(observations, float)
    memory = encoder.memory(len(observations), observations.shape[1:])
    return encoder.spikes(observations, n_steps, np.random.default_rng(seed), memory).mean(axis=0)


def test_a_population_code_has_gaussian_receptive_fields():
    encoder = PopulationCode(scale=(2.0,), fields=5, width=0.3, probability=0.6)
    x = 2.0 * np.arctanh(0.5)  # 0.5 once it is scaled
    expected = 0.6 * np.exp(-0.5 * ((np.linspace(-1, 1, 5) - 0.5) / 0.3) ** 2)
    np.testing.assert_allclose(rates(encoder, [[x]])[0], expected, atol=0.03)


def test_each_entry_has_channels_of_its_own():
    encoder = PopulationCode(scale=(1.0, 10.0), centre=(0.0, 5.0), fields=3)
    found = rates(encoder, [[0.0, 5.0], [9.0, 5.0]])
    assert found.shape == (2, 6) == (2, encoder.channels((2,)))
    assert found[0][:3].argmax() == found[0][3:].argmax() == 1
    assert found[1][:3].argmax() == 2
    np.testing.assert_allclose(found[0][3:], found[1][3:], atol=0.04)


def test_a_rate_code_tells_the_sign():
    found = rates(RateCode(group=2, probability=0.8), [[np.arctanh(0.5)], [-np.arctanh(0.25)]])
    np.testing.assert_allclose(found, [[0.4, 0.4, 0, 0], [0, 0, 0.2, 0.2]], atol=0.03)


def test_a_latency_code_is_early_for_what_is_large():
    encoder = LatencyCode()
    spikes = encoder.spikes(np.array([[50.0], [0.0], [-50.0]]), 9, np.random.default_rng(0), encoder.memory(3, (1,)))
    assert spikes.sum(axis=0).tolist() == [[1, 1]] * 3
    assert spikes.argmax(axis=0).tolist() == [[0, 8], [4, 4], [8, 0]]


def test_poisson_rates_are_in_hz():
    found = rates(PoissonCode(group=2, dt=2.0), [[100.0, 0.0]])
    np.testing.assert_allclose(found, [[0.2, 0.2, 0.0, 0.0]], atol=0.02)


def test_the_generator_is_the_only_source_of_chance():
    encoder = PopulationCode()
    one, same, other = (rates(encoder, [[0.3]], 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@refusals(
    (lambda: PopulationCode(scale=(0.0,)), ParameterError, "PopulationCode.scale must be numbers > 0"),
    (lambda: PopulationCode(centre=(np.nan,)), ParameterError, "PopulationCode.centre must be numbers"),
    (lambda: PopulationCode(fields=1), ParameterError, "fields must be >= 2"),
    (lambda: rates(PopulationCode(scale=(1.0, 2.0)), [[1.0] * 3], 2), InputError, "scale has 2 values for observations of 3"),
    (lambda: rates(RateCode(), [[np.nan]], 2), InputError, "not finite"),
    (lambda: rates(PoissonCode(), [[1001.0]], 2), InputError, "rates of 0 to 1000 Hz"),
)  # fmt: skip
def test_encoders_and_observations_without_a_code_are_refused(refusal):
    refusal.check()


@pytest.mark.parametrize("kind", [PopulationCode, RateCode, LatencyCode])
def test_as_many_scales_as_entries_are_asked_for_before_anything_runs(kind):
    assert kind(scale=(1.0, 2.0)).channels((2,)) == kind().channels((2,))
    with pytest.raises(InputError, match=r"scale has 2 values for observations of 3 entries"):
        kind(scale=(1.0, 2.0)).channels((3,))
    with pytest.raises(InputError, match=r"centre has 2 values"):
        kind(centre=(1.0, 2.0)).channels((3,))
