"""The health of training: what is measured of each layer, what is wrong, and what to do."""

from evengrad.health._diagnosis import Diagnosis
from evengrad.health._finding import CAUSES, KINDS, Finding, Remedy
from evengrad.health._thresholds import Thresholds

__all__ = ["CAUSES", "KINDS", "Diagnosis", "Finding", "Remedy", "Thresholds"]
