"""The picture of an encoder shows its value, the decoded value and its spikes."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.encoders import DeltaCode, RateCode
from eprop.plot import draw_encoding


@pytest.mark.parametrize("code", [RateCode(rate=400.0), DeltaCode()])
def test_the_picture_shows_value_decoded_value_and_spikes(code):
    curve = 5.0 + np.sin(np.linspace(0.0, 6.0, 40))
    fitted = code.fit(curve) if isinstance(code, RateCode) else code
    above, below = draw_encoding(fitted, curve, n_steps=10, dt=1.0).axes
    assert [patch.get_label() for patch in above.patches] == ["decoded", "value"]
    decoded, value = (patch.get_data().values for patch in above.patches)
    np.testing.assert_array_equal(value, curve)
    assert np.abs(decoded - curve).mean() < 0.3
    assert len(below.lines[0].get_xdata()) == fitted.encode_series(curve[None, :, None], 10).sum()
