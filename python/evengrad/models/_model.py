"""Models: networks that can be trained, evaluated, asked and saved."""

from __future__ import annotations

import copyreg
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_int
from evengrad._common.config import suggests_keywords
from evengrad._common.foreign_attributes import answer_for
from evengrad._common.foreign_words import MODEL_NAMES
from evengrad._common.overridable import overridable
from evengrad._tensor.random import next_seed
from evengrad.layers._call_context import call_context
from evengrad.layers._module import module_tree
from evengrad.layers._placement import redraw
from evengrad.models._copies import Copies
from evengrad.models._dead_units import DeadUnits, dead_units
from evengrad.models._diagnose import diagnose
from evengrad.models._features import features
from evengrad.models._files import Files
from evengrad.models._frozen_part import FrozenPart
from evengrad.models._layer_facts import facts_of
from evengrad.models._model_file import contents_of, save_model
from evengrad.models._network import ModelView, made_of_layers, start_anew, view_of
from evengrad.models._ownership import claim
from evengrad.models._plain_state import (
    DESCRIPTION,
    is_whole,
    plain_state,
    take_over,
    whole_state,
)
from evengrad.models._prune import prune, remove_masks
from evengrad.models._revive import revive
from evengrad.models._selu_check import check_selu
from evengrad.models._sparsity import Sparsity, sparsity_of
from evengrad.models._structure import taken_apart
from evengrad.models._summary import Summary, summarize
from evengrad.optimizers._optimizer import see_optimizer
from evengrad.training._compile_config import CompileConfig
from evengrad.training._evaluate import as_list, evaluate, on_batch
from evengrad.training._fit import fit
from evengrad.training._inputs import without_tables
from evengrad.training._monte_carlo import predict_mc
from evengrad.training._options import Options as FitOptions
from evengrad.training._own_steps import own_steps, refusal
from evengrad.training._planning import plan
from evengrad.training._predict import predict
from evengrad.training._range_test import Options as RangeTestOptions
from evengrad.training._range_test import checked_seeds, find_learning_rate, over_seeds

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import numpy as np

    from evengrad._common.pickling import Look
    from evengrad._core import Tensor
    from evengrad.callbacks import History
    from evengrad.distributed import Communicator
    from evengrad.health import Diagnosis, Thresholds
    from evengrad.metrics import Metric
    from evengrad.models._gradual_pruning import GradualPruning, PruningSchedule
    from evengrad.models._surgery_report import SurgeryReport
    from evengrad.optimizers import Optimizer
    from evengrad.training._range_curve import RangeTest
    from evengrad.training._training_plan import TrainingPlan


@made_of_layers
class Model(Copies, Files):
    """A network that can be trained, evaluated, asked and saved.

    Either a graph, ``Model(inputs, outputs)``, drawn with `evengrad.Input` and layers; or a
    subclass that keeps layers as attributes and writes ``call(self, x, training)``.

    Models pickle and deepcopy, with variables, settings of `compile`, the optimizer's state and
    random streams: a copy goes on training as the original would. Classes and functions of your own
    are found by name, as pickle does it. To keep a model, `save` it. Tools that walk objects
    themselves, such as skops, get what `save` writes, as text and arrays.

    One thread at a time trains a model, and `fit` in another one is an error. Copies, files,
    `get_weights`, `predict` and `evaluate` see one whole step meanwhile, and the training waits for
    them; a copy can be trained beside it.

    Parameters
    ----------
    inputs
        One symbolic tensor or a list: where data comes in.
    outputs
        One symbolic tensor or a list.
    name
        A name for reports.
    dtype
        ``"float32"`` or ``"float64"`` for all layers that name none.
    seed
        An integer that first values, dropout and shuffling follow from; by default drawn from
        `evengrad.utils.set_random_seed`, or from the system if that was not called.

    Attributes
    ----------
    classes_
        The labels that outputs stand for, in their order, in a model of `from_sklearn`; else None.
        ``model.classes_[model.predict(x).argmax(1)]`` are those of rows. Saved with the model.
    feature_names_in_
        Names of the columns that the model was trained on, where those were of a data frame or
        table and are text: `fit`, `evaluate` and `predict` refuse frames whose columns have other
        names or another order. With several inputs a list, None for those without names. Saved
        with the model; set it to None to forget the names.
    history
        The `History` of the last training, also of one that was interrupted.
    optimizer
        The optimizer given to `compile`.
    stop_training
        Set it to True in a callback to end the training.
    stop_evaluating, stop_predicting
        Set them to True in a callback's method for batches to end `evaluate`, or a validation, and
        `predict`: their results are then of the batches so far.
    gradual_pruning
        What `prune` with a schedule does in `fit`; None where there is nothing.
    surgery_report
        What `drop_top`, `with_head`, `insert` or `replace` did, in a model that one of them made;
        else None.

    Raises
    ------
    TypeError
        Something else than symbolic tensors.
    ValueError
        An output depends on an Input that is not among the inputs; an input is there twice.

    Examples
    --------
    A wide and deep network, whose second input joins in late:

    >>> a, b = eg.Input((8,)), eg.Input((3,))
    >>> deep = eg.layers.Dense(16, "relu")(a)
    >>> joined = eg.layers.Concatenate()([deep, b])
    >>> model = eg.Model([a, b], eg.layers.Dense(1)(joined))
    >>> model.predict([np.zeros((5, 8)), np.zeros((5, 3))]).shape
    (5, 1)

    A subclass:

    >>> class Residual(eg.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.inner = eg.layers.Dense(4, "relu")
    ...         self.outer = eg.layers.Dense(1)
    ...
    ...     def call(self, x, training):
    ...         return self.outer(x + self.inner(x))
    >>> Residual().predict(np.zeros((5, 4))).shape
    (5, 1)
    """

    history: History
    stop_training: bool = False
    stop_evaluating: bool = False
    stop_predicting: bool = False
    classes_: Any = None
    feature_names_in_: list[Any] | None = None
    surgery_report: SurgeryReport | None = None
    gradual_pruning: GradualPruning | None = None
    steps_per_execution: int = 1
    # Methods of Keras' that the class writes and nothing here would call.
    _own_steps: tuple[str, ...] = ()
    _config: CompileConfig | None = None
    _shuffle: _core.Generator | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Note the class's methods that Keras would call, and nothing here does."""
        super().__init_subclass__(**kwargs)
        cls._own_steps = own_steps(cls)

    def __reduce__(self) -> tuple[Any, ...]:
        """Take the model apart, whatever the protocol."""
        parts: tuple[Any, ...] = self.__reduce_ex__(2)
        return parts

    def _taken_apart(self, protocol: Any) -> Any:
        del protocol
        with whole_state():
            return copyreg.__newobj__, (type(self),), self.__getstate__()  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, Any]:
        """Return what `save` would write, as text and arrays; to pickles and copies, all there is.

        Raises
        ------
        ValueError
            As from `save`.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(2)])
        >>> sorted(model.__getstate__()["tensors"])
        ['dense/bias', 'dense/kernel']
        """
        if is_whole():
            return super().__getstate__()
        return plain_state(self, self._config, self._shuffler().draws)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` returned."""
        super().__setstate__(take_over(self, state) if DESCRIPTION in state else state)

    def _forget_build(self) -> None:
        """Have the model built again; variables that exist are kept."""
        self._state.built = False
        if self._answers is not None:
            self._answers.forget()
        self._config = None if self._config is None else self._config.fresh()

    def _shuffler(self) -> _core.Generator:
        if self._shuffle is None:
            with _core.Access([self._state], writes=True):
                if self._shuffle is None:
                    seed = self._seed()
                    self._shuffle = _core.Generator(seed, _core.derive_stream(seed, "shuffle"))
        return self._shuffle

    def _see(self, look: Look) -> None:
        super()._see(look)
        if self._shuffle is not None:
            look.add_streams([self._shuffle])
        if self._config is not None:
            see_optimizer(self._config.optimizer, look)
            if self._config.bound is not None:
                look.add_tensors(self._config.bound.states)

    def _set_seed(self, seed: int) -> None:
        """Follow another seed from now on, where none was given."""
        self._state.seed, self._shuffle = seed, None

    def _answer(self, x: np.ndarray[Any, Any]) -> Tensor | None:
        """Return the output from a captured inference, where there is one."""
        if self._answers is None or call_context.layerwise:
            return None
        return self._answers.ask(self, self._run, self._convert, x)

    def _answer_each(self, x: np.ndarray[Any, Any], rows: int, out: np.ndarray[Any, Any]) -> bool:
        """Write the outputs for inputs of so many rows each, where their inference is captured."""
        if self._answers is None or call_context.layerwise:
            return False
        return self._answers.ask_each(x, rows, out)

    def _forward(
        self, inputs: list[Tensor], training: bool, without_activation: list[bool]
    ) -> list[Tensor]:
        """Run the built model as a whole."""
        before = call_context.training
        call_context.training = training
        try:
            return self._run(inputs, without_activation)
        finally:
            call_context.training = before

    def _without_tables(self, x: Any) -> Any:
        return without_tables(self._view(), x)

    def _view(self) -> ModelView:
        """Return the model as training sees it."""
        return ModelView(
            self,
            None if self._graph is None else self._graph.inputs,
            heads=self._heads,
            forward=self._forward,
            frozen_part=partial(FrozenPart, self),
            answer=self._answer,
            answer_each=self._answer_each,
            shuffle=self._shuffler,
            config=self._compiled,
            set_seed=self._set_seed,
            check_values=self._check_values,
            compute_output_shape=self.compute_output_shape,
            described=self._described,
            write=self._write,
            own_steps=self._own_steps,
            own_loss=None if type(self).compute_loss is Model.compute_loss else self.compute_loss,
            layer_facts=partial(facts_of, self),
        )

    def _described(
        self, config: CompileConfig
    ) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
        return contents_of(self, config, self._shuffler().draws)

    def _write(self, path: str | os.PathLike[str]) -> None:
        save_model(self, path, self._config, self._shuffler().draws)

    def _start_anew(self, seed: int | None) -> None:
        """Become a model that was never trained: with first values from a seed, not compiled."""
        if self._config is not None:
            self._config.settings.settle()
        self._config = self._shuffle = self.feature_names_in_ = self.gradual_pruning = None
        self.classes_ = None
        vars(self).pop("history", None)
        self.seed = self._state.given_seed = seed
        self._state.seed = next_seed() if seed is None else seed
        # As of layers that come into a model for the first time.
        for state in module_tree(self).states:
            state.provisional = True
            state.sampled = 0
        redraw(self)

    @suggests_keywords
    def compile(
        self,
        optimizer: Any,
        loss: Any = None,
        metrics: Any = None,
        *,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        jit_compile: Any = None,
        steps_per_execution: int = 1,
    ) -> None:
        """Say how the model is trained.

        Parameters
        ----------
        optimizer
            A name from `evengrad.optimizers`, or an optimizer: one for each model.
        loss
            A name from `evengrad.losses`, a loss, or a function of targets and predictions that
            returns a tensor; a list, or a dict by output name, where the model has several outputs.
        metrics
            A list of names from `evengrad.metrics`, metrics, or functions; ``"accuracy"`` chooses
            the accuracy that fits the loss. For several outputs a list of lists, or a dict.
        loss_weights
            A factor for each output's loss, as a list or a dict; 1 by default.
        weighted_metrics
            As `metrics`; these take sample and class weights into account.
        run_eagerly
            Whether each step runs in Python, as it does by itself for layers that read values.
            Slower, with the same results; for finding faults with a debugger.
        jit_compile
            Taken for scripts that Keras runs, without effect: steps are always planned natively.
        steps_per_execution
            How many steps are made from one call of the callbacks' methods for batches to the next,
            as in Keras: they hear of the number of the first of these steps at their begin, and of
            the last one at their end. Without such callbacks nobody is called between steps.

        Notes
        -----
        Settings may change between steps, as in callbacks: attributes of layers, losses, metrics,
        regularizers, constraints and optimizers, and numbers that functions of yours find under
        names around them, in closures, modules, objects and lists. The steps that follow compute
        with them. What is not seen: values changed within an array, and names in other modules'
        functions.

        Raises
        ------
        ValueError
            An unknown name; a count that does not fit the outputs; the optimizer of another model.
        TypeError
            An argument of another kind.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(3, "softmax")])
        >>> model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        """
        del jit_compile
        steps = check_int(steps_per_execution, "steps_per_execution", at_least=1)
        config = CompileConfig(
            optimizer, loss, metrics, weighted_metrics, loss_weights, run_eagerly
        )
        if self.built:
            config.check_outputs(self.output_names)
        claim(config.optimizer, self)
        config.is_claimed = True
        if self._config is not None:
            self._config.settings.settle()
        self._config, self.steps_per_execution = config, steps

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the loss of a batch: that of `compile`, and in a step its penalties.

        A class may write this in its own way. Then every step of `fit` and `evaluate` calls it,
        in place of the losses of `compile`, which may be left out, and what it is made of is
        captured: `metrics` are tracked as ever.

        Parameters
        ----------
        x, y, y_pred, sample_weight
            Tensors of the batch: inputs, targets, what the model puts out, and weights of rows or
            None. Each as the model takes or returns it: one, a list, or a dict.
        training
            Whether it is a step of training.

        Raises
        ------
        RuntimeError
            The model is not compiled, or has seen no data yet.

        Examples
        --------
        >>> class Halved(eg.Sequential):
        ...     def compute_loss(self, x, y, y_pred, sample_weight, training):
        ...         return 0.5 * super().compute_loss(x, y, y_pred, sample_weight, training)
        >>> model = Halved([eg.layers.Dense(1, kernel_initializer="ones")])
        >>> model.compile("sgd", "mse")
        >>> model.evaluate(np.ones((4, 2)), np.zeros(4))
        2.0
        """
        del x, training
        bound = self._compiled().bound
        if bound is None:
            raise RuntimeError(f"{self.path}: compute_loss before any data was seen; call fit")
        batch: list[list[Any]] = []
        for one in (y, y_pred, sample_weight):
            several = isinstance(one, (list, tuple, dict))
            batch.append(taken_apart(one)[0] if several else [one] * len(bound.outputs))
        return bound.compiled_loss(*batch)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer given to `compile`."""
        return self._compiled().optimizer

    @overridable
    def metrics(self) -> list[Metric]:
        """The metrics that the model was compiled with; of names, once data was seen."""
        return self._compiled().known_metrics()

    @overridable
    def metrics_names(self) -> list[str]:
        """What figures of the training are called, ``"loss"`` first; see `metric_directions`."""
        return list(self.metric_directions())

    def metric_directions(self) -> dict[str, str | None]:
        """Return which figures of the training are better larger, and which smaller.

        Returns
        -------
        dict
            ``"max"``, ``"min"``, or None where the metric does not say, by the figure's name in the
            logs of training. Before the outputs are known, by the metrics' own names.

        Raises
        ------
        RuntimeError
            The model is not compiled.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(3, "softmax")])
        >>> model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        >>> model.metric_directions()
        {'loss': 'min', 'accuracy': 'max'}
        """
        return self._compiled().metric_directions()

    def _compiled(self) -> CompileConfig:
        if self._config is None:
            raise RuntimeError(
                f"{self.path}: call compile(optimizer, loss) before training or evaluating"
            )
        if not self._config.is_claimed:
            # Of a copy of a compiled model.
            claim(self._config.optimizer, self)
            self._config.is_claimed = True
        return self._config

    @suggests_keywords
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        validation_shuffle: bool = True,
        validation_stratify: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: str = "epoch",
        keep: int = 2,
        resume: bool | str = "auto",
        check_finite: bool = True,
        drop_last: bool = False,
        cache_frozen: bool | str | os.PathLike[str] = False,
        comm: Communicator | None = None,
        sync_batch_norm: bool = True,
    ) -> History:
        """Train the model.

        One step is captured and replayed for whole epochs without Python, which gets its turn for
        callbacks, for the progress bar and for Ctrl-C. A layer whose Python reads values makes
        every step run in Python. The results are the same bits, for any number of threads.

        Parameters
        ----------
        x
            Rows: an array or anything that converts to one; a list or a dict of them for several
            inputs; or an iterable, such as a list, of batches ``(x, y)`` or ``(x, y,
            sample_weight)``. Frames, tables and series of pandas, polars and Arrow are taken by
            their columns' dtypes, missing values as NaN; a series is one feature. Up to 256 MB are
            converted once, of memory-mapped files 64 MB; more is read piece by piece where it lies,
            or where columns come first, converted all the same if a quarter of the free memory
            holds it. So are sparse matrices of SciPy and data sets of h5py or zarr; of large ones
            in chunks, each piece of a shuffled epoch takes in most chunks, so that
            ``shuffle=False`` reads less.
        y
            Targets, one for each row; None with an iterable of batches. Classes are numbers; for
            text and categories, ``names, y = np.unique(labels, return_inverse=True)`` makes them.
        batch_size
            Rows in a step; 32 by default. The last step of an epoch takes what is left.
        epochs
            Number of the last epoch, not of the epochs to run: see `initial_epoch`.
        verbose
            0: silent. 1: one progress bar on a terminal or in a notebook, else a line an epoch.
            2: a line an epoch. ``"auto"``: as 1.
        callbacks
            A `Callback` or a list of them.
        validation_split
            Share of the rows, in [0, 1), that are kept for validation instead of training. They are
            drawn at random from the model's seed, and where the loss reads targets as classes, with
            the classes' shares; see `validation_shuffle` and `validation_stratify`.
        validation_data
            ``(x, y)`` or ``(x, y, sample_weight)``, or an iterable of batches, evaluated after each
            epoch; an iterator, such as a generator, needs `validation_steps` for several epochs.
        shuffle
            Whether each epoch visits the rows in a new random order.
        class_weight
            A dict from class number, as the targets have it, to the weight of its rows, 1 for the
            others; or ``"balanced"``: n / (K · n_c) for K classes with n_c of n rows. For several
            outputs a list, or a dict by output name. Validation is not weighted by class.
        sample_weight
            A weight for each row, or for each step where the model puts out sequences; one number
            for all. For several outputs also a list, or a dict by output name, with None for those
            without. Targets of weight 0 may be anything, such as NaN or −1; `metrics` count them,
            `weighted_metrics` do not.
        initial_epoch
            Number of the first epoch, counted from 0.
        steps_per_epoch
            Batches that make an epoch; the next one goes on behind them. Where rows, or an iterable
            that can be iterated anew, come to their end, so does the epoch, and the next one begins
            them anew, rows in a new order. An iterator that comes to its end ends the training.
            Needed for iterables without end.
        validation_steps
            Batches that make a validation: each time the first ones, while an iterator goes on.
            Needed for iterables without end.
        validation_batch_size
            Rows in a step of validation; `batch_size` by default.
        validation_freq
            After how many epochs validation runs; or a list of the epochs, counted from 1, after
            which it does. In the others, the history has NaN for its figures, and callbacks that
            watch one of them pass over.
        validation_shuffle
            False: `validation_split` takes the last rows, as Keras does.
        validation_stratify
            Whether the split keeps the classes' shares; by default, where the loss reads targets as
            classes. True takes all whole numbers for classes.
        checkpoint
            A folder of this training alone, made if missing, for checkpoints: all that it takes to
            go on with the same bits, learning rates, schedules and arguments of layers that
            callbacks have set among them. With it SIGTERM and Ctrl-C end the training, or its
            validation, at a whole step with a checkpoint, and then take their course. Where a
            checkpoint cannot be written, as on a full disk, a warning says so, older ones stay, and
            training goes on.
        checkpoint_every
            ``"epoch"``, or a number with a unit: ``"5 epochs"``, ``"100 steps"``, ``"30 s"``,
            ``"10 min"``, ``"1 h"``. One is written at the beginning and at the end too.
        keep
            How many checkpoints stay: the newest.
        resume
            ``"auto"`` goes on from the newest whole checkpoint in the folder, if there is one;
            True wants one; False begins afresh and replaces what is there. Model, data,
            batch size, optimizer, losses, seed and callbacks that have a state must be those of
            the checkpoint; `epochs` may be more, `verbose` and other callbacks may differ. An
            iterable of batches is gone on with by its ``state_dict`` and ``load_state_dict``,
            or by skipping the batches that were used. A training that had stopped early stays so;
            a validation that a signal has ended is run anew. What a callback has set and no file
            can hold, such as a lambda for a schedule, is named in a warning.
        check_finite
            Whether NaN and infinity in the inputs are an error: one pass over them, at the speed of
            memory, before the first step; of an iterable, over each batch before its step; of data
            sets in files, as rows are read. False for layers of your own that handle such numbers.
        drop_last
            Whether the last step of an epoch of arrays is left out where fewer rows than
            `batch_size` are left for it. With `shuffle` these are others in each epoch.
        cache_frozen
            Whether what frozen layers make of the rows, those of validation too, is computed once
            and kept, and steps begin behind them: the same training to the bit, in less time. True
            wants it; ``"auto"`` does so where that can be and rows come up more than once, and else
            trains plainly. In memory, or in a temporary file where it is larger than
            `utils.set_cache_memory` says, unless ``"auto"``. The path of a folder, made if missing,
            keeps it there in files, which a later training takes up where layers, variables and
            data are the same. It is computed anew when a variable, a setting or the place of the
            cut changes between steps, as callbacks may have it.
        comm
            What `distributed.init` returns, where several ranks train together: each makes its part
            of every batch, whose size is that of all parts, and all make the same updates. Rows,
            their order and dropout masks are those of a single process, whatever the number of
            ranks, which all pass the same arguments and all rows. Callbacks run on rank 0, but for
            those that have ``all_ranks = True``. Rank 0 writes checkpoints, and all read them; a
            training is also resumed by another number of ranks.
        sync_batch_norm
            With several ranks, whether batch normalization takes its statistics from the whole
            batch. False: each rank takes those of its rows, and the moving statistics are averaged.

        Returns
        -------
        History
            The figures of every epoch.

        Raises
        ------
        ValueError, TypeError, MemoryError
            Data that does not fit: before the first step, and nothing is changed. A class that
            writes `train_step`, or another method that Keras would call and this does not: see
            `compute_loss`. The checkpoint
            is of another training; the error names what differs. With ``cache_frozen``: nothing is
            frozen, or frozen layers make noise, or follow it, which the error names.
        FileFormatError
            All checkpoints are damaged.
        FileNotFoundError
            ``resume=True``, and there is no checkpoint.
        RuntimeError
            The model has not been compiled, or another thread trains it.
        DistributedError
            With several ranks: one of them failed, does not answer, or trains something else.
        KeyboardInterrupt
            Ctrl-C: after a whole step; ``model.history`` has the epochs so far.

        Examples
        --------
        >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
        >>> y = np.array([0, 1, 1, 0])
        >>> model = eg.Sequential([eg.layers.Dense(8, "tanh"), eg.layers.Dense(2)], seed=1)
        >>> model.compile(eg.optimizers.Adam(0.1), "sparse_categorical_crossentropy", ["accuracy"])
        >>> history = model.fit(x, y, epochs=100, verbose=0)
        >>> history.history["accuracy"][-1]
        1.0
        """
        train: Callable[..., History] = fit
        if comm is not None and comm.size > 1:
            from evengrad.training._ranks import fit_on_ranks

            train = fit_on_ranks
        return train(
            self._view(),
            x,
            y,
            FitOptions(
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
                class_weight=class_weight,
                sample_weight=sample_weight,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                validation_steps=validation_steps,
                validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
                validation_shuffle=validation_shuffle,
                validation_stratify=validation_stratify,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
                keep=keep,
                resume=resume,
                check_finite=check_finite,
                drop_last=drop_last,
                cache_frozen=cache_frozen,
                comm=comm,
                sync_batch_norm=sync_batch_norm,
            ),
        )

    @suggests_keywords
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        check_finite: bool = True,
        comm: Communicator | None = None,
    ) -> Any:
        """Return loss and metrics on data, without training.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`.
        batch_size
            Rows in a step; 32 by default.
        verbose
            0 or ``"auto"``: silent. 1 or 2: one line.
        steps
            Batches to take; all by default. Needed for iterables without end.
        callbacks
            A `Callback` or a list of them.
        return_dict
            Whether figures come in a dict by name.
        check_finite
            As for `fit`.
        comm
            As for `fit`: each rank evaluates some of the rows, and gets the figures of all.

        Returns
        -------
        float, list or dict
            The loss; with metrics a list of the loss and the metrics, in the order of `compile`.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit.
        RuntimeError
            The model has not been compiled.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1, kernel_initializer="ones")])
        >>> model.compile("sgd", "mse", ["mae"])
        >>> model.evaluate(np.ones((4, 2)), np.zeros(4))
        [4.0, 2.0]
        """
        how = batch_size, verbose, sample_weight, steps, callbacks, check_finite, comm
        logs = evaluate(self._view(), x, y, *how)
        return logs if return_dict else as_list(logs)

    @suggests_keywords
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        check_finite: bool = True,
        comm: Communicator | None = None,
    ) -> Any:
        """Return the outputs for data, as NumPy arrays.

        Parameters
        ----------
        x
            As for `fit`; an iterable of batches may hold inputs alone.
        batch_size
            Rows computed at a time; by default as many as suit the caches. It changes memory and
            speed, not results.
        verbose
            Kept for Keras' sake; 1 shows a progress bar on a terminal.
        steps
            Batches to take; all by default. Needed for iterables without end.
        callbacks
            A `Callback` or a list of them.
        check_finite
            As for `fit`.
        comm
            As for `fit`: each rank computes some of the rows, and gets all.

        Returns
        -------
        numpy.ndarray or list
            One array for each output.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1, kernel_initializer="ones")])
        >>> model.predict(np.ones((2, 3))).tolist()
        [[3.0], [3.0]]
        """
        for name in self._own_steps:
            if "predict" in name:
                raise refusal(self.path, name)
        return predict(self._view(), x, batch_size, verbose, steps, callbacks, check_finite, comm)

    # ---- single batches

    @suggests_keywords
    def train_on_batch(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
        check_finite: bool = True,
    ) -> Any:
        """Make one step on one batch.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As for `fit`, arrays alone; weights of classes as numbers.
        return_dict
            Whether figures come in a dict by name.
        check_finite
            As for `fit`.

        Returns
        -------
        float, list or dict
            This batch's loss before the step, then this batch's metrics; not running means.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit; nothing is changed.
        RuntimeError
            The model has not been compiled, or another thread is in its `fit`.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1, kernel_initializer="ones")])
        >>> model.compile(eg.optimizers.SGD(0.1), "mse")
        >>> [round(model.train_on_batch(np.ones((4, 2)), np.zeros(4)), 4) for _ in range(2)]
        [4.0, 0.64]
        """
        weights = sample_weight, class_weight
        logs = on_batch(self._view(), x, y, *weights, check_finite, training=True)
        return logs if return_dict else as_list(logs)

    @suggests_keywords
    def test_on_batch(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        return_dict: bool = False,
        check_finite: bool = True,
    ) -> Any:
        """Return loss and metrics of one batch, without training; see `train_on_batch`.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1, kernel_initializer="ones")])
        >>> model.compile("sgd", "mse")
        >>> model.test_on_batch(np.ones((4, 2)), np.zeros(4))
        4.0
        """
        logs = on_batch(self._view(), x, y, sample_weight, None, check_finite, training=False)
        return logs if return_dict else as_list(logs)

    def predict_on_batch(self, x: Any, check_finite: bool = True) -> Any:
        """Return the outputs for one batch, computed at once.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1, kernel_initializer="ones")])
        >>> model.predict_on_batch(np.ones((2, 3))).tolist()
        [[3.0], [3.0]]
        """
        return self.predict(x, batch_size=sys.maxsize, verbose=0, check_finite=check_finite)

    # ---- before training

    @suggests_keywords
    def plan(
        self, x: Any, batch_size: int | None = None, *, y: Any = None, sample_weight: Any = None
    ) -> TrainingPlan:
        """Tell what an epoch of training would take: memory, multiply-adds, threads, time.

        A step is captured as `fit` captures it, and measured for some tenths of a second. Nothing
        changes: variables, statistics, random streams and the optimizer are the same bits
        afterwards. A model that was not built is built. Averages of weights (``use_ema``) and
        accumulation of gradients are left out.

        Parameters
        ----------
        x
            Rows, as for `fit`, arrays alone.
        batch_size
            Rows in a step; 32 by default.
        y
            Targets; zeros of the outputs' shape stand in where they are not given (class 0 for
            losses of class numbers). Needed for losses that refuse those.
        sample_weight
            A weight for each row, if training will have them.

        Returns
        -------
        TrainingPlan
            The figures; it prints as a table.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit.
        RuntimeError
            The model has not been compiled.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((8,)), eg.layers.Dense(16, "relu"), eg.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> plan = model.plan(np.zeros((640, 8)), batch_size=64)
        >>> plan.steps_per_epoch, plan.parameter_bytes, plan.optimizer_bytes
        (10, 644, 1288)
        """
        return plan(self._view(), x, y, sample_weight, batch_size)

    @suggests_keywords
    def diagnose(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int = 32,
        steps: int | None = None,
        seed: int | None = None,
        sample_weight: Any = None,
        validation_data: Any = None,
        thresholds: Thresholds | None = None,
    ) -> Diagnosis:
        """Train a copy for a few steps; tell which layer is ill, why, and what helps.

        Measured over the first rows, 1,024 at most, before and after these steps, and in each of
        them: how quickly layers learn, how large updates are, what activations come to. The model
        stays as it is, to the bit.

        Parameters
        ----------
        x, y
            Rows and targets, as for `fit`, arrays alone.
        batch_size
            Rows in a step.
        steps
            How many; 50 by default. Overfitting, underfitting and plateaus take whole runs.
        seed
            What the order of the rows and noise follow from; by default the model's seed.
        sample_weight
            A weight for each row.
        validation_data
            As for `fit`; with steps for several epochs it shows overfitting.
        thresholds
            From where on something is wrong; by default ``evengrad.health.Thresholds()``.

        Returns
        -------
        Diagnosis
            The findings, root causes first, with remedies, and all measurements. It prints as a
            table.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit. What `fit` refuses of numbers that are not finite and of a head
            that does not fit the loss is a finding instead.
        RuntimeError
            The model has not been compiled.

        Examples
        --------
        >>> layers = [eg.layers.Dense(30, "sigmoid") for _ in range(6)]
        >>> model = eg.Sequential([*layers, eg.layers.Dense(1)], seed=1)
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 8))
        >>> diagnosis = model.diagnose(x, x[:, :1])
        >>> diagnosis.findings[0].kind, diagnosis.findings[0].cause
        ('vanishing_gradients', 'activation')
        """
        self._compiled()
        twin = self.clone()
        return diagnose(
            self,
            twin,
            twin._view(),  # noqa: SLF001 - of this class
            x,
            y,
            thresholds,
            seed,
            batch_size=batch_size,
            steps=steps,
            sample_weight=sample_weight,
            validation_data=validation_data,
        )

    @suggests_keywords
    def find_learning_rate(
        self,
        x: Any,
        y: Any,
        min_lr: float = 1e-5,
        max_lr: float = 10.0,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        stop_factor: float = 4.0,
        smoothing: float | None = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        check_finite: bool = True,
        seeds: Sequence[int] | None = None,
    ) -> RangeTest:
        """Train for a while at growing learning rates, take all of it back, and suggest a rate.

        Step i of k is made at η = `min_lr` · (`max_lr` / `min_lr`)^(i/k), i from 0, with the
        compiled loss and optimizer, from the model and the optimizer's state as they are. The
        suggestion is a tenth of the rate at which the smoothed loss is least: just above that rate
        it shoots up. It follows from the model's seed, its state, and the data alone.

        Nothing changes: variables, statistics, random streams, the optimizer and `history` are the
        same bits afterwards, also after an error or Ctrl-C. A model that was not built is built.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As for `fit`, arrays alone.
        min_lr, max_lr
            The range; 1e-5 to 10 by default.
        batch_size
            Rows in a step; 32 by default. Take that of the training to come: it matters.
        steps
            k, 2 or more; by default the batches of one epoch, but at least 40 and at most 1000.
            Rows are visited several times, where there are too few, in random order.
        stop_factor
            The test ends once the smoothed loss is above this multiple of the best, or not finite.
        smoothing
            β in [0, 1) of the running average; by default 1 − 1 / (1 + k/50).
        check_finite
            As for `fit`.
        seeds
            Integers: the test is made of a net of this architecture, with new first values and an
            optimizer that has made no update, by each of them, side by side as in
            `evengrad.fit_many`. The result is the mean of their losses, up to where the first of
            them ends; ``tests`` has each.

        Returns
        -------
        RangeTest
            ``learning_rates``, ``losses``, ``smoothed_losses``; ``suggestion``,
            ``turning_point`` (ten times the suggestion), ``steepest``; and ``plot()``.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit; a value out of range; nothing is trainable; the first loss is
            not finite.
        RuntimeError
            The model has not been compiled.

        References
        ----------
        Smith, "Cyclical learning rates for training neural networks", 2017.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(640, 8))
        >>> y = x @ rng.normal(size=8)
        >>> model = eg.Sequential([eg.layers.Dense(16, "relu"), eg.layers.Dense(1)], seed=1)
        >>> model.compile("sgd", loss="mse")
        >>> model.find_learning_rate(x, y, 1e-4, 10.0)
        <RangeTest of 31 steps, learning rates 0.0001 to 0.562: suggestion 0.0316>
        """
        options = RangeTestOptions(
            min_lr=min_lr,
            max_lr=max_lr,
            batch_size=batch_size,
            steps=steps,
            stop_factor=stop_factor,
            smoothing=smoothing,
            sample_weight=sample_weight,
            class_weight=class_weight,
            check_finite=check_finite,
        )
        if seeds is None:
            return find_learning_rate(self._view(), x, y, options)
        config, given = self._compiled(), checked_seeds(seeds)
        twins = [self.clone() for _ in given]
        for twin, seed in zip(twins, given, strict=True):
            start_anew(twin, seed)
        return over_seeds([view_of(twin) for twin in twins], config, x, y, options)

    # ---- questions to a model

    @suggests_keywords
    def predict_mc(
        self,
        x: Any,
        samples: int = 100,
        *,
        batch_size: int | None = None,
        check_finite: bool = True,
    ) -> tuple[Any, Any]:
        """Return mean and standard deviation of the outputs over passes with dropout on.

        Monte Carlo dropout: the mean is often the better prediction, and the deviation tells how
        sure the model is. Dropout and noise run as in training; batch normalization, and all else,
        as in inference. The class is the argmax of the mean.

        Memory does not depend on the number of samples, and time is that of as many predictions
        without Python between them. Every call draws anew, in an order that follows from the
        model's seed; training afterwards is the same as if there had been no call.

        Parameters
        ----------
        x
            Rows: an array, or a list or dict of them for several inputs.
        samples
            The number of passes, 1 or more.
        batch_size
            Rows computed at a time; by default as many as suit the caches.
        check_finite
            As for `fit`.

        Returns
        -------
        tuple
            Mean and standard deviation (divisor `samples`), each an array as `predict` returns it,
            or a list of them for several outputs.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit.

        References
        ----------
        Gal and Ghahramani, "Dropout as a Bayesian approximation", 2016.

        Examples
        --------
        Each pass gives 0 or 4 with even chances:

        >>> dense = eg.layers.Dense(1, kernel_initializer="ones")
        >>> model = eg.Sequential([eg.layers.Dropout(0.5), dense], seed=1)
        >>> mean, std = model.predict_mc(np.full((1000, 1), 2.0), samples=200)
        >>> mean.shape, round(float(mean.mean()), 1), round(float(std.mean()), 1)
        ((1000, 1), 2.0, 2.0)
        """
        return predict_mc(self._view(), x, samples, batch_size, check_finite)

    @suggests_keywords
    def features(
        self,
        x: Any,
        layer: int | str = -2,
        *,
        batch_size: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """Return the output of a layer inside the model: what it has learned to see in the data.

        A classifier of another kind, trained on the features of the last layer but one, often does
        better than on the data; `evengrad.sklearn.FeatureExtractor` puts this into a pipeline.

        Parameters
        ----------
        x
            As for `predict`.
        layer
            The layer's position in `layers`, negative ones from the end, or its name.
        batch_size
            Rows computed at a time; by default as many as suit the caches.
        check_finite
            As for `fit`.

        Returns
        -------
        numpy.ndarray or list
            Shape (rows, ...); at its last use, where the layer is used several times. A list where
            the layer has several outputs.

        Raises
        ------
        ValueError
            No such layer; data that does not fit.

        Examples
        --------
        >>> parts = [eg.layers.Dense(8, "relu"), eg.layers.Dense(3, "softmax")]
        >>> model = eg.Sequential(parts)
        >>> model.features(np.ones((5, 4))).shape
        (5, 8)
        """
        return features(self, self._view(), x, layer, batch_size, check_finite)

    def check_selu(self, x: Any) -> list[str]:
        """Tell which conditions of self-normalization are violated, one message for each.

        SELU keeps mean 0 and variance 1 through any depth only if: inputs are standardized; every
        hidden layer has SELU, with first weights from LeCun's normal law; layers follow one on the
        other, without skips or recurrences; nothing changes the weights' variances, as ℓ1, ℓ2 and
        max-norm do; and dropout is `layers.AlphaDropout`. Batch normalization is superfluous.

        Parameters
        ----------
        x
            The data that the model is trained on, or a few hundred rows of it.

        Returns
        -------
        list of str
            Empty where all conditions hold.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit.

        References
        ----------
        Klambauer et al., "Self-normalizing neural networks", 2017.

        Examples
        --------
        >>> hidden = [eg.layers.Dense(50, "selu") for _ in range(2)]
        >>> model = eg.Sequential([*hidden, eg.layers.Dense(1)])
        >>> for message in model.check_selu(np.random.default_rng(1).normal(size=(500, 4))):
        ...     print(message)
        initializer: dense, dense_1 are not begun with LeCun's normal values; use
        kernel_initializer='lecun_normal' in all hidden layers
        """
        return check_selu(self, self._view(), x)

    @suggests_keywords
    def dead_units(
        self, x: Any, batch_size: int | None = None, check_finite: bool = True
    ) -> dict[str, DeadUnits | None]:
        """Return the units of each layer that no row makes active.

        A unit is dead if the derivative of its activation is 0 for every row, as that of ReLU is
        where it puts out 0: no gradient reaches its weights, and it stays dead as long as its
        inputs stay what they are. That can be said of ``"relu"``, ``"relu6"``, ``"hard_silu"``,
        ``"hard_sigmoid"`` and ``"hard_tanh"``, in a `Dense`, `Residual` or layer of their own, and
        in the steps of a `SimpleRNN`; other layers are left out.

        Parameters
        ----------
        x
            Rows, such as some hundreds of those to train on; a list or dict for several inputs.
        batch_size
            Rows at a time; by default as many as fit caches.
        check_finite
            As in `predict`.

        Returns
        -------
        dict
            By the layer's path a `models.DeadUnits`: the share, which ones, and in which epochs
            they died, where a `callbacks.GradientDoctor` watched the last training. None for a
            layer that these rows do not come to.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit.

        Examples
        --------
        >>> first = eg.layers.Dense(4, "relu", bias_initializer=eg.initializers.Constant(-9.0))
        >>> model = eg.Sequential([first, eg.layers.Dense(8, "relu"), eg.layers.Dense(1)], seed=3)
        >>> found = model.dead_units(np.ones((5, 2)))
        >>> {path: one.share for path, one in found.items()}
        {'dense': 1.0, 'dense_1': 1.0}
        """
        return dead_units(self, self._view(), x, batch_size, check_finite)

    @suggests_keywords
    def revive(self, x: Any, how: str = "reinit") -> dict[str, DeadUnits]:
        """Have dead units learn again: with other weights, or with a slope everywhere.

        With ``"reinit"`` their incoming weights are drawn anew by the layer's initializer, from
        streams of their own below the model's seed, and their bias is 0; a normalization in front
        of the activation starts anew for them, with the statistics of `x`. Afterwards each unit is
        active in some row of `x`: what is still dead after some draws gets minus the median of
        its sums as bias, so that half the rows are above 0. Outgoing weights stay, and the
        optimizer's state of what is new is that of its beginning. Frozen layers are passed over.

        With ``"leaky"`` layers with dead units take `activations.leaky_relu` in place of their
        activation, and ReLU layers its slope, for all of their units; no weight changes.

        Parameters
        ----------
        x
            Rows, as for `dead_units`.
        how
            ``"reinit"`` or ``"leaky"``.

        Returns
        -------
        dict
            What was revived, as `dead_units` has it; empty where there is nothing to revive.

        Raises
        ------
        ValueError
            An unknown way, or one that a layer cannot go: new weights for what is no `Dense` or
            recurrent layer and has none in front, a leak in place of bounds on both sides, no bias
            where one is needed; data that does not fit. Nothing is changed.

        Examples
        --------
        >>> first = eg.layers.Dense(4, "relu", bias_initializer=eg.initializers.Constant(-9.0))
        >>> model = eg.Sequential([first, eg.layers.Dense(1)], seed=3)
        >>> x = np.random.default_rng(0).normal(size=(50, 2))
        >>> model.revive(x)
        {'dense': DeadUnits(share=1.0, units=(0, 1, 2, 3), died_in=None)}
        >>> model.dead_units(x)
        {'dense': DeadUnits(share=0.0, units=(), died_in=None)}
        """
        return revive(self, self._view(), x, how)

    @suggests_keywords
    def prune(
        self,
        sparsity: float,
        scope: str = "global",
        schedule: PruningSchedule | None = None,
        *,
        pattern: Any = None,
    ) -> Sparsity:
        """Have the weights of the smallest magnitude be 0, and stay 0 in training.

        Kernels are pruned, biases and normalizations are not, and what is frozen is left as it is.
        Of n weights the ``round(sparsity * n)`` smallest go; of equal ones the first, in the order
        of `named_weights`. What has gone stays away: another call with a higher sparsity chooses
        beside it, one with a lower sparsity changes nothing.

        In training, in steps of your own too, gradients of pruned weights are 0 before clipping,
        and after each update so are they, whatever momentum, decay, constraints or averages would
        make of them. Copies, files and checkpoints keep what is pruned; so do `set_weights` and
        `load_weights`, whose values there count for nothing, and `clone_model`: first values, and
        no others than these, of a net that was pruned. `remove_masks` lets all weights train again.

        Parameters
        ----------
        sparsity
            The share of zeros, in [0, 1).
        scope
            Where the smallest are looked for: ``"global"``, among all kernels together, or
            ``"layer"``, in each kernel by itself.
        schedule
            With a `models.PruningSchedule`, `fit` prunes a little at a time from now on, until it
            has come to the sparsity, over several calls where one is too short; a training that
            goes on from a checkpoint prunes as if it had not been interrupted. A new schedule takes
            the place of the last one.
        pattern
            Which layers: as for `freeze`, a name, a pattern or a layer, with all inside it, or a
            list of them. The share is one of their kernels. None: all layers.

        Returns
        -------
        Sparsity
            As from `sparsity`.

        Raises
        ------
        ValueError
            A value out of range; the model is not built, or has no kernels that train there; no
            such layer.
        TypeError
            Something else than a schedule, or than a pattern.
        RuntimeError
            The optimizer's averages stand in the place of the weights.

        References
        ----------
        Han, Pool, Tran and Dally, "Learning both weights and connections for efficient neural
        networks", 2015.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((8,)), eg.layers.Dense(16, "relu"), eg.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> model.prune(0.75).share
        0.75
        >>> history = model.fit(np.ones((40, 8)), np.ones(40), epochs=2, verbose=0)
        >>> model.sparsity().share
        0.75
        """
        return prune(self, sparsity, scope, schedule, pattern)

    def remove_masks(self) -> None:
        """Let all weights that `prune` has pruned train again, and forget its schedule.

        They are 0 until training changes them.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((8,)), eg.layers.Dense(1)])
        >>> found = model.prune(0.5)
        >>> model.remove_masks()
        >>> model.sparsity().layers["dense"]
        LayerSparsity(weights=8, zeros=4, pruned=0)
        """
        remove_masks(self)

    def sparsity(self) -> Sparsity:
        """Return how many weights of the kernels are 0, in the whole and by layer.

        Returns
        -------
        Sparsity
            Prints as a table; `share` is that of the whole.

        Raises
        ------
        ValueError
            The model has not been built.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((8,)), eg.layers.Dense(4), eg.layers.Dense(1)])
        >>> model.sparsity().by_layer
        {'dense': 0.0, 'dense_1': 0.0}
        """
        return sparsity_of(self)

    def summary(self, print_fn: Callable[[str], object] | None = None) -> Summary:
        """Print a table of the layers: output shape, parameters, multiply-adds, memory.

        Of a graph that is no chain, a column says what each layer is connected to. Notebooks show
        the same for the model itself.

        Parameters
        ----------
        print_fn
            Is called with the table in the place of `print`.

        Returns
        -------
        Summary
            Its attributes hold the figures, and its `str` is the table.

        Raises
        ------
        ValueError
            The model has not been built: it has seen neither data nor an Input.

        Examples
        --------
        >>> layers = [eg.Input((64,)), eg.layers.Dense(30), eg.layers.Dense(10)]
        >>> model = eg.Sequential(layers, name="net")
        >>> model.summary().parameters
        net (Sequential)
        layer            output shape  parameters  multiply-adds  memory
        ----------------------------------------------------------------
        dense (Dense)    (None, 30)         1,950          1,920  7.9 kB
        dense_1 (Dense)  (None, 10)           310            300  1.3 kB
        ----------------------------------------------------------------
        2,260 parameters (2,260 trainable, 0 not), 9.0 kB
        2,220 multiply-adds per row
        2260
        """
        found = summarize(self)
        (print if print_fn is None else print_fn)(str(found))
        return found

    def _repr_html_(self) -> str | None:
        # None, as long as there is nothing to tell: then notebooks show the `repr`.
        return summarize(self).as_html() if self.built else None


answer_for(Model, MODEL_NAMES)
