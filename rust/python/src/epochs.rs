//! Epochs that run one after the other without Python.

use std::sync::{Mutex, MutexGuard, PoisonError};

use evengrad_core::feed::Feed as CoreFeed;
use evengrad_core::plan;
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::capture::{Feed, Plan, TURN};
use crate::door::{run, run_in_turns};
use crate::functions::list;
use crate::random::Generator;

/// Epochs of captured steps, as long as nobody wants to hear of each.
///
/// An epoch sets the sums to zero, draws an order of the rows, and visits them: with the first plan as many whole
/// batches as its feed can make of them, with the next one those of what is left.
///
/// Parameters
/// ----------
/// parts : list of (Plan, Feed)
///     Captured steps, with the feeds that they were captured with.
/// rows : int
///     How many there are.
/// sums : list of Tensor
///     What the steps add to: ``float64`` without gaps.
/// shuffle : Generator, optional
///     Draws the orders; without it rows come as they lie.
///
/// Raises
/// ------
/// ValueError
///     If rows are left over.
/// TypeError
///     If a sum is of another type.
///
/// Examples
/// --------
/// >>> feed, rows = eg._core.Feed(2), eg.tensor([1.0, 2.0, 3.0, 4.0])
/// >>> total = eg.zeros((), dtype="float64")
/// >>> feed.load([0, 1])
/// >>> eg._core.begin_capture()
/// >>> feed.next()
/// >>> eg._core.accumulate(total, eg._core.take(rows, feed.indices).sum())
/// >>> epochs = eg._core.Epochs([(eg._core.end_capture(), feed)], 4, [total])
/// >>> epochs.run(3)
/// >>> epochs.finished().tolist()
/// [[10.0], [10.0], [10.0]]
#[pyclass(frozen, weakref, module = "evengrad._core")]
pub(crate) struct Epochs {
    plans: Vec<Py<Plan>>,
    /// Values of all sums.
    width: usize,
    core: Mutex<plan::Epochs>,
}

impl Epochs {
    fn lock(&self) -> MutexGuard<'_, plan::Epochs> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Epochs {
    #[new]
    #[pyo3(signature = (parts, rows, sums, shuffle=None))]
    fn new(
        py: Python<'_>,
        parts: Vec<(Py<Plan>, Py<Feed>)>,
        rows: usize,
        sums: &Bound<'_, PyAny>,
        shuffle: Option<&Bound<'_, Generator>>,
    ) -> PyResult<Self> {
        let sums = list("sums", sums)?;
        let feeds: Vec<CoreFeed> = parts.iter().map(|(_, feed)| feed.get().0.clone()).collect();
        let shuffle = shuffle.map(|generator| generator.get().0.clone());
        let width = sums.iter().map(evengrad_core::Tensor::count).sum();
        let core = run(py, || plan::Epochs::new(rows, shuffle, feeds, sums))?;
        let plans = parts.into_iter().map(|(plan, _)| plan).collect();
        Ok(Self { plans, width, core: Mutex::new(core) })
    }

    /// Run whole epochs. Python's signal handlers run between steps, every 50 ms or so.
    ///
    /// Parameters
    /// ----------
    /// epochs : int
    ///     How many.
    ///
    /// Raises
    /// ------
    /// KeyboardInterrupt
    ///     On Ctrl-C, after whole steps; :meth:`finished` has the epochs that have ended.
    fn run(&self, py: Python<'_>, epochs: usize) -> PyResult<()> {
        run(py, || {
            self.lock().queue(epochs);
            Ok(())
        })?;
        run_in_turns(py, || {
            self.lock().run(TURN, |part, steps, limit| {
                self.plans[part].get().with(|plan| plan.replay(steps, limit))
            })
        })
    }

    /// The values of all sums after each epoch that the last :meth:`run` has ended, an epoch in a row.
    fn finished<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let values = run(py, || Ok(self.lock().finished().to_vec()))?;
        let shape = [values.len() / self.width.max(1), self.width];
        PyArray1::from_vec(py, values).reshape(shape)
    }
}
