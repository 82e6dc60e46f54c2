"""Encoders: how often which channel is active, and when."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.encoders import DeltaCode, LatencyCode, PoissonCode, PopulationCode, RateCode
from eprop.errors import InputError, ParameterError
from refusals import each_of, refusals

pytestmark = pytest.mark.tiny


def rates(encoder, observations, n_steps=4000, seed=1):
    observations = np.asarray(observations, float)
    memory = encoder.memory(len(observations), observations.shape[1:])
    return encoder.spikes(observations, n_steps, np.random.default_rng(seed), memory).mean(axis=0)


def test_a_population_code_has_gaussian_receptive_fields():
    encoder = PopulationCode(scale=(2.0,), fields=5, width=0.3, rate=300.0, dt=2.0)
    x = 2.0 * np.arctanh(0.5)  # 0.5 once it is scaled
    expected = 0.6 * np.exp(-0.5 * ((np.linspace(-1, 1, 5) - 0.5) / 0.3) ** 2)
    one, same, other = (rates(encoder, [[x]], seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_allclose(one, expected, atol=0.03)
    assert (one == same).all()
    assert (one != other).any()


def test_regular_spikes_have_the_same_rates_and_no_other_noise_than_their_phases():
    encoder = PopulationCode(fields=5, rate=300.0, regular=True)
    x = np.array([[0.3], [-0.2]])
    expected = 40 * encoder.chances(x)
    memory, rng = encoder.memory(2, (1,)), np.random.default_rng(0)
    pieces = [encoder.spikes(x, 10, rng, memory) for _ in range(4)]
    assert (np.abs(np.concatenate(pieces).sum(axis=0) - expected) < 1.0).all()
    whole = encoder.spikes(x, 40, np.random.default_rng(0), encoder.memory(2, (1,)))
    assert np.array_equal(np.concatenate(pieces), whole)
    many = np.mean([encoder.encode(x, 40, seed=seed).sum(axis=1) for seed in range(400)], axis=0)
    np.testing.assert_allclose(many, expected, atol=0.1)
    encoder.forget(memory, np.array([True, False]))
    assert np.isnan(memory).all(axis=1).tolist() == [True, False]


def test_each_entry_has_channels_of_its_own():
    encoder = PopulationCode(scale=(1.0, 10.0), centre=(0.0, 5.0), fields=3)
    found = rates(encoder, [[0.0, 5.0], [9.0, 5.0]])
    assert found.shape == (2, 6) == (2, encoder.channels((2,)))
    assert found[0][:3].argmax() == found[0][3:].argmax() == 1
    assert found[1][:3].argmax() == 2
    np.testing.assert_allclose(found[0][3:], found[1][3:], atol=0.04)


def test_a_rate_code_tells_the_sign():
    found = rates(RateCode(group=2, rate=800.0), [[np.arctanh(0.5)], [-np.arctanh(0.25)]])
    np.testing.assert_allclose(found, [[0.4, 0.4, 0, 0], [0, 0, 0.2, 0.2]], atol=0.03)


def test_a_latency_code_is_early_for_what_is_large():
    encoder = LatencyCode()
    spikes = encoder.spikes(np.array([[50.0], [0.0], [-50.0]]), 9, np.random.default_rng(0), encoder.memory(3, (1,)))
    assert spikes.sum(axis=0).tolist() == [[1, 1]] * 3
    assert spikes.argmax(axis=0).tolist() == [[0, 8], [4, 4], [8, 0]]


def test_poisson_rates_are_in_hz():
    found = rates(PoissonCode(group=2, dt=2.0), [[100.0, 0.0]])
    np.testing.assert_allclose(found, [[0.2, 0.2, 0.0, 0.0]], atol=0.02)


CURVE = np.random.default_rng(0).normal(3.0, 2.0, (200, 2))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (PopulationCode(rate=400.0), 0.05),
        (RateCode(rate=400.0, group=10), 0.12),
        (LatencyCode(), 0.02),
        (PoissonCode(group=40), 0.08),
    ],
    ids=lambda value: type(value).__name__,
)
def test_spikes_are_decoded_into_what_was_encoded(code, error):
    values = CURVE if isinstance(code, LatencyCode) else np.clip(CURVE, 0.0, 6.0)
    fitted = code.fit(values)
    spikes = fitted.encode(values, n_steps=400, seed=3)
    assert spikes.shape == (200, 400, fitted.channels((2,)))
    deviation = fitted.decode(spikes) - values
    inside = np.abs(values - values.mean(axis=0)) < 1.5 * values.std(axis=0)  # tanh hides what is far away
    assert np.sqrt(np.mean(deviation[inside] ** 2)) < 2.0 * error * values.std()


def test_the_scales_of_a_fit_are_those_of_the_data():
    code = PopulationCode(fields=3).fit(CURVE)
    np.testing.assert_allclose(code.centre, CURVE.mean(axis=0))
    np.testing.assert_allclose(code.scale, CURVE.std(axis=0))
    assert RateCode().fit(np.ones((3, 2))).scale == (1.0, 1.0)
    assert PoissonCode().fit([[1.0], [4.0]], rate=80.0).gain == 20.0


def test_a_delta_code_follows_a_curve_by_thresholds():
    curve = np.cumsum(np.random.default_rng(1).normal(0.0, 0.3, (5, 60, 2)), axis=1)
    code = DeltaCode(threshold=(0.2,))
    spikes = code.encode_series(curve, n_steps=10)
    assert spikes.shape == (5, 600, 4)
    assert not spikes[:, :10].any()  # the first observation is where the level begins
    level = code.decode_series(spikes, 10) + curve[:, :1]
    assert np.abs(level - curve).max() < 0.2
    assert not (spikes[..., 0] & spikes[..., 1]).any()


def test_a_delta_code_reports_a_change_of_exactly_one_threshold_once():
    spikes = DeltaCode(threshold=(0.1,)).encode_series([[0.0, 0.1, 0.1, -0.1, -0.1]])
    assert spikes[0].tolist() == [[False] * 2, [True, False], [False] * 2, [False, True], [False, True]]


@pytest.mark.parametrize(("n_steps", "dt"), [(1, 1.0), (4, 1.0), (4, 0.5)])
def test_a_delta_code_is_fitted_to_a_rate_also_where_changes_cancel(n_steps, dt):
    rng = np.random.default_rng(2)
    noise = rng.normal(0.0, [1.0, 30.0], (20, 200, 2))
    for series in (noise, np.cumsum(noise, axis=1), np.sin(np.arange(200) / 20.0)[:, None] + 0.1 * noise):
        for rate in (20.0, 50.0, 150.0):
            spikes = DeltaCode(dt=dt).fit(series, rate, n_steps).encode_series(series, n_steps)
            found = spikes.reshape(20, -1, 2, 2).sum(axis=(0, 1, 3)) / (20 * 200 * n_steps * dt * 1e-3)
            np.testing.assert_allclose(found, rate, rtol=0.02)


def test_a_delta_code_warns_of_a_rate_that_no_threshold_makes():
    rng = np.random.default_rng(2)
    series = np.stack([np.full((5, 200), 3.0), rng.normal(0.0, 1.0, (5, 200))], axis=2)
    with pytest.warns(
        UserWarning, match=r"no threshold makes 50 Hz of 1 of 2 entries \(entry 0: 0 Hz\): a constant entry"
    ):
        assert DeltaCode().fit(series).threshold[0] == 1.0
    with pytest.warns(UserWarning, match=r"no threshold makes 1200 Hz of 1 of 1 entries \(entry 0: 9.. Hz\)"):
        DeltaCode().fit(series[:, :, 1:], rate=1200.0)


def test_one_time_step_more_or_less_does_not_change_the_rate_in_hz():
    for code in (PopulationCode(scale=(9.0,), rate=40.0), RateCode(centre=(-9.0,), rate=40.0), PoissonCode(gain=40.0)):
        found = []
        for dt in (0.5, 2.0):
            spikes = code.replace(dt=dt).encode(np.ones((50, 1)), n_steps=int(4000 / dt))
            found.append(spikes.sum() / 50 / 4.0)
        assert found[0] == pytest.approx(found[1], rel=0.05)


def test_an_episode_that_begins_forgets_the_last_one():
    code = DeltaCode()
    memory = code.memory(2, (1,))
    rng = np.random.default_rng(0)
    code.spikes(np.zeros((2, 1)), 5, rng, memory)
    code.forget(memory, np.array([True, False]))
    found = code.spikes(np.ones((2, 1)), 5, rng, memory)
    assert found.sum(axis=(0, 2)).tolist() == [0, 5]


@refusals(
    (lambda: PopulationCode(rate=1200.0), ParameterError, "rate must be <= 1000 Hz, one spike in a step of 1 ms"),
    (lambda: RateCode(rate=300.0, dt=5.0), ParameterError, "rate must be <= 200 Hz"),
    (lambda: DeltaCode(threshold=(0.0,)), ParameterError, "DeltaCode.threshold must be numbers > 0"),
    (lambda: DeltaCode().encode_series([1.0, 2.0]), InputError, r"array \(samples, observations, .*, got shape \(2,\)"),
    (lambda: DeltaCode().fit(np.random.default_rng(0).normal(size=(2000, 12)).cumsum(0)), InputError,
     r"needs series \(samples, observations, entries\), got shape \(2000, 12\): give values\[..., None\]"),
    (lambda: RateCode().encode([["a"]], 3), InputError, "must be real numbers"),
    (lambda: RateCode().encode([[1.0]], 0), ParameterError, "n_steps must be a whole number >= 1"),
    (lambda: RateCode().decode(np.zeros((2, 3, 4))), InputError, r"10 channels for each entry, got shape \(2, 3, 4\)"),
    (lambda: RateCode().decode_series(np.zeros((2, 3, 10)), 2), InputError, "2 steps for each observation"),
    (lambda: RateCode().fit([[np.inf]]), InputError, "not finite"),
    (lambda: PoissonCode().fit([[0.0]]), InputError, "needs values above 0"),
    (lambda: PoissonCode().encode([[-1.0]], 3), InputError, "rates of 0 to 1000 Hz"),
    (lambda: PopulationCode(scale=(0.0,)), ParameterError, "PopulationCode.scale must be numbers > 0"),
    (lambda: PopulationCode(centre=(np.nan,)), ParameterError, "PopulationCode.centre must be numbers"),
    (lambda: PopulationCode(fields=1), ParameterError, "fields must be >= 2"),
    # Before anything runs.
    *each_of([PopulationCode, RateCode, LatencyCode], lambda kind: kind(scale=(1.0, 2.0)).channels((3,)), InputError,
             "scale has 2 values for observations of 3 entries"),
    (lambda: PopulationCode(centre=(1.0, 2.0)).channels((3,)), InputError, "centre has 2 values"),
    (lambda: rates(RateCode(), [[np.nan]], 2), InputError, "not finite"),
    (lambda: rates(PoissonCode(), [[1001.0]], 2), InputError, "rates of 0 to 1000 Hz"),
)  # fmt: skip
def test_encoders_and_observations_without_a_code_are_refused(refusal):
    refusal.check()
