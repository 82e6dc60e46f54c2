"""The reference against NEST 3.10, live: every voltage, every spike and every weight of small random networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same
from eprop.checks import time_driven
from eprop.reference import Stimulus
from eprop.reference.eprop import gradient_from_traces, rates_of_steps
from eprop.reference.feedback import Received
from eprop.reference.stimulus import External
from families import in_turn, pairwise
from networks import PROJECTIONS, dense_network, matrices_of
from oracle.nest_networks import TO_HIDDEN, TO_READOUT, Problem, run_original, run_plus

pytestmark = [pytest.mark.nest, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

N_IN, N, N_OUT = 5, 7, 2
EXACT = 1e-9


def drawn(seed, scale=0.3):
    rng = np.random.default_rng(seed)
    weights = {
        "input": scale * (0.5 + rng.standard_normal((N, N_IN))),  # excitatory on average, so that neurons fire
        "recurrent": 0.2 * rng.standard_normal((N, N)),
        "readout": 0.3 * rng.standard_normal((N_OUT, N)),
    }
    np.fill_diagonal(weights["recurrent"], 0.0)
    return rng, weights, rng.standard_normal((N, N_OUT))


SHAPE = {"height": 0.5, "width": 0.6}
NEURON = ep.LIF(tau_m=30.0, v_th=0.6, surrogate=ep.PiecewiseLinear(**SHAPE))
OFFSETS: dict[str, Any] = {
    "e_l": -1.0, "v_th": -0.5, "v_init": -0.4, "v_min": -1.2, "t_ref": 3.0, "i_e": 0.012, "c_m": 1.7,
    "surrogate": ep.Exponential(**SHAPE),
}  # fmt: skip
OFFSET = NEURON.replace(**OFFSETS)
DELTA = ep.DeltaLIF(tau_m=30.0, v_th=0.6, v_reset=-0.1, surrogate=ep.PiecewiseLinear(**SHAPE))
DELTA_OFFSET = DELTA.replace(**OFFSETS, v_reset=-1.1)
FAST, ARCTAN = ep.FastSigmoid(**SHAPE), ep.Arctan(**SHAPE)
# Parameters that differ from neuron to neuron.
SPREAD = {
    "tau_m": np.linspace(8.0, 40.0, N),
    "v_th": np.linspace(0.4, 0.7, N),
    "t_ref": np.array([0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0]),
    "beta": np.linspace(0.0, 0.5, N),
    "tau_adapt": np.linspace(20.0, 200.0, N),
    "surrogate": ep.PiecewiseLinear(height=np.linspace(0.3, 0.6, N), width=0.6),
}
READOUT = ep.Readout(tau_m=100.0)
OFFSET_READOUT = READOUT.replace(e_l=0.3, v_init=0.5, v_min=-0.2, i_e=0.01, c_m=3.0)
SLOW = ep.GradientDescent(eta=2e-4)
BOUNDED = ep.GradientDescent(2e-3, w_min=-1.0, w_max=1.0)
ADAM = ep.Adam(eta=1e-3)


def rule(optimizer: Any = SLOW, **changes: Any) -> ep.EPropPlus:
    given = {"kappa": 0.95, "kappa_reg": 0.95, "c_reg": 0.05, "cutoff": 60.0} | changes
    return ep.EPropPlus(optimizer=optimizer, **given)


def adapting(neuron: Any, beta: Any, tau_adapt: Any, **changes: Any) -> Any:
    """The same neuron with an adaptive threshold."""
    kind = ep.DeltaALIF if isinstance(neuron, ep.DeltaLIF) else ep.ALIF
    return kind(**vars(neuron) | {"beta": beta, "tau_adapt": tau_adapt} | changes)


def spread(neuron: Any, **changes: Any) -> Any:
    return adapting(neuron, **SPREAD | changes)


#: Neuron, readout, rule, and the cutoff onto readouts where it is another.
PLUS: dict[str, tuple] = {
    "piecewise linear": (NEURON, READOUT, rule()),
    "exponential, all offsets, spikes at step 0": (OFFSET, OFFSET_READOUT, rule()),
    "fast sigmoid, refractory": (NEURON.replace(surrogate=FAST, t_ref=4.0), READOUT, rule()),
    "arctan": (NEURON.replace(surrogate=ARCTAN), READOUT, rule()),
    "two kappas": (NEURON, READOUT, rule(kappa=0.9, kappa_reg=0.98)),
    "short cutoffs": (NEURON.replace(surrogate=ARCTAN), READOUT, rule(cutoff=7.0), 3.0),
    "shortest cutoff": (NEURON, READOUT, rule(cutoff=2.0)),
    "each step": (NEURON, READOUT, rule(BOUNDED, each_step=True)),
    "bounds": (NEURON, READOUT, rule(BOUNDED)),
    "Adam": (OFFSET, READOUT, rule(ADAM)),
    "Adam, short cutoff, two kappas": (NEURON, READOUT, rule(ADAM, cutoff=9.0, kappa_reg=0.8)),
    "Adam each step, short cutoff": (NEURON, READOUT, rule(ADAM, cutoff=9.0, each_step=True)),
    "Adam, bounds": (NEURON, READOUT, rule(ADAM.replace(eta=5e-3, w_min=-1.0, w_max=1.0))),
    "adaptation": (adapting(NEURON, 0.7, 40.0, t_ref=2.0), READOUT, rule(cutoff=15.0)),
    "adaptation, all offsets": (
        adapting(OFFSET, 0.2, 200.0, adaptation=0.4), OFFSET_READOUT, rule(kappa=0.9, kappa_reg=0.98)),
    "adaptation, fast sigmoid, Adam": (adapting(NEURON, 0.4, 90.0, surrogate=FAST), READOUT, rule(ADAM)),
    "adaptation, arctan, each step": (
        adapting(NEURON, 0.4, 90.0, surrogate=ARCTAN, t_ref=1.0), READOUT, rule(BOUNDED, each_step=True, cutoff=9.0)),
    "adaptation, Adam each step": (adapting(NEURON, 0.4, 90.0), READOUT, rule(ADAM, each_step=True, kappa_reg=0.8)),
    "each its own": (spread(NEURON), READOUT, rule(kappa_reg=0.8)),
    "delta, each its own": (spread(DELTA, pause_adaptation=True), READOUT, rule(ADAM)),
    "delta": (DELTA, READOUT, rule()),
    "delta, all offsets": (DELTA_OFFSET, OFFSET_READOUT, rule()),
    "delta, held input, two kappas": (
        DELTA_OFFSET.replace(ref_input=True, surrogate=FAST), READOUT, rule(kappa=0.9, kappa_reg=0.98, cutoff=15.0), 9.0),
    "delta, arctan, Adam": (DELTA.replace(t_ref=2.0, surrogate=ARCTAN), READOUT, rule(ADAM, cutoff=9.0)),
    "delta, Adam each step": (DELTA.replace(t_ref=1.0), READOUT, rule(ADAM, each_step=True)),
    "delta, each step, bounds": (DELTA.replace(t_ref=4.0, ref_input=True), READOUT, rule(BOUNDED, each_step=True)),
    "delta, adaptation": (adapting(DELTA, 0.4, 90.0, adaptation=0.3), READOUT, rule()),
    "delta, adaptation, all offsets": (
        adapting(DELTA_OFFSET, 0.3, 60.0, adaptation=0.5, pause_adaptation=True), OFFSET_READOUT,
        rule(kappa=0.9, kappa_reg=0.98)),
    "delta, adaptation, held input, Adam": (
        adapting(DELTA, 0.3, 60.0, t_ref=2.0, ref_input=True, pause_adaptation=True, adaptation=0.9), READOUT,
        rule(ADAM, cutoff=9.0)),
    "delta, adaptation, arctan, each step": (
        adapting(DELTA, 0.3, 60.0, surrogate=ARCTAN), READOUT, rule(ep.GradientDescent(2e-3), each_step=True, cutoff=20.0)),
    "delta, adaptation, fast sigmoid, Adam each step": (
        adapting(DELTA, 0.3, 60.0, surrogate=FAST), READOUT, rule(ADAM, each_step=True)),
}  # fmt: skip


def a_step_later(cell: Any, dt: float) -> Any:
    """A neuron or readout whose constant current begins a step later, as in NEST, which buffers it: it starts lower."""
    if not cell.i_e:
        return cell
    alpha = cell.membrane_decay(dt)
    start = cell.e_l if cell.v_init is None else cell.v_init
    return cell.replace(v_init=start - cell.tau_m / cell.c_m * (1.0 - alpha) * cell.i_e / alpha)


def plus_signals(rng, n_steps, rate=0.1):
    inputs = (rng.random((n_steps, N_IN)) < rate).astype(float)
    targets = np.repeat(rng.standard_normal((n_steps // 5, N_OUT)), 5, axis=0)
    window = np.ones(n_steps)
    window[n_steps // 2 : n_steps // 2 + 40] = 0.0
    for signal in (inputs, targets, window):
        signal[0] = 0.0
    return inputs, targets, window


@in_turn("case rate", PLUS, [0.1, 0.02])
def test_plus_equals_nest(case, rate):
    rng, weights, feedback = drawn(list(PLUS).index(case), scale=0.3 if rate == 0.1 else 0.9)
    signals = plus_signals(rng, 300, rate)
    masks = {name: rng.random(w.shape) < 0.7 for name, w in weights.items()}
    masks["recurrent"] &= ~np.eye(N, dtype=bool)
    cell, readout, plus, *cutoff = PLUS[case]
    weights = {name: np.clip(w, plus.optimizer.w_min, plus.optimizer.w_max) for name, w in weights.items()}
    rules = plus, plus.replace(cutoff=cutoff[0]) if cutoff else plus
    compare_plus(Problem(weights, feedback, cell, readout, masks), rules, signals)


def test_plus_at_another_step_length():
    # NEST's rate is per ms but its target per step; both agree at 1 ms only, hence the factors.
    rng, weights, feedback = drawn(40)
    signals = plus_signals(rng, 300)
    dt, plus = 0.5, rule(cutoff=10.0, c_reg=2.0)
    for_nest = plus.replace(c_reg=plus.c_reg * dt, f_target=plus.f_target / dt)
    compare_plus(Problem(weights, feedback, OFFSET, READOUT, dt=dt), (plus, plus), signals, (for_nest, for_nest))


def of_reference(problem: Problem, rule: Any, cell: Any) -> ep.Network:
    """The same network, with a neuron and readouts that begin as NEST's do."""
    readout = a_step_later(problem.readout, problem.dt)
    return dense_network(cell, readout, problem.weights, problem.feedback, rule, masks=problem.masks, dt=problem.dt)


def compare_plus(problem: Problem, rules: tuple, signals: tuple, rules_of_nest: tuple = ()) -> None:
    (inputs, targets, window), cell = signals, problem.neuron
    recorded = run_plus(problem, rules_of_nest or rules, *signals)
    # The current of NEST's delta neurons is there from the first step on.
    cell = cell if isinstance(cell, ep.DeltaLIF) else a_step_later(cell, problem.dt)
    net = of_reference(problem, {"input": rules[0], "recurrent": rules[0], "readout": rules[1]}, cell)
    stepped = time_driven(net)
    run = stepped.run(Stimulus(len(inputs), {"in": inputs}, {"out": targets}, window), record_weights=True)
    spikes = run.spikes[:, N_IN:]
    assert_same(spikes, recorded.spikes > 0, "spikes")
    assert spikes.sum() > 10
    for name in ("v", "psi", "y"):
        assert_close(getattr(run, name), getattr(recorded, name), 0.0, name, to_rounding=EXACT)
    moved, parts = 0, stepped.synapses.parts
    history = {name: (run.weights[:, parts[p]], positions(net, name)) for name, p in PROJECTIONS.items()}
    for step, name, post, pre, weight in recorded.weights:
        if step < len(run.v):
            of_steps, at = history[name]
            assert of_steps[step, at[post, pre]] == pytest.approx(weight, rel=0, abs=EXACT)
            moved += weight != problem.weights[name][post, pre]
    assert moved > 50


def positions(net: ep.Network, name: str) -> dict[tuple[int, int], int]:
    """Number of each connection by target and source."""
    rule = net.projections[["input", "recurrent", "readout"].index(name)].connectivity
    return {pair: k for k, pair in enumerate(zip(rule.targets.tolist(), rule.sources.tolist(), strict=True))}


HIDDEN = NEURON.replace(delayed_reset=True)
OUT = ep.Readout(tau_m=25.0)
NARROW = {"height": 15.0, "width": 0.02}
BOTH_SCALED = (
    HIDDEN.replace(scale_input=True, v_th=0.02, surrogate=ep.PiecewiseLinear(**NARROW)),
    OUT.replace(scale_input=True),
)
SOFTMAX = OUT.replace(loss=ep.CrossEntropy())


def sample_rule(optimizer: Any = ep.GradientDescent(1e-4), **changes: Any) -> ep.EProp:
    return ep.EProp(optimizer=optimizer, c_reg=0.5, f_target=20.0, **changes)


#: Neuron, readout, rule, and the size of mini-batches where it is not 1.
ORIGINAL: dict[str, tuple] = {
    "gradient descent": (HIDDEN, OUT, sample_rule()),
    "scaled input, averaged": (*BOTH_SCALED, sample_rule(average_gradient=True)),
    "offsets, refractory": (
        HIDDEN.replace(e_l=-1.0, v_th=-0.5, v_min=-1.3, t_ref=3.0, i_e=0.012, c_m=1.7),
        ep.Readout(tau_m=25.0, e_l=0.3, v_min=-0.5, i_e=0.01, c_m=3.0), sample_rule()),
    "Adam, batches": (HIDDEN, OUT, sample_rule(ep.Adam(1e-3)), 2),
    "softmax, Adam, adaptation": (
        adapting(HIDDEN, 0.3, 100.0, t_ref=2.0), SOFTMAX, sample_rule(ep.Adam(5e-3), average_gradient=True)),
    "adaptation, all offsets, exponential": (
        adapting(HIDDEN.replace(e_l=-1.0, v_th=-0.5, v_min=-1.3, t_ref=3.0, i_e=0.012), 0.2, 60.0,
                 surrogate=ep.Exponential(**SHAPE)), OUT, sample_rule()),
    "each its own": (spread(HIDDEN), OUT, sample_rule()),
    "each its own, scaled input": (
        spread(HIDDEN, v_th=np.linspace(0.02, 0.04, N), scale_input=True), OUT, sample_rule(ep.Adam(1e-3))),
    "adaptation, scaled input, batches": (
        adapting(BOTH_SCALED[0], 0.01, 100.0, surrogate=ep.Arctan(**NARROW)), BOTH_SCALED[1], sample_rule(), 2),
    "adaptation, scaled neurons, Adam, batches": (
        adapting(BOTH_SCALED[0], 0.01, 100.0, surrogate=ep.FastSigmoid(**NARROW)), SOFTMAX, sample_rule(ep.Adam(5e-3)), 2),
}  # fmt: skip


@pairwise("case n_window dt", ORIGINAL, [60, 15], [1.0, 0.5])
def test_original_equals_nest(case, n_window, dt):
    """A sample is one step longer here than in NEST, in which spikes of a step reach the readouts in the same step."""
    rng, weights, feedback = drawn(20 + list(ORIGINAL).index(case))
    cell, readout, learns, *sizes = ORIGINAL[case]
    batch_size = sizes[0] if sizes else 1
    samples = original_samples(rng, readout.loss, 5, 60)
    masks = {"input": rng.random((N, N_IN)) < 0.8}
    problem = Problem(weights, feedback, cell, readout, masks, dt)
    recorded = run_original(problem, learns, samples, n_window, batch_size)
    # The readouts have made a step before the first of NEST's.
    stepped, runs, history = time_driven(of_reference(problem, learns, cell)), [], []
    window = np.append(0.0, np.arange(60) >= 60 - n_window)
    for first in range(0, len(samples), batch_size):
        batch = samples[first : first + batch_size]
        history += [matrices_of(stepped)] * len(batch)
        given = [
            Stimulus(61, {"in": np.vstack([x[1:], np.zeros((2, N_IN))])}, {"out": np.vstack([y[:1], y])}, window)
            for x, y in batch
        ]
        # NEST takes no step with a part of a mini-batch.
        runs += stepped.train(given) if len(batch) == batch_size else [stepped.predict(sample) for sample in given]
    compare_original(runs, history, recorded, weights)


@pytest.mark.parametrize("case", ["gradient descent", "softmax, Adam, adaptation", "scaled input, averaged"])
def test_original_without_reset_equals_nest(case):
    """Voltages and adaptation continue from sample to sample, traces start again: the parts of the reference do so, too.

    Samples are silent at their ends, for NEST's gradient misses an error at synapses where spikes arrive just after.
    """
    rng, weights, feedback = drawn(40 + list(ORIGINAL).index(case))
    cell, readout, learns, *_ = ORIGINAL[case]
    samples = original_samples(rng, readout.loss, 5, 60)
    for inputs, _ in samples:
        inputs[-12:] = 0.0
    recorded = run_original(Problem(weights, feedback, cell, readout), learns, samples, 40, reset=False)
    x, y = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    window = np.append(0.0, np.tile(np.arange(60) >= 20, 5))
    stepped = time_driven(dense_network(cell, readout, weights, feedback, learns))
    forward, constants, history, runs = stepped.forward, stepped.of_samples, [matrices_of(stepped)], []
    given = Stimulus(301, {"in": np.vstack([x[1:], np.zeros((2, N_IN))])}, {"out": np.vstack([y[:1], y])}, window)
    external, activity = External.of(stepped.network, forward.layout, given), forward.rest(301)
    activity.spikes |= external.spikes
    for first in range(0, 300, 60):
        for t in range(first + (first > 0), first + 61):
            forward.step(t, forward.synapses.arriving(activity.spikes, t), activity, external, stepped.weight)
        rows = slice(first, first + 61)
        error = np.vstack([np.zeros((1, N_OUT)), activity.error[rows][1:]])
        received = Received.of_sample(error, np.zeros((61, N)), np.ones(61))
        learning = received.learning_signals(stepped.latency, stepped.feedback.now(stepped.weight))
        run = activity.part(rows)
        rates = rates_of_steps(constants, forward.layout, stepped.latency, run.spikes)
        g = gradient_from_traces(forward, constants, run, np.hstack([learning, error]), rates)
        assert np.abs(activity.v[first + 59]).max() > 1e-3
        assert not run.spikes[[0, -1], N_IN:].any()
        stepped.learn(g / 40.0 if learns.average_gradient else g)
        history.append(matrices_of(stepped))
        runs.append(run)
    compare_original(runs, history, recorded, weights)


def original_samples(rng, loss, n_samples, length):
    samples = []
    for _ in range(n_samples):
        inputs = (rng.random((length, N_IN)) < 0.2).astype(float)
        # NEST drops what arrives at step 0, and at step 1 its gradient misses an error that is still on its way.
        inputs[:2] = 0.0
        values = rng.standard_normal((length, N_OUT))
        if isinstance(loss, ep.CrossEntropy):
            values = np.tile(np.eye(N_OUT)[rng.integers(N_OUT)], (length, 1))
        samples.append((inputs, values))
    return samples


def compare_original(runs, history, recorded, weights):
    length = len(runs[0].v) - 1
    for index, run in enumerate(runs):
        hidden = slice(index * length + TO_HIDDEN, (index + 1) * length + TO_HIDDEN)
        readout = slice(index * length + TO_READOUT, (index + 1) * length + TO_READOUT)
        assert_same(run.spikes[:-1, N_IN:], recorded.spikes[hidden] > 0, "spikes")
        for found, wanted in ((run.v, recorded.v[hidden]), (run.psi, recorded.psi[hidden])):
            assert_close(found[:-1], wanted, 0.0, to_rounding=EXACT)
        assert_close(run.y[1:], recorded.y[readout], 0.0, "y", to_rounding=EXACT)
    assert sum(run.spikes[:, N_IN:].sum() for run in runs) > 20
    moved = 0
    for step, name, post, pre, weight in recorded.weights:
        index, local = divmod(step - (TO_READOUT if name == "readout" else TO_HIDDEN), length)
        if local > 0 and 0 <= index < len(runs):
            assert history[index][name][post, pre] == pytest.approx(weight, rel=0, abs=EXACT)
            moved += weight != weights[name][post, pre]
    assert moved > 50
