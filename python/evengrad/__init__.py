"""Even gradients through any depth: deep dense networks, trained on CPUs.

>>> import evengrad as eg
>>> eg.__version__
'0.1.0'

Models are built and trained as in Keras (`Sequential`, `Model`, `layers`, `compile`, `fit`);
tensors and the tape read as in NumPy and PyTorch (`tensor`, ``backward()``, `autograd`,
`functional`). Kernels are (in, out).
"""

from evengrad import activations as activations
from evengrad import autograd as autograd
from evengrad import callbacks as callbacks
from evengrad import constraints as constraints
from evengrad import distributed as distributed
from evengrad import functional as functional
from evengrad import health as health
from evengrad import initializers as initializers
from evengrad import layers as layers
from evengrad import losses as losses
from evengrad import metrics as metrics
from evengrad import models as models
from evengrad import optimizers as optimizers
from evengrad import pretrain as pretrain
from evengrad import regularizers as regularizers
from evengrad import utils as utils
from evengrad import zoo as zoo
from evengrad._common import pickling as _pickling  # noqa: F401 - enters what pickles tensors
from evengrad._common.advice import EvengradWarning as EvengradWarning
from evengrad._common.default_arguments import default_arguments as default_arguments
from evengrad._common.module_answers import answer as _answer
from evengrad._common.versions import show_versions as show_versions
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
from evengrad._core import maximum as maximum
from evengrad._core import minimum as minimum
from evengrad._core import ones as ones
from evengrad._core import set_default_dtype as set_default_dtype
from evengrad._core import set_num_threads as set_num_threads
from evengrad._core import stack as stack
from evengrad._core import take as take
from evengrad._core import tensor as tensor
from evengrad._core import unbind as unbind
from evengrad._core import where as where
from evengrad._core import zeros as zeros
from evengrad._tensor import methods as _methods  # noqa: F401 - gives them to tensors
from evengrad._tensor.arithmetic import *
from evengrad._tensor.compile import compile as compile
from evengrad._tensor.einsum import *
from evengrad._tensor.elementwise import *
from evengrad._tensor.extremes import *
from evengrad._tensor.joining import *
from evengrad._tensor.logic import *
from evengrad._tensor.making import *
from evengrad._tensor.nonlinear import *
from evengrad._tensor.reductions import *
from evengrad._tensor.scans import *
from evengrad._tensor.shaping import *
from evengrad._tensor.spread import *
from evengrad.autograd import no_grad as no_grad
from evengrad.layers import Input as Input
from evengrad.models import Model as Model
from evengrad.models import Sequential as Sequential
from evengrad.models._ensemble import Ensemble as Ensemble
from evengrad.models._fit_many import fit_many as fit_many
from evengrad.models._loading import load_model as load_model
from evengrad.models._replay import replay as replay
from evengrad.saving._errors import FileFormatError as FileFormatError

_answer(__name__)
