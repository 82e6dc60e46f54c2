"""One HTML page about a run: it embeds all figures, and needs only a browser."""

from __future__ import annotations

import base64
import html
import io
import pathlib
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from eprop.errors import CheckpointError
from eprop.files import read_text, write_text
from eprop.markup import table
from eprop.plot.run_figures import figures_of_run, weight_changes
from eprop.plot.style import look
from eprop.training import RunConfig, RunFolder, load, read_config
from eprop.training.number_text import facts_of, score_of_trial, score_of_trials, size
from eprop.training.run_folder import PICTURES
from eprop.training.trials import spread_of

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 58rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
nav a { margin-right: 1em; } img { max-width: 100%; }
table { border-collapse: collapse; margin: .6rem 0; } caption { caption-side: top; }
th, td { padding: .15rem .8rem .15rem 0; vertical-align: top; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: 13px; }
"""


def write_report(
    path: str | pathlib.Path, out: str | pathlib.Path | None = None, *, trust: bool = False
) -> pathlib.Path:
    """Write one self-contained HTML page about a run, or about several trials.

    The page holds the result, the figures of `draw_run`, the metrics, the weights of each projection, the configuration, the
    machine, and how to repeat the run.

    Parameters
    ----------
    path : path
        Folder of the run, or of all trials.
    out : path, optional
        File to write. The default is ``report.html`` in the folder of the run.
    trust : bool
        Argument of `load`.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    CheckpointError
        If the run or its checkpoint cannot be read, or no trial has learned anything yet.
    OutputError
        If the page cannot be written.
    """
    folder = RunFolder(path)
    seeds = folder.read_trials()
    folder = folder if seeds else RunFolder.open(path)
    config = RunConfig.make(*read_config(folder.config, trust=trust))
    figures = {name: _embedded(figure) for name, figure in figures_of_run(path, trust=trust).items()}
    summary, text = folder.read_summary(), read_text(folder.config, CheckpointError)
    result = _result_of_trials(folder, summary) if seeds else _result(folder, summary)
    sections: dict[str, str] = {"Result": result}
    for name, (title, caption) in PICTURES.items():
        if name in figures:
            image = f'<img src="{figures[name]}" alt="{html.escape(caption)}">'
            sections[title] = f"<p>{html.escape(caption)}</p>{image}"
    if not seeds:
        sections["Weights"] += _weight_table(folder, trust)
        sections["Metrics"] = _metrics_table(folder.read_metrics())
    sections["Configuration"] = f"<pre>{html.escape(text)}</pre>"
    sections["Machine"] = table("", _flat(summary.get("machine", {})))
    sections["How to repeat it"] = _how_to_repeat(config, summary)
    file = pathlib.Path(out) if out is not None else folder.report
    write_text(file, _page(f"{config.task.name}: {folder.path.resolve().name}", sections))
    return file


def _page(title: str, sections: Mapping[str, str]) -> str:
    anchors = {name: name.lower().replace(" ", "-") for name in sections}
    links = "".join(f'<a href="#{anchor}">{html.escape(name)}</a>' for name, anchor in anchors.items())
    body = "".join(f'<h2 id="{anchors[name]}">{html.escape(name)}</h2>{part}' for name, part in sections.items())
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1><nav>{links}</nav>{body}</body></html>\n"
    )


def _embedded(figure: Figure) -> str:
    """Embed a figure in the page as an image."""
    image = io.BytesIO()
    with look():
        figure.savefig(image, format="svg", dpi=150, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(image.getvalue()).decode()}"


def _result(folder: RunFolder, summary: Mapping[str, Any]) -> str:
    if summary:
        return table("", facts_of(folder.path, summary))
    share = f"{100 * folder.share():.0f} %"
    return table("", [("the run is not finished", f"{share} of its samples are done"), ("run", str(folder.path))])


def _result_of_trials(folder: RunFolder, summary: Mapping[str, Any]) -> str:
    if not summary:
        return table("", [("the trials are not finished", str(folder.path))])
    score = f"test {summary['score']}"
    rows = [(str(trial["seed"]), score_of_trial(trial), trial["run"]) for trial in summary["trials"]]
    mean, extremes = score_of_trials(summary, spread_of(dict(summary)))
    facts = [
        (score, f"{mean} over {len(rows)} trials; {extremes}"),
        ("test data", summary.get("test_data", f"{summary.get('episodes')} episodes")),
        ("run", str(folder.path)),
    ]
    return table("", facts) + table("", rows, ("seed", score, "run"))


def _weight_table(folder: RunFolder, trust: bool) -> str:
    """Table of the mean and standard deviation of the weights of each plastic projection, before and after training."""
    run = load(folder.path, trust=trust)
    rows = [
        (name, int(new.size), *(f"{np.mean(w):.4f} ± {np.std(w):.4f}" for w in (old, new)))
        for name, (old, new) in weight_changes(run.untrained(), run.simulator).items()
        if new.size
    ]
    return table("mean ± standard deviation, mV", rows, ("projection", "synapses", "before", "after"))


def _metrics_table(lines: list[dict[str, Any]]) -> str:
    """Table of all reports, collapsed."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    rows = [["" if line.get(name) is None else line[name] for name in names] for line in lines]
    return f"<details><summary>{len(lines)} reports</summary>{table('', rows, names)}</details>"


def _how_to_repeat(config: RunConfig, summary: Mapping[str, Any]) -> str:
    command = f"eprop train {shlex.quote(config.task_name)} --config config.toml"
    version = summary.get("version")
    installed = f"With eprop {version}, save" if version else "Save"
    text = (
        f"{installed} the configuration above as config.toml and run the command below. The same version gives the same "
        "bits, for any number of threads."
    )
    files = "".join(f"<li>{html.escape(file)}: sha256 {digest}</li>" for file, digest in config.task.sources().items())
    needed = f"<p>The run also needs these files:</p><ul>{files}</ul>" if files else ""
    return f"<p>{html.escape(text)}</p><pre>{html.escape(command)}</pre>{needed}"


def _flat(facts: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Names and values of nested facts."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name} ")
        elif name.endswith("_bytes") and value is not None:
            yield f"{above}{name}".removesuffix("_bytes").replace("_", " "), size(value)
        else:
            yield f"{above}{name}".replace("_", " "), str(value)
