"""Waiting times of a user: imports, help, the first call of a process against the second, and the installation.

    python benchmarks/start.py
    python benchmarks/start.py --install        # also: pip install ".[demo]" with an empty cache

A new process with an empty home makes two calls. Each call builds and runs a network: that of the README's example, or
one with other neurons or rules. The second call uses another seed. Goals: the difference of the two calls is at most
0.3 s, and 1 s with a user's own neuron; nothing is written to the home; the installation takes at most 150 s on two
cores. The result is ``start.json``, or ``start-threads-N.json`` on several threads.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import harness
import numpy as np

GOAL, GOAL_OWN, GOAL_INSTALL = 0.3, 1.0, 150.0

#: Program of a process; the names in braces are replaced.
EXAMPLE = """
import json, time
import numpy as np, eprop as ep
from dataclasses import dataclass

events = np.random.default_rng(1).random((1000, 50)) < 0.02
target = np.sin(np.linspace(0.0, 4.0 * np.pi, 1000))[:, None]

@ep.models.inline
def update(state, params, j, x):
    v = params[0, j] * state[0, j] + x
    spike = v >= 1.0
    state[0, j] = v - 1.0 if spike else v
    return spike, 0.3 * max(0.0, 1.0 - abs(v - 1.0))

@dataclass(frozen=True)
class Own(ep.models.Neuron):
    state_rows, parameter_rows, update = ("v",), ("alpha",), staticmethod(update)

    def derived(self, dt):
        return {{"alpha": 0.95}}

    def eligibility(self, dt):
        return ep.models.Eligibility.leaky(0.95)

def call(seed):
    net, rule = ep.Network(dt=1.0, seed=seed), {rule}
    x, rec, out = net.add(ep.EventSource(), 50), net.add({neuron}, 100), net.add(ep.Readout(tau_m=20.0), 1)
    net.connect(x, rec, weight={weights}(0.0, 0.3), rule=rule)
    net.connect(rec, rec, ep.FixedIndegree(10), weight={weights}(0.0, 0.2), rule=rule)
    net.connect(rec, out, weight=ep.Glorot(), rule={readouts})
    net.feedback(out, rec, ep.Symmetric())
    built = time.perf_counter()
    sim = ep.Simulator(net, threads={threads})
    simulated = time.perf_counter()
    sim.run(1000.0, {{x.name: events}}, {{out.name: target}})
    return built, simulated, time.perf_counter()

def parts(began, built, simulated, ended):
    return {{"describe": built - began, "build": simulated - built, "run": ended - simulated, "all": ended - began}}

first = parts(time.perf_counter(), *call(1))
print(json.dumps({{"first": first, "second": parts(time.perf_counter(), *call(2))}}))
"""
EPROP, PLUS = "ep.EProp(optimizer=ep.Adam(eta=5e-3))", "ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-3))"
#: Neuron and rule of each case; the first is the README's example.
CASES = {
    "e-prop": ("ep.LIF(tau_m=20.0)", EPROP),
    "e-prop+": ("ep.LIF(tau_m=20.0)", PLUS),
    "e-prop, ALIF": ("ep.ALIF(tau_m=20.0)", EPROP),
    "e-prop+, ALIF": ("ep.ALIF(tau_m=20.0)", PLUS),
    "STDP": ("ep.LIF(tau_m=20.0)", "ep.STDP()"),
    "e-prop, own neuron": ("Own()", EPROP),
    "e-prop+, own neuron": ("Own()", PLUS),
}


def seconds(command: list[str], **environment: str) -> float:
    """Return the wall time of a process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    return time.perf_counter() - began


def in_empty_home(code: str, home: pathlib.Path) -> str:
    """Return the output of a process whose home and caches are an empty folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "EPROP_CACHE", "NUMBA_CACHE"))}
    environment = {**kept, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return done.stdout


def first_and_second(case: str, threads: int, repeats: int) -> dict[str, Any]:
    """Return the seconds of first and second calls, their difference, and the files that they leave."""
    neuron, rule = CASES[case]
    # STDP has no negative weights, and does not apply to readouts.
    weights, readouts = ("ep.Uniform", "ep.Static()") if rule == "ep.STDP()" else ("ep.Normal", "rule")
    code = EXAMPLE.format(neuron=neuron, rule=rule, threads=threads, weights=weights, readouts=readouts)
    runs, left = [], set()
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as home:
            runs.append(json.loads(in_empty_home(code, pathlib.Path(home))))
            left |= {str(path.relative_to(home)) for path in pathlib.Path(home).rglob("*") if path.is_file()}
    difference = [run["first"]["all"] - run["second"]["all"] for run in runs]
    parts = {
        call: {part: float(np.median([run[call][part] for run in runs])) for part in runs[0][call]}
        for call in ("first", "second")
    }
    return {
        **parts, "difference": harness.spread(difference), "median_difference": float(np.median(difference)),
        "goal": GOAL_OWN if "own" in case else GOAL, "files_left": sorted(left),
    }  # fmt: skip


def install() -> dict[str, Any]:
    """Return the seconds of ``pip install ".[demo]"`` of the last commit, in a new environment with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        where = pathlib.Path(folder)
        archive, sources = where / "sources.tar", where / "sources"
        sources.mkdir()
        subprocess.run(["git", "-C", str(harness.ROOT), "archive", "--output", str(archive), "HEAD"], check=True)
        subprocess.run(["tar", "-xf", str(archive), "-C", str(sources)], check=True)
        subprocess.run([sys.executable, "-m", "venv", str(where / "venv")], check=True)
        python = where / "venv" / "bin" / "python"
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        environment = {**clean, "PIP_CACHE_DIR": str(where / "cache"), "HOME": str(where)}
        began = time.perf_counter()
        command = [str(python), "-m", "pip", "install", "--quiet", ".[demo]"]
        subprocess.run(command, check=True, cwd=sources, env=environment)
        took = time.perf_counter() - began
        subprocess.run([str(python), "-c", "import eprop; eprop.Simulator"], check=True, cwd=where, env=environment)
    return {"seconds": took, "goal": GOAL_INSTALL}


def main() -> None:
    """Measure imports, help and calls; with ``--install`` also the installation."""
    parser = harness.parser(__doc__, repeats=5, threads=1)
    parser.add_argument("--case", action="append", choices=CASES, help="measure this case only; repeatable")
    parser.add_argument("--install", action="store_true", help='also measure pip install ".[demo]"')
    arguments = parser.parse_args()
    commands = {
        "python_alone": ["-c", "pass"],
        "import_eprop": ["-c", "import eprop"],
        "eprop_help": ["-c", "from eprop.cli import main; main()", "--help"],
    }
    result: dict[str, Any] = {
        name: harness.spread([seconds([sys.executable, *command]) for _ in range(arguments.repeats)])
        for name, command in commands.items()
    }
    for name in commands:
        print(f"{name:24} {result[name]['mean']:6.3f} s", flush=True)
    result["calls"] = {}
    for case in arguments.case or CASES:
        found = result["calls"][case] = first_and_second(case, arguments.threads, arguments.repeats)
        print(f"{case:24} first {found['first']['all']:6.3f} s, second {found['second']['all']:6.3f} s, difference "
              f"{found['median_difference']:6.3f} s (goal {found['goal']}), {len(found['files_left'])} files left",
              flush=True)  # fmt: skip
    if arguments.install:
        result["install"] = install()
        print(f"{'installation':24} {result['install']['seconds']:6.1f} s (goal {GOAL_INSTALL:.0f})")
    print(harness.write("start" if arguments.threads == 1 else f"start-threads-{arguments.threads}", result))


if __name__ == "__main__":
    main()
