"""After a long silence an optimiser has forgotten the size of gradients: a rounding error must not be one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.rules.optimizers import BUILT_IN
from networks import small_network

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

ETA = 1e-3


def weights(
    optimizer: ep.Optimizer,
    precision: str,
    neuron: ep.Neuron,
    silent: int = 100_000,
    reward: ep.RewardTrace | None = None,
) -> np.ndarray:
    """A weight after a silence, and after each of three times three spikes that no error follows."""
    connections = {"in->rec": 0.5, "rec->out": {"weight": 1.0, "rule": None}}
    models = {"neuron": neuron, "feedback": ep.Symmetric()}
    net = small_network((1, 1, 1), connections, **models, rule=ep.EPropPlus(optimizer=optimizer, reward=reward), seed=3)
    sim = ep.Simulator(net, threads=1, precision=precision)

    def run(steps: int, spikes: list[int], wrong_until: int) -> float:
        given = np.zeros((steps, 1), bool)
        given[spikes] = True
        told = {} if reward is None else {"reward": np.ones(steps)}
        window = (np.arange(steps) < wrong_until).astype(float)
        sim.run(float(steps), {"in": given}, {"out": [1.0]}, window=window, **told)
        return float(sim.connections("in->rec")[2][0])

    run(40, [3, 10, 17, 25], 40)
    # Errors come before the spikes of a block, not behind them: from these nothing is to be learned.
    return np.array([run(silent, [], 0), *(run(64, [21, 22, 24, 40], 20) for _ in range(3))])


WAITS = ep.RewardTrace(tau=100.0, cutoff=300.0)
KINDS = [(neuron, kind, None) for neuron in (ep.LIF, ep.ALIF, ep.DeltaLIF) for kind in BUILT_IN]


@pytest.mark.parametrize(
    ("neuron", "kind", "reward"), KINDS + [(ep.LIF, k, WAITS) for k in BUILT_IN if k.exact_zero_in]
)
def test_single_precision_takes_the_same_steps(neuron: Any, kind: Any, reward: ep.RewardTrace | None) -> None:
    """Adam took a step of 27 learning rates out of a rounding error."""
    silent = 20_000 if reward else 100_000
    double, single = (weights(kind(ETA), p, neuron(v_th=0.6), silent, reward) for p in ("double", "single"))
    assert np.abs(single - double).max() < 1e-3 * max(np.abs(np.diff(double)).max(), ETA)
    assert reward is None or abs(double[0] - 0.5) > ETA
