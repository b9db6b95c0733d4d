"""Even gradients through any depth: deep dense networks, trained on CPUs.

>>> import evengrad as eg
>>> eg.__version__
'0.1.0'
"""

from evengrad._core import __version__ as __version__
