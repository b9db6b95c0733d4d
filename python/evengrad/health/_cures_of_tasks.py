"""What helps where nets and data do not fit: heads, losses, labels, regularization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad._common.names import snake_case
from evengrad.health._finding import Remedy, Treatment, rows_as_text
from evengrad.health._rules._measured import ends_of, loss_name

if TYPE_CHECKING:
    from evengrad.health._examination import DataFacts, Examination, LayerFacts
    from evengrad.health._finding import Finding

# The lower of the rates that Klambauer et al. found to do well: it is more noise than dropout's.
ALPHA_RATE = 0.05
SHARES = frozenset({"softmax", "log_softmax"})


def _head(finding: Finding, examination: Examination) -> LayerFacts | None:
    heads = [layer for layer in examination.layers if layer.head]
    return next((layer for layer in heads if layer.path == finding.layer), None)


def _output(
    finding: Finding, examination: Examination
) -> tuple[str, bool | None, DataFacts | None]:
    """Return loss, whether it was told of logits, and targets of the output that is spoken of."""
    head = _head(finding, examination)
    for one in [] if head is None else ends_of(head, examination):
        return snake_case(one.loss), one.from_logits, one.data
    training = examination.training
    return loss_name(examination), training.from_logits, examination.data


def fit_head(finding: Finding, examination: Examination) -> Remedy:
    """Give the head the activation that the loss expects."""
    head = _head(finding, examination)
    loss, _, _ = _output(finding, examination)
    if head is not None and head.function in SHARES and head.units == 1:
        if "entropy" in loss:
            return Remedy(
                "Give a single output the logistic function, with binary cross-entropy: a softmax "
                "of one unit is 1 whatever goes in, so that nothing is learned.",
                'eg.layers.Dense(1, activation="sigmoid")\n'
                'model.compile(..., loss="binary_crossentropy")',
                None
                if examination.training.outputs
                else Treatment("head", (head.path,), "sigmoid"),
            )
        return Remedy(
            "Leave the activation of the last layer out: a softmax of one unit is 1 whatever goes "
            "in, so that nothing is learned.",
            "eg.layers.Dense(1)",
            Treatment("head", (head.path,), None),
        )
    name = (head and head.function) or "an activation"
    return Remedy(
        f"Leave the activation of the last layer out: {name} cannot put out all that the loss "
        "compares with the targets, and has no gradient where it would have to.",
        f"eg.layers.Dense({head.units if head else 10})",
        Treatment("head", (head.path,) if head else (), None),
    )


def fit_loss(finding: Finding, examination: Examination) -> Remedy:
    """Take the loss that fits the head."""
    training, head = examination.training, _head(finding, examination)
    loss, from_logits, _ = _output(finding, examination)
    # Which of several outputs a loss is for is a person's to say.
    alone = not training.outputs
    if "entropy" in loss and from_logits is not None:
        return Remedy(
            "Leave from_logits out: the loss sees by itself whether the outputs are logits or "
            f"probabilities.{_refused(training.refusal)}",
            f'model.compile(..., loss="{loss}")',
            Treatment("loss", (), loss) if alone else None,
        )
    if training.refusal is None and head is not None:
        fitting = "categorical" if head.function == "softmax" else "binary"
        loss = f"{fitting}_crossentropy"
        return Remedy(
            "Use cross-entropy for classes: the gradient of squared differences of probabilities "
            "vanishes where the net is wrong and sure.",
            f'model.compile(..., loss="{loss}")',
            Treatment("loss", (), loss) if alone else None,
        )
    return Remedy(f"Choose a loss that fits the last layer.{_refused(training.refusal)}")


def _refused(refusal: str | None) -> str:
    return "" if refusal is None else f" fit says: {refusal[:200]}"


def add_units(finding: Finding, examination: Examination) -> Remedy:
    """Give the head a unit for each class."""
    head = _head(finding, examination)
    _, _, data = _output(finding, examination)
    classes = data.classes if data is not None else 0
    if finding.rows and head is not None and classes <= head.units:
        return Remedy(
            f"Number the classes from 0 on: {rows_as_text(finding.rows)} of y hold numbers that no "
            "unit of the last layer stands for.",
            "y = np.unique(y, return_inverse=True)[1]",
        )
    ending = (head and head.function) or "softmax"
    return Remedy(
        f"Give the last layer a unit for each of the {classes} classes; the class numbers of the "
        "labels are 0 up to one below that.",
        f'eg.layers.Dense({classes}, activation="{ending}")',
        Treatment("units", (head.path,) if head else (), classes),
    )


def clean_data(finding: Finding, examination: Examination) -> Remedy:
    """Remove what is no number."""
    del examination
    name = "y" if finding.cause == "labels" else "x"
    where = f"{finding.value:g} in the rows that were looked at"
    if finding.rows:
        where = f"{rows_as_text(finding.rows)} of the data"
    return Remedy(
        f"Leave out, or fill in, the values of {name} that are NaN or infinite: {where}.",
        f"keep = np.isfinite({name}).reshape(len({name}), -1).all(axis=1)\nx, y = x[keep], y[keep]",
    )


def scale_targets(finding: Finding, examination: Examination) -> Remedy:
    """Standardize the targets."""
    del finding, examination
    return Remedy(
        "Standardize the targets: the gradient of squared errors is as large as they are. What the "
        "net puts out is scaled back.",
        "mean, std = y.mean(axis=0), y.std(axis=0)\nmodel.fit(x, (y - mean) / std)\n"
        "predicted = mean + std * model.predict(x)",
    )


def alpha_dropout(finding: Finding, examination: Examination) -> Remedy:
    """Take the dropout that keeps mean and variance."""
    del finding
    paths = tuple(layer.path for layer in examination.layers if layer.dropout > 0)
    rate = min(ALPHA_RATE, max((layer.dropout for layer in examination.layers), default=0.1))
    return Remedy(
        "Use alpha dropout with SELU: ordinary dropout changes mean and variance, and the net no "
        "longer normalizes itself.",
        f"eg.layers.AlphaDropout({rate:g})",
        Treatment("alpha_dropout", paths),
    )


def lecun(finding: Finding, examination: Examination) -> Remedy:
    """Begin SELU layers with LeCun's values."""
    del finding
    paths = tuple(layer.path for layer in examination.layers if layer.function == "selu")
    return Remedy(
        "Initialize each layer of SELU with LeCun's normal values: with others its outputs do not "
        "keep mean 0 and variance 1.",
        'eg.layers.Dense(100, activation="selu", kernel_initializer="lecun_normal")',
        Treatment("initializer", paths, "lecun_normal"),
    )


def all_selu(finding: Finding, examination: Examination) -> Remedy:
    """Take SELU in all hidden layers."""
    del finding
    rows = examination.layers
    paths = tuple(layer.path for layer in rows if layer.has_kernel and not layer.head)
    return Remedy(
        "Use SELU in all hidden layers, or in none: others between them do not keep mean 0 and "
        "variance 1.",
        'eg.layers.Dense(100, activation="selu", kernel_initializer="lecun_normal")',
        Treatment("activation", paths, "selu"),
    )


def plain_selu(finding: Finding, examination: Examination) -> Remedy:
    """Take ELU where the net is no plain chain."""
    del finding
    paths = tuple(layer.path for layer in examination.layers if layer.function == "selu")
    return Remedy(
        "Use SELU in plain chains of layers alone, and without normalization, which it makes "
        "superfluous; with shortcuts and in recurrent layers take ELU with He's values.",
        'eg.layers.Dense(100, activation="elu", kernel_initializer="he_normal")',
        Treatment("activation", paths, "elu"),
    )


def unpenalize(finding: Finding, examination: Examination) -> Remedy:
    """Remove penalties and dropout."""
    del finding, examination
    return Remedy(
        "Regularize less: remove penalties and max-norm, or make them smaller, and drop fewer "
        "units.",
        "eg.layers.Dense(100, kernel_regularizer=None)",
        Treatment("remove_regularizers"),
    )


def drop(finding: Finding, examination: Examination) -> Remedy:
    """Drop units in training."""
    del finding
    selu = any(layer.function == "selu" for layer in examination.layers)
    layer = "AlphaDropout(0.1)" if selu else "Dropout(0.5)"
    # Not of inputs: behind each hidden layer, which is in front of all kernels but the first ones.
    paths = tuple(one.path for one in examination.layers if one.has_kernel and one.depth > 1)
    return Remedy(
        "Drop half of the units during training, behind each hidden layer; with SELU a tenth, by "
        "alpha dropout. More of it when the net overfits, less when it underfits.",
        f"eg.layers.{layer}",
        Treatment("dropout", paths, 0.1 if selu else 0.5),
    )


def decay(finding: Finding, examination: Examination) -> Remedy:
    """Pull weights towards 0."""
    del finding, examination
    return Remedy(
        "Pull weights towards 0 by an L2 penalty or weight decay.",
        "eg.layers.Dense(100, kernel_regularizer=eg.regularizers.L2(1e-4))",
        Treatment("weight_decay", (), 1e-4),
    )


def stop_early(finding: Finding, examination: Examination) -> Remedy:
    """End the training where the validation loss is least."""
    del finding, examination
    return Remedy(
        "Stop where the validation loss is least and keep those weights.",
        "model.fit(x, y, validation_split=0.2, callbacks=[eg.callbacks.EarlyStopping("
        "patience=10, restore_best_weights=True)])",
    )


def more_data(finding: Finding, examination: Examination) -> Remedy:
    """Get more rows."""
    del finding, examination
    return Remedy(
        "Get more rows, or make new ones from those that there are by small shifts and turns; or "
        "take fewer units."
    )


def enlarge(finding: Finding, examination: Examination) -> Remedy:
    """Take a larger net."""
    del finding, examination
    return Remedy(
        "Use a larger net, more layers before wider ones, and train longer; see whether the inputs "
        "say anything about the targets."
    )
