"""Evidence accumulation with the original rule, against the losses of TensorFlow and of NEST.

The task (Bellec et al. 2020): seven cues on the left or on the right, a pause, and then the network says on which
side there were more. Provenance of the numbers: five updates, everything drawn after ``numpy.random.seed(1)`` in the
order of `drawn`, weights rounded to float32. TensorFlow 1.15 computed in float32, NEST in float64; they are the
numbers that NEST's own test of classification with the original rule holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from eprop.reference import LIF, Adam, Readout, Sample, SampleRule, train

TENSORFLOW = [0.741152524948, 0.740388214588, 0.665785133838, 0.663644134998, 0.729429066181]
NEST = {
    1: [0.741152550006, 0.740388187700, 0.665785233177, 0.663644193322, 0.729428962844],
    2: [0.702163370672, 0.735555303152, 0.740354864111, 0.683882815282, 0.707841122268],
}

N_IN, N_LIF, N_ALIF, N_OUT = 40, 50, 50, 2
N = N_LIF + N_ALIF
CUES, CUE, SPACING, PAUSE, RECALL = 7, 100, 50, 1050, 150
STEPS = CUES * (CUE + SPACING) + PAUSE + RECALL
ITERATIONS = 5
RATE = 0.04  # spikes per step of an input that is on
LESS_LIKELY = 0.3  # share of the cues on the side that has fewer, on average

BETA = 1.7 * (1.0 - np.exp(-1.0 / 2000.0)) / (1.0 - np.exp(-1.0 / 20.0))
NEURON = LIF(
    tau_m=20.0,
    v_th=0.6,
    t_ref=5.0,
    beta=np.repeat([0.0, BETA], [N_LIF, N_ALIF]),
    tau_a=2000.0,
    height=0.3 / 0.6,
    width=0.6,
    delayed_reset=True,
)
READOUT = Readout(tau_m=20.0, scale_input=True, loss="cross_entropy")
WINDOW = np.arange(STEPS) >= STEPS - RECALL


def rule_of(batch_size: int) -> SampleRule:
    return SampleRule(Adam(5e-3, batch_size=batch_size), c_reg=300.0, f_target=10.0, average_gradient=True)


@dataclass(frozen=True)
class Task:
    """Weights, feedback, and inputs [STEPS, N_IN] and targets [STEPS, N_OUT] of all samples."""

    weights: dict[str, np.ndarray]
    feedback: np.ndarray
    samples: list[tuple[np.ndarray, np.ndarray]]


def drawn(batch_size: int) -> Task:
    np.random.seed(1)
    w_in = single(np.random.randn(N_IN, N).T / np.sqrt(N_IN))
    w_rec = single(np.random.randn(N, N).T / np.sqrt(N))
    np.fill_diagonal(w_rec, 0.0)
    widest = np.sqrt(3.0 / (0.5 * (N + N_OUT)))
    w_out = single(np.random.uniform(-widest, widest, (N, N_OUT)).T)
    feedback = single(np.random.randn(N, N_OUT))
    samples = [sample for _ in range(ITERATIONS) for sample in drawn_batch(batch_size)]
    return Task({"input": w_in, "recurrent": w_rec, "readout": w_out}, feedback, samples)


def single(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(float)


def drawn_batch(size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Samples of one update; the sides of all, then the cues of each, then all spikes are drawn."""
    sides = np.random.choice([0, 1], size)
    shares = single(np.array([LESS_LIKELY, 1.0 - LESS_LIKELY]))
    cues = [np.random.choice([0, 1], CUES, p=shares if side == 0 else shares[::-1]) for side in sides]
    rates = np.stack([rates_of(sequence) for sequence in cues])
    inputs = (rates > np.random.rand(rates.size).reshape(rates.shape)).astype(float)
    inputs[:, 0] = 0.0
    answers = [int(sequence.sum() > CUES // 2) for sequence in cues]
    return [(x, np.tile(np.eye(N_OUT)[answer], (STEPS, 1))) for x, answer in zip(inputs, answers, strict=True)]


def rates_of(cues: np.ndarray) -> np.ndarray:
    """Spikes per step [STEPS, N_IN]: two groups for the cues, one to ask for the answer, one that is always on."""
    group, rates = N_IN // 4, np.zeros((STEPS, N_IN))
    for index, side in enumerate(cues):
        begin = index * (CUE + SPACING) + SPACING
        rates[begin : begin + CUE, side * group : (side + 1) * group] = RATE
    rates[STEPS - RECALL :, 2 * group : 3 * group] = RATE
    rates[:, 3 * group :] = RATE / 4.0
    return rates


def losses(samples: list[Sample], batch_size: int) -> np.ndarray:
    """Of each update: the mean over its samples and the steps of their windows."""
    return np.reshape([sample.loss for sample in samples], (ITERATIONS, batch_size)).mean(axis=1) / RECALL


@pytest.fixture(scope="module", params=[1, 2], ids=["batch of 1", "batch of 2"])
def trained(request):
    size = request.param
    task = drawn(size)
    done, _ = train(task.samples, task.weights, task.feedback, NEURON, READOUT, rule_of(size), window=WINDOW)
    return size, done


def test_losses_of_nest(trained):
    size, done = trained
    assert min(sample.spikes.sum() for sample in done) > 1000
    np.testing.assert_allclose(losses(done, size), NEST[size], rtol=1e-8)


def test_losses_of_tensorflow(trained):
    size, done = trained
    if size == 1:
        np.testing.assert_allclose(losses(done, size), TENSORFLOW, rtol=1e-6)
