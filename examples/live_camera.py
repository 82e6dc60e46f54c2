"""Learn to read digits from an event camera while it looks at them, in real time: one step of 1 ms after the other.

A process of its own plays the simulated camera and writes its events to a pipe. 1,000 neurons learn by e-prop+ at every spike,
on one thread. The camera also sends which digit it shows, but for every fifth one, which the network has to name by itself.

    python live_camera.py
    python live_camera.py --seconds 300 --save latencies.png
"""

from __future__ import annotations

import argparse
import gc
import math
import pathlib
import subprocess
import sys
import time

import numpy as np

import eprop as ep
from eprop.data import LiveEvents, read_packed
from eprop.data.live_readers import CHANNEL_RECORD

PIXELS = 2 * 34 * 34  # channels of the camera; ten more tell which digit it shows
DIGIT, FROM = 300, 100  # steps of a digit, and the first one that counts
UNTAUGHT = 5  # every fifth digit


def network_of(neurons: int, seed: int) -> ep.Network:
    """Events, a sparse recurrent population and ten readouts; everything is plastic."""
    net = ep.Network(dt=1.0, seed=seed)

    def rule(eta: float) -> ep.EPropPlus:
        return ep.EPropPlus(optimizer=ep.GradientDescent(eta=eta), kappa=0.98, c_reg=1.0, cutoff=100.0)

    x, rec = net.add(ep.EventSource(), PIXELS, "in"), net.add(ep.LIF(tau_m=15.0, v_th=1.0), neurons, "rec")
    out = net.add(ep.Readout(tau_m=100.0, loss=ep.CrossEntropy()), 10, "out")
    net.connect(x, rec, ep.Bernoulli(0.25), weight=ep.Normal(0.0, 0.05), rule=rule(1e-4))
    net.connect(
        rec, rec, ep.FixedIndegree(neurons // 10), weight=ep.Normal(0.0, math.sqrt(10.0 / neurons)), rule=rule(1e-4)
    )
    net.connect(rec, out, weight=ep.Normal(0.0, math.sqrt(0.25 / neurons)), rule=rule(3e-5))
    net.feedback(out, rec, ep.Symmetric())
    return net


def play(seconds: float, seed: int) -> None:
    """Simulate the camera: show one digit after the other, and write the events of each millisecond at its end."""
    from eprop.data import EventCamera, embedded_digits

    digits, rng = embedded_digits(), np.random.default_rng(seed)
    shown = rng.integers(len(digits.labels), size=round(1000 * seconds / DIGIT))
    recordings = list(EventCamera().recordings(digits.images[shown], seed=seed))
    began = time.perf_counter()
    for number, events in enumerate(recordings):
        channels = (events.p.astype(np.int64) * 34 + events.y) * 34 + events.x
        steps = events.t // 1000
        for step in range(DIGIT):
            at = number * DIGIT + step
            active = channels[steps == step]
            if step == 0:
                active = np.append(active, PIXELS + digits.labels[shown[number]])
            time.sleep(max(0.0, began + 1e-3 * (at + 1) - time.perf_counter()))
            if active.size:
                packed = np.zeros(active.size, CHANNEL_RECORD)
                packed["t"], packed["channel"] = 1000 * at + 500, active
                sys.stdout.buffer.write(packed.tobytes())
                sys.stdout.buffer.flush()


class Learner:
    """Steps the network, and counts the errors on digits without a target."""

    def __init__(self, stepper: ep.engine.Stepper):
        self.stepper, self.classes = stepper, np.eye(10)
        self.label, self.since, self.digits = 0, 0, -1
        self.evidence, self.wrong = np.zeros(10), list[bool]()

    def answer(self, channels: np.ndarray) -> None:
        """One step."""
        pixels = int(np.searchsorted(channels, PIXELS))
        if pixels < channels.size:
            self.judge()
            self.label, self.since, self.digits = int(channels[-1]) - PIXELS, 0, self.digits + 1
            self.evidence[:] = 0.0
        counts, taught = self.since >= FROM, self.digits % UNTAUGHT != UNTAUGHT - 1
        y = self.stepper.step(channels[:pixels], target=self.classes[self.label] if counts and taught else None)
        if counts:
            self.evidence += y
        self.since += 1

    def judge(self) -> None:
        """At the end of a digit, count whether it was misread."""
        if self.digits >= 0 and self.digits % UNTAUGHT == UNTAUGHT - 1:
            self.wrong.append(int(self.evidence.argmax()) != self.label)


def learn(live: LiveEvents, learner: Learner, warm_up: int) -> tuple[np.ndarray, np.ndarray]:
    """Run all steps; return the duration of each step and the delay of its answer (ms), without the first ones."""
    took, answered = [], []
    gc.collect()
    gc.disable()  # a collection of garbage takes longer than a step
    for channels in live:
        began = time.perf_counter()
        learner.answer(channels)
        done = time.perf_counter()
        took.append(done - began)
        answered.append(done - live.due)
    gc.enable()
    learner.judge()
    return 1e3 * np.array(took[warm_up:]), 1e3 * np.array(answered[warm_up:])


def draw(path: pathlib.Path, took: np.ndarray, answered: np.ndarray, wrong: list[bool]) -> None:
    """Print durations of steps, delays of answers, and errors on digits without a target."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    steps, answers, errors = figure.subplots(1, 3)
    for axes, durations in ((steps, took), (answers, answered)):
        axes.hist(durations, bins=np.geomspace(0.01, max(durations.max(), 2.0), 80))
    steps.set(xlabel="duration of a step (ms)", ylabel="steps", yscale="log", xscale="log")
    answers.set(xlabel="answer after the end of the step (ms)", yscale="log", xscale="log")
    for axes in (steps, answers):
        axes.axvline(1.0, color="k", ls=":", lw=1)
    width = 20
    if len(wrong) >= width:
        errors.plot(np.convolve(wrong, np.full(width, 1 / width), "valid"))
    errors.set(xlabel="untaught digits", ylabel=f"error, of {width}", ylim=(0, 1))
    figure.savefig(path)


def run(seconds: float, neurons: int, seed: int) -> tuple[LiveEvents, Learner, np.ndarray, np.ndarray]:
    """Start the camera, learn until it ends."""
    sim = ep.Simulator(network_of(neurons, seed), threads=1, precision="single")
    learner = Learner(sim.stepper())
    learner.stepper.step()
    command = [sys.executable, __file__, "--camera", "--seconds", str(seconds), "--seed", str(seed)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as camera,
        LiveEvents(read_packed(camera.stdout), PIXELS + 10, delay=1.0) as live,
    ):
        took, answered = learn(live, learner, warm_up=1000)
    return live, learner, took, answered


def main() -> None:
    """Parse the arguments, learn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="a digit takes 0.3 s")
    parser.add_argument("--neurons", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=pathlib.Path, metavar="FILE", help="draw latencies and errors into a file")
    parser.add_argument("--camera", action="store_true", help="play the camera (what this program starts)")
    args = parser.parse_args()
    if args.camera:
        play(args.seconds, args.seed)
        return
    live, learner, took, answered = run(args.seconds, args.neurons, args.seed)
    wrong = learner.wrong
    print(live)
    print(f"{100 * np.mean(took <= 1.0):.2f} % of the steps took at most 1 ms; "
          f"{100 * np.mean(answered <= 1.0):.2f} % were answered within 1 ms of their end")  # fmt: skip
    if args.save:
        draw(args.save, took, answered, wrong)
        print(f"drawn: {args.save}")
    for when, part in (("first", wrong[: len(wrong) // 2]), ("second", wrong[len(wrong) // 2 :])):
        print(f"{when} half: {sum(part)} of {len(part)} digits that were not taught were misread")


if __name__ == "__main__":
    main()
