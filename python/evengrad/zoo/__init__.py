"""Trained nets to begin with: a few that come along, and a folder of one's own."""

from evengrad.zoo._card import Card as Card
from evengrad.zoo._catalogue import Catalogue as Catalogue
from evengrad.zoo._catalogue import list as list
from evengrad.zoo._folder import folder as folder
from evengrad.zoo._nets import load as load
from evengrad.zoo._nets import save as save
