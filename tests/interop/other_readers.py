"""Run the graphs of a folder in snnTorch and Norse; runs in an environment that has both, and not this package.

    python other_readers.py FOLDER

The folder has ``events.npy``, (steps, inputs), and ``NAME.nir``. Writes ``found.npz`` with what each graph puts out, (steps,
outputs), under ``PROGRAM/NAME``, and ``found.json`` with the programs' versions and the errors of the graphs that they refuse.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import logging
import pathlib
import sys

import nir
import norse.torch
import numpy as np
import torch
from snntorch.import_nir import import_from_nir

READERS = {
    "snnTorch": lambda graph: import_from_nir(graph),
    "Norse": lambda graph: norse.torch.from_nir(graph, dt=float(graph.metadata["dt"])),
}


def outputs(read, path, events):
    """What the graph of a file puts out step by step, (steps, outputs)."""
    with contextlib.redirect_stdout(io.StringIO()):  # snnTorch prints what it scales
        model = read(nir.read(path))
    state, found = None, []
    with torch.no_grad():
        for now in torch.tensor(events, dtype=torch.float32):
            out, state = model(now[None], state)
            found.append(out.numpy().ravel())
    return np.array(found)


def main(folder):
    logging.disable(logging.WARNING)
    events, found, refused = np.load(folder / "events.npy"), {}, {}
    for path in sorted(folder.glob("*.nir")):
        for program, read in READERS.items():
            try:
                found[f"{program}/{path.stem}"] = outputs(read, path, events)
            except Exception as error:
                refused[f"{program}/{path.stem}"] = f"{type(error).__name__}: {error}"
    np.savez(folder / "found.npz", **found)
    versions = {name: importlib.metadata.version(name) for name in ("snntorch", "norse", "nirtorch")}
    (folder / "found.json").write_text(json.dumps({"versions": versions, "refused": refused}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
