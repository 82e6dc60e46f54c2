"""The cortical microcircuit: build time, memory, real-time factor and rates, at a tenth and at full scale, with three rules.

    python benchmarks/microcircuit.py

Each network runs in a process of its own, by ``eprop bench microcircuit``. The full network needs 4 GB. NEST runs the small
networks without e-prop+, which it does not have for these neurons.
"""

from __future__ import annotations

from harness import command_line, parser, write

#: Scale, rule, threads, simulated ms, and whether NEST runs it as well. On a busy machine, NEST's threads wait for each other.
CASES = {
    "0.1 static": (0.1, "static", 1, 2000, True),
    "0.1 stdp": (0.1, "stdp", 1, 2000, True),
    "0.1 eprop+": (0.1, "eprop+", 1, 2000, False),
    "1 static": (1.0, "static", 2, 1000, False),
    "1 stdp": (1.0, "stdp", 2, 1000, False),
    "1 eprop+": (1.0, "eprop+", 2, 1000, False),
}


def main() -> None:
    given = parser(__doc__, label=True).parse_args()
    found = {}
    for name, (scale, rule, threads, duration, nest) in CASES.items():
        words = ["bench", "microcircuit", "--scale", scale, "--rule", rule, "--duration", duration]
        compare = ["--compare", "nest"] if nest else []
        found[name] = command_line(*words, "--threads", threads, *compare)
        sides = [found[name], *([found[name]["nest"]] if nest else [])]
        for side in sides:
            busy = 1e3 * side["processor_seconds"] / duration
            print(
                f"{name}, {side['simulator']}: build {side['build_seconds']:.1f} s, real-time factor "
                f"{side['real_time_factor']:.2f}, processor {busy:.2f} s per s, peak {side['peak_memory_bytes'] / 1e9:.2f} GB",
                flush=True,
            )
    write("microcircuit", found, given.label)


if __name__ == "__main__":
    main()
