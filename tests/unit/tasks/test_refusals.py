"""What tasks refuse when they are called: wrong values, each by its name."""

from __future__ import annotations

import math
import pathlib
from typing import Any

import pytest

from eprop.errors import EPropError
from eprop.tasks import task_named

HERE, THERE = pathlib.Path("/here"), pathlib.Path("/there")
PATTERN, EVIDENCE, CUE, SPOKEN, CORTEX = (
    "pattern-generation", "evidence-accumulation", "delayed-cue", "spoken-digits", "microcircuit",
)  # fmt: skip
ROWS: list[tuple[str, dict[str, Any], str]] = [
    # Types and choices of all tasks.
    ("nmnist", {"rule": "e-prop"}, "nmnist.rule must be \"eprop\" or \"eprop+\", got 'e-prop'; did you mean 'eprop'?"),
    ("nmnist", {"loss": "soft-max"}, "did you mean 'softmax'"),
    ("nmnist", {"optimizer": "sgd"}, "nmnist.optimizer must be"),
    ("nmnist", {"eta": math.nan}, "nmnist.eta must be a finite number, got nan"),
    ("nmnist", {"eta": "fast"}, "nmnist.eta must be a number, got 'fast'"),
    ("nmnist", {"neurons": 1.5}, "nmnist.neurons must be a whole number, got 1.5"),
    ("nmnist", {"chip": "yes"}, "nmnist.chip must be true or false, in Python True or False, got 'yes'"),
    ("nmnist", {"nuerons": 3}, "nmnist has no argument nuerons; did you mean 'neurons'?"),
    ("nmnist", {"kappa": 0.9}, "kappa changes nothing: it belongs to eprop+"),
    ("nmnist", {"eta": -1.0}, "eta must be >= 0, got -1"),
    # N-MNIST and its recordings.
    ("nmnist", {"neurons": 0}, "nmnist.neurons must be a whole number >= 1, got 0"),
    ("nmnist", {"rewiring": "up"}, 'nmnist.rewiring must be "gradient" or "random", got \'up\''),
    ("nmnist", {"rewiring": "random", "rewiring_every": 0}, "Rewiring.every must be >= 1"),
    ("nmnist", {"dt": 0.0}, "Recordings.dt must be > 0 ms"),
    ("nmnist", {"n_steps": 0}, "Recordings.n_steps must be >= 1"),
    ("nmnist", {"bits": 1}, "FixedPoint.bits must be >= 2"),
    ("nmnist", {"input_probability": 1.5}, "must be <= 1"),
    ("nmnist", {"data": HERE, "mnist": THERE}, "give either data (real recordings) or mnist"),
    ("nmnist", {"range": "1:5"}, "a range needs data or mnist"),
    ("nmnist", {"samples": 0}, "Recordings.samples must be >= 1, got 0"),
    ("nmnist", {"validation": -1}, "Recordings.validation must be >= 0"),
    *(
        ("nmnist", {"mnist": HERE, "range": text}, "range must be")
        for text in ("", "5", "-1:5", "1:5:2", "1.5:3", "3:3")
    ),
    # The microcircuit.
    (CORTEX, {"recurrence": "off"}, 'microcircuit.recurrence must be "plastic", "static" or "none"'),
    (CORTEX, {"window_start": 100.0}, "window_start = 100 ms must be >= 0 and before the end"),
    (CORTEX, {"dt": 0.0}, "dt > 0, got 0"),
    (CORTEX, {"scale": 1e-4}, "leaves no neurons in L5I"),
    (CORTEX, {"scale": 2.0}, "microcircuit: scale must be in (0, 1]"),
    (CORTEX, {"tau_m": 5.0}, "microcircuit has no argument tau_m"),
    (CORTEX, {"rule": "eprop", "cutoff": 20.0}, "cutoff changes nothing: it belongs to eprop+"),
    # Samples that are made from a seed.
    (PATTERN, {"target": "lemniskate"}, "did you mean 'lemniscate'"),
    (PATTERN, {"duration": 1.0}, "duration must be >= 2 ms and lead >= 0, got 1 and 0"),
    (PATTERN, {"lead": -1.0}, "lead >= 0, got 1000 and -1"),
    (EVIDENCE, {"connectivity": 0.0}, "connectivity must be > 0 and <= 1, got 0"),
    (EVIDENCE, {"cues": 4}, "Cues.cues must be odd"),
    (EVIDENCE, {"lif": 0, "alif": 0}, "must not both be 0"),
    (EVIDENCE, {"lif": -1}, "-1"),
    (EVIDENCE, {"samples": 0}, "samples must be a whole number >= 1, got 0"),
    (EVIDENCE, {"delay": 1e300}, "an argument is too large"),
    (CUE, {"learn": "beta"}, 'learn must be "none" or "tau_adapt"'),
    (CUE, {"tau_adapt": 6000.0}, "Learned.start must lie in 10..5000 (low..high), got 6000"),
    (CUE, {"delay": 15.0}, "delay must be a multiple of 10 ms, got 15 ms"),
    (CUE, {"neurons": -1}, "neurons must be a whole number >= 1, got -1"),
    # Spoken words.
    (SPOKEN, {"n_steps": 10}, "window_start must be >= 0 and < n_steps = 10, got 20"),
    (SPOKEN, {"encoder": "fourier"}, "cochlea"),
    (SPOKEN, {"spread": 4.0}, "spread must lie in 0..3, got 4"),
    (SPOKEN, {"input_delay": -5.0}, "input_delay must lie in 0..10000, got -5"),
    (SPOKEN, {"neurons": 0}, "neurons must be a whole number >= 1, got 0"),
    (SPOKEN, {"leave": ("a",)}, "no speakers to leave out"),
    (SPOKEN, {"download": True, "data": HERE}, "give either data, or download, not both"),
    # Reward.
    ("gymnasium", {"env": " "}, "must name an environment"),
    ("gymnasium", {"env": "mine:World-v0"}, "'mine:World-v0' would import a module"),
    ("cartpole", {"lif": 0}, "lif and alif must be >= 0 and not both 0, got 0 and 0"),
    ("cartpole", {"alif": -2}, "lif and alif must be >= 0 and not both 0, got 100 and -2"),
    ("cartpole", {"connectivity": 0.0}, "connectivity must be > 0 and <= 1, got 0"),
    ("cartpole", {"active": 2.0}, "active must be > 0 and <= 1, got 2"),
    ("cartpole", {"dt": 0.0}, "dt must be > 0 ms, got 0"),
    ("cartpole", {"passes": 2}, "passes = 2 needs a clip"),
    ("cartpole", {"epochs": 3}, "cartpole has no argument epochs"),
    ("cartpole", {"feedback": "adaptive"}, "feedback must be"),
    ("delayed-reward", {"cue": 70.0}, "cue must be a multiple of 50 ms, got 70"),
    ("delayed-reward", {"substeps": 0}, "substeps must be >= 1, got 0"),
]


@pytest.mark.tiny
@pytest.mark.parametrize(("name", "values", "message"), ROWS)
def test_a_wrong_value_is_refused_by_name(name: str, values: dict[str, Any], message: str) -> None:
    if name in ("gymnasium", "cartpole"):
        pytest.importorskip("gymnasium", reason="needs the extra rl")
    with pytest.raises(EPropError) as caught:
        task_named(name)(**values)
    assert message in str(caught.value)
