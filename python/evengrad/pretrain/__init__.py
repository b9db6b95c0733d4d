"""Pre-training: layers that learn from data without labels, or from an auxiliary task."""

from evengrad.pretrain._autoencoder import stacked_autoencoder as stacked_autoencoder
from evengrad.pretrain._contrastive import contrastive as contrastive
from evengrad.pretrain._pair_batches import pair_batches as pair_batches
from evengrad.pretrain._pairs import pairs as pairs
from evengrad.pretrain._rbm import rbm as rbm
from evengrad.pretrain._report import Report as Report
from evengrad.pretrain._report import Stage as Stage
