"""Digests of what all rules, neurons, delays, feedback, threads and ranks compute: equal bits before and after a change.

    python benchmarks/bits.py record before.json       # with the version before the change
    python benchmarks/bits.py compare before.json      # with the version after it; names the cases that differ
    python benchmarks/bits.py compare before.json --part online --part ranks

Each case builds a network of 37 neurons, runs or trains it, and digests outputs, spikes, gradients, connections and weights. The
script uses the public interface only, so that it runs with earlier versions as well. The bits depend on the C library: record and
compare on one machine.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import pathlib
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import eprop as ep

warnings.simplefilter("ignore")


def pick(obj, *names):
    """The first attribute that exists: the present name, then that of earlier versions."""
    for n in names:
        if hasattr(obj, n):
            return getattr(obj, n)
    raise AttributeError(f"{obj}: none of {names}")


def digest(values) -> str:
    """One word for arrays; integers of any width are equal."""
    h = hashlib.sha256()
    for v in values:
        a = np.ascontiguousarray(v)
        if a.dtype == object:
            for part in a.ravel():
                h.update(np.ascontiguousarray(part).tobytes())
            continue
        if a.dtype.kind in "iu":
            a = a.astype(np.int64)
        h.update(a.tobytes())
    return h.hexdigest()[:16]


def weights(sim):
    out = []
    for p in sim.network.projections:
        out += list(sim.connections(p.name))
        out.append(sim.delays(p.name))
    for a in sim.network.populations:
        for b in sim.network.populations:
            with contextlib.suppress(ep.errors.EPropError):
                out.append(sim.feedback_weights(a.name, b.name))
    return out


S = [ep.PiecewiseLinear, ep.Exponential, ep.FastSigmoid, ep.Arctan]


def sg(k):
    return S[k](height=0.4, width=0.7)


NEURONS = {
    "LIF": ep.LIF(tau_m=12.0, v_th=0.8, surrogate=sg(0)),
    "LIF ref": ep.LIF(tau_m=12.0, v_th=0.8, t_ref=3.0, surrogate=sg(1)),
    "LIF floor": ep.LIF(tau_m=5.0, v_th=0.8, v_min=-0.1, surrogate=sg(3)),
    "LIF orig": ep.LIF(tau_m=20.0, v_th=0.8, t_ref=2.0, delayed_reset=True, scale_input=True, surrogate=sg(0)),
    "ALIF": ep.ALIF(tau_m=12.0, v_th=0.8, beta=0.2, tau_adapt=60.0, surrogate=sg(0)),
    "ALIF ref": ep.ALIF(tau_m=30.0, v_th=0.8, beta=0.4, tau_adapt=9.0, t_ref=3.0, surrogate=sg(3)),
    "delta": ep.DeltaLIF(tau_m=12.0, v_th=0.8, v_reset=-0.1, surrogate=sg(0)),
    "delta alif": ep.DeltaALIF(tau_m=12.0, v_th=0.8, beta=0.2, tau_adapt=60.0, t_ref=2.0, surrogate=sg(1)),
    "LIF each": ep.LIF(tau_m=ep.Uniform(8.0, 25.0), v_th=0.8, t_ref=ep.Uniform(0.0, 3.0)),
}
RULES = {
    "static": ep.Static(),
    "stdp": ep.STDP(rate=0.01, alpha=1.05, w_max=1.0),
    "e-prop": ep.EProp(optimizer=ep.GradientDescent(5e-4), c_reg=0.2),
    "e-prop adam": ep.EProp(optimizer=ep.Adam(1e-2, epsilon=1e-2), kappa=0.8, average_gradient=True),
    "e-prop momentum": ep.EProp(optimizer=ep.Momentum(1e-4, beta=0.8), c_reg=0.2),
    "e-prop rmsprop": ep.EProp(optimizer=ep.RMSprop(1e-2, epsilon=1e-2), kappa=0.8),
    "plus": ep.EPropPlus(kappa=0.97, optimizer=ep.GradientDescent(1e-4), c_reg=0.05, cutoff=15.0),
    "plus kappas": ep.EPropPlus(
        kappa=0.97, optimizer=ep.GradientDescent(1e-4), kappa_reg=0.8, c_reg=0.05, cutoff=100.0
    ),
    "plus adam": ep.EPropPlus(kappa=0.97, optimizer=ep.Adam(1e-2, epsilon=1e-2), cutoff=3.0),
    "plus kappas adam": ep.EPropPlus(
        optimizer=ep.Adam(1e-2, epsilon=1e-2), kappa=0.9, kappa_reg=0.5, c_reg=0.0, cutoff=15.0
    ),
    "plus momentum": ep.EPropPlus(kappa=0.97, optimizer=ep.Momentum(5e-5, nesterov=True), c_reg=0.05, cutoff=15.0),
    "plus adam step": ep.EPropPlus(kappa=0.97, optimizer=ep.Adam(1e-2, epsilon=1e-2), cutoff=15.0, each_step=True),
    "plus descent step": ep.EPropPlus(
        kappa=0.97, optimizer=ep.GradientDescent(1e-4), c_reg=0.05, cutoff=15.0, each_step=True
    ),
    "plus reward": ep.EPropPlus(
        kappa=0.97,
        optimizer=ep.GradientDescent(1e-4),
        c_reg=0.05,
        cutoff=15.0,
        reward=ep.RewardTrace(tau=30.0, cutoff=40.0),
    ),
    "plus reward adam": ep.EPropPlus(
        kappa=0.97, optimizer=ep.Adam(1e-2, epsilon=1e-2), cutoff=15.0, reward=ep.RewardTrace(tau=30.0, cutoff=40.0)
    ),
    "plus rmsprop": ep.EPropPlus(
        kappa=0.97, optimizer=ep.RMSprop(1e-2, epsilon=1e-2), kappa_reg=0.5, c_reg=0.0, cutoff=15.0
    ),
    "plus decay": ep.EPropPlus(kappa=0.97, optimizer=ep.Adam(1e-2, decay=1e-3), cutoff=15.0),
    "e-prop decay": ep.EProp(optimizer=ep.GradientDescent(5e-4, decay=1e-3)),
}
DELAYS = {"1": (1.0, 1.0), "mix": (ep.Uniform(0.5, 5.5), 3.0), "each": (ep.Uniform(0.5, 3.5), ep.Uniform(0.5, 4.5))}
FEEDBACK = {
    "sym": ep.Symmetric(),
    "rand": ep.RandomFeedback(ep.Normal(0.0, 1.0)),
    "adapt": ep.Adaptive(ep.Normal(0.0, 1.0)),
}
N_IN, N, N_OUT, STEPS = 9, 37, 3, 120


def network(neuron, rule, delay="1", feedback="sym", loss=None, noise=False):
    net = ep.Network(dt=1.0, seed=5)
    r = RULES[rule]
    d1, d2 = DELAYS[delay]
    x, rec = net.add(ep.EventSource(), N_IN, "in"), net.add(NEURONS[neuron], N, "rec")
    out = net.add(ep.Readout(tau_m=15.0, loss=loss or ep.SquaredError()), N_OUT, "out")
    w = ep.Uniform(0.0, 0.6) if rule == "stdp" else ep.Normal(0.2, 0.3)
    net.connect(x, rec, weight=w, rule=r, delay=d1)
    net.connect(rec, rec, ep.FixedIndegree(11), weight=w if rule == "stdp" else ep.Normal(0.0, 0.3), rule=r, delay=d1)
    plastic_out = rule not in ("static", "stdp")
    net.connect(rec, out, weight=ep.Normal(0.0, 0.3), rule=r if plastic_out else ep.Static(), delay=d2)
    if noise:
        net.connect(net.add(ep.PoissonSource(rate=40.0), 4, "noise"), rec, weight=ep.Normal(0.3, 0.2), rule=r)
    if plastic_out:
        net.feedback(out, rec, FEEDBACK[feedback])
    return net


def stimulus(seed, steps=STEPS):
    g = np.random.default_rng(seed)
    events = g.random((steps, N_IN)) < 0.25
    events[steps // 3 : steps // 2] = False
    return (
        events,
        np.sin(np.arange(steps * N_OUT).reshape(steps, N_OUT) / 9),
        (g.random(steps) < 0.2) * g.normal(size=steps),
    )


def run_case(net, rule, sim):
    out = []
    learns = rule not in ("static", "stdp")
    for k in range(3):
        e, t, r = stimulus(k)
        rec = sim.run(
            float(STEPS),
            {"in": e},
            {"out": t} if learns else None,
            reward=r if "reward" in rule else None,
            spikes=["rec"],
            record=[("rec", "v")] if k == 1 else (),
        )
        out += [rec.y["out"], rec.loss]
        s = rec.spikes["rec"]
        out += list(s) if isinstance(s, tuple) else [np.asarray(s)]
        if k == 1:
            out.append(rec["rec", "v"])
    out += [np.int64(sim.events), np.float64(sim.time)]
    return digest(out + weights(sim))


def samples_case(net, sim, rule):
    out = []
    for k in range(2):
        e = np.stack([stimulus(10 * k + j, 60)[0] for j in range(5)])
        t = np.stack([stimulus(10 * k + j, 60)[1] for j in range(5)])
        if any(type(getattr(p.model, "loss", None)).__name__ == "CrossEntropy" for p in net.populations):
            t = np.eye(N_OUT)[np.abs(t).argmax(axis=2)]
        made = sim.samples(5, 60, {"in": e}, {"out": t})
        if rule.startswith("e-prop"):
            g = sim.lanes(made).backward()
            out += [g[n] for n in sorted(g)]
        r = sim.train(made)
        out += [r.loss, r.y, r.spikes, np.int64(r.events)]
        r = sim.evaluate(made)
        out += [r.loss, r.y, r.spikes]
    return digest(out + weights(sim))


DIVISIONS = {"1": (1, 1), "1/5": (1, 5), "2/3": (2, 3)}


def online():
    for precision in ("double", "single"):
        for nn, rr in itertools.product(NEURONS, RULES):
            for dn, (th, pa) in DIVISIONS.items():
                if dn != "1" and precision == "single" and nn not in ("LIF", "ALIF ref"):
                    continue
                net = network(nn, rr, noise=rr == "plus")
                yield (
                    f"run|{precision}|{nn}|{rr}|{dn}",
                    lambda net=net, rr=rr, th=th, pa=pa, p=precision: run_case(
                        net, rr, ep.Simulator(net, threads=th, partitions=pa, precision=p)
                    ),
                )
        for nn, rr, dd, ff in itertools.product(
            ("LIF", "ALIF", "delta alif", "LIF each"),
            ("static", "stdp", "plus", "plus kappas adam", "plus reward", "plus adam step", "e-prop"),
            ("mix", "each"),
            FEEDBACK,
        ):
            if rr in ("static", "stdp") and ff != "sym":
                continue
            net = network(nn, rr, dd, ff)
            yield (
                f"run|{precision}|{nn}|{rr}|{dd}|{ff}",
                lambda net=net, rr=rr, p=precision: run_case(
                    net, rr, ep.Simulator(net, threads=2, partitions=2, precision=p)
                ),
            )


def batch():
    for precision in ("double", "single"):
        for nn, rr, dd in itertools.product(NEURONS, [r for r in RULES if r not in ("stdp",)], DELAYS):
            if nn not in ("LIF", "ALIF", "delta alif", "LIF each") and dd != "1":
                continue
            ff = {"1": "sym", "mix": "rand", "each": "adapt"}[dd]
            for dn, (th, pa) in DIVISIONS.items():
                if dn != "1" and nn not in ("LIF", "ALIF"):
                    continue
                net = network(nn, rr, dd, ff, ep.CrossEntropy() if dd == "mix" else None, noise=dd == "each")
                yield (
                    f"train|{precision}|{nn}|{rr}|{dd}|{dn}",
                    lambda net=net, rr=rr, th=th, pa=pa, p=precision: samples_case(
                        net, ep.Simulator(net, threads=th, partitions=pa, precision=p), rr
                    ),
                )


def lanes():
    for precision, nn, rr, dd, ff, th in itertools.product(
        ("double", "single"),
        ("LIF", "ALIF", "delta alif", "LIF each"),
        ("e-prop", "e-prop adam"),
        DELAYS,
        FEEDBACK,
        (1, 2),
    ):

        def one(nn=nn, rr=rr, dd=dd, ff=ff, th=th, p=precision):
            net = network(nn, rr, dd, ff, noise=dd == "mix")
            sim = ep.Simulator(net, threads=th, precision=p)
            out, roll = [], None
            for k in range(3):
                e = np.stack([stimulus(10 * k + j, 40)[0] for j in range(3)])
                t = np.stack([stimulus(10 * k + j, 40)[1] for j in range(3)])
                made = sim.samples(3, 40, {"in": e}, {"out": t})
                if roll is None:
                    roll = sim.lanes(made)
                else:
                    roll.forward(made)
                g = roll.backward()
                out += [roll.y, roll.errors, roll.loss, roll.spikes] + [g[n] for n in sorted(g)]
                g2 = roll.backward(np.random.default_rng(k).normal(size=roll.y.shape))
                roll.learn(g2)
                roll.replay()
                g = roll.backward()
                out += [roll.y] + [g[n] for n in sorted(g)]
                if k == 1:
                    roll.reset([1])
            lanes_ = pick(sim, "streams", "environments", "parallel_environments", "lanes")(3)
            for k in range(3):
                ys = []
                for s in range(25):
                    ys.append(
                        np.array(lanes_.step([np.flatnonzero(stimulus(100 + j, 80)[0][25 * k + s]) for j in range(3)]))
                    )
                    if s == 11:
                        lanes_.reset([2])
                g = lanes_.backward(np.random.default_rng(k).normal(size=(3, 25, N_OUT)))
                out += ys + [g[n] for n in sorted(g)] + [lanes_.spikes]
                lanes_.learn(g)
            return digest(out + weights(sim))

        yield f"lanes|{precision}|{nn}|{rr}|{dd}|{ff}|{th}", one
    for precision, rr, nn in itertools.product(
        ("double", "single"), ("plus", "stdp", "plus reward", "plus kappas adam"), ("LIF", "ALIF")
    ):

        def two(nn=nn, rr=rr, p=precision):
            net = network(nn, rr, "mix")
            sim = ep.Simulator(net, threads=1, precision=p)
            st = pick(sim, "stepper", "stream")()
            e, t, r = stimulus(0)
            ys = []
            for s in range(STEPS):
                kw = {}
                if rr == "plus reward":
                    kw["reward"] = float(r[s])
                if rr != "stdp":
                    kw["target"] = t[s]
                a = st.step(np.flatnonzero(e[s]), **kw)
                ys.append(np.array(a))
            return digest(ys + weights(sim))

        yield f"stepper|{precision}|{nn}|{rr}", two


class ThreadRank:
    def __init__(self, rank, barrier, table):
        self.rank, self.size, self._barrier, self._table = rank, len(table), barrier, table

    def gather(self, value):
        self._table[self.rank] = value
        self._barrier.wait(120)
        values = list(self._table)
        self._barrier.wait(120)
        return values

    def share_of(self, value):
        return self.gather(value)[0]

    broadcast = share_of

    def exchange(self, message):
        parts = self.gather(message)
        return np.concatenate(parts), np.cumsum([0, *(p.size for p in parts[:-1])])

    def sum(self, values):
        total, *others = self.gather(np.array(values))
        for o in others:
            total = total + o
        return total

    def threads(self, available):
        return available

    def neighbours(self):
        return self.size

    ranks_on_machine = neighbours

    def add_terms(self, total, terms, numbers):
        for term in np.concatenate(self.gather(terms.copy())):
            total += term

    def abort(self, message, code=1):
        self._barrier.abort()
        raise AssertionError(message)


def on_ranks(n, work):
    b, t = threading.Barrier(n), [None] * n
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda r: work(ThreadRank(r, b, t)), range(n)))


def ranks():
    for precision, n, nn, rr in itertools.product(
        ("double", "single"),
        (2, 3),
        ("LIF", "ALIF", "LIF each"),
        ("static", "stdp", "e-prop", "e-prop adam", "plus", "plus kappas adam", "plus reward"),
    ):

        def one(n=n, nn=nn, rr=rr, p=precision):
            net = network(nn, rr, "mix", "rand")

            def work(c):
                sim = ep.Simulator(net, comm=c, precision=p, threads=1)
                a = run_case(net, rr, sim)
                return a + (samples_case(net, sim, rr) if rr != "stdp" else "")

            found = on_ranks(n, work)
            assert len(set(found)) == 1
            return found[0]

        yield f"ranks|{precision}|{n}|{nn}|{rr}", one


def kinds():
    """Each kind of e-prop+ (core/eprop_plus/kinds.hpp), alone and beside LIF, whole and in pieces."""
    each, fast = ep.Uniform(8.0, 25.0), {"v_th": 0.8, "surrogate": sg(0)}
    neurons = {
        "LIF": NEURONS["LIF"],
        "ALIF": NEURONS["ALIF"],
        "LIF each": NEURONS["LIF each"],
        "ALIF each": ep.ALIF(tau_m=each, tau_adapt=60.0, beta=0.2, **fast),
        "ALIF forgetful": ep.ALIF(
            tau_m=12.0, tau_adapt=10.0, beta=1.0, v_th=0.8, surrogate=ep.PiecewiseLinear(height=1.2)
        ),
        "current": ep.CurrentLIF(tau_m=12.0, **fast),
        "current each": ep.CurrentLIF(tau_m=each, **fast),
        "current alif": ep.CurrentALIF(tau_m=12.0, tau_adapt=60.0, beta=0.2, **fast),
        "current alif each": ep.CurrentALIF(tau_m=each, tau_adapt=60.0, beta=0.2, **fast),
        "delta": NEURONS["delta"],
        "delta each": ep.DeltaLIF(tau_m=each, **fast),
        "delta alif": NEURONS["delta alif"],
        **own_neurons(),
    }
    rules = {
        name: rule
        for name, rule in RULES.items()
        if name in ("plus", "plus kappas", "plus adam", "plus reward", "plus adam step")
    }
    rules["plus kappas reward"] = rules["plus reward"].replace(kappa_reg=0.8)
    rules["plus reward adam"] = RULES["plus reward adam"]
    for (n, neuron), (r, rule), delay, precision, beside in itertools.product(
        neurons.items(), rules.items(), ("1", "mix"), ("double", "single"), (False, True)
    ):
        d1, d2 = DELAYS[delay]

        def one(neuron=neuron, rule=rule, r=r, d1=d1, d2=d2, p=precision, beside=beside, threads=1 + (delay == "mix")):
            net = ep.Network(dt=1.0, seed=5)
            x, rec = net.add(ep.EventSource(), N_IN, "in"), net.add(neuron, N, "rec")
            out = net.add(ep.Readout(tau_m=15.0), N_OUT, "out")
            for post in [rec, *([net.add(NEURONS["LIF"], 17, "beside")] if beside else [])]:
                net.connect(x, post, weight=ep.Normal(0.2, 0.3), rule=rule, delay=d1)
                net.connect(rec, post, ep.FixedIndegree(11), weight=ep.Normal(0.0, 0.3), rule=rule, delay=d1)
                net.connect(post, out, weight=ep.Normal(0.0, 0.3), rule=rule, delay=d2)
                net.feedback(out, post)
            return run_case(net, r, ep.Simulator(net, threads=threads, partitions=3, precision=p))

        yield f"kinds|{precision}|{n}|{r}|{delay}|{'beside LIF' if beside else 'alone'}", one


def own_neurons() -> dict[str, object]:
    """Neurons of one's own, which the tests have."""
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
    from own_neurons import AdaptingCurrent, Resonator, SynapticLIF

    class Silent(AdaptingCurrent):
        """Promises nothing of its surrogate gradient."""

        largest_psi = ep.models.Neuron.largest_psi

    return {"synaptic": SynapticLIF(), "adapting": AdaptingCurrent(), "silent": Silent(), "resonator": Resonator()}


PARTS = {"online": online, "batch": batch, "lanes": lanes, "ranks": ranks, "kinds": kinds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--part", action="append", choices=tuple(PARTS), help="the default is all parts")
    arguments = parser.parse_args()
    found = {name: outcome(work) for part in arguments.part or PARTS for name, work in PARTS[part]()}
    if arguments.action == "record":
        arguments.file.write_text(json.dumps(found, indent=0))
        print(f"{len(found)} cases")
        return
    wanted = json.loads(arguments.file.read_text())
    differ = [name for name in found if found[name] != wanted.get(name)]
    print(*differ, sep="\n")
    sys.exit(f"{len(differ)} of {len(found)} cases differ" if differ else 0)


def outcome(work: Callable[[], str]) -> str:
    """The digest of a case, or the class of its error: some networks explode, and must go on to do so."""
    try:
        return work()
    except ep.errors.EPropError as error:
        return f"error {type(error).__name__}"


if __name__ == "__main__":
    main()
