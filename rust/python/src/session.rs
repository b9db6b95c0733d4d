//! The native training session: epochs of captured steps without Python, and of steps in Python where there must be some.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use evengrad_core::feed::Feed as CoreFeed;
use evengrad_core::session::{Next, Notes, Session as CoreSession, Until};
use evengrad_core::team::access::Access;
use evengrad_core::team::{self, lock};
use evengrad_core::{Result, Tensor as CoreTensor};
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::Any;
use crate::access::wait_for;
use crate::capture::{Feed, Plan, TURN};
use crate::functions::list;
use crate::native_call::{run, tell_notices};
use crate::optim::Optimizer;
use crate::random::Generator;
use crate::tensor::Tensor;

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

/// What a run goes on until, as Python says it.
pub(crate) fn until_of(until: &Any<'_>) -> PyResult<Until> {
    if let Ok(steps) = until.cast::<Steps>() {
        Ok(Until::Steps(steps.get().0))
    } else if let Ok(seconds) = until.cast::<Seconds>() {
        Ok(Until::Seconds(seconds.get().0, seconds.get().1))
    } else if let Ok(epochs) = until.cast::<Epochs>() {
        Ok(Until::Epochs(epochs.get().0))
    } else {
        Err(PyTypeError::new_err("until: expected Steps, Seconds or Epochs"))
    }
}

/// One kind of step: a captured plan once there is one, until then a call of Python.
pub(crate) struct Kind {
    step: Py<PyAny>,
    pub(crate) plan: Option<Py<Plan>>,
    scheduled: Vec<Py<PyAny>>,
}

impl Kind {
    fn new(step: Py<PyAny>) -> Self {
        Self { step, plan: None, scheduled: Vec::new() }
    }
}

/// All kinds of steps.
pub(crate) struct Kinds {
    pub(crate) plain: Vec<Kind>,
    /// For each of them what makes its steps where they are watched; nothing where nothing is, or the host looks itself.
    pub(crate) watched: Vec<Kind>,
}

impl Kinds {
    fn of(&mut self, kind: usize, watched: bool) -> &mut Kind {
        match self.watched.get_mut(kind) {
            Some(found) if watched => found,
            _ => &mut self.plain[kind],
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Kind> {
        self.plain.iter_mut().chain(&mut self.watched)
    }
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
    pub(crate) kinds: Mutex<Kinds>,
    /// Values of all sums.
    values: usize,
    host_batches: bool,
    load: Option<Py<PyAny>>,
    pub(crate) core: Mutex<CoreSession>,
    stopped: AtomicBool,
}

/// Numbers in so many rows.
fn rows_of(py: Python<'_>, values: Vec<f64>, rows: usize) -> PyResult<Bound<'_, PyArray2<f64>>> {
    let shape = [rows, values.len().checked_div(rows).unwrap_or(0)];
    PyArray1::from_vec(py, values).reshape(shape)
}

/// Takes in what a step has left that was made in Python.
fn note(core: &CoreSession, watched: bool) {
    if let Some(notes) = core.notes() {
        notes.take_in(watched);
    }
}

/// The number of the first of steps, and numbers of each in a row.
type Course<'py> = (usize, Bound<'py, PyArray2<f64>>);

/// The numbers of epochs, how many of their steps were watched, and counts of each in a row.
type Counts<'py> =
    (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray2<f64>>);

/// The numbers of steps, and values of each in a row.
type Samples<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray2<f64>>);

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
        let (mut core, mut kinds) = (lock(&self.core), lock(&self.kinds));
        let begun = Instant::now();
        let mut before = begun;
        loop {
            let next = core.decide()?;
            let Next::Run { kind, steps, watched } = next else { return Ok(Turn::Host(next)) };
            let Some(plan) = &kinds.of(kind, watched).plan else { return Ok(Turn::Host(next)) };
            let mut limit = TURN.saturating_sub(begun.elapsed());
            if let Until::Seconds(time, _) = until {
                limit = limit.min(time.saturating_sub(started.elapsed()));
            }
            let notes = core.notes().cloned();
            let after = || {
                if let Some(notes) = &notes {
                    notes.take_in(watched);
                }
            };
            let done = match plan.get().replay_or_request(steps, limit, &after)? {
                Ok(done) => done,
                Err(request) => return Ok(Turn::Barred(request)),
            };
            // From one replay to the next: what it takes to change between watched steps and plain ones belongs to them.
            let now = Instant::now();
            core.ran(done, Some(now - before));
            before = now;
            if begun.elapsed() >= TURN || self.has_stopped() {
                core.end_if_done()?;
                return Ok(Turn::Over);
            }
        }
    }

    /// Makes one step in Python.
    fn step_in_python(&self, py: Python<'_>, kind: usize, watched: bool) -> PyResult<()> {
        let step = lock(&self.kinds).of(kind, watched).step.clone_ref(py);
        let begun = Instant::now();
        let made = step.bind(py).call0()?;
        let time = Some(begun.elapsed());
        if self.host_batches {
            let has_more = made.extract::<bool>()?;
            return run(py, || {
                let mut core = lock(&self.core);
                if !has_more {
                    return core.end_epoch();
                }
                note(&core, watched);
                core.ran(1, time);
                Ok(())
            });
        }
        let captured: Option<(Py<Plan>, Vec<Py<PyAny>>)> = made.extract()?;
        // A capture takes longer than any step after it.
        let capture = time.filter(|_| captured.is_some() && watched);
        let time = time.filter(|_| captured.is_none());
        run(py, || {
            let mut core = lock(&self.core);
            note(&core, watched);
            core.spend(capture.unwrap_or_default());
            core.ran(1, time);
            Ok(())
        })?;
        let kinds = &mut lock(&self.kinds);
        if let Some((plan, scheduled)) = captured {
            let kind = kinds.of(kind, watched);
            (kind.plan, kind.scheduled) = (Some(plan), scheduled);
        }
        // A step in Python computes its scheduled values itself, and leaves none of others behind.
        lock(&self.core).set_scheduled(kinds.all().any(|kind| !kind.scheduled.is_empty()));
        Ok(())
    }

    /// Has Python compute what is scheduled for the coming steps; kinds of steps that share it have it done once.
    fn prepare(&self, py: Python<'_>, steps: usize) -> PyResult<()> {
        let mut every: Vec<Py<PyAny>> = Vec::new();
        for one in lock(&self.kinds).all().flat_map(|kind| &kind.scheduled) {
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

impl Session {
    /// Does what Python has to do; tells whether that was a step.
    pub(crate) fn serve(&self, py: Python<'_>, next: Next) -> PyResult<bool> {
        match next {
            Next::Run { kind, watched, .. } => {
                self.step_in_python(py, kind, watched)?;
                return Ok(true);
            }
            Next::Prepare(steps) => self.prepare(py, steps)?,
            Next::Load(rows) => {
                if let Some(load) = &self.load {
                    load.call1(py, (PyArray1::from_vec(py, rows),))?;
                }
            }
            Next::Reached => {}
        }
        Ok(false)
    }

    /// Begins to run.
    pub(crate) fn begin(&self, until: Until) {
        lock(&self.core).start(until);
    }

    /// Whether the last run has ended an epoch, and begun no other.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.core).has_ended()
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
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
        let sums: Vec<CoreTensor> = list("sums", sums)?;
        let values = sums.iter().map(CoreTensor::count).sum();
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
        let plain = kinds.into_iter().map(|(step, _)| Kind::new(step)).collect();
        Ok(Self {
            kinds: Mutex::new(Kinds { plain, watched: Vec::new() }),
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
        let until = until_of(until)?;
        let started = Instant::now();
        self.begin(until);
        let mut has_moved = false;
        while !(has_moved && self.has_stopped()) {
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
                Turn::Host(next) => has_moved |= self.serve(py, next)?,
            }
        }
        Ok(self.has_ended())
    }

    /// Have :meth:`run` return soon, at a whole step; one that is called later makes a step or few. Safe in signal
    /// handlers.
    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether :meth:`stop` was called.
    #[getter]
    fn stopped(&self) -> bool {
        self.has_stopped()
    }

    /// Forget what was captured: each kind of step is made by Python again, and may be captured anew.
    fn forget(&self) {
        for kind in lock(&self.kinds).all() {
            (kind.plan, kind.scheduled) = (None, Vec::new());
        }
        lock(&self.core).set_scheduled(false);
    }

    /// Watch the next step and then every so many: such a step is made by a function of its own, and what it writes in a
    /// record is kept.
    ///
    /// Parameters
    /// ----------
    /// kinds : list of function
    ///     For each kind of step the one that makes a watched step, over the batch that its feed names next; it may be
    ///     captured likewise. None where the steps bring the batches: they see in `is_watched` what comes.
    /// record : Tensor
    ///     What a watched step writes: ``float64`` without gaps.
    /// every : int, optional
    ///     Steps from one watched step to the next. Without it the session measures what steps take, and watches as
    ///     seldom as keeps the cost of it below 3 % of the time.
    /// each : list of Tensor, optional
    ///     What every step writes, watched or not: one floating-point number each.
    /// optimizer : Optimizer, optional
    ///     Whose rate in every step is kept too.
    /// counts : list of Tensor, optional
    ///     What watched steps add to: ``float64`` without gaps. Their values at each epoch's end are kept, and they begin the
    ///     next one as zeros.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If there are more or fewer functions than kinds of steps, or `every` is 0.
    /// TypeError
    ///     If a tensor is of another type.
    ///
    /// Examples
    /// --------
    /// >>> feed, record = eg._core.Feed(1), eg.zeros(1, dtype="float64")
    /// >>> def watched():
    /// ...     feed.next()
    /// ...     eg._core.accumulate(record, eg.ones(1))
    /// >>> session = eg._core.Session([(feed.next, feed)], 5, [])
    /// >>> session.watch([watched], record, every=2)
    /// >>> session.run(eg._core.Epochs(1))
    /// True
    /// >>> steps, values = session.samples()
    /// >>> steps.tolist(), values.tolist()
    /// ([0, 2, 4], [[1.0], [2.0], [3.0]])
    #[pyo3(signature = (kinds, record, every=None, each=None, optimizer=None, counts=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn watch(
        &self,
        py: Python<'_>,
        kinds: Vec<Py<PyAny>>,
        record: &Bound<'_, Tensor>,
        every: Option<usize>,
        each: Option<&Any<'_>>,
        optimizer: Option<&Bound<'_, Optimizer>>,
        counts: Option<&Any<'_>>,
    ) -> PyResult<()> {
        let expected = if self.host_batches { 0 } else { lock(&self.kinds).plain.len() };
        if kinds.len() != expected {
            let got = kinds.len();
            return Err(PyValueError::new_err(format!(
                "kinds: expected {expected} functions, one for each kind of step with a feed, got {got}"
            )));
        }
        let record = record.get().0.clone();
        let each = each.map_or_else(|| Ok(Vec::new()), |each| list("each", each))?;
        let counts = counts.map_or_else(|| Ok(Vec::new()), |counts| list("counts", counts))?;
        let optimizer = optimizer.map(|optimizer| optimizer.get().core().clone());
        run(py, || {
            let notes = Notes::new(record, each, optimizer, counts)?;
            lock(&self.core).watch(notes, every)
        })?;
        lock(&self.kinds).watched = kinds.into_iter().map(Kind::new).collect();
        Ok(())
    }

    /// Say that watching has taken so many seconds besides the steps. Where the session decides which steps are watched,
    /// there are fewer of them until that is paid for.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If it is no time.
    fn spend(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let time = Duration::try_from_secs_f64(seconds)
            .map_err(|error| PyValueError::new_err(format!("seconds: {error}, got {seconds}")))?;
        run(py, || {
            lock(&self.core).spend(time);
            Ok(())
        })
    }

    /// Whether the coming step is watched.
    #[getter]
    fn is_watched(&self) -> bool {
        lock(&self.core).is_watched()
    }

    /// The numbers of the steps watched since the last call, counted from :meth:`watch`, and the record of each in a row.
    fn samples<'py>(&self, py: Python<'py>) -> PyResult<Samples<'py>> {
        let notes = lock(&self.core).notes().cloned();
        let (steps, values) = notes.map(|notes| notes.take_samples()).unwrap_or_default();
        let values = rows_of(py, values, steps.len())?;
        Ok((PyArray1::from_vec(py, steps), values))
    }

    /// The number of the first of the steps since the last call, counted from :meth:`watch`, and of each of them in a row
    /// what is kept of every step: the numbers of `each`, the rate, and the number of its epoch.
    fn course<'py>(&self, py: Python<'py>) -> PyResult<Course<'py>> {
        let notes = lock(&self.core).notes().cloned();
        let Some(notes) = notes else { return Ok((0, rows_of(py, Vec::new(), 0)?)) };
        let (first, values) = notes.take_course();
        let steps = values.len().checked_div(notes.numbers_of_each()).unwrap_or(0);
        Ok((first, rows_of(py, values, steps)?))
    }

    /// The epochs with watched steps that have ended since the last call, counted from :meth:`watch`: their numbers, how
    /// many of their steps were watched, and all `counts` at their ends, an epoch in a row.
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Counts<'py>> {
        let notes = lock(&self.core).notes().cloned();
        let counted = notes.map(|notes| notes.take_counted()).unwrap_or_default();
        let values = rows_of(py, counted.values, counted.epochs.len())?;
        Ok((PyArray1::from_vec(py, counted.epochs), PyArray1::from_vec(py, counted.steps), values))
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

    /// Have so many rows be in the steps' memory at a time from now on: all of them, or those that `load` brings. Those of
    /// the coming step are brought anew.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If the steps bring their batches themselves, or a batch has more rows.
    ///
    /// Examples
    /// --------
    /// >>> feed, loaded = eg._core.Feed(1), []
    /// >>> session = eg._core.Session([(feed.next, feed)], 4, [], load=lambda rows: loaded.append(rows.tolist()))
    /// >>> session.run(eg._core.Steps(1))
    /// False
    /// >>> session.set_window(2)
    /// >>> session.run(eg._core.Epochs(1)), loaded
    /// (True, [[1, 2], [3]])
    fn set_window(&self, py: Python<'_>, rows: usize) -> PyResult<()> {
        run(py, || lock(&self.core).set_window(rows))
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

    /// When each epoch has ended that the last :meth:`run` has ended, in seconds from its beginning.
    fn ended(&self) -> Vec<f64> {
        lock(&self.core).ended().iter().map(Duration::as_secs_f64).collect()
    }

    /// The values of all sums after each epoch that the last :meth:`run` has ended, an epoch in a row.
    fn finished<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let values = lock(&self.core).finished().to_vec();
        let shape = [values.len() / self.values.max(1), self.values];
        PyArray1::from_vec(py, values).reshape(shape)
    }
}
