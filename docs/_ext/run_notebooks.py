"""Run the notebooks of the tutorials and keep their outputs: ``python docs/_ext/run_notebooks.py [NAME ...]``.

Each runs in an empty folder. Numbers of cells, times and progress are left out: a notebook keeps what a reader sees.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
from typing import Any

import nbformat
from nbclient import NotebookClient

TUTORIALS = pathlib.Path(__file__).parents[1] / "tutorials"
#: Seconds that a cell may take.
TIMEOUT = 300


def run(path: pathlib.Path, folder: pathlib.Path) -> Any:
    """The notebook after a run in ``folder``."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return notebook


def printed(notebook: Any) -> list[str]:
    """What each cell of code prints to standard output."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout") for cell in cells]


def shown(output: Any) -> bool:
    """Whether a reader sees an output: no progress, no warnings of other libraries."""
    if output.output_type == "stream":
        return output.name == "stdout"
    return output.output_type != "display_data" or "image/png" in output.data


def tidy(notebook: Any) -> Any:
    """Without what changes from run to run: numbers, times, progress."""
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {name: value for name, value in cell.metadata.items() if name == "tags"}
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [o for o in cell.outputs if shown(o)]
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = None
                output.get("data", {}).pop("text/plain", None) if "image/png" in output.get("data", {}) else None
    return notebook


def main(names: list[str]) -> None:
    """Run the notebooks that are named, or all, and write them."""
    for path in sorted(TUTORIALS.glob("*.ipynb")):
        if not names or path.stem in names:
            with tempfile.TemporaryDirectory() as folder:
                notebook = tidy(run(path, pathlib.Path(folder)))
            nbformat.write(notebook, path)
            print(f"{path.stem}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(sys.argv[1:])
