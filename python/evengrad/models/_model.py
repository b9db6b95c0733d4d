"""Models: networks that can be trained, evaluated, asked and saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._config import suggests_keywords
from evengrad._random import generator
from evengrad.models._asking import AnswersQuestions
from evengrad.models._batches import TakesBatches, as_list
from evengrad.models._clone import Clones
from evengrad.models._keeping import KeepsFiles
from evengrad.models._network import Network
from evengrad.models._planning import PlansTraining
from evengrad.models._range_test import FindsLearningRate
from evengrad.models._summary import Summary, summarize

if TYPE_CHECKING:
    from evengrad import _core
    from evengrad._training._compiled import Compilation
    from evengrad.callbacks import History
    from evengrad.optimizers import Optimizer


class Model(
    Clones, FindsLearningRate, PlansTraining, AnswersQuestions, TakesBatches, KeepsFiles, Network
):
    """A network that can be trained, evaluated, asked and saved.

    Either a graph, ``Model(inputs, outputs)``, drawn with `evengrad.Input` and layers; or a
    subclass that keeps layers as attributes and writes ``call(self, x, training)``.

    Models pickle and deepcopy, with variables, settings of `compile`, the optimizer's state and
    random streams: a copy goes on training as the original would. Classes and functions of your own
    are found by name, as pickle does it. To keep a model, `save` it.

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
    history
        The `History` of the last training, also of one that was interrupted.
    optimizer
        The optimizer given to `compile`.
    stop_training
        Set it to True in a callback to end the training.

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
    stop_training: bool

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        *,
        name: str | None = None,
        dtype: Any = None,
        seed: int | None = None,
    ) -> None:
        self.stop_training = False
        self._compilation: Compilation | None = None
        self._shuffle: _core.Generator | None = None
        super().__init__(inputs, outputs, name=name, dtype=dtype, seed=seed)

    def _forget_build(self) -> None:
        """Have the model built again; variables that exist are kept."""
        self._state.built = False
        if self._answers is not None:
            self._answers.forget()
        self._compilation = None if self._compilation is None else self._compilation.fresh()

    def _shuffler(self) -> _core.Generator:
        if self._shuffle is None:
            self._shuffle = generator(self._seed(), "shuffle")
        return self._shuffle

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
    ) -> None:
        """Say how the model is trained.

        Parameters
        ----------
        optimizer
            A name from `evengrad.optimizers`, or an optimizer.
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

        Raises
        ------
        ValueError
            An unknown name; a count that does not fit the outputs.
        TypeError
            An argument of another kind.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(3, "softmax")])
        >>> model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        """
        from evengrad._training._compiled import Compilation

        self._compilation = Compilation(
            self,
            optimizer,
            loss=loss,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            loss_weights=loss_weights,
            run_eagerly=run_eagerly,
        )

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer given to `compile`."""
        return self._compiled().optimizer

    def _compiled(self) -> Compilation:
        if self._compilation is None:
            raise RuntimeError(
                f"{self.path}: call compile(optimizer, loss) before training or evaluating"
            )
        return self._compilation

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
        validation_batch_size: int | None = None,
        validation_shuffle: bool = True,
        validation_stratify: bool | None = None,
    ) -> History:
        """Train the model.

        One step is captured and replayed for whole epochs without Python, which gets its turn for
        callbacks, for the progress bar and for Ctrl-C. A layer whose Python reads values makes
        every step run in Python. The results are the same bits, for any number of threads.

        Parameters
        ----------
        x
            Rows: an array or anything that converts to one; a list or a dict of them for several
            inputs; or an iterable of batches ``(x, y)`` or ``(x, y, sample_weight)``. Arrays above
            256 MB, and memory-mapped ones of any size, are read piece by piece.
        y
            Targets, one for each row; None with an iterable of batches.
        batch_size
            Rows in a step; 32 by default. The last step of an epoch takes what is left.
        epochs
            Number of the last epoch, not of the epochs to run: see `initial_epoch`.
        verbose
            0: silent. 1: a progress bar on a terminal or in a notebook, else a line an epoch.
            2: a line an epoch. ``"auto"``: as 1.
        callbacks
            A `Callback` or a list of them.
        validation_split
            Share of the rows, in [0, 1), that are kept for validation instead of training. They are
            drawn at random from the model's seed, and for labels of classes with the classes'
            shares; see `validation_shuffle` and `validation_stratify`.
        validation_data
            ``(x, y)`` or ``(x, y, sample_weight)``, or an iterable of batches, evaluated after each
            epoch.
        shuffle
            Whether each epoch visits the rows in a new random order.
        class_weight
            A dict from class number to the weight of its rows.
        sample_weight
            A weight for each row, or for each step where the model puts out sequences.
        initial_epoch
            Number of the first epoch, counted from 0.
        steps_per_epoch
            Batches that make an epoch, for iterables without end.
        validation_batch_size
            Rows in a step of validation; `batch_size` by default.
        validation_shuffle
            False: `validation_split` takes the last rows, as Keras does.
        validation_stratify
            Whether the split keeps the classes' shares; by default, where targets are classes.

        Returns
        -------
        History
            The figures of every epoch.

        Raises
        ------
        ValueError, TypeError, MemoryError
            Data that does not fit: before the first step, and nothing is changed.
        RuntimeError
            The model has not been compiled.
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
        from evengrad._training._fit import Options, fit

        return fit(
            self,
            x,
            y,
            Options(
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
                validation_batch_size=validation_batch_size,
                validation_shuffle=validation_shuffle,
                validation_stratify=validation_stratify,
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
            Batches to take of an iterable; all by default.
        callbacks
            A `Callback` or a list of them.
        return_dict
            Whether figures come in a dict by name.

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
        from evengrad._training._evaluate import evaluate

        logs = evaluate(
            self,
            x,
            y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            steps=steps,
            callbacks=callbacks,
        )
        return logs if return_dict else as_list(logs)

    @suggests_keywords
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
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
            Batches to take of an iterable; all by default.
        callbacks
            A `Callback` or a list of them.

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
        from evengrad._training._predict import predict

        return predict(
            self, x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks
        )

    def summary(self) -> Summary:
        """Return a table of the layers: output shape, parameters, multiply-adds, memory.

        Returns
        -------
        Summary
            Prints as a table, also in notebooks; its attributes hold the figures.

        Raises
        ------
        ValueError
            The model has not been built: it has seen neither data nor an Input.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((64,)), eg.layers.Dense(30), eg.layers.Dense(10)])
        >>> model.summary().parameters
        2260
        """
        return summarize(self)
