"""Layers: what models are made of."""

from evengrad.layers._activation import Activation as Activation
from evengrad.layers._batch_normalization import BatchNormalization as BatchNormalization
from evengrad.layers._dense import Dense as Dense
from evengrad.layers._dropout import Dropout as Dropout
from evengrad.layers._flatten import Flatten as Flatten
from evengrad.layers._layer import Layer as Layer
from evengrad.layers._layer_normalization import LayerNormalization as LayerNormalization
from evengrad.layers._merge import Add as Add
from evengrad.layers._merge import Concatenate as Concatenate
from evengrad.layers._symbolic import Input as Input
