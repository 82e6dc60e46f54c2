"""The cortical microcircuit of Potjans and Diesmann (2014): 1 mm^2 of early sensory cortex with all neurons and synapses.

Four layers have an excitatory (E) and an inhibitory (I) population each. Neurons are `CurrentLIF`, weights and delays are drawn,
and each neuron has its own Poisson background. Smaller networks keep the mean and the variance of the input (van Albada et al.
2015): weights grow by the inverse root of the share of the in-degrees, and a current stands for the missing mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from eprop.errors import ParameterError
from eprop.models import CurrentLIF, PiecewiseLinear
from eprop.network import FixedTotalNumber, Network, Normal, PoissonDrive, Population
from eprop.parameters import Floats, Integers, is_finite_number
from eprop.rules import Rule

#: Names of the populations, in the order of all arrays.
POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
#: Mean rates of the full network with Poisson background, Hz. Smaller networks replace missing input at these rates.
REFERENCE_RATES = dict(zip(POPULATIONS, (0.971, 2.868, 4.746, 5.396, 8.142, 9.078, 0.991, 7.523), strict=True))

#: Neurons of the full network.
FULL_SIZES = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])
#: Probability that a pair is connected at least once, (target, source).
CONNECTION_PROBABILITIES = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443],
    ]
)
#: Background inputs of a neuron, and the rate of each, Hz.
BACKGROUND_INPUTS, BACKGROUND_RATE = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100]), 8.0
#: Mean and standard deviation of the first voltage, mV: close to the stationary state.
FIRST_VOLTAGE = np.array([-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43])
FIRST_VOLTAGE_SD = np.array([5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48])

#: All neurons; a population adds its current and its first voltages. Only learning needs the surrogate gradient: it is as wide as
#: a third of the distance from rest to threshold.
NEURON = CurrentLIF(
    tau_m=10.0, tau_syn=0.5, c_m=250.0, e_l=-65.0, v_th=-50.0, v_reset=-65.0, t_ref=2.0,
    surrogate=PiecewiseLinear(height=0.3, width=5.0),
)  # fmt: skip
#: Height of an excitatory postsynaptic potential, mV; inhibitory ones are -4 times as high.
PSP, INHIBITION = 0.15, -4.0
#: Mean delays from E and from I, ms. Relative standard deviations of weights and delays. Lowest delay that is drawn, ms.
DELAYS, WEIGHT_SPREAD, DELAY_SPREAD, LOWEST_DELAY = (1.5, 0.75), 0.1, 0.5, 0.05

Background = Literal["poisson", "dc"]


@dataclass(frozen=True)
class Microcircuit:
    """Numbers of a microcircuit of some size, by population or as matrices (target, source).

    Attributes
    ----------
    scale : float
        Share of the neurons, in (0, 1].
    k_scale : float
        Share of the in-degrees, in (0, 1].
    drive : {"poisson", "dc"}
        Background: Poisson spikes for each neuron, or a current of the same mean.

    Raises
    ------
    ParameterError
        If a share is not in (0, 1], a population would have no neurons, or ``drive`` is unknown.
    """

    scale: float = 1.0
    k_scale: float = 1.0
    drive: Background = "poisson"

    def __post_init__(self) -> None:
        for name in ("scale", "k_scale"):
            value = getattr(self, name)
            if not is_finite_number(value) or not 0.0 < value <= 1.0:
                share = "neurons" if name == "scale" else "in-degrees"
                raise ParameterError(
                    f"microcircuit: {name} must be in (0, 1], a share of the {share} of the full network, got {value!r:.40}"
                )
        if np.any(self.sizes < 1):
            raise ParameterError(
                f"microcircuit: scale {self.scale:g} leaves no neurons in L5I, which has 1,065 at full scale; take at "
                "least 0.001"
            )
        if self.drive not in ("poisson", "dc"):
            raise ParameterError(f'microcircuit: drive must be "poisson" or "dc", got {self.drive!r:.40}')

    @property
    def sizes(self) -> Integers:
        """Neurons of each population."""
        return np.rint(FULL_SIZES * self.scale).astype(np.int64)

    @property
    def full_indegrees(self) -> Floats:
        """Mean in-degrees of the full network, (8, 8).

        ``n`` draws with replacement connect a pair of ``N M`` pairs at least once with the probability
        ``1 - (1 - 1 / (N M))^n``.
        """
        pairs = np.outer(FULL_SIZES, FULL_SIZES).astype(float)
        return np.asarray(np.log1p(-CONNECTION_PROBABILITIES) / np.log1p(-1.0 / pairs) / FULL_SIZES[:, None])

    @property
    def synapses(self) -> Integers:
        """Synapses of each pair of populations, (8, 8)."""
        return np.rint(self.full_indegrees * self.k_scale * self.sizes[:, None]).astype(np.int64)

    @property
    def weights(self) -> Floats:
        """Mean weights, pA, (8, 8). Those from L4E onto L23E are doubled."""
        heights = np.tile([1.0, INHIBITION], (8, 4))
        heights[0, 2] = 2.0
        return np.asarray(heights * self.background_weight)

    @property
    def background_weight(self) -> float:
        """Weight of a background spike, pA, and mean weight of excitatory synapses."""
        return float(current_of(PSP) / np.sqrt(self.k_scale))

    @property
    def background_rates(self) -> Floats:
        """Rate of the Poisson background of a neuron, Hz, by population."""
        return np.asarray((self.drive == "poisson") * BACKGROUND_RATE * BACKGROUND_INPUTS * self.k_scale)

    @property
    def currents(self) -> Floats:
        """Constant current of a neuron, pA, by population: the mean input that is missing."""
        full = Microcircuit()
        rates = np.array([REFERENCE_RATES[name] for name in POPULATIONS])
        recurrent = (full.weights * full.full_indegrees) @ rates
        background = full.background_weight * full.background_rates
        present = np.sqrt(self.k_scale)
        missing = (1.0 - present) * recurrent + (1.0 - present * (self.drive == "poisson")) * background
        return np.asarray(1e-3 * NEURON.tau_syn * missing)

    @property
    def poisson_input(self) -> tuple[Floats, Floats]:
        """Poisson spikes in place of the synapses: rates (Hz) and weights (pA), (8, 2), from E and from I.

        Mean and variance of the input are those of independent sources that spike at `REFERENCE_RATES`.
        """
        rates = self.full_indegrees * self.k_scale * np.array([REFERENCE_RATES[name] for name in POPULATIONS])
        mean = _by_kind(rates * self.weights)
        variance = _by_kind(rates * self.weights**2)
        return mean**2 / variance, variance / mean

    @property
    def delays(self) -> Floats:
        """Mean delays, ms, (8, 8)."""
        return np.tile(DELAYS, (8, 4))


def _by_kind(values: Floats) -> Floats:
    """Sums over the excitatory and over the inhibitory sources, (8, 2)."""
    return np.stack([values[:, 0::2].sum(axis=1), values[:, 1::2].sum(axis=1)], axis=1)


def current_of(psp: float) -> float:
    """Weight of a synapse whose postsynaptic potential has the height ``psp`` (mV), pA."""
    m, s = NEURON.tau_m, NEURON.tau_syn
    peak = np.log(m / s) * m * s / (m - s)  # ms after the spike
    per_pa = m * s / (m - s) / NEURON.c_m * (np.exp(-peak / m) - np.exp(-peak / s))
    return float(psp / per_pa)


def microcircuit(
    scale: float = 1.0,
    k_scale: float | None = None,
    *,
    rule: Rule | None = None,
    drive: Background = "poisson",
    recurrent: bool = True,
    seed: int = 1,
    dt: float = 0.1,
) -> Network:
    """Describe the cortical microcircuit of Potjans and Diesmann (2014).

    Parameters
    ----------
    scale : float
        Share of the neurons, in (0, 1]. The full network has 77,169 neurons and 299 million synapses.
    k_scale : float, optional
        Share of the in-degrees, in (0, 1]. The default is ``scale``. With fewer inputs, weights grow by ``1 / sqrt(k_scale)``,
        and a current replaces the missing mean.
    rule : Rule, optional
        Plasticity of the synapses from E to E. The default is static. Their weights are around 88 pA / sqrt(k_scale), those of
        L4E to L23E twice as large: bounds of the rule must contain them.
    drive : {"poisson", "dc"}
        Poisson background of each neuron, or a current of the same mean.
    recurrent : bool
        False: no synapses, for comparison. Each neuron has Poisson spikes with mean and variance of the input that it would
        receive from a network with the rates `REFERENCE_RATES`.
    seed : int
        Seed of every draw.
    dt : float
        Time step, ms.

    Returns
    -------
    Network
        Its populations have the names `POPULATIONS`.

    Raises
    ------
    ParameterError
        If a share is not in (0, 1], a population would have no neurons, or ``drive`` is unknown; if ``rule`` is given, but no
        synapses.
    NetworkError
        If ``dt``, ``seed`` or ``rule`` is invalid.

    Examples
    --------
    >>> net = microcircuit(scale=0.02, seed=1)
    >>> [(p.name, p.size) for p in net.populations][:2]
    [('L23E', 414), ('L23I', 117)]
    """
    numbers = Microcircuit(scale, scale if k_scale is None else k_scale, drive)
    if rule is not None and not recurrent:
        raise ParameterError("microcircuit: recurrent=False leaves no synapses for the rule; leave one of them out")
    net = Network(dt=dt, seed=seed)
    cells = _add_cells(net, numbers)
    if not recurrent:
        _replace_synapses(net, cells, numbers)
        return net
    net.connect_groups(
        cells,
        cells,
        FixedTotalNumber.each(numbers.synapses, autapses=True),
        weight=_drawn_weights(numbers.weights),
        delay=Normal.each(numbers.delays, DELAY_SPREAD * numbers.delays, low=LOWEST_DELAY),
        rule=_rules(rule),
    )
    return net


def _add_cells(net: Network, numbers: Microcircuit) -> list[Population]:
    """Add the populations, with their currents, first voltages and background."""
    cells = []
    for name, size, current, mean, sd, rate in zip(
        POPULATIONS, numbers.sizes, numbers.currents, FIRST_VOLTAGE, FIRST_VOLTAGE_SD, numbers.background_rates, strict=True
    ):  # fmt: skip
        neuron = NEURON.replace(i_e=float(current), v_init=Normal(float(mean), float(sd)))
        cells.append(net.add(neuron, int(size), name))
        if rate:
            background = PoissonDrive(rate=float(rate), weight=numbers.background_weight)
            net.stimulate(cells[-1], background, f"{name} background")
    return cells


def _replace_synapses(net: Network, cells: list[Population], numbers: Microcircuit) -> None:
    """Add Poisson spikes with mean and variance of the input from other neurons."""
    for cell, rates, weights in zip(cells, *numbers.poisson_input, strict=True):
        for kind, rate, weight in zip("EI", rates, weights, strict=True):
            net.stimulate(cell, PoissonDrive(rate=float(rate), weight=float(weight)), f"{cell.name} input from {kind}")


def _drawn_weights(means: Floats) -> np.ndarray:
    """Distributions that keep the sign of their mean."""
    low, high = np.where(means > 0.0, 0.0, -np.inf), np.where(means > 0.0, np.inf, 0.0)
    return Normal.each(means, WEIGHT_SPREAD * np.abs(means), low=low, high=high)


def _rules(rule: Rule | None) -> np.ndarray:
    """The rule from E to E, and None (static) elsewhere."""
    rules = np.full((8, 8), None, object)
    rules[0::2, 0::2] = rule
    return rules
