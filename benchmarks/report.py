"""The tables of the README from ``results/``: ``python benchmarks/report.py``."""

from __future__ import annotations

import json
import pathlib

RESULTS = pathlib.Path(__file__).parent / "results"


def load(name: str) -> dict | None:
    """A result, or None where it was not measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def plus_minus(spread: dict, scale: float = 1.0, digits: int = 1) -> str:
    """``mean ± sd`` as text."""
    sd = "" if spread["sd"] is None else f" ± {scale * spread['sd']:.{digits}f}"
    return f"{scale * spread['mean']:.{digits}f}{sd}"


def scaling() -> None:
    """One row for each case of the scaling benchmark."""
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


def nmnist() -> None:
    """One row for each training on N-MNIST."""
    print("| rule | loss | settings | epochs | seeds | error on real recordings, % | on simulated held-out ones, % |")
    print("|---|---|---|---|---|---|---|")
    found = [json.loads(path.read_text())["result"] for path in RESULTS.glob("nmnist-*-epochs*.json")]
    for r in sorted(found, key=lambda r: (r["rule"], r["loss"], bool(r["settings"]), r["epochs"])):
        cells = [r["rule"], r["loss"].replace("_", " "), ", ".join(f"`{s}`" for s in r["settings"]), str(r["epochs"])]
        cells += [str(len(r["seeds"])), *(plus_minus(r[key], 100.0) for key in ("test_error", "hold_error"))]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    scaling()
    print()
    nmnist()
