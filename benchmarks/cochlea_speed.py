"""Seconds of sound that the cochlea encodes in a second of one core: 35 places and two types of fibres, up to 700 places.

    python benchmarks/cochlea_speed.py

The sound is noise at 60 dB and 8,000 samples per second, which excites all places. The time is that of the processor. The goal is
100 s with 35 places and two types. The result is ``cochlea-speed.json``.
"""

from __future__ import annotations

import functools
import json
import time

import harness
import numpy as np

from eprop.data.audio import Cochlea

SECONDS, RATE = 20, 8000
CASES = {
    "35 places, 2 types": Cochlea(places=35),
    "70 places, 1 type": Cochlea(places=70, types=(0.0,)),
    "140 places, 2 types": Cochlea(places=140),
    "700 places, 1 type": Cochlea(places=700, types=(0.0,)),
}


def main() -> None:
    """Encode in turns, and record the speeds."""
    arguments = harness.parser(__doc__, repeats=5).parse_args()
    found = harness.in_turns({name: functools.partial(speed, each) for name, each in CASES.items()}, arguments.repeats)
    result = {name: harness.spread(values) for name, values in found.items()}
    print(json.dumps(result, indent=2))
    print(harness.write("cochlea-speed", result))


def speed(cochlea: Cochlea) -> float:
    """Seconds of sound in a second of the processor."""
    ear, sound = cochlea.stream(RATE), 0.01 * np.random.default_rng(0).standard_normal(SECONDS * RATE)
    began = time.process_time()
    ear.hear(sound)
    return SECONDS / (time.process_time() - began)


if __name__ == "__main__":
    main()
