"""Delayed cue: keep one of four cues in mind for seconds, with neurons that forget within a fifth of a second at first.

A group of inputs fires for 100 ms and says which cue it is. After a delay a go signal asks for it. All that lasts is the
adaptation of the neurons' thresholds, so the network has to learn how long it lasts (`eprop.Learned`). A time constant far below
the delay has almost no gradient: the delay therefore grows during training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Unpack

import numpy as np
from annotated_doc import Doc

from eprop.data.generated import Draw, Generated, Sample
from eprop.errors import ParameterError
from eprop.models import CrossEntropy, EventSource, Learned, Readout
from eprop.network import Glorot, Network, Normal
from eprop.parameters import Description, check_count, check_steps, param
from eprop.tasks.settings import DATA, LEARNING, Chosen, Eta, EtaOut, RuleName, Seed, Settings
from eprop.training import Experiment, summed, task

CLASSES = ("a", "b", "c", "d")
#: Default settings for both rules, and for each; only e-prop learns constants. 30 epochs of 320 samples are 300 mini-batches.
COMMON: dict[str, Any] = {
    "c_reg": 0.0, "beta": 0.3, "cutoff": 4000.0, "epochs": 30, "batch_size": 32, "schedule": "linear", "eta_final": 0.1,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {"optimizer": "adam", "eta": 0.01, "eta_out": 0.01, "learn": "tau_adapt"},
    "eprop+": {"optimizer": "gradient_descent", "eta": 1e-4, "eta_out": 1e-3, "learn": "none"},
}
#: Constants that learn, by the value of ``learn``.
LEARNED = {
    "none": (),
    "tau_adapt": ("tau_adapt",),
    "taus": ("tau_m", "tau_adapt", "tau_out"),
    "all": ("tau_m", "tau_adapt", "tau_out", "v_th", "beta", "i_e"),
}
#: Delay with which a growing delay begins, ms, and the fraction of the training after which it has grown.
SHORTEST, GROWN = 200.0, 2.0 / 3.0
#: Longest time constant that can be learned, ms.
LONGEST = 5000.0


@dataclass(frozen=True, kw_only=True)
class Signals(Description):
    """What a sample shows: a cue, a pause, the go signal."""

    delay: float = param(3000.0, unit="ms", at_least=0.0, in_steps=True, doc="time from the cue to the go signal")
    cue: float = param(100.0, unit="ms", above=0.0, in_steps=True, doc="length of a cue, and of the go signal")
    group: int = param(10, kind=int, at_least=1, doc="inputs of a group: four cues, go signal, background")
    cue_rate: float = param(100.0, unit="Hz", at_least=0.0, doc="rate of an input during its cue, and of the go signal")
    background_rate: float = param(5.0, unit="Hz", at_least=0.0, doc="rate of all inputs at other times")
    dt: float = param(10.0, unit="ms", above=0.0, doc="length of a step")

    @property
    def n_asked(self) -> int:
        """Steps of the go signal, at the end."""
        return round(self.cue / self.dt)

    def draw(self, rng: np.random.Generator) -> Sample:
        """A cue, background, and the go signal."""
        which, n = int(rng.integers(len(CLASSES))), len(CLASSES)
        rate = np.full((round((2.0 * self.cue + self.delay) / self.dt), n + 2), self.background_rate)
        rate[: self.n_asked, which] = rate[-self.n_asked :, n] = self.cue_rate
        chance = np.repeat(rate * self.dt / 1000.0, self.group, axis=1)
        return Sample(rng.random(chance.shape) < chance, which)

    def staged(self, done: float) -> Draw:
        """The function that draws, with the delay as far as it has grown after the fraction ``done`` of the training."""
        shortest = min(SHORTEST, self.delay)
        delay = shortest + (self.delay - shortest) * min(done / GROWN, 1.0)
        return self.replace(delay=self.dt * round(delay / self.dt)).draw


@task
def delayed_cue(
    *,
    rule: RuleName = "eprop",
    delay: Annotated[float, Doc("time from the cue to the go signal, ms"), DATA] = 3000.0,
    grow: Annotated[bool, Doc("let the delay grow from 200 ms during two thirds of the training"), DATA] = True,
    samples: Annotated[int, Doc("training samples of an epoch"), DATA] = 320,
    test_samples: Annotated[int, Doc("test samples"), DATA] = 1000,
    validation: Annotated[int, Doc("validation samples; never learned from"), DATA] = 0,
    neurons: Annotated[int, Doc("neurons, all with adaptation"), LEARNING] = 40,
    learn: Annotated[
        Literal["none", "tau_adapt", "taus", "all"] | None,
        Doc("eprop: constants that learn; taus are tau_adapt, tau_m and tau_out"),
        LEARNING,
    ] = None,
    eta_constants: Annotated[float, Doc("learning rate of constants, relative for time constants"), LEARNING] = 0.05,
    eta: Eta = None,
    eta_out: EtaOut = None,
    seed: Seed = 1,
    data_seed: int = 0,
    spread: float = 1.0,
    cue: float = 100.0,
    group: int = 10,
    cue_rate: float = 100.0,
    background_rate: float = 5.0,
    w_in: float = 0.5,
    w_rec: float = 0.15,
    dt: float = 10.0,
    **settings: Unpack[Settings],
) -> Experiment:
    """A cue that must be kept in mind: time constants of the neurons learn until it outlasts a delay of seconds.

    Parameters
    ----------
    rule, delay, grow, samples, test_samples, validation, neurons, learn, eta_constants, eta, eta_out, seed
        See ``eprop train delayed-cue --help``; `COMMON` and `SETTINGS` have the defaults.
    data_seed : int
        Seed of all samples; training samples also depend on ``seed``.
    spread : float
        First values of ``tau_adapt`` are drawn from ``tau_adapt / spread`` to ``tau_adapt * spread``, evenly by logarithm.
    cue, group, cue_rate, background_rate : float
        See `Signals`.
    w_in, w_rec : float
        Standard deviations of the first weights, mV.
    dt : float
        Length of a step, ms.
    **settings
        Settings of `eprop.tasks.settings.Settings`.

    Raises
    ------
    ParameterError
        If a value is wrong, or a time constant cannot learn from its first value.

    Examples
    --------
    >>> ep.fit(delayed_cue(delay=1000.0, learn="all"))
    """
    signals = Signals(
        delay=delay, cue=cue, group=group, cue_rate=cue_rate, background_rate=background_rate, dt=dt
    )  # fmt: skip
    check_steps("delayed_cue", signals, dt)
    check_count("delayed_cue.neurons", neurons)
    given = {**settings, "eta": eta, "eta_out": eta_out, "learn": learn}
    chosen = Chosen(rule, {**COMMON, **SETTINGS[rule]}, given)
    constants = _constants(chosen, _first_taus(chosen["tau_adapt"], spread, neurons, seed, dt), eta_constants, dt)
    readout = Readout(tau_m=constants.pop("tau_out"), loss=CrossEntropy())

    net = Network(dt=dt, seed=seed)
    rule_hidden = chosen.rule(chosen["eta"])
    x = net.add(EventSource(), (len(CLASSES) + 2) * group, name="in")
    rec = net.add(chosen.neuron("alif").replace(**constants), neurons, name="rec")
    out = net.add(readout, len(CLASSES), name="out")
    net.connect(x, rec, weight=Normal(0.0, w_in), rule=rule_hidden)
    net.connect(rec, rec, weight=Normal(0.0, w_rec), rule=rule_hidden)
    net.connect(rec, out, weight=Glorot(), rule=chosen.rule(chosen["eta_out"]))
    net.feedback(out, rec, chosen.feedback())

    source = Generated(
        signals.draw, samples, test_samples, validation, seed, data_seed, "delayed-cue",
        staged=signals.staged if grow else None,
    )  # fmt: skip
    return Experiment(
        net, source, window=lambda n: np.repeat([0.0, 1.0], [n - signals.n_asked, signals.n_asked]), classes=CLASSES,
        evidence=summed, **chosen.training,
    )  # fmt: skip


def _constants(chosen: Chosen, first: Any, eta: float, dt: float) -> dict[str, Any]:
    """Constants of neurons and readouts, some of which learn."""
    learn = LEARNED[chosen["learn"]]
    if learn and chosen.name != "eprop":
        raise ParameterError(
            f'delayed_cue.learn = "{chosen["learn"]}" needs rule = "eprop": only e-prop learns constants'
        )
    v_th, found = chosen["v_th"], {}
    for name, start, low, high in (
        ("tau_m", chosen["tau_m"], dt, LONGEST),
        ("tau_adapt", first, dt, LONGEST),
        ("v_th", v_th, 0.1 * v_th, 10.0 * v_th),
        ("beta", chosen["beta"], 0.0, 10.0 * v_th),
        ("i_e", 0.0, -0.1, 0.1),
        ("tau_out", chosen["tau_out"], dt, LONGEST),
    ):
        if name in learn and name.startswith("tau") and not low <= chosen[name] <= high:
            raise ParameterError(
                f"delayed_cue.{name} must lie in {low:g}..{high:g} ms to learn, got {chosen[name]:g} ms"
            )
        learned = name in learn
        found[name] = Learned(start, low=low, high=high, eta=eta, shared=name == "tau_out") if learned else start
    return found


def _first_taus(tau: float, spread: float, neurons: int, seed: int, dt: float) -> float | list[float]:
    """First values of ``tau_adapt``, ms."""
    if spread < 1.0:
        raise ParameterError(f"delayed_cue.spread must be >= 1, got {spread:g}")
    if spread == 1.0:
        return tau
    drawn = tau * spread ** np.random.default_rng([seed, neurons]).uniform(-1.0, 1.0, neurons)
    return [float(each) for each in np.clip(drawn, dt, LONGEST)]
