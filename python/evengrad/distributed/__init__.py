"""Training by several processes at once, each with a part of every batch, over MPI."""

from __future__ import annotations

from evengrad.distributed._communicator import Communicator, DistributedError
from evengrad.distributed._init import init

__all__ = ["Communicator", "DistributedError", "init"]
