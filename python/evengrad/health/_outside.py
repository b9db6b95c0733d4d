"""Where activations leave hardly a gradient, told by their outputs alone."""

from __future__ import annotations

import math
from typing import NamedTuple


class Outside(NamedTuple):
    """Outputs up to `low` or from `high` on have a derivative that is small, or none at all."""

    low: float
    high: float
    # The measure that their share is.
    measure: str


# Saturated: |f'| below 0.19 of its largest value, which is the logistic's band outside 0.05 and
# 0.95 (a (1 − a) < 0.0475). Inactive: f' = 0 on a half-line.
# tanh: 1 − a² < 0.19. softsign: (1 − |a|)² < 0.19. elu: a + 1 < 0.19. selu: its slope is largest
# left of zero, λα = 1.7581, so that a + 1.7581 < 0.19 · 1.7581. softplus: 1 − e^−a < 0.19. What is
# not here has no flat part that the output alone tells: leaky_relu has none, gelu and swish fold.
OUTSIDE = {
    "sigmoid": Outside(0.05, 0.95, "saturated"),
    "tanh": Outside(-0.9, 0.9, "saturated"),
    "softsign": Outside(-1.0 + math.sqrt(0.19), 1.0 - math.sqrt(0.19), "saturated"),
    "hard_sigmoid": Outside(0.0, 1.0, "saturated"),
    "hard_tanh": Outside(-1.0, 1.0, "saturated"),
    "elu": Outside(-0.81, math.inf, "saturated"),
    "selu": Outside(-0.81 * 1.7580993408473766, math.inf, "saturated"),
    "softplus": Outside(-math.log(0.81), math.inf, "saturated"),
    "relu": Outside(0.0, math.inf, "inactive"),
    "relu6": Outside(0.0, 6.0, "inactive"),
}
NOWHERE = Outside(-math.inf, math.inf, "")
