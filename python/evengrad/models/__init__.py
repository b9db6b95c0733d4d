"""Models: layers that are trained together."""

from evengrad.models._model import Model as Model
from evengrad.models._sequential import Sequential as Sequential
