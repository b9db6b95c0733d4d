"""Even gradients through any depth: deep dense networks, trained on CPUs.

>>> import evengrad as eg
>>> eg.__version__
'0.1.0'

Models are built and trained as in Keras (`Sequential`, `Model`, `layers`, `compile`, `fit`);
tensors and the tape read as in NumPy and PyTorch (`tensor`, ``backward()``, `autograd`,
`functional`). Kernels are (in, out).
"""

from evengrad import _pickling as _pickling
from evengrad import activations as activations
from evengrad import autograd as autograd
from evengrad import callbacks as callbacks
from evengrad import constraints as constraints
from evengrad import functional as functional
from evengrad import initializers as initializers
from evengrad import layers as layers
from evengrad import losses as losses
from evengrad import metrics as metrics
from evengrad import models as models
from evengrad import optimizers as optimizers
from evengrad import regularizers as regularizers
from evengrad import utils as utils
from evengrad._compile import compile as compile
from evengrad._core import InternalError as InternalError
from evengrad._core import Tensor as Tensor
from evengrad._core import __version__ as __version__
from evengrad._core import accumulate as accumulate
from evengrad._core import arange as arange
from evengrad._core import build_info as build_info
from evengrad._core import cat as cat
from evengrad._core import full as full
from evengrad._core import get_default_dtype as get_default_dtype
from evengrad._core import get_num_threads as get_num_threads
from evengrad._core import matmul as matmul
from evengrad._core import ones as ones
from evengrad._core import set_default_dtype as set_default_dtype
from evengrad._core import set_num_threads as set_num_threads
from evengrad._core import stack as stack
from evengrad._core import take as take
from evengrad._core import tensor as tensor
from evengrad._core import unbind as unbind
from evengrad._core import zeros as zeros
from evengrad._default_arguments import default_arguments as default_arguments
from evengrad._elementwise import abs as abs
from evengrad._elementwise import clamp as clamp
from evengrad._elementwise import cos as cos
from evengrad._elementwise import erf as erf
from evengrad._elementwise import exp as exp
from evengrad._elementwise import expm1 as expm1
from evengrad._elementwise import log as log
from evengrad._elementwise import log1p as log1p
from evengrad._elementwise import maximum as maximum
from evengrad._elementwise import minimum as minimum
from evengrad._elementwise import sign as sign
from evengrad._elementwise import sin as sin
from evengrad._elementwise import sqrt as sqrt
from evengrad._elementwise import square as square
from evengrad._elementwise import where as where
from evengrad._nonlinear import celu as celu
from evengrad._nonlinear import elu as elu
from evengrad._nonlinear import gelu as gelu
from evengrad._nonlinear import hard_sigmoid as hard_sigmoid
from evengrad._nonlinear import hard_silu as hard_silu
from evengrad._nonlinear import hard_tanh as hard_tanh
from evengrad._nonlinear import leaky_relu as leaky_relu
from evengrad._nonlinear import mish as mish
from evengrad._nonlinear import relu as relu
from evengrad._nonlinear import relu6 as relu6
from evengrad._nonlinear import selu as selu
from evengrad._nonlinear import sigmoid as sigmoid
from evengrad._nonlinear import silu as silu
from evengrad._nonlinear import softplus as softplus
from evengrad._nonlinear import softsign as softsign
from evengrad._nonlinear import tanh as tanh
from evengrad._random import randn as randn
from evengrad._saving._errors import FileFormatError as FileFormatError
from evengrad._saving._model_file import load_model as load_model
from evengrad._versions import show_versions as show_versions
from evengrad.autograd import no_grad as no_grad
from evengrad.layers import Input as Input
from evengrad.models import Model as Model
from evengrad.models import Sequential as Sequential
