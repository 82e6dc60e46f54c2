"""Metrics of a run as its folder keeps them, for tests of what is drawn."""

from __future__ import annotations

import numpy as np


def lines(rule: str = "eprop", n: int = 30) -> list[dict]:
    error = np.linspace(0.9, 0.0, n)
    out = [
        {
            "samples": 10 * i + 10,
            "epoch": 1 + i // 10,
            "loss": 1000.0 / (i + 1),
            "error": error[i] if rule == "eprop" else None,
        }
        for i in range(n)
    ]
    for line in out[9::10]:
        line |= {"validation_error": 0.1, "validation_loss": 200.0}
    return out
