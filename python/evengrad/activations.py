"""Activation functions, under the names that `activation=` takes as strings.

Any function of a tensor serves as an activation too: ``layers.Dense(8, activation=my_function)``.
"""

from evengrad._tensor import activations as _functions
from evengrad._tensor.activations import *
from evengrad.models._activation_advice import Suggestion, suggest

__all__ = ["Suggestion", "suggest"]
__all__ += _functions.__all__
