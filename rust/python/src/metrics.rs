//! What metrics count in, as functions of the module. All of it changes tensors in place, and has no gradient.

use evengrad_core::Tensor as CoreTensor;
use evengrad_core::ops::ranking::Curve;
use pyo3::prelude::*;

use crate::names::choose;
use crate::native_call::{run, run_tensor};
use crate::tensor::Tensor;

const CURVES: [(&str, Curve); 2] = [("ROC", Curve::Roc), ("PR", Curve::PrecisionRecall)];

type Given<'a, 'py> = &'a Bound<'py, Tensor>;

fn inner_of<'a>(given: Option<Given<'a, '_>>) -> Option<&'a CoreTensor> {
    given.map(|given| &given.get().0)
}

/// Add rows to the counts of what is named, of what is so, and of both, in place.
///
/// A row names its largest class, or what is above a limit, or some of the largest. A single class
/// is named above ½.
///
/// Parameters
/// ----------
/// counts : Tensor
///     (limits, 3, classes), ``float64``: weights of classes named rightly, named, and true. One for
///     each limit; one without limits.
/// predictions : Tensor
///     (rows, classes).
/// targets : Tensor
///     (rows): numbers of classes, of a single class what it is. Or (rows, classes): a yes above ½.
/// weights : Tensor or None
///     (rows), of the predictions' dtype. Rows of weight 0 are not looked at.
/// limits : list of float
///     Those above one are named.
/// top_k : int or None
///     Only so many of the largest of a row are named, the first of those that tie. Of a single
///     class all rows are one row.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not fit.
///
/// Examples
/// --------
/// >>> counts = eg.zeros((1, 3, 2), dtype="float64")
/// >>> scores = eg.tensor([[0.9, 0.1], [0.7, 0.3]])
/// >>> eg._core.count_decisions(counts, scores, eg.tensor([0, 1]))
/// >>> counts.tolist()
/// [[[1.0, 0.0], [2.0, 0.0], [1.0, 1.0]]]
#[pyfunction]
#[pyo3(signature = (counts, predictions, targets, weights=None, limits=vec![], top_k=None))]
#[allow(clippy::needless_pass_by_value, reason = "a list of Python is taken over")]
pub(crate) fn count_decisions(
    counts: Given<'_, '_>,
    predictions: Given<'_, '_>,
    targets: Given<'_, '_>,
    weights: Option<Given<'_, '_>>,
    limits: Vec<f64>,
    top_k: Option<usize>,
) -> PyResult<()> {
    let (py, counts, predictions) = (counts.py(), &counts.get().0, &predictions.get().0);
    let (targets, weights) = (&targets.get().0, inner_of(weights));
    run(py, || counts.count_decisions(predictions, targets, weights, &limits, top_k))
}

/// Add rows to a matrix of true classes and the classes that are named, in place.
///
/// Parameters
/// ----------
/// matrix : Tensor
///     (classes, classes), ``float64``; a single class counts as two.
/// predictions, targets, weights : Tensor
///     As for `count_decisions`; of targets for each class the largest counts.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not fit.
///
/// Examples
/// --------
/// >>> matrix = eg.zeros((2, 2), dtype="float64")
/// >>> scores = eg.tensor([[0.9, 0.1], [0.7, 0.3]])
/// >>> eg._core.count_confusion(matrix, scores, eg.tensor([0, 1]))
/// >>> matrix.tolist()
/// [[1.0, 0.0], [1.0, 0.0]]
#[pyfunction]
#[pyo3(signature = (matrix, predictions, targets, weights=None))]
pub(crate) fn count_confusion(
    matrix: Given<'_, '_>,
    predictions: Given<'_, '_>,
    targets: Given<'_, '_>,
    weights: Option<Given<'_, '_>>,
) -> PyResult<()> {
    let (py, matrix, predictions) = (matrix.py(), &matrix.get().0, &predictions.get().0);
    let (targets, weights) = (&targets.get().0, inner_of(weights));
    run(py, || matrix.count_confusion(predictions, targets, weights))
}

/// Add scores to those that are kept, in place, with the weights of positives and negatives.
///
/// As long as there is room each score is kept; then neighbours in their order are joined to groups
/// with like shares of the positives and negatives.
///
/// Parameters
/// ----------
/// entries : Tensor
///     (columns, room, 3), ``float64``: a score, the weight of its positives, of its negatives. A
///     column for each class against the rest, for the one that is given, or for all together.
/// summary : Tensor
///     (columns, 3), ``float64``: how many entries a column has, the lowest and the highest score,
///     0 among them; the highest is NaN once a score is.
/// scores, targets, weights : Tensor
///     As the predictions of `count_decisions`, their targets and weights.
/// class_id : int or None
///     The class whose scores are kept.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not fit, or the room is below 4.
///
/// Examples
/// --------
/// >>> entries, summary = eg.zeros((1, 4, 3), dtype="float64"), eg.zeros((1, 3), dtype="float64")
/// >>> truth, weights = eg.tensor([1, 0]), eg.tensor([1.0, 2.0])
/// >>> eg._core.collect_scores(entries, summary, eg.tensor([[0.25], [0.5]]), truth, weights)
/// >>> entries[0, :2].tolist(), summary.tolist()
/// ([[0.25, 1.0, 0.0], [0.5, 0.0, 2.0]], [[2.0, 0.0, 0.5]])
#[pyfunction]
#[pyo3(signature = (entries, summary, scores, targets, weights=None, class_id=None))]
pub(crate) fn collect_scores(
    entries: Given<'_, '_>,
    summary: Given<'_, '_>,
    scores: Given<'_, '_>,
    targets: Given<'_, '_>,
    weights: Option<Given<'_, '_>>,
    class_id: Option<usize>,
) -> PyResult<()> {
    let (py, entries, summary) = (entries.py(), &entries.get().0, &summary.get().0);
    let (scores, targets, weights) = (&scores.get().0, &targets.get().0, inner_of(weights));
    run(py, || entries.collect_scores(summary, scores, targets, weights, class_id))
}

/// Return the areas under a curve of the scores that are kept.
///
/// Parameters
/// ----------
/// entries, summary : Tensor
///     As `collect_scores` keeps them.
/// curve : str
///     ``"ROC"``, or ``"PR"`` for precision over recall.
/// thresholds : Tensor or None
///     (n), ``float64``, in rising order: scores count as no less than 0 and no more than 1, and
///     those between two of them as equal. Without them each score is a threshold.
///
/// Returns
/// -------
/// Tensor
///     (columns, 3): of each the area, 0 where there is none, the weight of its positives and that
///     of its negatives.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not fit.
///
/// Examples
/// --------
/// >>> entries, summary = eg.zeros((1, 4, 3), dtype="float64"), eg.zeros((1, 3), dtype="float64")
/// >>> scores, truth = eg.tensor([[0.5], [0.25], [0.5]]), eg.tensor([1, 0, 0])
/// >>> eg._core.collect_scores(entries, summary, scores, truth)
/// >>> eg._core.areas_under_curve(entries, summary, "ROC").tolist()
/// [[0.75, 1.0, 2.0]]
#[pyfunction]
#[pyo3(signature = (entries, summary, curve, thresholds=None))]
pub(crate) fn areas_under_curve(
    entries: Given<'_, '_>,
    summary: Given<'_, '_>,
    curve: &str,
    thresholds: Option<Given<'_, '_>>,
) -> PyResult<Tensor> {
    let curve = choose("curve", curve, &CURVES)?;
    let (py, entries, summary) = (entries.py(), &entries.get().0, &summary.get().0);
    let thresholds = inner_of(thresholds);
    run_tensor(py, || entries.areas_under_curve(summary, curve, thresholds))
}
