"""Draw a collapse of e-prop+ without rate regularisation, and the cure: ``python examples/collapse.py collapse.png``."""

from __future__ import annotations

import argparse
import warnings

import matplotlib.pyplot as plt
import numpy as np

import eprop as ep

STEPS, INPUTS, CLASSES, NEURONS = 290, 96, 9, 100

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("picture", help="file to write: PNG, PDF or SVG")
parser.add_argument("--samples", type=int, default=240)
arguments = parser.parse_args()

rng = np.random.default_rng(1)
labels = rng.integers(CLASSES, size=arguments.samples)
active = rng.random((CLASSES, INPUTS)) < 0.15  # the inputs that fire at 100 Hz, by class; all others fire at 5 Hz
events = rng.random((len(labels), STEPS, INPUTS)) < np.where(active[labels][:, None], 0.1, 0.005)

descent = ep.GradientDescent(eta=4e-4)
cases = {
    "before training": (ep.EPropPlus(descent), 0),
    "without regularisation": (ep.EPropPlus(descent, rate_reg=0.0), 2),
    "with regularisation": (ep.EPropPlus(descent), 2),
}
figure, axes = plt.subplots(3, 3, figsize=(7.2, 5.0), sharex="row", sharey="row", layout="constrained")
for column, (title, (rule, epochs)) in zip(axes.T, cases.items(), strict=True):
    sim = ep.Simulator(ep.recurrent(INPUTS, NEURONS, CLASSES, rule=rule, seed=1), precision="single")
    two = np.concatenate(events[:2])  # one sample follows the other
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the collapse
        if epochs:
            ep.fit(sim, (events, labels), epochs=epochs, batch_size=8, progress=False)
        start, run = sim.time, sim.run(float(len(two)), {"in": two}, spikes=["rec"], learn=False)
    times, neurons = run.spikes["rec"]
    rates = np.sort(np.bincount(neurons, minlength=NEURONS) / (len(two) / 1000.0))
    softmax = np.exp(run.y["out"] - run.y["out"].max(axis=1, keepdims=True))
    softmax /= softmax.sum(axis=1, keepdims=True)
    column[0].plot(times - start, neurons, "k|", markersize=1)
    column[0].set(title=title)
    column[1].plot(softmax)
    column[2].step(np.arange(NEURONS), rates, "k")
    column[2].axhline(500.0, color="tab:red", linewidth=0.8, linestyle="--")
    saturated = int(np.sum(rates > 500.0))
    print(f"{title}: {rates.mean():.0f} Hz, {saturated} of {NEURONS} neurons above half of their possible rate")
axes[0, 0].set(ylabel="neuron")
axes[1, 0].set(ylabel="softmax of readouts", ylim=(0.0, 1.0))
axes[2, 0].set(ylabel="rate (Hz)")
for place in axes[1]:
    place.set(xlabel="time (ms)")
for place in axes[2]:
    place.set(xlabel="neurons, by rate")
figure.savefig(arguments.picture, dpi=150)
