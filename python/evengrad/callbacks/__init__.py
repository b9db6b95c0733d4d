"""Callbacks: code that takes part in `fit`, `evaluate` and `predict`."""

from evengrad.callbacks._averages import SwapEMAWeights as SwapEMAWeights
from evengrad.callbacks._backup_and_restore import BackupAndRestore as BackupAndRestore
from evengrad.callbacks._callback import Callback as Callback
from evengrad.callbacks._callback import History as History
from evengrad.callbacks._csv_logger import CSVLogger as CSVLogger
from evengrad.callbacks._early_stopping import EarlyStopping as EarlyStopping
from evengrad.callbacks._gradient_doctor import GradientDoctor as GradientDoctor
from evengrad.callbacks._gradual_unfreezing import GradualUnfreezing as GradualUnfreezing
from evengrad.callbacks._json_logger import JSONLogger as JSONLogger
from evengrad.callbacks._lambda import LambdaCallback as LambdaCallback
from evengrad.callbacks._learning_rate import LearningRateScheduler as LearningRateScheduler
from evengrad.callbacks._learning_rate import ReduceLROnPlateau as ReduceLROnPlateau
from evengrad.callbacks._model_checkpoint import ModelCheckpoint as ModelCheckpoint
from evengrad.callbacks._optuna_pruning import OptunaPruning as OptunaPruning
from evengrad.callbacks._tensorboard import TensorBoard as TensorBoard
from evengrad.callbacks._terminate_on_nan import TerminateOnNaN as TerminateOnNaN
