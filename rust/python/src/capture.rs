//! Capture and replay of steps, and the feed of their batches.

use std::cell::RefCell;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use evengrad_core::plan::Plan as CorePlan;
use evengrad_core::team::access::Access;
use evengrad_core::team::lock;
use evengrad_core::{DType, Error, Result, capture, feed};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::Any;
use crate::access::wait_for;
use crate::error::exception;
use crate::native_call::run;
use crate::operand::other_tensor;
use crate::tensor::Tensor;

/// How long a replay runs before Python's signal handlers get their turn.
pub(crate) const TURN: Duration = Duration::from_millis(50);

/// True while a capture is open on this thread.
///
/// Examples
/// --------
/// >>> eg._core.is_capturing()
/// False
#[pyfunction]
pub(crate) fn is_capturing() -> bool {
    capture::is_open()
}

/// A captured step: runs again without Python, without allocation and without a tape.
///
/// Made by a :class:`Recording`.
#[pyclass(frozen, weakref, module = "evengrad._core")]
pub(crate) struct Plan(pub(crate) Mutex<CorePlan>);

impl Plan {
    /// Looks at or runs the plan; only inside a native call, where waiting for another thread's replay holds up
    /// nobody.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut CorePlan) -> T) -> T {
        work(&mut lock(&self.0))
    }

    /// Runs up to so many steps and gives how many, or a place in the line where another thread has access to what they
    /// change. It is waited for without the plan's lock, and kept while the steps run. The function is called after each.
    pub(crate) fn replay_or_request(
        &self,
        steps: usize,
        limit: Duration,
        after: &(dyn Fn() + Sync),
    ) -> Result<std::result::Result<usize, Access>> {
        self.with(|plan| match plan.replay_noting(steps, limit, after)? {
            0 if steps > 0 => Ok(Err(plan.request())),
            done => Ok(Ok(done)),
        })
    }
}

#[pymethods]
impl Plan {
    /// Run whole steps. Python's signal handlers run between steps, every 50 ms or so.
    ///
    /// Parameters
    /// ----------
    /// steps : int
    ///     How many.
    ///
    /// Raises
    /// ------
    /// KeyboardInterrupt
    ///     On Ctrl-C, after whole steps; ``steps_done`` tells how many.
    ///
    /// Examples
    /// --------
    /// See :class:`Recording`.
    #[pyo3(signature = (steps=1))]
    fn replay(&self, py: Python<'_>, steps: usize) -> PyResult<()> {
        let (mut left, mut access) = (steps, None);
        while left > 0 {
            match run(py, || self.replay_or_request(left, TURN, &|| {}))? {
                Ok(done) => {
                    left -= done;
                    access = None;
                }
                Err(request) => {
                    wait_for(py, &request)?;
                    access = Some(request);
                }
            }
            if left > 0 {
                py.check_signals()?;
            }
        }
        drop(access);
        Ok(())
    }

    /// Steps that replays have made so far.
    #[getter]
    fn steps_done(&self, py: Python<'_>) -> PyResult<u64> {
        run(py, || Ok(self.with(|plan| plan.steps_done())))
    }

    /// What a step consists of: ``launches``, ``chains``, ``phases``, ``barriers`` (small phases share the one before
    /// them), ``flops``, ``bytes`` read and written, ``memory`` held, in bytes, and ``threads``, the number that was
    /// quickest so far.
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let description = run(py, || Ok(self.with(|plan| plan.describe())))?;
        let facts = PyDict::new(py);
        facts.set_item("launches", description.launches)?;
        facts.set_item("chains", description.chains)?;
        facts.set_item("phases", description.phases)?;
        facts.set_item("barriers", description.barriers)?;
        facts.set_item("flops", description.flops)?;
        facts.set_item("bytes", description.traffic)?;
        facts.set_item("memory", description.memory)?;
        facts.set_item("threads", description.threads)?;
        Ok(facts)
    }

    /// The phases of a step as text: for each chain its work items and its launches.
    fn explain(&self, py: Python<'_>) -> PyResult<String> {
        run(py, || Ok(self.with(|plan| plan.explain())))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let facts = run(py, || Ok(self.with(|plan| plan.describe())))?;
        Ok(format!(
            "Plan(launches={}, chains={}, phases={}, memory={})",
            facts.launches, facts.chains, facts.phases, facts.memory
        ))
    }
}

thread_local! {
    /// What computes the scheduled values of the step that is captured on this thread as a [`Recording`].
    static SCHEDULED: RefCell<Option<Vec<Py<PyAny>>>> = const { RefCell::new(None) };
}

/// Have a function called with the number of coming steps before the step being recorded is replayed.
///
/// Where no :class:`Recording` is open on this thread, nothing is noted; a function that was noted before is not noted
/// again.
///
/// Examples
/// --------
/// >>> with eg._core.Recording() as recording:
/// ...     eg._core.schedule(print)
/// >>> recording.replay(3)
/// 3
#[pyfunction]
pub(crate) fn schedule(py: Python<'_>, prepare: Py<PyAny>) {
    SCHEDULED.with_borrow_mut(|open| {
        if let Some(known) = open
            && !known.iter().any(|one| one.bind(py).eq(&prepare).unwrap_or(false))
        {
            known.push(prepare);
        }
    });
}

/// A step that is captured within a ``with`` block; an exception there aborts the capture and passes through.
///
/// Raises
/// ------
/// RuntimeError
///     If a capture is open on this thread already.
///
/// Examples
/// --------
/// >>> total = eg.zeros(())
/// >>> with eg._core.Recording() as recording:
/// ...     eg._core.accumulate(total, eg.ones(()))
/// >>> recording.replay(4)
/// >>> total.item()
/// 5.0
#[pyclass(frozen, weakref, module = "evengrad._core")]
#[derive(Default)]
pub(crate) struct Recording {
    captured: OnceLock<Captured>,
}

struct Captured {
    plan: Option<Py<Plan>>,
    scheduled: Vec<Py<PyAny>>,
}

#[pymethods]
impl Recording {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn __enter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        capture::begin().map_err(exception)?;
        SCHEDULED.set(Some(Vec::new()));
        Ok(slf)
    }

    #[pyo3(signature = (kind, *_raised))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<Bound<'_, PyAny>>,
        _raised: &Bound<'_, PyTuple>,
    ) -> PyResult<()> {
        let (recording, scheduled) = (capture::end(), SCHEDULED.take().unwrap_or_default());
        let (None, Some(recording)) = (kind, recording) else { return Ok(()) };
        let plan = run(py, || match CorePlan::new(recording) {
            Err(Error::EmptyCapture(_)) => Ok(None),
            made => made.map(Some),
        })?;
        let plan = plan.map(|plan| Py::new(py, Plan(Mutex::new(plan)))).transpose()?;
        // A second block of the same object is not what it stands for.
        let _ = self.captured.set(Captured { plan, scheduled });
        Ok(())
    }

    /// The plan of the step; None where it has no operations, such as one that returns its argument.
    #[getter]
    fn plan(&self, py: Python<'_>) -> Option<Py<Plan>> {
        self.captured.get()?.plan.as_ref().map(|plan| plan.clone_ref(py))
    }

    /// The functions that were noted by :func:`schedule`.
    #[getter]
    fn scheduled(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        let noted = self.captured.get().map_or(&[][..], |captured| &captured.scheduled);
        noted.iter().map(|one| one.clone_ref(py)).collect()
    }

    /// Run the step so often; what is scheduled is computed before.
    #[pyo3(signature = (steps=1))]
    fn replay(&self, py: Python<'_>, steps: usize) -> PyResult<()> {
        let Some(captured) = self.captured.get() else { return Ok(()) };
        for prepare in &captured.scheduled {
            prepare.call1(py, (steps,))?;
        }
        captured.plan.as_ref().map_or(Ok(()), |plan| plan.get().replay(py, steps))
    }
}

/// The numbers of the rows that the steps of an epoch take, a batch a step.
///
/// Parameters
/// ----------
/// batch_size : int
///     Rows in a batch.
/// part : (int, int), optional
///     Which rows of each batch the step takes, from the first to before the second, where others take the rest.
///
/// Raises
/// ------
/// ValueError
///     If the batch size is zero, or the part has no rows or some beyond the batch.
///
/// Examples
/// --------
/// >>> feed = eg._core.Feed(2)
/// >>> feed.load([3, 1, 0, 2])
/// >>> feed.next()
/// >>> feed.indices.tolist(), feed.remaining
/// ([3, 1], 1)
/// >>> feed = eg._core.Feed(4, (1, 3))
/// >>> feed.load([3, 1, 0, 2])
/// >>> feed.next()
/// >>> feed.indices.tolist()
/// [1, 0]
#[pyclass(frozen, weakref, module = "evengrad._core")]
pub(crate) struct Feed(pub(crate) feed::Feed);

#[pymethods]
impl Feed {
    #[new]
    #[pyo3(signature = (batch_size, part=None))]
    fn new(py: Python<'_>, batch_size: usize, part: Option<(usize, usize)>) -> PyResult<Self> {
        let (start, stop) = part.unwrap_or((0, batch_size));
        run(py, || feed::Feed::of_part(batch_size, start..stop)).map(Self)
    }

    /// The rows of the present batch: ``int64``, in memory that :meth:`next` rewrites.
    #[getter]
    fn indices(&self) -> Tensor {
        Tensor(self.0.indices().clone())
    }

    /// Set the rows to visit from now on.
    ///
    /// Parameters
    /// ----------
    /// order : array of int
    ///     As many as a multiple of the batch size.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If their number is not a multiple.
    fn load(&self, py: Python<'_>, order: &Any<'_>) -> PyResult<()> {
        let order = other_tensor("order", order, Some(DType::I64))?;
        run(py, || self.0.load(order.to_vec::<i64>()?))
    }

    /// Go on to the next batch. Done inside a capture, every replay does so too.
    ///
    /// Raises
    /// ------
    /// RuntimeError
    ///     If all rows were visited.
    fn next(&self, py: Python<'_>) -> PyResult<()> {
        run(py, || self.0.next_batch())
    }

    /// Go one batch back: the step that took it has failed, and is made again.
    ///
    /// Raises
    /// ------
    /// RuntimeError
    ///     If none was visited yet.
    fn back(&self, py: Python<'_>) -> PyResult<()> {
        run(py, || self.0.back())
    }

    /// Batches that are left.
    #[getter]
    fn remaining(&self, py: Python<'_>) -> PyResult<usize> {
        run(py, || Ok(self.0.remaining()))
    }
}
