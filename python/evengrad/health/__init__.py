"""The health of training: what is measured of each layer, what is wrong, and what to do."""

from evengrad.health._finding import CAUSES, KINDS, Finding, Remedy

__all__ = ["CAUSES", "KINDS", "Finding", "Remedy"]
