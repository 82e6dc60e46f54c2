"""Test errors of `ep.recurrent(...)` with its defaults at several learning rates.

    python benchmarks/default_rates.py --fsdd ARCHIVE --nmnist FOLDER [--etas 1e-4 5e-3] [--rule eprop+]

Spoken digits (`MelSpikes`, takes 0 to 4 are the test) and recordings of N-MNIST; a line for each rate and data set.
"""

from __future__ import annotations

import argparse
import pathlib
import time

import numpy as np

import eprop as ep
from eprop.data import BinnedDataset, load_recordings
from eprop.data.audio import MelSpikes, read_sounds

STEPS, DT = 100, 5.0


def digits_spoken(path: pathlib.Path) -> tuple[BinnedDataset, BinnedDataset]:
    """Training and test samples of FSDD, 500 ms each."""
    sounds = read_sounds(path)
    data = MelSpikes().binned(sounds, sounds.labels, seed=1, n_steps=STEPS, dt=DT)
    return data.subset(np.flatnonzero(sounds.takes >= 5)), data.subset(np.flatnonzero(sounds.takes < 5))


def main() -> None:
    """Print a line for each data set, rate and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fsdd", type=pathlib.Path)
    parser.add_argument("--nmnist", type=pathlib.Path)
    parser.add_argument("--rule", choices=["eprop", "eprop+"], default="eprop")
    parser.add_argument("--etas", type=float, nargs="+", default=[1e-4, 1e-3, 2e-3, 5e-3, 1e-2])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    tasks = {}
    if given.fsdd:
        tasks["FSDD"] = (*digits_spoken(given.fsdd), DT)
    if given.nmnist:
        splits = load_recordings(data=given.nmnist)
        tasks["N-MNIST"] = splits.train, splits.test, 1.0
    for name, (train, test, dt) in tasks.items():
        for eta in given.etas:
            for seed in range(1, given.seeds + 1):
                rule: ep.EProp | ep.EPropPlus = ep.EProp(optimizer=ep.Adam(eta=eta))
                if given.rule == "eprop+":
                    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=eta))
                net = ep.recurrent(train.n_channels, 200, 10, rule=rule, dt=dt, seed=seed)
                sim, began = ep.Simulator(net, threads=1, precision="single"), time.perf_counter()
                history = ep.fit(sim, train, epochs=given.epochs, progress=False)
                error, rate = history.evaluate(test).error, history["rate_rec"][-1]
                seconds = time.perf_counter() - began
                print(
                    f"{name} eta {eta:g} seed {seed}: {100 * error:.1f} %, {rate:.1f} Hz, {seconds:.0f} s", flush=True
                )


if __name__ == "__main__":
    main()
