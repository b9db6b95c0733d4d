"""Models: layers that are trained together."""

from evengrad.models import _serialized as _serialized  # enters what reads and writes descriptions
from evengrad.models._builders import funnel as funnel
from evengrad.models._builders import funnel_widths as funnel_widths
from evengrad.models._builders import guideline as guideline
from evengrad.models._clone import clone_model as clone_model
from evengrad.models._dead_units import DeadUnits as DeadUnits
from evengrad.models._from_json import model_from_json as model_from_json
from evengrad.models._gradual_pruning import PruningSchedule as PruningSchedule
from evengrad.models._loading import load_model as load_model
from evengrad.models._model import Model as Model
from evengrad.models._sequential import Sequential as Sequential
from evengrad.models._sparsity import LayerSparsity as LayerSparsity
from evengrad.models._sparsity import Sparsity as Sparsity
from evengrad.models._surgery_report import SurgeryReport as SurgeryReport
from evengrad.models._weights._report import LoadReport as LoadReport
from evengrad.training._range_curve import RangeTest as RangeTest
