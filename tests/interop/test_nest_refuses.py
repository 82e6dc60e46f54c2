"""What NEST cannot do is said in words before NEST is asked."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import eprop as ep
from eprop.interop.nest import to_nest
from eprop.models import ForcedLIF
from nest_runs import run_in_both
from networks import small_network
from refusals import refusals

GD = ep.GradientDescent(1e-3)
PLUS = ep.EPropPlus(optimizer=GD, c_reg=0.0)
SAMPLE = ep.EProp(optimizer=GD)
LATE = ep.LIF(delayed_reset=True)
NONE = "none"


def network(rule=PLUS, neuron=None, readout=None, source=None, *, feedback=None, delay=None, readout_rule=None):
    connections = {
        "in->rec": {"weight": 0.5, "delay": delay},
        "rec->out": {"weight": 0.5, "rule": readout_rule or rule},
    }
    return small_network(
        (3, 4, 2), connections, source=source, neuron=neuron or (LATE if rule is SAMPLE else None), readout=readout,
        rule=rule, feedback=None if feedback is NONE else feedback or ep.RandomFeedback(),
    )  # fmt: skip


def test_a_missing_nest_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "nest", None)
    with pytest.raises(ep.errors.MissingExtraError, match=r'needs the package "nest-simulator": pip install nest-simu'):
        to_nest(network())


@pytest.mark.nest
@pytest.mark.parametrize("given", [None, "net", ep.LIF()])
def test_what_is_no_network_is_refused(given):
    with pytest.raises(ep.errors.NetworkError, match="to_nest needs a Network"):
        to_nest(given)
    for simulator in (ep.Simulator(network(), threads=1), "sim"):
        with pytest.raises(ep.errors.NetworkError, match="the simulator must be built from this network"):
            to_nest(network(), simulator)


@pytest.mark.nest
def test_synapses_that_move_stay_in_nest_with_a_warning():
    net = network()
    moves = ep.Rewiring(grow="random", fraction=0.5)
    net.connect("in", "rec", ep.FixedIndegree(1), weight=0.1, rule=PLUS, rewiring=moves, name="moving")
    with pytest.warns(UserWarning, match="moving: synapses do not move in NEST"):
        to_nest(net)


ONE_STEP, MIRRORED = (
    "in->rec: NEST's e-prop supports only delays of one step",
    " feedback to 'rec': .* use RandomFeedback",
)
AT_REST = "'rec': NEST's samples start at rest"
SUMS, SCALED = ep.Readout(loss=ep.CrossEntropy()), ep.Readout(scale_input=True)
REFUSED = [
    (network(delay=3.0), ONE_STEP),
    (network(SAMPLE, delay=3.0), ONE_STEP),
    (network(ep.STDP(), readout_rule=ep.Static()), "in->rec: NEST's e-prop neurons have no traces for STDP"),
    (network(PLUS.replace(optimizer=ep.Momentum())), "in->rec: NEST's e-prop supports .* not Momentum"),
    (network(PLUS.replace(optimizer=ep.Adam(decay=0.1))), "in->rec: NEST's weights do not decay; set Adam.decay = 0"),
    (network(PLUS.replace(reward=ep.RewardTrace())), "in->rec: NEST's e-prop does not support reward; .* EPropPlus.reward"),
    (network().with_precision(ep.FixedPoint(8)), "in->rec: NEST learns in double precision; leave out precision"),
    (network(readout=SUMS), "'out': .* not softmax"),
    (network(feedback=ep.Symmetric()), "Symmetric" + MIRRORED),
    (network(SAMPLE, feedback=ep.Symmetric()), "Symmetric" + MIRRORED),
    (network(feedback=ep.Adaptive()), "Adaptive" + MIRRORED),
    (network(SAMPLE, ep.LIF()), "'rec': .* delayed_reset=True with EProp"),
    (network(neuron=LATE), "'rec': .* delayed_reset=False without EProp"),
    (network(neuron=ep.ALIF(delayed_reset=True)), "'rec': .* ALIF only with delayed_reset=False without EProp"),
    (network(neuron=ep.LIF(scale_input=True)), "'rec': NEST scales inputs .* only with EProp"),
    (network(readout=SCALED), "'out': NEST scales inputs"),
    (network(SAMPLE, readout=ep.Readout(i_e=0.1)), "'out': .* i_e must be 0"),
    (network(SAMPLE, ep.LIF(i_e=2.0, delayed_reset=True)), "'rec': i_e makes it spike in the first step"),
    (network(SAMPLE, ep.DeltaLIF()), "'rec': NEST's DeltaLIF learns only by EPropPlus, not by EProp"),
    (network(neuron=ep.DeltaALIF(t_ref=2.0)), "DeltaALIF does not adapt in its refractory time; set pause_adaptation=True"),
    (network(SAMPLE, ep.LIF(v_init=0.2, delayed_reset=True)), AT_REST),
    (network(SAMPLE, ep.ALIF(adaptation=0.2, delayed_reset=True)), AT_REST),
    (network(neuron=ep.LIF(v_init=1.0)), "'rec': v_init makes it spike in the empty first step"),
    (network(neuron=ForcedLIF()), "'rec': NEST supports .*, got ForcedLIF"),
    (network(ep.Static(), ep.CurrentALIF(), feedback=NONE), "'rec': NEST supports .*CurrentLIF .*got CurrentALIF"),
    (network(ep.Static(), ep.CurrentLIF(), readout_rule=PLUS), "'rec': NEST's iaf_psc_exp takes no learning signals"),
    (network(neuron=ep.CurrentLIF(), feedback=NONE), "in->rec: NEST's iaf_psc_exp does not learn; make the projection static"),
    (network(SAMPLE, ep.CurrentLIF()), "'rec': NEST has iaf_psc_exp only without EProp"),
    (network(ep.Static(), ep.CurrentLIF(v_reset=None), feedback=NONE), "'rec': NEST's iaf_psc_exp resets to a voltage"),
    (network(ep.Static(), ep.CurrentLIF(v_min=-1.0), feedback=NONE), "'rec': NEST's iaf_psc_exp has no lower bound"),
    (network(source=ep.PoissonSource()), "'in': .* got PoissonSource; .* record the spikes"),
    (network(source=ep.EventSource(dropout=0.1)), "'in': NEST loses no spikes; leave out dropout"),
    (small_network((3, 4, 2), {"in->rec": 0.5}, rule=PLUS, dropout=0.1), "'rec': NEST loses no spikes; leave out dropout"),
]  # fmt: skip


@pytest.mark.nest
@pytest.mark.parametrize(("net", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_networks_that_nest_lacks_are_refused_with_a_reason(net, words):
    with pytest.raises(ep.errors.NetworkError, match=words):
        to_nest(net)


@pytest.mark.nest
def test_symmetric_feedback_of_static_readouts():
    """Weights that stay as they are can be mirrored."""
    net = network(feedback=ep.Symmetric(), readout_rule=ep.Static())
    x = np.zeros((60, 3))
    x[5::7] = 1.0
    found = run_in_both(net, 60.0, {"in": x}, {"out": np.ones((60, 2))}, exact=1e-12)
    assert found.least > 1e-6


def samples_of(net, **inputs):
    return ep.Simulator(net, threads=1).samples(1, 5, inputs)


SAMPLED, AVERAGED = network(SAMPLE), network(ep.EProp(optimizer=GD, average_gradient=True), LATE)
REPEATED = small_network((3, 4, 0), {"in->rec": {"connectivity": ep.FixedIndegree(5, multapses=True)}}, rule=PLUS)
ADAM = network(ep.EPropPlus(optimizer=ep.Adam(), c_reg=0.0))
CURRENTS = "describe currents into rec by Network.stimulate with a Current"


@pytest.mark.nest
@refusals(
    (lambda: to_nest(network()).run(60.0, {"rec": np.ones((60, 4))}), ep.errors.InputError, CURRENTS),
    (lambda: to_nest(SAMPLED).train(samples_of(SAMPLED, rec=np.ones((1, 5, 4)))), ep.errors.InputError, CURRENTS),
    (lambda: to_nest(REPEATED).run(5.0), ep.errors.NetworkError, "in->rec has repeated connections"),
    (lambda: to_nest(SAMPLED).run(5.0), ep.errors.NetworkError, r"use train\(\)"),
    (lambda: to_nest(ADAM).train(samples_of(ADAM)), ep.errors.NetworkError, r"use run\(\)"),
    (
        lambda: to_nest(ADAM).run(5.0, {"in": np.ones((5, 3))}),
        ep.errors.InputError,
        "the first step must have no input",
    ),
    (lambda: to_nest(ADAM).run(5.0), ep.errors.InputError, "window must be 0 in the first step"),
    (lambda: to_nest(AVERAGED).train(samples_of(AVERAGED)), ep.errors.InputError, "set window to 0 in the first step"),
)
def test_runs_that_nest_lacks_are_refused(refusal):
    refusal.check()


@pytest.mark.nest
def test_samples_that_nest_cannot_take():
    net = network(SAMPLE)
    sim, theirs = ep.Simulator(net, threads=1), to_nest(net)
    closed = np.arange(10) > 0

    def samples(n=1, steps=10, window=closed, early=False):
        x = np.zeros((n, steps, 3))
        x[:, 0] = early
        return sim.samples(n, steps, inputs={"in": x}, window=window)

    for given, words in (
        ([], "at least one batch"),
        (["x"], "takes Samples"),
        ([samples(), samples(2)], "same number of samples"),
        ([samples(), samples(steps=12, window=None)], "same number of samples and steps"),
        (samples(early=True), "the first step must have no input"),
        (samples(window=np.zeros(10)), "learning window must be 1 in the last steps"),
        (samples(window=1.0 * (np.arange(10) < 5)), "learning window must be 1 in the last steps"),
        (samples(window=0.5 * closed), "learning window must be 1 in the last steps"),
        (samples(), "samples need a target for 'out'"),
    ):
        with pytest.raises(ep.errors.InputError, match=words):
            theirs.train(given)
