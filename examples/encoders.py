"""Draw what the five encoders make of one number that changes in time: ``python examples/encoders.py encoders.png``."""

from __future__ import annotations

import argparse

import numpy as np

from eprop.encoders import DeltaCode, LatencyCode, PoissonCode, PopulationCode, RateCode
from eprop.plot import draw_encoding, save
from eprop.plot.style import new_figure

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("picture", help="file to write: PNG, PDF or SVG")
arguments = parser.parse_args()

curve = np.sin(np.linspace(0.0, 2.0 * np.pi, 50))
codes = (
    RateCode(rate=300.0).fit(curve),
    PopulationCode(rate=300.0).fit(curve),
    PoissonCode().fit(curve + 1.0, rate=150.0),
    LatencyCode().fit(curve),
    DeltaCode().fit(curve[None, :, None], rate=25.0, n_steps=20),
)
figure = new_figure(7.2, 5.2)
for part, code in zip(figure.subfigures(2, 3).flat, codes, strict=False):
    values = curve + 1.0 if isinstance(code, PoissonCode) else curve
    draw_encoding(code, values, n_steps=20, figure=part)
    decoded = code.decode_series(code.encode_series(values[None, :, None], 20), 20)[0, :, 0]
    if isinstance(code, DeltaCode):
        decoded = decoded + values[0]
    error = np.sqrt(np.mean((decoded - values) ** 2))
    print(f"{type(code).__name__}: {code.channels((1,))} channels, decoded with an error of {error:.2f} (rms)")
save(figure, arguments.picture)
