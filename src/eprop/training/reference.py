"""The time-driven reference in the place of the simulator: the same network, slow and dense, in double precision.

It answers what a training asks of a simulator: train, evaluate, state. Networks of one event source, neurons that are
`LIF` (or `ALIF`), one population of readouts, delays of one step, and one rule.

The losses are those of the engine, to the last digits. With e-prop+ and gradient descent the engine applies a gradient one
cutoff after the spike it belongs to, when it is final, and the reference at the next spike: a weight may be late there,
which shows when weights are frozen between two spikes, or when the learning rate has changed between them.

`eprop.reference.TimeDriven` is something else: it steps any network, synapse by synapse, but every sample from rest, and
has no state to go on from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from eprop import reference
from eprop.engine import BatchResult, Samples, Simulator
from eprop.errors import InputError, ParameterError, Status, check_status
from eprop.models import EventSource
from eprop.network import Adaptive, Network, Population, Symmetric
from eprop.parameters import varies
from eprop.reference.neurons import PROJECTIONS, SURROGATES
from eprop.reference.optimizers import Descent
from eprop.rules import EProp, EPropPlus

Progress = Callable[[int], None]
#: Evaluation without resets runs so many chunks of samples, each from rest, as the simulator does.
CHUNKS = 8
_SHARED = ("tau_m", "v_th", "t_ref", "e_l", "v_min", "c_m", "i_e", "delayed_reset", "scale_input")


class ReferenceSimulator:
    """Trains a network with `eprop.reference`; a `Simulator` to those who train, evaluate, save and resume.

    Parameters
    ----------
    network : Network

    Raises
    ------
    ParameterError
        If the reference cannot simulate the network; the message says why.
    """

    threads = 1
    precision = "double"

    def __init__(self, network: Network):
        self.network = network
        self._drawn = Simulator(network, threads=1, precision="double")  # the same connections and weights
        self.comm = self._drawn.comm
        self._layout = _Layout(network)
        self._dt = network.dt
        self._rule = self._layout.rule
        self._neuron, self._readout = self._layout.neuron(), self._layout.readout()
        weights, self._masks = self._layout.dense(self._drawn)
        self._feedback = self._layout.feedback(self._drawn)
        self._eta_factor, self._updates, self._events = 1.0, 0, 0
        self._plus: reference.PlusNetwork | None = None
        self._weights, self._descents = (
            weights,
            {name: Descent(o, weights[name].shape) for name, o in self._optimizers()},
        )
        if isinstance(self._rule, EPropPlus):
            self._plus = self._plus_network(self._layout.plastic)
            self._weights = {name: s.weights for name, s in self._plus.synapses.items()}
            self._descents = {name: s.descent for name, s in self._plus.synapses.items()}

    @property
    def n_synapses(self) -> int:
        """Number of synapses of all projections."""
        return self._drawn.n_synapses

    @property
    def events(self) -> int:
        """Synaptic events so far."""
        return self._events

    def memory(self) -> dict[str, int]:
        """Bytes held by dense matrices of weights."""
        return {"synapses": sum(w.nbytes for w in self._weights.values()), "propagators": 0, "rest": 0}

    def weights(self, name: str) -> Any:
        """Weights of a projection, as `Simulator.weights`."""
        self._write_back()
        return self._drawn.weights(name)

    def connections(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sources, targets and weights of a projection, as `Simulator.connections`."""
        self._write_back()
        return self._drawn.connections(name)

    def scale_learning_rates(self, factor: float) -> None:
        """Learn with ``factor`` times the optimisers' ``eta`` from now on."""
        for name, optimizer in self._optimizers():
            self._descents[name].optimizer = replace(optimizer, eta=factor * optimizer.eta)

    def train(self, samples: Samples, progress: Progress | None = None) -> BatchResult:
        """Learn from samples: e-prop as one mini-batch, e-prop+ one after the other without a reset."""
        if self._plus is not None:
            return self._run_plus(self._plus, samples, range(len(samples)), progress)
        results, total = [], {name: np.zeros_like(w) for name, w in self._weights.items()}
        rule = reference.SampleRule(kappa=self._rule.kappa, c_reg=self._rule.c_reg, f_target=self._rule.f_target)
        feedback = reference.losses.feedback_matrix(self._feedback, self._weights["readout"])
        for i in range(len(samples)):
            ran, result = self._run_sample(samples, i)
            told = {name: value[1:] for name, value in self._told(samples, i).items()}
            found = reference.gradients(ran, feedback, self._neuron, self._readout, rule, **told, dt=self._dt)
            window = samples.window[min(i, len(samples.window) - 1)]
            length = float(np.abs(window).sum()) or 1.0 if self._rule.average_gradient else 1.0
            for name, gradient in found.items():
                total[name] += gradient / length
            results.append(result)
            if progress:
                progress(1)
        self._updates += 1
        for name in self._layout.plastic:
            gradient = np.where(self._masks[name], total[name] / len(samples), 0.0)
            for column in range(gradient.shape[1]):
                self._descents[name].update(self._weights[name], gradient[:, column], column, self._updates)
            self._weights[name][~self._masks[name]] = 0.0
        return self._joined(results, learned=True)

    def evaluate(self, samples: Samples, *, progress: Progress | None = None) -> BatchResult:
        """Run samples with frozen weights: from rest with e-prop, else in a few chunks without a reset between samples."""
        results = []
        if self._plus is None:
            for i in range(len(samples)):
                results.append(self._run_sample(samples, i)[1])
                if progress:
                    progress(1)
        else:
            for chunk in np.array_split(np.arange(len(samples)), min(CHUNKS, len(samples))):
                frozen = self._plus_network(())
                results.append(self._run_plus(frozen, samples, chunk, progress, learned=False))
        return self._joined(results)

    # ---------------------------------------------------------------- checkpoint

    def state(self) -> dict[str, np.ndarray]:
        """Everything that a training changes, as named arrays; ``synapses/weight`` as of `Simulator.state`."""
        self._write_back()
        out = {"synapses/weight": self._drawn.state()["synapses/weight"]}
        out["counters"] = np.array([self._updates, self._events, self._plus.step if self._plus else 0], np.int64)
        for name, holder, field in self._holders():
            out[f"{name}/{field}"] = np.array(getattr(holder, field))
        return out

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state` of the same network.

        Raises
        ------
        InputError
            If an array is missing or has another shape.
        """
        for name, have in self.state().items():
            if name not in state or np.shape(state[name]) != have.shape:
                raise InputError(f"the state is of another network or engine: {name} is missing or has another shape")
        for name, holder, field in self._holders():
            getattr(holder, field)[...] = state[f"{name}/{field}"]
        if self._plus is not None:
            self._plus.step = int(state["counters"][2])
        self._updates, self._events = int(state["counters"][0]), int(state["counters"][1])

    def _holders(self) -> list[tuple[str, Any, str]]:
        """Every array that changes: a name, the object that holds it, and its attribute."""
        found: list[tuple[str, Any]] = [(f"descent/{name}", descent) for name, descent in self._descents.items()]
        if self._plus is None:
            found.append(("weights", _Attributes(self._weights)))
        else:
            found += [(f"synapses/{name}", synapses) for name, synapses in self._plus.synapses.items()]
            found += [("network", self._plus), ("neurons", self._plus.state)]
        return [
            (name, holder, field)
            for name, holder in found
            for field, value in vars(holder).items()
            if isinstance(value, np.ndarray) and field not in ("mask", "feedback")
        ]

    # ---------------------------------------------------------------- inside

    def _optimizers(self) -> list[tuple[str, Any]]:
        return [(name, _optimizer(o)) for name, o in self._layout.optimizers.items()]

    def _plus_network(self, plastic: Any) -> reference.PlusNetwork:
        r = self._rule
        cutoff = round(r.cutoff / self._dt)
        rule = reference.PlusRule(
            kappa=r.kappa, kappa_reg=r.kappa_regularisation, c_reg=r.c_reg, f_target=r.f_target, cutoff=cutoff,
            each_step=r.each_step, reward=_reward_trace(r, cutoff, self._dt),
        )  # fmt: skip
        network = reference.PlusNetwork(
            self._weights, self._feedback, self._neuron, self._readout, rule,
            plastic=plastic, masks=self._masks, dt=self._dt,
        )  # fmt: skip
        for name, optimizer in self._optimizers():
            network.synapses[name].descent.optimizer = optimizer
        return network

    def _run_sample(self, samples: Samples, i: int) -> tuple[reference.Sample, BatchResult]:
        """One sample from rest.

        A stage of the reference starts its clock when the stage before can reach it, those of the engine start together:
        the same sample is one step shorter there, and the readouts' first step is one at rest.
        """
        inputs, target, window = _dense(samples, i, self._layout.n_inputs)
        shifted = np.vstack([np.zeros((1, inputs.shape[1])), inputs[:-2]])
        ran = reference.run_sample(
            shifted, target[1:], self._weights, self._neuron, self._readout, window=window[1:], dt=self._dt
        )
        rest = np.full((1, target.shape[1]), self._readout.e_l)
        loss = ran.loss + reference.loss(self._readout.loss, rest, target[:1], window[:1])
        y = np.vstack([rest, ran.y])
        return ran, self._result([loss], y[None], ran.spikes[None], inputs[None, :-1])

    def _run_plus(
        self,
        network: reference.PlusNetwork,
        samples: Samples,
        which: Any,
        progress: Progress | None,
        learned: bool = True,
    ) -> BatchResult:
        """Samples one after the other, without a reset."""
        results = []
        for i in which:
            inputs, target, window = _dense(samples, int(i), self._layout.n_inputs)
            run = network.run(inputs, target, window=window, **self._told(samples, int(i)))
            loss = reference.loss(self._readout.loss, run.y, target, window)
            results.append(self._result([loss], run.y[None], run.spikes[None], inputs[None]))
            if progress:
                progress(1)
        return self._joined(results, learned)

    def _told(self, samples: Samples, i: int) -> dict[str, Any]:
        """What is told from outside in a sample, as far as something is."""
        told: dict[str, Any] = {}
        if samples.signals:
            told["signals"] = np.zeros((samples.n_steps, len(self._weights["input"])))
            for name, values in samples.signals.items():
                first = int(self._layout.first[name])
                told["signals"][:, first : first + values.shape[2]] = values[i]
        if len(samples.modulator):
            told["modulator"] = samples.modulator[min(i, len(samples.modulator) - 1)]
        if len(samples.reward):
            told["reward"] = samples.reward[min(i, len(samples.reward) - 1)]
        return told

    def _result(self, loss: list[float], y: np.ndarray, spikes: np.ndarray, inputs: np.ndarray) -> BatchResult:
        """Results of a sample, of which ``spikes`` and ``inputs`` arrive."""
        out_of_input = self._masks["input"].sum(axis=0)
        out_of_neuron = self._masks["recurrent"].sum(axis=0) + self._masks["readout"].sum(axis=0)
        events = int(inputs.sum(axis=(0, 1)) @ out_of_input + spikes.sum(axis=(0, 1)) @ out_of_neuron)
        return BatchResult(np.array(loss), y, spikes.sum(axis=(1, 2)).astype(np.int64), events)

    def _joined(self, results: list[BatchResult], learned: bool = False) -> BatchResult:
        loss, y, spikes = (np.concatenate([getattr(r, f) for r in results]) for f in ("loss", "y", "spikes"))
        if not np.isfinite(y).all() or not np.isfinite(loss).all():
            check_status(Status.NOT_FINITE, "time-driven")
        events = sum(r.events for r in results)
        self._events += events if learned else 0
        return BatchResult(loss, y, spikes, events)

    def _write_back(self) -> None:
        """Weights into the drawn network, which knows their order."""
        for projection in self.network.projections:
            sources, targets, _ = self._drawn.connections(projection.name)
            kind, post, pre = self._layout.place(projection)
            self._drawn.set_weights(projection.name, self._weights[kind][targets + post, sources + pre])


class _Attributes:
    """Arrays by name, as attributes."""

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self.__dict__.update(arrays)


class _Layout:
    """Where the populations of a network are in the three matrices of the reference, and whether they fit there."""

    def __init__(self, network: Network):
        self.network = network
        by_role = {
            role: [p for p in network.populations if p.model.role == role] for role in ("source", "neuron", "readout")
        }
        sources, self.neurons, readouts = by_role["source"], by_role["neuron"], by_role["readout"]
        if len(sources) != 1 or not isinstance(sources[0].model, EventSource) or len(readouts) != 1 or not self.neurons:
            raise _misfit("needs one population of events, one of readouts, and neurons")
        self.source, self.out = sources[0], readouts[0]
        self.n_inputs = self.source.size
        self.first = dict(
            zip((p.name for p in self.neurons), np.cumsum([0, *(p.size for p in self.neurons)]), strict=False)
        )
        if any(not isinstance(p.delay, float) or abs(p.delay - network.dt) > 1e-9 for p in network.projections):
            raise _misfit("knows delays of one step only")
        self._find_rules()

    def _find_rules(self) -> None:
        """The rule, and the optimiser of each kind of projection."""
        learning = [p for p in self.network.projections if p.rule.plastic]
        if not learning:
            raise _misfit("needs projections that learn")
        self.rule: Any = learning[0].rule
        self.optimizers: dict[str, Any] = {}
        static = {self.place(p)[0] for p in self.network.projections if not p.rule.plastic}
        for p in learning:
            kind, rule = self.place(p)[0], p.rule
            optimizer = getattr(rule, "optimizer", None)
            same = self.optimizers.setdefault(kind, optimizer) == optimizer and kind not in static
            if not same or rule.replace(optimizer=getattr(self.rule, "optimizer", None)) != self.rule:
                raise _misfit(f"needs one rule for the whole network and one optimiser for all {kind} synapses")
        if not isinstance(self.rule, (EProp, EPropPlus)):
            raise _misfit("knows e-prop and e-prop+ only")

    @property
    def plastic(self) -> tuple[str, ...]:
        """Kinds of projections that learn."""
        return tuple(name for name in PROJECTIONS if name in self.optimizers)

    def place(self, projection: Any) -> tuple[str, int, int]:
        """Matrix of a projection, and its first row and column there."""
        pre, post = projection.pre, projection.post
        if pre.model.role == "source":
            return "input", int(self.first[post.name]), 0
        if post.model.role == "readout":
            return "readout", 0, int(self.first[pre.name])
        return "recurrent", int(self.first[post.name]), int(self.first[pre.name])

    def dense(self, drawn: Simulator) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Weights and masks of the three matrices."""
        n = sum(p.size for p in self.neurons)
        shapes = {"input": (n, self.n_inputs), "recurrent": (n, n), "readout": (self.out.size, n)}
        weights = {name: np.zeros(shape) for name, shape in shapes.items()}
        masks = {name: np.zeros(shape, bool) for name, shape in shapes.items()}
        for p in self.network.projections:
            kind, post, pre = self.place(p)
            sources, targets, values = drawn.connections(p.name)
            if masks[kind][targets + post, sources + pre].any() or len({*zip(targets, sources, strict=True)}) < len(
                values
            ):
                raise _misfit(f"needs one connection at most from a node to another, {p.name} has more")
            weights[kind][targets + post, sources + pre] = values
            masks[kind][targets + post, sources + pre] = True
        return weights, masks

    def feedback(self, drawn: Simulator) -> Any:
        """Feedback weights (neurons, readouts), or "symmetric"."""
        for f in self.network.feedback_projections:
            if not isinstance(f.delay, float) or abs(f.delay - self.network.dt) > 1e-9:
                raise _misfit("knows feedback with a delay of one step only")
            if isinstance(f.kind, Adaptive):
                raise _misfit("knows symmetric and fixed feedback, not Adaptive")
        kinds = {f.post.name: isinstance(f.kind, Symmetric) for f in self.network.feedback_projections}
        if kinds and all(kinds.values()) and len(kinds) == len(self.neurons):
            return "symmetric"
        if any(kinds.values()):
            raise _misfit("needs symmetric feedback to all neurons, or to none")
        return np.vstack([drawn.feedback_weights(self.out.name, p.name) for p in self.neurons])

    def neuron(self) -> reference.LIF:
        """All neurons as one population of the reference, which differ by their adaptation at most."""
        described = [_described(p) for p in self.neurons]
        if any(d != described[0] for d in described[1:]):
            raise _misfit("needs neurons that differ by nothing but their adaptation")
        taus = {getattr(p.model, "tau_adapt", 0.0) for p in self.neurons if getattr(p.model, "beta", 0.0)}
        if len(taus) > 1:
            raise _misfit("needs one time constant of adaptation")
        beta = np.concatenate([np.full(p.size, getattr(p.model, "beta", 0.0)) for p in self.neurons])
        return reference.LIF(**described[0], beta=beta, tau_a=taus.pop() if taus else 1.0)

    def readout(self) -> reference.Readout:
        """The readouts."""
        model: Any = self.out.model
        if varies(model):
            raise _misfit("needs readouts with the same parameters")
        if model.v_init is not None or (model.i_e != 0.0 and isinstance(self.rule, EProp)):
            raise _misfit("needs readouts that begin at rest and stay there")
        names = ("tau_m", "e_l", "c_m", "i_e", "v_min", "scale_input")
        loss = "cross_entropy" if model.loss.softmax else "squared_error"
        return reference.Readout(**{name: getattr(model, name) for name in names}, loss=loss)


def _described(population: Population) -> dict[str, Any]:
    """Parameters of a neuron as the reference names them, without its adaptation."""
    model: Any = population.model
    if type(model).__name__ not in ("LIF", "ALIF"):
        raise _misfit(f"knows LIF and ALIF, not {type(model).__name__}")
    if varies(model):
        raise _misfit("needs neurons with the same parameters")
    surrogate = model.surrogate
    return {
        **{name: getattr(model, name) for name in _SHARED},
        "surrogate": SURROGATES[surrogate.code],
        "height": surrogate.height,
        "width": surrogate.width,
        "v_0": model.v_init,
        "a_0": getattr(model, "adaptation", 0.0),
    }


def _optimizer(o: Any) -> Any:
    """An optimiser of the reference: the same name and fields."""
    kind = getattr(reference, type(o).__name__)
    return kind(**{field.name: getattr(o, field.name) for field in fields(o)})


def _dense(samples: Samples, i: int, n_inputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, targets and window of one sample; without a target the window is closed."""
    starts = samples.event_start[0, i * samples.n_steps : (i + 1) * samples.n_steps + 1]
    inputs = np.zeros((samples.n_steps, n_inputs))
    steps = np.repeat(np.arange(samples.n_steps), np.diff(starts))
    inputs[steps, samples.event_channels[starts[0] : starts[-1]]] = 1.0
    target = np.broadcast_to(samples.target[i], (samples.n_steps, samples.target.shape[2]))
    window = samples.window[i if samples.window.shape[0] > 1 else 0, :, 0]
    if np.isnan(target).any():
        target, window = np.zeros(target.shape), np.zeros(window.shape)
    return inputs, target, window


def _reward_trace(rule: EPropPlus, cutoff: int, dt: float) -> reference.RewardTrace | None:
    """The reference's description of what waits for reward."""
    if rule.reward is None:
        return None
    return reference.RewardTrace(rule.reward.decay(dt), rule.reward.cutoff_steps(dt, cutoff))


def _misfit(why: str) -> ParameterError:
    return ParameterError(f"--engine time: the reference {why}; use --engine event")
