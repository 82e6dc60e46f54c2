"""Dropout and weight decay with few samples: test error after learning from 300 handwritten digits of scikit-learn, three seeds.

    python benchmarks/dropout.py

It prints a line for each setting. After dropout of the neurons' output all spikes arrive, so the weights are scaled.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

import eprop as ep

#: Dropout of input events, dropout of the neurons' output, weight decay.
SETTINGS = ((0.0, 0.0, 0.0), (0.4, 0.0, 0.0), (0.0, 0.4, 0.0), (0.0, 0.0, 1e-3))


def error(events_lost: float, spikes_lost: float, decay: float, seed: int) -> float:
    """Test error, per cent."""
    pixels, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(labels))
    train, test = order[:300], order[300:]
    events = rng.random((len(labels), 50, 64)) < 0.2 * pixels[:, None] / 16.0  # 50 ms
    net, rule = ep.Network(seed=seed), ep.EProp(optimizer=ep.Adam(eta=5e-3, decay=decay))
    x = net.add(ep.EventSource(dropout=events_lost), 64, "in")
    rec = net.add(ep.LIF(), 100, "rec", dropout=spikes_lost)
    out = net.add(ep.Readout(loss=ep.CrossEntropy()), 10, "out")
    net.connect(x, rec, weight=ep.Normal(0.0, 0.3), rule=rule)
    net.connect(rec, rec, weight=ep.Glorot(), rule=rule)
    net.connect(rec, out, weight=ep.Glorot(), rule=rule)
    net.feedback(out, rec)
    sim = ep.Simulator(net)
    history = ep.fit(sim, (events[train], labels[train]), epochs=40, batch_size=20, progress=False)
    for name in ("rec->rec", "rec->out"):
        sim.set_weights(name, (1.0 - spikes_lost) * sim.weights(name))
    return 100.0 * float(history.evaluate((events[test], labels[test])).error)


if __name__ == "__main__":
    for setting in SETTINGS:
        errors = [error(*setting, seed) for seed in (1, 2, 3)]
        print("{}, {}, {}:".format(*setting), f"{np.mean(errors):.1f} ± {np.std(errors, ddof=1):.1f} %")
