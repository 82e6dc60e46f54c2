"""Input of the reference: everything that a simulator draws when it builds a network, and samples of the engine."""

from __future__ import annotations

import numpy as np

from eprop import random
from eprop.engine import Samples, Simulator
from eprop.engine.build.connections import draw_signal_delays
from eprop.engine.build.drives import receptor_of_drive
from eprop.engine.build.neurons import parameters_of_neurons, present_neurons, values_of
from eprop.models import EventSource, PoissonSource
from eprop.models.base import INHIBITORY
from eprop.network import FeedbackProjection, FixedPoint, GaussianNoise, Network, PoissonDrive, RandomFeedback
from eprop.network.drives import factors
from eprop.parameters import Floats, varies
from eprop.reference import Connections, FeedbackConnections, Stimulus, TimeDriven
from eprop.reference.few_bits import FewBits


def time_driven(network: Network | Simulator) -> TimeDriven:
    """Build the time-driven reference of a network, with the connections, parameters and feedback of a simulator.

    Parameters
    ----------
    network : Network or Simulator
        A network gets the values that a simulator draws for it; of a simulator, the present weights count.

    Returns
    -------
    TimeDriven

    Raises
    ------
    NetworkError
        If the network cannot be built, or the reference has no equations for it.
    """
    sim = network if isinstance(network, Simulator) else Simulator(network, threads=1)
    net = sim.network
    connections = {p.name: Connections(*sim.connections(p.name), sim.delays(p.name)) for p in net.projections}
    members = {p.name: present_neurons(sim, p) for p in net.populations if varies(p.model)}
    feedback = {f.name: _feedback(sim, f) for f in net.feedback_projections}
    return TimeDriven(
        net, connections, members, feedback, {name: few_bits(net, name, one) for name, one in sim.formats.items()}
    )


def few_bits(network: Network, projection: str, one: FixedPoint) -> FewBits:
    """Weights of few bits for the reference: a format with its scale, and the draws of the engine."""
    seed = random.derive(network.seed, random.ROUND, network.projection(projection).index)

    def draws(sources: np.ndarray, targets: np.ndarray, update: int) -> Floats:
        nodes, of_source = np.unique(sources, return_inverse=True)
        keys = np.array([random.philox(seed, random.ROUND, node, update)[0] for node in nodes], np.uint64)
        return np.asarray((mixed(targets, keys[of_source]).astype(np.int32) + 0.5) / 2.0**32 + 0.5, np.float64)

    return FewBits(one, draws)


def mixed(nodes: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Numbers of 32 bits that look random, one for each node and key of 64 bits, as in ``core/network/few_bits.cpp``."""
    first, second = keys.astype(np.uint32), (keys >> np.uint64(32)).astype(np.uint32)
    x = nodes.astype(np.uint32) * np.uint32(0x9E3779B9) + first
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = ((x ^ (x >> np.uint32(15))) + second) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def _feedback(sim: Simulator, f: FeedbackProjection) -> FeedbackConnections:
    weight = sim.feedback_weights(f.pre, f.post)
    delay, exists = draw_signal_delays(sim.network, f, 0, f.post.size).T * sim.network.dt, np.zeros(weight.shape, bool)
    if isinstance(f.kind, RandomFeedback):
        seed = random.derive(sim.network.seed, random.FEEDBACK, f.index)
        starts, readouts = f.kind.connectivity.made(f.name, 0, f.post.size, f.pre.size, f.post.size, False, seed)
        exists[np.repeat(np.arange(f.post.size), np.diff(starts)), readouts] = True
    return FeedbackConnections(weight, delay, exists)


def stimuli_of(network: Network, samples: Samples, first_step: int = 0, *, learns: bool = False) -> list[Stimulus]:
    """Samples of the engine as the reference takes them.

    Parameters
    ----------
    network : Network
    samples : Samples
        Made for this network.
    first_step : int
        Steps since rest, or steps of training so far with `EProp`: Poisson sources emit the spikes of these steps.
    learns : bool
        Whether spikes of neurons are lost, see `Network.add`.

    Returns
    -------
    list of Stimulus
    """
    readouts, steps = [p for p in network.populations if p.model.role == "readout"], samples.n_steps
    columns = np.cumsum([0, *(p.size for p in readouts)]).tolist()
    out = []
    for i in range(len(samples)):
        target = np.broadcast_to(samples.target[i], (steps, columns[-1]))
        window = samples.window[min(i, len(samples.window) - 1)]
        modulator, reward = (
            part[min(i, len(part) - 1)] if len(part) else None for part in (samples.modulator, samples.reward)
        )
        spikes = _events(network, samples, i) | poisson_spikes(network, steps, first_step + i * steps)
        targets = {p.name: target[:, a:b] for p, a, b in zip(readouts, columns[:-1], columns[1:], strict=True)}
        windows = {p.name: window[:, k] for k, p in enumerate(readouts)}
        signals = {name: values[i] for name, values in samples.signals.items()}
        inputs, currents, inhibition = driven(network, steps, first_step + i * steps)
        for name, values in samples.currents.items():
            currents[name] = currents.get(name, 0.0) + values[i]
        lost = lost_spikes(network, steps, first_step + i * steps) if learns else {}
        added = inputs, currents, inhibition, lost
        out.append(Stimulus(steps, spikes, targets, windows, signals, modulator, reward, *added))
    return out


def driven(
    network: Network, steps: int, clock: int = 0, first_step: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Inputs, currents (pA) and inhibitory inputs that drives add in some steps, (steps, size) each by population.

    ``clock`` is the step of the random numbers, ``first_step`` that of the modulation.
    """
    inputs: dict[str, np.ndarray] = {}
    currents: dict[str, np.ndarray] = {}
    inhibition: dict[str, np.ndarray] = {}
    for s in network.stimulations:
        p, drive, index = s.population, s.drive, (s.index << 48) | clock
        seed = random.derive(network.seed, random.STIMULUS, s.index)
        given = values_of(drive, p.size, seed, s.name)
        factor = factors(drive, s.name, (first_step + np.arange(steps)) * np.float64(network.dt))
        added = np.zeros((steps, p.size))
        for t in range(steps):
            if isinstance(drive, PoissonDrive):
                draws = _draws(network.seed, p.size, index + t)
                mean = factor[t] * given["rate"] * network.dt / 1000.0
                added[t] = given["weight"] * _counts((draws + 0.5) / 2.0**32, mean)
            elif isinstance(drive, GaussianNoise):
                noise = random.normal(network.seed, random.STIMULUS, np.arange(p.size), index + t)
                added[t] = factor[t] * (given["mean"] + given["sd"] * noise)
            else:
                added[t] = factor[t] * given["amplitude"]
        into = inputs if isinstance(drive, PoissonDrive) else currents
        if "weight" in given and receptor_of_drive(s, given["weight"]) == INHIBITORY:
            into = inhibition
        into[p.name] = into.get(p.name, 0.0) + added
    return inputs, currents, inhibition


def _counts(shares: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Poisson numbers by the inverse of the distribution; a shared mean needs its distribution once."""
    from scipy.stats import poisson  # half of the time in which the package is imported

    if np.ptp(mean):
        return np.asarray(poisson.ppf(shares, mean))
    highest = int(poisson.ppf(shares.max(), mean[0]))
    return np.searchsorted(poisson.cdf(np.arange(highest + 1), mean[0]), shares)


def _draws(seed: int, n: int, index: int) -> np.ndarray:
    """Draws of 32 bits: eight counters have the upper halves of 64 nodes, in the first words of all, then in the second."""
    words = [random.philox(seed, random.STIMULUS, counter, index) for counter in range(-(-n // 64) * 8)]
    blocks = np.array(words, np.uint64).reshape(-1, 8, 2).swapaxes(1, 2).ravel()
    upper = (blocks[:, None] >> np.arange(0, 64, 16, dtype=np.uint64)).ravel()[:n] & np.uint64(0xFFFF)
    lower = np.array([random.philox(seed, random.TIE, node, index)[0] & 0xFFFF for node in range(n)])
    return upper * 65536.0 + lower


def _events(network: Network, samples: Samples, index: int) -> dict[str, np.ndarray]:
    """Spikes of the event sources in a sample, (steps, size) by population."""
    out, sources = {}, [p for p in network.populations if isinstance(p.model, EventSource)]
    for p, start in zip(sources, samples.event_start, strict=True):
        starts = start[index * samples.n_steps : (index + 1) * samples.n_steps + 1]
        out[p.name] = np.zeros((samples.n_steps, p.size), bool)
        steps = np.repeat(np.arange(samples.n_steps), np.diff(starts))
        out[p.name][steps, samples.event_channels[starts[0] : starts[-1]]] = True
    return out


def lost_spikes(network: Network, steps: int, first_step: int = 0) -> dict[str, np.ndarray]:
    """Where spikes of neurons are lost in some steps of a network that learns, (steps, size) by population."""
    out = {}
    for p in (p for p in network.populations if p.dropout):
        index = (p.index << 48) | (first_step + np.arange(steps)[:, None])
        out[p.name] = random.uniform(network.seed, random.DROPOUT, np.arange(p.size), index) < p.dropout
    return out


def poisson_spikes(network: Network, steps: int, first_step: int = 0) -> dict[str, np.ndarray]:
    """Spikes that the engine draws for Poisson sources in some steps, (steps, size) by population."""
    out = {}
    for p in network.populations:
        if isinstance(p.model, PoissonSource):
            rates = parameters_of_neurons(network, p)["rate"] * network.dt / 1000.0
            draws = [
                random.uniform(network.seed, random.POISSON, np.arange(p.size), (p.index << 48) | (first_step + t))
                for t in range(steps)
            ]
            out[p.name] = np.array(draws).reshape(steps, p.size) < rates
    return out
