"""Schedules: learning rates, and momenta, as functions of the number of steps made so far.

An optimizer takes any function of that number in their place; these are the usual ones. They are
counted from 0, are saved with the model, and reach captured steps without Python.
"""

from evengrad.optimizers.schedules._cosine import CosineDecay as CosineDecay
from evengrad.optimizers.schedules._cosine import CosineDecayRestarts as CosineDecayRestarts
from evengrad.optimizers.schedules._decay import ExponentialDecay as ExponentialDecay
from evengrad.optimizers.schedules._decay import InverseTimeDecay as InverseTimeDecay
from evengrad.optimizers.schedules._decay import PolynomialDecay as PolynomialDecay
from evengrad.optimizers.schedules._decay import PowerDecay as PowerDecay
from evengrad.optimizers.schedules._decay import StepDecay as StepDecay
from evengrad.optimizers.schedules._one_cycle import OneCycle as OneCycle
from evengrad.optimizers.schedules._one_cycle import OneCycleMomentum as OneCycleMomentum
from evengrad.optimizers.schedules._pieces import Join as Join
from evengrad.optimizers.schedules._pieces import PiecewiseConstantDecay as PiecewiseConstantDecay
from evengrad.optimizers.schedules._pieces import Scaled as Scaled
from evengrad.optimizers.schedules._schedule import Schedule as Schedule
