"""Unpromising trials of a hyperparameter search are given up early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad.callbacks._monitor import Monitor

if TYPE_CHECKING:
    from evengrad.callbacks._callback import Logs

# How Optuna's directions are called here; a study may also be without one.
WAYS = {"MINIMIZE": "min", "MAXIMIZE": "max"}


class OptunaPruning(Monitor):
    """Report a figure of each epoch to a trial of Optuna, and end the training where it is pruned.

    After every epoch the study's pruner compares the figure with what other trials had reached by
    then. Where it says so, `fit` raises ``optuna.TrialPruned``, which the study expects; the
    epoch's figures stand in the history, and other callbacks hear that the training ends. Those
    after this one do not hear that its last epoch does.

    Epochs are counted from 0, as pruners count steps: with ``n_warmup_steps=5``, epoch 5 is the
    first that can be pruned. Epochs without validation, as ``validation_freq`` leaves them, report
    nothing of a figure of validation. The figure must go where the study goes, also where it is not
    what the objective returns.

    A trial takes one value for each epoch. Where it trains several models, as in cross-validation,
    the first one decides: epochs that another training has reported already, with this callback or
    a copy of it, report nothing and prune nothing. Copies share the trial; those in other processes
    reach the study only by a storage in a file or a database. scikit-learn's cross-validation takes
    what `fit` raises for a failed fit, unless it is called with ``error_score="raise"``.

    Parameters
    ----------
    trial
        The trial that Optuna calls the objective with.
    monitor
        The figure's name.

    Raises
    ------
    TypeError
        `trial` or `monitor` is none.
    ValueError
        From `fit`, before anything is trained: the study has several objectives, or goes the other
        way than the figure. After an epoch: there is no such figure.
    optuna.TrialPruned
        From `fit`, after an epoch: the trial is pruned.

    References
    ----------
    Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019.

    Examples
    --------
    >>> import optuna
    >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 4))
    >>> y = (x.sum(axis=1) > 0).astype(int)
    >>> def objective(trial):
    ...     rate = trial.suggest_float("rate", 1e-6, 1.0, log=True)
    ...     model = eg.Sequential([eg.layers.Dense(1, "sigmoid")], seed=1)
    ...     model.compile(eg.optimizers.SGD(rate), "binary_crossentropy")
    ...     pruning = eg.callbacks.OptunaPruning(trial, "val_loss")
    ...     settings = {"validation_split": 0.2, "epochs": 9, "verbose": 0}
    ...     return model.fit(x, y, callbacks=[pruning], **settings).history["val_loss"][-1]
    >>> study = optuna.create_study(
    ...     pruner=optuna.pruners.MedianPruner(n_startup_trials=2),
    ...     sampler=optuna.samplers.RandomSampler(seed=0),
    ... )
    >>> study.optimize(objective, n_trials=3)
    >>> [(trial.state.name, trial.last_step) for trial in study.trials]
    [('COMPLETE', 8), ('COMPLETE', 8), ('PRUNED', 0)]
    """

    is_passive = True
    _joins_later = True
    _kept = ()

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        if isinstance(trial, type) or not (
            hasattr(trial, "report") and hasattr(trial, "should_prune")
        ):
            raise TypeError(
                "trial: expected the trial that Optuna calls the objective with, got "
                f"{trial!r} ({type(trial).__name__})"
            )
        self.trial = trial
        self._watch(monitor, "auto")
        # The epochs that are reported, by whichever copy.
        self._reported: set[int] = set()

    def __deepcopy__(self, memo: dict[int, Any]) -> OptunaPruning:
        # Copied, a trial would be one of a copied study.
        del memo
        copied = type(self)(self.trial, self.monitor)
        copied._reported = self._reported  # noqa: SLF001 - of the same class
        return copied

    def on_train_begin(self, logs: Logs = None) -> None:
        """Check that the figure goes where the study goes."""
        del logs
        # Trials with fixed parameters, for a call of the objective by itself, have no study.
        study = getattr(self.trial, "study", None)
        ways = [WAYS.get(one.name) for one in getattr(study, "directions", ())]
        if len(ways) > 1:
            raise ValueError(
                f"OptunaPruning: the study has {len(ways)} objectives, and Optuna prunes trials of "
                "studies with one alone; leave the callback out"
            )
        told, _ = self._told_direction()
        if ways and None not in (ways[0], told) and ways[0] != told:
            better, way, other = "smaller", "minimize", "maximize"
            if told == "max":
                better, way, other = "larger", other, way
            raise ValueError(
                f"OptunaPruning: {self.monitor!r} is better {better}, and the study is to "
                f"{other}; monitor a figure that goes its way, or call "
                f'optuna.create_study(direction="{way}")'
            )

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Report the figure, and end the training where the study says so."""
        value = self._figure(logs)
        if value is None or epoch in self._reported:
            return
        self._reported.add(epoch)
        self.trial.report(value, epoch)
        if self.trial.should_prune():
            import optuna

            raise optuna.TrialPruned(f"epoch {epoch}: {self.monitor} is {value:g}")
