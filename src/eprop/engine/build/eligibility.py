"""Sort the components of an eligibility vector into spike filters, shared by an axon, and own components of a synapse.

If the neuron's own spikes never reach a component, and all targets have the same constants, the component is the same for all
targets of an axon: it is stored once per axon. All other components are stored at the synapse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eprop.engine.build.records import MOST_FILTERS, MOST_OWN, MOST_OWN_BESIDE_FILTERS, Kind
from eprop.errors import NetworkError
from eprop.models import Eligibility


@dataclass
class Components:
    """The sorted eligibility of a population; d components, n neurons (1 if all are alike).

    Attributes
    ----------
    decay, arrival, output, spike : (n, d, d), (n, d), (n, d), (n, d)
        Fields of `Eligibility`.
    filters, own : tuples of int
        Components stored per axon, and components stored per synapse; a component may be in both.
    kept : tuple of int
        Numbers of the components in the model's `Eligibility`.
    """

    decay: np.ndarray
    arrival: np.ndarray
    output: np.ndarray
    spike: np.ndarray
    filters: tuple[int, ...]
    own: tuple[int, ...]
    kept: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of components."""
        return self.arrival.shape[1]


def sort_components(name: str, eligibilities: Sequence[Eligibility], receptor: str | None = None) -> Components:
    """Sort the components of a population's neurons, for input at a receptor.

    Raises
    ------
    NetworkError
        If a value is not an `Eligibility`, or its parts do not fit together.
    """
    for e in eligibilities:
        if not isinstance(e, Eligibility):
            raise NetworkError(f"{name}: eligibility(dt) must return an Eligibility, got {e!r:.80}")
    parts = ((e.decay, e.arrival_at(receptor), e.output, e.spike) for e in eligibilities)
    decay, arrival, output, spike = (np.array(part, np.float64) for part in zip(*parts, strict=True))
    d = arrival.shape[-1]
    if decay.shape[1:] != (d, d) or output.shape[1:] != (d,) or spike.shape[1:] != (d,) or d == 0:
        raise NetworkError(
            f"{name}: the eligibility needs decay (d, d), arrival, output and spike (d,) with the same d, got {eligibilities[0]}"
        )
    if not all(np.isfinite(a).all() for a in (decay, arrival, output, spike)):
        raise NetworkError(f"{name}: the eligibility holds a value that is not finite")
    kept = list(range(d))
    if eligibilities[0].arrival_in is not None:  # without the current of the other receptor
        kept = _reached(np.abs(arrival) + np.abs(spike), decay)
        decay, arrival, output, spike = decay[:, kept][:, :, kept], arrival[:, kept], output[:, kept], spike[:, kept]
    filters = _reached(arrival, decay)
    alike = all((a[:, filters] == a[:1, filters]).all() for a in (decay, arrival))
    if not alike:
        filters, own = [], _reached(np.abs(arrival) + np.abs(spike), decay)
    else:
        own = _reached(spike, decay) or ([] if filters else [0])
    return Components(decay, arrival, output, spike, tuple(filters), tuple(own), tuple(kept))


def _reached(start: np.ndarray, decay: np.ndarray) -> list[int]:
    """Components that become nonzero, in any neuron, after ``start`` is added."""
    reached = (start != 0.0).any(axis=0)
    leads = (decay != 0.0).any(axis=0)
    for _ in range(len(reached)):
        reached = reached | (leads @ reached)
    return [int(i) for i in np.flatnonzero(reached)]


def least_left(c: Components, largest_psi: Sequence[float]) -> float:
    """Smallest factor that a step leaves of a synapse's own component times that of its input filters; 1 without any.

    ``largest_psi`` has `Neuron.largest_psi` of each neuron. Growth counts like decay. The two factors are multiplied because
    the rounding errors multiply when both are moved back. The result is 0 if spikes of the neuron might remove everything, or
    if there is more than one own component.
    """
    if len(c.own) != 1:
        return 0.0 if c.own else 1.0
    k = c.own[0]
    left, fed = c.decay[:, k, k], c.spike[:, k] * c.output[:, k]
    most = np.multiply(fed, largest_psi, out=np.zeros_like(fed), where=fed != 0.0)
    ends = np.stack([left, left + most])
    if (np.sign(ends[0]) * np.sign(ends[1]) <= 0.0).any():
        return 0.0
    filters = list(c.filters)
    fading = np.abs(np.linalg.eigvals(c.decay[0][np.ix_(filters, filters)])).min(initial=1.0)
    return float(min(np.abs(ends).min(), 1.0 / np.abs(ends).max()) * fading)


def check_components(name: str, c: Components) -> None:
    """Check that the loops of e-prop+ support an eligibility.

    Raises
    ------
    NetworkError
        If it has too many components.
    """
    if len(c.filters) > MOST_FILTERS or len(c.own) > (MOST_OWN_BESIDE_FILTERS if c.filters else MOST_OWN):
        raise NetworkError(
            f"{name}: EPropPlus supports at most {MOST_FILTERS} components of the eligibility that filter spikes and "
            f"{MOST_OWN_BESIDE_FILTERS} own components of a synapse (fed back by the neuron's spikes, or with constants that "
            f"differ between neurons), or {MOST_OWN} own ones alone, got {len(c.filters)} and {len(c.own)}; EProp supports any "
            "number"
        )


def propagator_constants(c: Components, kind: Kind) -> np.ndarray:
    """Constants of propagators, shape (rows, n): output, spike, decay among own components, arrival (without filters).

    Components that the ``kind`` has and the eligibility lacks are zero.
    """
    layout, filters, own = kind.layout, list(c.filters), list(c.own)
    n, spike, decay, arrival = len(c.arrival), layout["spike_row"], layout["decay_row"], layout["arrival_row"]
    rows = np.zeros((layout["n_constants"], n))
    rows[: len(filters)] = c.output[:, filters].T
    rows[kind.n_filters : kind.n_filters + len(own)] = c.output[:, own].T
    rows[spike : spike + len(own)] = c.spike[:, own].T
    among = rows[decay:arrival].reshape(kind.n_own, kind.n_own, n)
    among[: len(own), : len(own)] = c.decay[:, own][:, :, own].transpose(1, 2, 0)
    if not filters:
        rows[arrival : arrival + len(own)] = c.arrival[:, own].T
    return rows


def filter_powers(decay: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """``decay`` (D, D) to the powers 0 .. n - 1, and their inverses, each (n, D, D).

    An inverse may overflow where it is not used; if ``decay`` is singular, the inverse is NaN.
    """
    size = decay.shape[0]
    if size == 1:
        with np.errstate(divide="ignore", over="ignore"):
            powers = decay[0, 0] ** np.arange(n)
            return powers.reshape(n, 1, 1), (1.0 / powers).reshape(n, 1, 1)
    powers, inverses = np.empty((n, size, size)), np.empty((n, size, size))
    powers[0] = inverses[0] = np.eye(size)
    try:
        back = np.linalg.inv(decay)
    except np.linalg.LinAlgError:
        back = np.full_like(decay, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(1, n):
            powers[k], inverses[k] = decay @ powers[k - 1], back @ inverses[k - 1]
    return powers, inverses


def doublings(decay: np.ndarray, bits: int) -> np.ndarray:
    """``decay`` to the powers 1, 2, 4, ..., shape (bits, D, D)."""
    out = np.empty((bits, *decay.shape))
    power = decay
    for bit in range(bits):
        out[bit] = power
        power = power @ power
    return out
