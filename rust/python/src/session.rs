//! The native training session: epochs of captured steps without Python, and of steps in Python where there must be some.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use evengrad_core::feed::Feed as CoreFeed;
use evengrad_core::session::{Next, Session as CoreSession, Until};
use evengrad_core::team::access::Access;
use evengrad_core::team::{self, lock};
use evengrad_core::{Result, Tensor};
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::Any;
use crate::access::wait_for;
use crate::capture::{Feed, Plan, TURN};
use crate::functions::list;
use crate::native_call::{run, tell_notices};
use crate::random::Generator;

/// Run until so many steps are done, or the epoch in progress has ended.
#[pyclass(frozen, module = "evengrad._core")]
pub(crate) struct Steps(usize);

/// Run until so many seconds have passed and a step is done, so many steps are done, or the epoch in progress has ended.
#[pyclass(frozen, module = "evengrad._core")]
pub(crate) struct Seconds(Duration, usize);

/// Run until so many epochs have ended, the one in progress among them.
#[pyclass(frozen, module = "evengrad._core")]
pub(crate) struct Epochs(usize);

#[pymethods]
impl Steps {
    #[new]
    fn new(count: usize) -> Self {
        Self(count)
    }
}

#[pymethods]
impl Seconds {
    #[new]
    #[pyo3(signature = (count, steps=usize::MAX))]
    fn new(count: f64, steps: usize) -> PyResult<Self> {
        Duration::try_from_secs_f64(count)
            .map(|time| Self(time, steps))
            .map_err(|error| PyValueError::new_err(format!("seconds: {error}, got {count}")))
    }
}

#[pymethods]
impl Epochs {
    #[new]
    fn new(count: usize) -> Self {
        Self(count)
    }
}

/// One kind of step: a captured plan once there is one, until then a call of Python.
struct Kind {
    step: Py<PyAny>,
    plan: Option<Py<Plan>>,
    scheduled: Vec<Py<PyAny>>,
}

/// Epochs of training or evaluation steps: the one driver of them.
///
/// An epoch sets the sums to zero, draws an order of the rows, and visits them: with the first kind of step as many
/// whole batches as its feed can make of them, with the next one those of what is left. A step is a function without
/// arguments that makes one step over the rows that its feed names next. It returns None; or what it has captured, a
/// :class:`Plan`, and a list of functions that take the number of coming steps and compute what is scheduled for them:
/// from then on the plan is replayed, without Python.
///
/// Parameters
/// ----------
/// kinds : list of (function, Feed)
///     The steps. Without a feed, (function, None), there is one kind, and the function brings the batch too: it
///     returns False where it has no more.
/// rows : int, optional
///     How many there are. Without feeds: how many steps an epoch has at most.
/// sums : list of Tensor
///     What the steps add to: ``float64`` without gaps.
/// shuffle : Generator, optional
///     Draws the orders; without it rows come as they lie.
/// window : int, optional
///     How many rows are in the steps' memory at a time, where not all are.
/// load : function, optional
///     Brings the rows of the numbers that it is given, at most `window`, into that memory.
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
/// >>> def step():
/// ...     with eg._core.Recording() as recording:
/// ...         feed.next()
/// ...         eg._core.accumulate(total, eg._core.take(rows, feed.indices).sum())
/// ...     return recording.plan, []
/// >>> session = eg._core.Session([(step, feed)], 4, [total])
/// >>> session.run(eg._core.Steps(1)), session.step, total.item()
/// (False, 1, 3.0)
/// >>> session.run(eg._core.Epochs(3)), session.finished().tolist()
/// (True, [[10.0], [10.0], [10.0]])
#[pyclass(frozen, weakref, module = "evengrad._core")]
pub(crate) struct Session {
    kinds: Mutex<Vec<Kind>>,
    /// Values of all sums.
    values: usize,
    host_batches: bool,
    load: Option<Py<PyAny>>,
    core: Mutex<CoreSession>,
    stopped: AtomicBool,
}

/// What a turn of native work ended with.
enum Turn {
    /// Python has to do this.
    Host(Next),
    /// Another thread has access to what the steps change, and this is the place in the line.
    Barred(Access),
    /// The time of a turn is over.
    Over,
}

impl Session {
    /// Replays plans for about as long as a turn, or until Python is needed.
    fn turn(&self, until: Until, started: Instant) -> Result<Turn> {
        let (mut core, kinds) = (lock(&self.core), lock(&self.kinds));
        let begun = Instant::now();
        loop {
            let next = core.decide()?;
            let Next::Run { kind, steps } = next else { return Ok(Turn::Host(next)) };
            let Some(plan) = &kinds[kind].plan else { return Ok(Turn::Host(next)) };
            let mut limit = TURN.saturating_sub(begun.elapsed());
            if let Until::Seconds(time, _) = until {
                limit = limit.min(time.saturating_sub(started.elapsed()));
            }
            let done = match plan.get().replay_or_request(steps, limit)? {
                Ok(done) => done,
                Err(request) => return Ok(Turn::Barred(request)),
            };
            core.ran(done);
            if begun.elapsed() >= TURN || self.stopped.load(Ordering::Relaxed) {
                core.end_if_done()?;
                return Ok(Turn::Over);
            }
        }
    }

    /// Makes one step in Python.
    fn step_in_python(&self, py: Python<'_>, kind: usize) -> PyResult<()> {
        let step = lock(&self.kinds)[kind].step.clone_ref(py);
        let made = step.bind(py).call0()?;
        let mut core = lock(&self.core);
        if self.host_batches {
            if made.extract::<bool>()? {
                core.ran(1);
            } else {
                drop(core);
                run(py, || lock(&self.core).end_epoch())?;
            }
            return Ok(());
        }
        core.ran(1);
        if !made.is_none() {
            let (plan, scheduled): (Py<Plan>, Vec<Py<PyAny>>) = made.extract()?;
            let kinds = &mut lock(&self.kinds);
            (kinds[kind].plan, kinds[kind].scheduled) = (Some(plan), scheduled);
        }
        // A step in Python computes its scheduled values itself, and leaves none of others behind.
        core.set_scheduled(lock(&self.kinds).iter().any(|kind| !kind.scheduled.is_empty()));
        Ok(())
    }

    /// Has Python compute what is scheduled for the coming steps; kinds of steps that share it have it done once.
    fn prepare(&self, py: Python<'_>, steps: usize) -> PyResult<()> {
        let mut every: Vec<Py<PyAny>> = Vec::new();
        for one in lock(&self.kinds).iter().flat_map(|kind| &kind.scheduled) {
            let bound = one.bind(py);
            if !every.iter().any(|known| bound.eq(known).unwrap_or(false)) {
                every.push(one.clone_ref(py));
            }
        }
        for one in every {
            one.call1(py, (steps,))?;
        }
        lock(&self.core).prepared(steps);
        Ok(())
    }
}

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (kinds, rows, sums, shuffle=None, window=None, load=None))]
    fn new(
        py: Python<'_>,
        kinds: Vec<(Py<PyAny>, Option<Py<Feed>>)>,
        rows: Option<usize>,
        sums: &Any<'_>,
        shuffle: Option<&Bound<'_, Generator>>,
        window: Option<usize>,
        load: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        // Python changes variables of the environment with its lock held, as it is here.
        team::renew_limits();
        tell_notices(py)?;
        let sums: Vec<Tensor> = list("sums", sums)?;
        let values = sums.iter().map(Tensor::count).sum();
        let feeds: Vec<CoreFeed> =
            kinds.iter().filter_map(|(_, feed)| Some(feed.as_ref()?.get().0.clone())).collect();
        let host_batches = feeds.is_empty();
        let shuffle = shuffle.map(|generator| generator.get().0.clone());
        let core = if host_batches {
            run(py, || CoreSession::over_host_batches(rows, sums))?
        } else {
            let rows = rows.ok_or_else(|| PyTypeError::new_err("rows: expected their number"))?;
            let window = window.unwrap_or(rows);
            run(py, || CoreSession::over_rows(rows, shuffle, feeds, sums, window))?
        };
        let kinds = kinds
            .into_iter()
            .map(|(step, _)| Kind { step, plan: None, scheduled: Vec::new() })
            .collect();
        Ok(Self {
            kinds: Mutex::new(kinds),
            values,
            host_batches,
            load,
            core: Mutex::new(core),
            stopped: AtomicBool::new(false),
        })
    }

    /// Run steps until that is reached, at a whole step. Python's signal handlers run between steps, every 50 ms or so.
    ///
    /// Parameters
    /// ----------
    /// until : Steps, Seconds or Epochs
    ///     The first two end with the epoch in progress at the latest.
    ///
    /// Returns
    /// -------
    /// bool
    ///     Whether it has ended an epoch, and begun no other.
    ///
    /// Raises
    /// ------
    /// KeyboardInterrupt
    ///     On Ctrl-C, after a whole step of a plan; :meth:`finished` has the epochs that have ended.
    fn run(&self, py: Python<'_>, until: &Any<'_>) -> PyResult<bool> {
        let until = if let Ok(steps) = until.cast::<Steps>() {
            Until::Steps(steps.get().0)
        } else if let Ok(seconds) = until.cast::<Seconds>() {
            Until::Seconds(seconds.get().0, seconds.get().1)
        } else if let Ok(epochs) = until.cast::<Epochs>() {
            Until::Epochs(epochs.get().0)
        } else {
            return Err(PyTypeError::new_err("until: expected Steps, Seconds or Epochs"));
        };
        let started = Instant::now();
        lock(&self.core).start(until);
        let mut has_moved = false;
        while !(has_moved && self.stopped.load(Ordering::Relaxed)) {
            let mut turn = run(py, || self.turn(until, started))?;
            while let Turn::Barred(request) = &turn {
                // Without the locks of a turn: who has access may look at this session.
                wait_for(py, request)?;
                turn = run(py, || self.turn(until, started))?;
            }
            tell_notices(py)?;
            match turn {
                Turn::Barred(_) => {}
                Turn::Over => {
                    has_moved = true;
                    py.check_signals()?;
                }
                Turn::Host(Next::Reached) => break,
                Turn::Host(Next::Run { kind, .. }) => {
                    self.step_in_python(py, kind)?;
                    has_moved = true;
                }
                Turn::Host(Next::Prepare(steps)) => self.prepare(py, steps)?,
                Turn::Host(Next::Load(rows)) => {
                    if let Some(load) = &self.load {
                        load.call1(py, (PyArray1::from_vec(py, rows),))?;
                    }
                }
            }
        }
        Ok(lock(&self.core).has_ended())
    }

    /// Have :meth:`run` return soon, at a whole step; one that is called later makes a step or few. Safe in signal
    /// handlers.
    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether :meth:`stop` was called.
    #[getter]
    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Forget what was captured: each kind of step is made by Python again, and may be captured anew.
    fn forget(&self) {
        for kind in lock(&self.kinds).iter_mut() {
            (kind.plan, kind.scheduled) = (None, Vec::new());
        }
        lock(&self.core).set_scheduled(false);
    }

    /// Limit epochs of rows, and orders, to so many steps.
    ///
    /// Parameters
    /// ----------
    /// epoch : int, optional
    ///     Steps of an epoch at most; the next epoch goes on in the order where this one ends.
    /// order : int, optional
    ///     Steps of an order at most; rows that come later in it are left out.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If there are no rows, or a limit is 0.
    #[pyo3(signature = (epoch=None, order=None))]
    fn limit(&self, py: Python<'_>, epoch: Option<usize>, order: Option<usize>) -> PyResult<()> {
        run(py, || lock(&self.core).limit(epoch, order))
    }

    /// Steps of the order in progress that earlier epochs have made, where epochs are limited; else 0.
    #[getter]
    fn epoch_start(&self) -> usize {
        lock(&self.core).epoch_start()
    }

    /// Begin an epoch as if so many of its steps had been done, with the order that `shuffle` draws next, of which
    /// earlier epochs have made the steps before `epoch_start`.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If an epoch or an order has no such step.
    #[pyo3(signature = (step, epoch_start=0))]
    fn seek(&self, py: Python<'_>, step: usize, epoch_start: usize) -> PyResult<()> {
        run(py, || lock(&self.core).seek(step, epoch_start))
    }

    /// Where in the stream of `shuffle` the order in progress was drawn; None between orders.
    #[getter]
    fn order_draw(&self) -> Option<u64> {
        lock(&self.core).order_draw()
    }

    /// Steps done in the epoch in progress; 0 between epochs.
    #[getter]
    fn step(&self) -> usize {
        lock(&self.core).step().unwrap_or(0)
    }

    /// Steps that the epoch which has ended last had.
    #[getter]
    fn last_epoch_steps(&self) -> usize {
        lock(&self.core).last_epoch_steps()
    }

    /// Steps of the epoch in progress, or else of the next one; None where the steps themselves say when there is no more.
    #[getter]
    fn steps_per_epoch(&self) -> Option<usize> {
        lock(&self.core).steps_per_epoch()
    }

    /// The values of all sums after each epoch that the last :meth:`run` has ended, an epoch in a row.
    fn finished<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let values = lock(&self.core).finished().to_vec();
        let shape = [values.len() / self.values.max(1), self.values];
        PyArray1::from_vec(py, values).reshape(shape)
    }
}
