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

import eprop as ep
from eprop.checks import time_driven
from eprop.reference import Stimulus

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
COMMON = {
    "tau_m": 20.0, "v_th": 0.6, "t_ref": 5.0, "delayed_reset": True, "surrogate": ep.PiecewiseLinear(0.3 / 0.6, 0.6),
}  # fmt: skip
READOUT = ep.Readout(tau_m=20.0, scale_input=True, loss=ep.CrossEntropy())
RULE = ep.EProp(optimizer=ep.Adam(5e-3), c_reg=300.0, f_target=10.0, average_gradient=True)
# A sample of NEST is one step longer here, as in `test_oracle_a`.
WINDOW = np.arange(STEPS + 1) > STEPS - RECALL


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


def network(task: Task) -> ep.Network:
    """Neurons with and without adaptation are two populations."""
    net = ep.Network(dt=1.0)
    x = net.add(ep.EventSource(), N_IN, "in")
    hidden = [
        (net.add(ep.LIF(**COMMON), N_LIF, "lif"), slice(0, N_LIF)),
        (net.add(ep.ALIF(beta=BETA, tau_adapt=2000.0, **COMMON), N_ALIF, "alif"), slice(N_LIF, N_LIF + N_ALIF)),
    ]
    out = net.add(READOUT, N_OUT, "out")
    for post, to in hidden:
        net.connect(x, post, weight=task.weights["input"][to], rule=RULE)
        for pre, of in hidden:
            net.connect(pre, post, weight=task.weights["recurrent"][to, of], rule=RULE)
        net.connect(post, out, weight=task.weights["readout"][:, to], rule=RULE)
        net.feedback(out, post, ep.RandomFeedback(task.feedback[to]))
    return net


def losses_of_engine(task: Task, size: int, updates: int) -> list[float]:
    """Of each update: the mean over its samples and the steps of their windows."""
    sim, found = ep.Simulator(network(task), threads=1), []
    for emitted, aimed in batches(task, size)[:updates]:
        found.append(sim.train(sim.samples(size, STEPS + 1, {"in": emitted}, {"out": aimed}, WINDOW)).loss.mean())
    return found


def losses_of_reference(task: Task, size: int, updates: int) -> list[float]:
    stepped, found = time_driven(network(task)), []
    for emitted, aimed in batches(task, size)[:updates]:
        given = [Stimulus(STEPS + 1, {"in": x}, {"out": y}, WINDOW) for x, y in zip(emitted, aimed, strict=True)]
        runs = stepped.train(given)
        assert min(run.spikes[:, N_IN:].sum() for run in runs) > 1000
        found.append(np.mean([run.loss.sum() for run in runs]))
    return found


def batches(task: Task, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Input spikes and targets of each update, [size, STEPS + 1, ...]."""
    emitted = np.stack([np.vstack([x[1:], np.zeros((2, N_IN))]) for x, _ in task.samples])
    aimed = np.stack([np.vstack([np.zeros((1, N_OUT)), y]) for _, y in task.samples])
    return [(emitted[k : k + size], aimed[k : k + size]) for k in range(0, ITERATIONS * size, size)]


@pytest.mark.parametrize(
    ("losses", "size", "updates"),
    [
        pytest.param(losses_of_engine, 1, ITERATIONS, id="engine, batch of 1"),
        pytest.param(losses_of_engine, 2, ITERATIONS, id="engine, batch of 2"),
        # It equals the engine in mini-batches (`test_time_driven`), which equals NEST.
        pytest.param(losses_of_reference, 1, 2, id="reference, batch of 1"),
        pytest.param(losses_of_reference, 1, ITERATIONS, id="reference, batch of 1, all", marks=pytest.mark.slow),
        pytest.param(losses_of_reference, 2, ITERATIONS, id="reference, batch of 2", marks=pytest.mark.slow),
    ],
)
def test_losses_of_tensorflow_and_of_nest(losses, size, updates):
    found = np.array(losses(drawn(size), size, updates)) / RECALL
    np.testing.assert_allclose(found, NEST[size][:updates], rtol=1e-8)
    if size == 1:
        np.testing.assert_allclose(found, TENSORFLOW[:updates], rtol=1e-6)
