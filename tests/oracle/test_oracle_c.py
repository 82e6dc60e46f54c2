"""Pattern generation with e-prop+ and each of the four neurons, against the losses of NEST.

Provenance of the numbers: five times the same 100 steps of the task of `test_oracle_a`, smaller and continuous,
everything drawn after ``numpy.random.seed(1)`` in the order of `drawn`, weights rounded to float32 and scaled in
float32. The losses are those NEST 3.10.0 gives (`nest-simulator`, one thread, ``optimize_each_step``), the numbers that
its own test of regression with e-prop+ holds.

NEST's neurons send a flush every 100 steps there, which makes silent synapses catch up; that changes no loss.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from eprop.reference import LIF, Adam, DeltaLIF, GradientDescent, PlusRule, Readout, Run, simulate

N_IN, N, N_OUT, STEPS, ITERATIONS = 100, 100, 1, 100, 5
KAPPA = 0.97
SCALE = 1.0 - KAPPA
READOUT = Readout(tau_m=30.0)
SUBTRACTED = LIF(tau_m=30.0, v_th=0.03, height=10.0, width=0.03)
CLAMPED = DeltaLIF(tau_m=30.0, v_th=0.5, v_reset=-0.5, height=10.0, width=0.03)
ETA = 1e-4 * SCALE**2
DESCENT = GradientDescent(ETA)
# The first input spikes are emitted at step 1; they reach the neurons at step 2, the first of the learning window.
EMITTED, OPEN = 1, 2


@dataclass(frozen=True)
class Oracle:
    """A neuron, the optimiser, and the losses of NEST."""

    neuron: LIF
    optimizer: Adam | GradientDescent
    losses: list[float]


ORACLES = {
    "LIF, Adam": Oracle(
        SUBTRACTED,
        Adam(ETA, epsilon=1e-7),
        [0.14000491891386, 0.28735818029752, 0.22263713699860, 0.23015072431384, 0.17565248170694],
    ),
    "ALIF": Oracle(
        dataclasses.replace(SUBTRACTED, beta=0.0174, tau_a=2000.0),
        DESCENT,
        [0.02242584487453, 0.01916753791522, 0.00571493935652, 0.00037875376195, 0.00037823157578],
    ),
    "delta LIF": Oracle(
        CLAMPED, DESCENT, [0.27039631749159, 0.51390204375229, 0.53473859833866, 0.53608474802202, 0.49323580244201]
    ),
    "delta ALIF": Oracle(
        dataclasses.replace(CLAMPED, beta=1.0, tau_a=10.0),
        DESCENT,
        [0.16416646182675, 0.27952159282830, 0.29937515524341, 0.26160957500433, 0.26384514215024],
    ),
}


@dataclass(frozen=True)
class Task:
    """Weights, feedback, and signals of the whole run, [EMITTED + OPEN + steps, ...]."""

    weights: dict[str, np.ndarray]
    feedback: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    window: np.ndarray


def single(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def drawn(clamped: bool) -> Task:
    """Weights and signals; neurons that are clamped take larger weights, and the more feedback the others take less."""
    np.random.seed(1)
    w_in = single(np.random.randn(N_IN, N).T / np.sqrt(N_IN))
    w_rec = single(np.random.randn(N, N).T / np.sqrt(N))
    np.fill_diagonal(w_rec, 0.0)
    w_out = single(np.random.randn(N, N_OUT).T / np.sqrt(N)) * SCALE
    feedback = single(np.random.randn(N, N_OUT) / np.sqrt(N))
    if clamped:
        feedback = feedback / SCALE
    else:
        w_in, w_rec, feedback = w_in * SCALE, w_rec * SCALE, feedback * SCALE
    frozen = (np.random.rand(STEPS, N_IN) < 0.05).astype(float)
    n_steps = OPEN + ITERATIONS * STEPS
    # The shortest sine of the target has a period of 200 steps and is left out of 100, as are the others.
    inputs, targets = np.zeros((n_steps, N_IN)), np.zeros((n_steps, N_OUT))
    inputs[EMITTED : EMITTED + ITERATIONS * STEPS] = np.tile(frozen, (ITERATIONS, 1))
    weights = {"input": w_in, "recurrent": w_rec, "readout": w_out}
    return Task(
        {name: w.astype(float) for name, w in weights.items()},
        feedback.astype(float),
        inputs,
        targets,
        (np.arange(n_steps) >= OPEN).astype(float),
    )


def rule_of(oracle: Oracle) -> PlusRule:
    c_reg = 2.0 / STEPS / SCALE**2 if isinstance(oracle.neuron, DeltaLIF) else 300.0 / STEPS
    return PlusRule(oracle.optimizer, KAPPA, KAPPA, c_reg, f_target=10.0, cutoff=100, each_step=True)


def losses(y: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Of each iteration, from the outputs of all steps."""
    squares = (y[OPEN:] - targets[OPEN:]) ** 2
    return 0.5 * squares.reshape(len(squares) // STEPS, -1).sum(axis=1)


def task_of(name: str) -> Task:
    return drawn(isinstance(ORACLES[name].neuron, DeltaLIF))


def run(name: str) -> tuple[Task, Run]:
    oracle, task = ORACLES[name], task_of(name)
    rule = rule_of(oracle)
    return task, simulate(
        task.inputs, task.targets, task.weights, task.feedback, oracle.neuron, READOUT, rule, window=task.window
    )


@pytest.mark.parametrize("name", ORACLES)
def test_losses_of_nest(name):
    task, found = run(name)
    assert found.spikes.sum() > 100
    np.testing.assert_allclose(losses(found.y, task.targets), ORACLES[name].losses, rtol=1e-8)
