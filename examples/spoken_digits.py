"""Name a spoken digit while it is spoken: a WAV file passes a cochlea and a network in real time, 5 ms at a time.

The network learns first: from the recordings of a folder or archive (Free Spoken Digit Dataset), or without --data from synthetic
words. Without WAV files, it hears synthetic words by a voice that it does not know.

    python spoken_digits.py
    python spoken_digits.py --data fsdd.zip recordings/7_theo_3.wav
"""

from __future__ import annotations

import argparse
import pathlib
import time

import numpy as np

import eprop as ep
from eprop.data.audio import Cochlea, SyntheticWords, Wav, read_wav

#: Length of a step, ms, and the first step that counts.
DT, FIRST = 5.0, 20


def learn(data: str | None, neurons: int, epochs: int, samples: int | None) -> ep.Simulator:
    """Train a network; print its error on the test recordings."""
    experiment = ep.tasks.spoken_digits(neurons=neurons, data=data, samples=samples, epochs=epochs, variants=1)
    history = ep.fit(experiment, threads=1)
    print(f"error on {history.summary['test_data']}: {100 * history.evaluation.error:.1f} %")
    return history.simulator


def listener(trained: ep.Simulator) -> ep.Simulator:
    """The same network without learning, which can be stepped."""
    sim = ep.Simulator(trained.network.with_rules(lambda projection: ep.Static()), threads=1)
    for projection in sim.network.projections:
        sim.set_weights(projection.name, trained.connections(projection.name)[2])
    return sim


def hear(cochlea: Cochlea, sim: ep.Simulator, sound: Wav, pace: float) -> None:
    """Play a sound to the network at ``pace`` times real time, and print what it names."""
    # A microphone has one gain for all it records; a file has the loudness that its maker chose.
    ear = cochlea.stream(sound.rate, gain=cochlea.gain(sound.samples, sound.rate))
    stepper, evidence, latest = sim.stepper(), np.zeros(10), 0.0
    chunks = np.array_split(sound.samples, max(1, round(len(sound.samples) / sound.rate * 1000.0 / DT)))
    began = time.perf_counter()
    for step, chunk in enumerate(chunks):
        due = began + (step + 1) * DT / 1000.0 / pace  # when the chunk has been recorded
        time.sleep(max(0.0, due - time.perf_counter()))
        _, channels = ear.hear(chunk)
        y = stepper.step(np.unique(channels))
        if step >= FIRST:
            evidence += y
        latest = max(latest, time.perf_counter() - due)
        if (step + 1) % 10 == 0 or step + 1 == len(chunks):
            named = np.argmax(evidence) if evidence.any() else "-"
            print(f"  {(step + 1) * DT:4.0f} ms: {named}")
    print(f"  the latest answer came {1000 * latest:.1f} ms after its sound")


def main() -> None:
    """Parse the arguments, learn, listen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wav", nargs="*", type=pathlib.Path, help="recordings to name; the default is synthetic words")
    parser.add_argument("--data", help="recordings to learn from")
    parser.add_argument("--neurons", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, help="largest number of recordings to learn from")
    parser.add_argument("--pace", type=float, default=1.0, help="times real time")
    args = parser.parse_args()
    sim = listener(learn(args.data, args.neurons, args.epochs, args.samples))
    unknown = SyntheticWords(10, seed=1, speakers=1, first_speaker=100)
    sounds = {path.name: read_wav(path.read_bytes(), str(path)) for path in args.wav}
    for name, sound in (sounds or {unknown.classes[k]: unknown[k] for k in (3, 6, 7)}).items():
        print(f"{name}:")
        sim.reset()
        hear(Cochlea(places=35), sim, sound, args.pace)


if __name__ == "__main__":
    main()
