from __future__ import annotations

import numpy as np
import pytest

from eprop.errors import ParameterError
from eprop.training import Training
from eprop.training.settings import SCHEDULES

pytestmark = pytest.mark.tiny


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_falls_from_one_to_the_final_factor(name: str) -> None:
    training = Training(schedule=name, eta_final=0.1)
    factors = np.array([training.eta_factor(done) for done in np.linspace(0.0, 1.0, 101)])
    assert factors[0] == 1.0
    assert factors[-1] == pytest.approx(1.0 if name == "constant" else 0.1)
    assert np.all(np.diff(factors) <= 0.0)


def test_schedules_have_their_shapes() -> None:
    half = {name: Training(schedule=name, eta_final=0.01).eta_factor(0.5) for name in SCHEDULES}
    assert half == pytest.approx(
        {"constant": 1.0, "linear": 0.505, "exponential": 0.1, "cosine": 0.505, "step": 0.01 ** (2 / 3)}
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "liner"}, "did you mean 'linear'"),
        ({"schedule": "step", "eta_final": 0.0}, "eta_final must be > 0 with the schedule 'step'"),
    ],
)
def test_wrong_schedules_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Training(**values)
