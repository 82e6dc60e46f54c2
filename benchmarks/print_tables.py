"""Print the tables of the README and of the pages from ``results/``. This script measures nothing.

python benchmarks/print_tables.py
"""

from __future__ import annotations

import json
import pathlib
import statistics
from collections.abc import Iterable

RESULTS = pathlib.Path(__file__).parent / "results"


def load(name: str) -> dict | None:
    """Return a result, or None if it does not exist."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def plus_minus(spread: dict, scale: float = 1.0, digits: int = 1) -> str:
    """Return ``mean ± sd`` as text."""
    sd = "" if spread["sd"] is None else f" ± {scale * spread['sd']:.{digits}f}"
    return f"{scale * spread['mean']:.{digits}f}{sd}"


def scaling() -> None:
    """Print one row for each case of the scaling benchmark."""
    found = load("scaling")
    if found is None:
        return
    print("| network | rule | ns per event | bytes per synapse | NEST, ns per event | NEST, bytes | times faster |")
    print("|---|---|---|---|---|---|---|")
    for row in found["result"]:
        case, ours, nest = row["case"], row["eprop"], row.get("nest")
        network = f"{case['neurons']:,} x {case['indegree']:,}"
        threads = f", {case['threads']} threads" if case.get("threads", 1) > 1 else ""
        label = f"{case['mode']}, {case.get('precision', 'single')}{threads}"
        cells = [plus_minus(ours["ns_per_synaptic_event"]), f"{ours['bytes_per_synapse']['mean']:.0f}"]
        if nest:
            cells += [
                plus_minus(nest["ns_per_synaptic_event"], digits=0),
                f"{nest['bytes_per_synapse']['mean']:.0f}",
                plus_minus(row["ratio_ns"], digits=0),
            ]
        else:
            cells += ["", "", ""]
        print(f"| {network} | {label} | {' | '.join(cells)} |")


#: Names of optimisers on the pages, by their names in `optimizers.py`; NEST has the first two.
OPTIMIZERS = {"gradient_descent": "gradient descent", "adam": "Adam", "momentum": "momentum", "rmsprop": "RMSprop"}


def optimizers() -> None:
    """Print the time per event of each optimiser, in double and single precision, with NEST in brackets; then other cases."""
    found = load("optimizers")
    if found is None:
        return
    rows = {
        (r["case"], r["optimizer"], r["each_step"], r["interval"], r["precision"]): r["ns"] for r in found["result"]
    }
    intervals = sorted({interval for case, _, _, interval, _ in rows if case == "recurrent"})
    print("| optimiser | step | " + " | ".join(f"{i:g} ms" for i in intervals) + " |")
    print("|---" * (2 + len(intervals)) + "|")
    for name, each in ((name, each) for name in OPTIMIZERS for each in (False, True)):
        cells = []
        for interval in intervals:
            double, single, nest = (
                rows.get(("recurrent", name, each, interval, kind)) for kind in ("double", "single", "NEST")
            )
            times = "" if nest is None else f" ({nest:,.0f}: {nest / double:.0f})"
            cells.append(f"{double:.3g} / {single:.3g}{times}")
        print(f"| {OPTIMIZERS[name]} | {'each time step' if each else 'spike'} | {' | '.join(cells)} |")
    others = [case for case in dict.fromkeys(case for case, *_ in rows) if case != "recurrent"]
    print(f"\n| at 100 ms | step | {' | '.join(others)} |")
    print("|---" * (2 + len(others)) + "|")
    for name, each in ((name, each) for name in OPTIMIZERS for each in (False, True)):
        pairs = [[rows[case, name, each, 100.0, kind] for kind in ("double", "single")] for case in others]
        cells = [f"{double:.3g} / {single:.3g}" for double, single in pairs]
        print(f"| {OPTIMIZERS[name]} | {'each time step' if each else 'spike'} | {' | '.join(cells)} |")


#: Names on the page of the cases of `event_cost_of_models.py`, in the order of the page.
EVENT_COSTS = {
    "LIF, two kappas": "LIF, two kappas",
    "ALIF": "ALIF",
    "ALIF, two kappas": "ALIF, two kappas",
    "LIF, delay of 7 steps": "LIF, all delays 7 steps",
    "LIF, delays of 1 to 5 steps": "LIF, delays drawn from 1 to 5 steps",
    "LIF, delays of 1 to 5 steps, against such rows": "the same, times LIF with branches a fifth as long",
    "ALIF, delays of 1 to 5 steps": "ALIF, delays drawn from 1 to 5 steps, times ALIF",
    "ALIF, delays of 1 to 5 steps, against such rows": "the same, times ALIF with branches a fifth as long",
    "LIF, delays of 1 to 20 steps": "LIF, delays drawn from 1 to 20 steps",
    "LIF, delays of 1 to 50 steps": "LIF, delays drawn from 1 to 50 steps",
    "LIF, delays of 1 to 200 steps": "LIF, delays drawn from 1 to 200 steps",
    "own LIF": "a LIF neuron of one's own",
    "own ALIF": "an ALIF neuron of one's own, times ALIF",
}


def event_costs() -> None:
    """Print the time per event of e-prop+ in nanoseconds, and with other neurons and options as ratios within a run."""
    records = {
        "": "event-cost-of-models",
        "double, ": "event-cost-of-models-double",
        "10,000 neurons, ": "event-cost-of-models-10000",
    }
    columns = columns_of(records)
    print_head("e-prop+, times LIF with one kappa unless said", columns)
    costs = [plus_minus(r["LIF"]["ns_per_synaptic_event"], digits=2) for _, r in columns]
    print(f"| LIF, ns per event | {' | '.join(costs)} |")
    print_ratios(EVENT_COSTS, columns)


def columns_of(records: dict[str, str]) -> list[tuple[str, dict]]:
    """Return the results of the existing records, for spikes by the clock and at random, with their names."""
    found = {name: r["result"] for name, record in records.items() if (r := load(record)) is not None}
    kinds = (("regular", "by the clock"), ("random", "at random"))
    return [(name + when, result[kind]) for name, result in found.items() for kind, when in kinds]


def print_head(text: str, columns: list[tuple[str, dict]]) -> None:
    """Print the first two lines of a table."""
    print(f"| {text} | {' | '.join(name for name, _ in columns)} |")
    print("|---" * (1 + len(columns)) + "|")


def print_ratios(cases: Iterable[str], columns: list[tuple[str, dict]]) -> None:
    """Print a row for each case; cases without a measurement stay empty."""
    for case in cases:
        cells = [plus_minus(r[case]["ratio"], digits=2) if case in r else "" for _, r in columns]
        print(f"| {EVENT_COSTS[case]} | {' | '.join(cells)} |")


#: Cases in the table of e-prop.
EPROP_EVENT_COSTS = ("LIF, delay of 7 steps", "LIF, delays of 1 to 5 steps", "LIF, delays of 1 to 5 steps, against such rows",
                     "ALIF, delays of 1 to 5 steps", "LIF, delays of 1 to 20 steps", "LIF, delays of 1 to 50 steps",
                     "LIF, delays of 1 to 200 steps")  # fmt: skip


def eprop_event_costs() -> None:
    """Print the cost of delays by e-prop, as ratios within a run."""
    columns = columns_of({"": "event-cost-of-models-eprop", "1,000 steps, ": "event-cost-of-models-eprop-1000-steps"})
    print_head("e-prop, times LIF with a delay of one step unless said", columns)
    print_ratios(EPROP_EVENT_COSTS, columns)


def versions() -> None:
    """Print the comparison of two versions, one table for each record."""
    for path in sorted(RESULTS.glob("versions*.json")):
        found = json.loads(path.read_text())["result"]
        print("| {before} and {now} | before | now | now / before |".format(**found["commits"]))
        print("|---|---|---|---|")
        for case, r in found["cases"].items():
            means = [f"{statistics.mean(r[version]):.3g}" for version in ("before", "now")]
            print(f"| {case} | {' | '.join(means)} | {r['ratio']:.3f} ± {r['ratio_sd']:.3f} |")
        print()


def nmnist() -> None:
    """Print one row for each training on N-MNIST."""
    print("| rule | loss | settings | epochs | seeds | error on real recordings, % | on simulated held-out ones, % |")
    print("|---|---|---|---|---|---|---|")
    found = [json.loads(path.read_text())["result"] for path in RESULTS.glob("nmnist-eprop*-epochs*.json")]
    for r in sorted(found, key=lambda r: (r["rule"], r["loss"], bool(r.get("settings")), r["epochs"])):
        cells = [
            r["rule"],
            r["loss"].replace("_", " "),
            ", ".join(f"`{s}`" for s in r.get("settings", [])),
            str(r["epochs"]),
        ]
        cells += [str(len(r["seeds"])), *(plus_minus(r[key], 100.0) for key in ("test_error", "validation_error"))]
        print(f"| {' | '.join(cells)} |")


def tasks() -> None:
    """Print one row for each task and rule."""
    print(
        "| task | rule | iterations | score, % | lowest and highest, % | mean below the goal first after | and for good after "
        "| training, median, s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for case in ("sines", "lemniscate", "handwriting", "evidence"):
        for rule in ("eprop", "eprop-plus"):
            found = load(f"tasks-{case}-{rule}")
            if found is None:
                continue
            r = found["result"]
            scores, needed, kept = r["test_error"]["values"], r["iterations_until_mean_error_below_goal"], for_good(r)
            print(
                f"| {r['task'].replace('-', ' ')}{', ' + r['target'] if 'target' in r else ''} | {r['rule']} "
                f"| {r['iterations']:,} | {plus_minus(r['test_error'], 100.0, 2)} "
                f"| {100 * min(scores):.2f}, {100 * max(scores):.2f} "
                f"| {'-' if needed is None else f'{needed:,}'} | {'-' if kept is None else f'{kept:,}'} "
                f"| {statistics.median(r['train_seconds']['values']):.0f} |"
            )


def for_good(result: dict) -> int | None:
    """Return the iterations after which the mean error of a learning curve stays below the goal."""
    kept = None
    for iteration, error in zip(result["curve"]["iterations"], result["curve"]["mean"], strict=True):
        kept = None if error >= result["goal"] else kept or iteration
    return kept


def tasks_speed() -> None:
    """Print times beside NEST and beside dense methods."""
    print("| evidence accumulation | time here | of | takes | times faster |")
    print("|---|---|---|---|---|")
    nest, matrices = load("tasks-speed-nest"), load("tasks-speed-dense")
    if nest is not None:
        r = nest["result"]
        took = r["seconds_per_iteration"]
        for precision, ratio in r["times_faster_than_nest"].items():
            cells = [f"{plus_minus(took[precision], 1e3, 0)} ms", "NEST", f"{plus_minus(took['nest'], 1.0, 2)} s"]
            print(
                f"| {r['network']}: {r['batch']} samples, {precision} | {' | '.join(cells)} | {plus_minus(ratio, 1.0, 0)} |"
            )
    if matrices is not None:
        r = matrices["result"]
        took = r["seconds_per_trial"]
        for way, ratio in r["times_faster_than"].items():
            own = ratio["precision"]
            cells = [f"{plus_minus(took[own], 1e3, 1)} ms", f"dense, {way}", f"{plus_minus(took[way], 1.0, 2)} s"]
            print(f"| {r['network']}: a sample, {own} | {' | '.join(cells)} | {plus_minus(ratio, 1.0, 0)} |")


def second_core() -> None:
    """Print two threads and two ranks against one thread, and threads with a busy process beside."""
    for name in ("threads", "threads-ranks", "threads-defaults", "threads-busy"):
        found = load(name)
        if found is None:
            continue
        rows = found["result"]["rows"]
        key = "times_slower_when_busy" if name == "threads-busy" else "times_faster"
        columns = list(rows[0][key])
        print(f"| {key.replace('_', ' ')} | {' | '.join(columns)} |")
        print("|---" * (1 + len(columns)) + "|")
        for r in rows:
            network = (
                f"{r['mode']}, {r['neurons']:,} x {r['indegree']:,}" if "neurons" in r else f"{r['mode']}, {r['rule']}"
            )
            print(f"| {network} | {' | '.join(f'{r[key][column]:.2f}' for column in columns)} |")
        print()


def clusters() -> None:
    """Print the predictions of the cost model for more cores, as multiples of real time."""
    found = load("scaling_model")
    if found is None:
        return
    of = {
        (r["neurons"], r["ranks"], r["threads"], r["mode"]): r["real_time_factor"] for r in found["result"]["clusters"]
    }
    modes = list(dict.fromkeys(mode for *_, mode in of))
    print(f"| neurons | ranks x threads | {' | '.join(modes)} |")
    print("|---" * (2 + len(modes)) + "|")
    for neurons, ranks, threads in dict.fromkeys(key[:3] for key in of):
        cells = [f"{of[neurons, ranks, threads, mode]:.2g}" for mode in modes]
        print(f"| {neurons:,} | {ranks:,} x {threads} | {' | '.join(cells)} |")


def gradient_angle() -> None:
    """Print the angle between the gradients of e-prop and of backpropagation."""
    found = load("gradient-angle")
    if found is None:
        return
    print("| task | weights | before training | after training | length before | length after |")
    print("|---|---|---|---|---|---|")
    for task, r in found["result"].items():
        for kind, moments in r["angles"].items():
            when = [moments["before"], moments["after"]]
            cells = [f"{plus_minus(m['degrees'])}°" for m in when]
            cells += [f"{min(values):.0e} to {max(values):.0e}" for values in (m["size"]["values"] for m in when)]
            print(f"| {task} | {kind} | {' | '.join(cells)} |")


if __name__ == "__main__":
    for table in (
        scaling, optimizers, second_core, clusters, event_costs, eprop_event_costs, versions, nmnist, tasks, tasks_speed,
        gradient_angle,
    ):  # fmt: skip
        table()
        print()
