"""The network of Brunel (2000): sparse excitation and inhibition in balance, with a threshold, a reset and one delay."""

from __future__ import annotations

from eprop.errors import ParameterError
from eprop.models import DeltaLIF
from eprop.network import FixedIndegree, Network, PoissonDrive
from eprop.parameters import check_count, is_finite_number
from eprop.rules import Rule

#: Four fifths of the neurons are excitatory.
EXCITATORY_SHARE = 0.8
#: In-degree from each population, relative to its size.
CONNECTED_SHARE = 0.1

#: All neurons.
NEURON = DeltaLIF(tau_m=20.0, v_th=20.0, v_reset=10.0, t_ref=2.0)


def balanced_network(
    neurons: int = 12_500,
    *,
    eta: float = 2.0,
    g: float = 5.0,
    weight: float = 0.1,
    delay: float = 1.5,
    rule: Rule | None = None,
    seed: int = 1,
    dt: float = 0.1,
) -> Network:
    """Describe the balanced network of Brunel (2000), model A.

    Each neuron receives a tenth of the excitatory and of the inhibitory neurons, and a Poisson background. Neurons have
    a threshold of 20 mV, a reset to 10 mV, a time constant of 20 ms and a refractory time of 2 ms. The defaults give
    asynchronous, irregular activity of about 38 Hz.

    Parameters
    ----------
    neurons : int
        Excitatory (four fifths, ``"e"``) and inhibitory (``"i"``) neurons, at least 50.
    eta : float
        Rate of the background, relative to the rate that takes the mean voltage to the threshold. The background alone drives
        neurons for ``eta > 1``.
    g : float
        Strength of inhibitory weights relative to excitatory ones. Inhibition dominates for ``g > 4``.
    weight : float
        Height of an excitatory postsynaptic potential, mV.
    delay : float
        Delay of all synapses, ms.
    rule : Rule, optional
        Plasticity of the synapses from E to E. The default is static.
    seed : int
        Seed of every draw.
    dt : float
        Time step, ms.

    Returns
    -------
    Network

    Raises
    ------
    ParameterError
        If a number is out of its bounds.
    NetworkError
        If ``dt``, ``seed``, ``delay`` or ``rule`` is invalid.

    Examples
    --------
    >>> net = balanced_network(1000, weight=0.5)
    >>> [(p.name, p.size) for p in net.populations]
    [('e', 800), ('i', 200)]
    """
    sizes, degrees = _sizes_and_degrees(neurons)
    _check_positive(eta=eta, g=g, weight=weight)
    net = Network(dt=dt, seed=seed)
    # The mean voltage is tau_m * weight * rate.
    background = PoissonDrive(rate=eta * NEURON.v_th / (1e-3 * NEURON.tau_m * weight), weight=weight)
    cells = [net.add(NEURON, size, name) for size, name in zip(sizes, "ei", strict=True)]
    for population in cells:
        net.stimulate(population, background, f"{population.name} background")
    net.connect_groups(
        cells, cells, FixedIndegree.each(degrees, multapses=True, autapses=True),
        weight=[weight, -g * weight], delay=delay, rule=[[rule, None], [None, None]],
    )  # fmt: skip
    return net


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not is_finite_number(value) or not value > 0.0:
            raise ParameterError(f"balanced_network: {name} must be a number > 0, got {value!r:.40}")


def _sizes_and_degrees(neurons: int) -> tuple[list[int], list[int]]:
    """Neurons of the excitatory and the inhibitory population, and in-degrees from them."""
    check_count("balanced_network: neurons", neurons, ParameterError)
    excitatory = round(EXCITATORY_SHARE * neurons)
    sizes = [excitatory, neurons - excitatory]
    degrees = [round(CONNECTED_SHARE * size) for size in sizes]
    if min(degrees) < 1:
        raise ParameterError(
            f"balanced_network: {neurons} neurons leave in-degrees of {degrees[0]} and {degrees[1]}; take at least 50"
        )
    return sizes, degrees
