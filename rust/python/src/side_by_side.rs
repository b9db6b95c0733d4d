//! Several sessions side by side: turns of native work for all of them, and Python for one after the other in between.

use std::sync::MutexGuard;
use std::time::Instant;

use evengrad_core::Result;
use evengrad_core::plan::Plan as CorePlan;
use evengrad_core::session::{Job, Next, Outcome, run_side_by_side as run_jobs};
use evengrad_core::team::access::Access;
use evengrad_core::team::{self, lock};
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::Any;
use crate::access::wait_for;
use crate::capture::TURN;
use crate::error::exception;
use crate::native_call::{run, tell_notices};
use crate::session::{Kind, Session, until_of};

/// The plans of kinds of steps, locked.
fn plans_of(kinds: &[Kind]) -> Vec<Option<MutexGuard<'_, CorePlan>>> {
    kinds.iter().map(|kind| kind.plan.as_ref().map(|plan| lock(&plan.get().0))).collect()
}

/// Runs sessions for a turn.
fn turn(sessions: &[&Session], threads: usize) -> Result<Vec<Outcome>> {
    // Sessions, their steps, plans, the engine: in the order of a session that runs by itself.
    let mut cores: Vec<_> = sessions.iter().map(|session| lock(&session.core)).collect();
    let kinds: Vec<_> = sessions.iter().map(|session| lock(&session.kinds)).collect();
    let plans = kinds.iter().map(|kinds| [plans_of(&kinds.plain), plans_of(&kinds.watched)]);
    let mut plans: Vec<_> = plans.collect();
    let jobs = cores.iter_mut().zip(&mut plans).map(|(session, plans)| {
        let [plain, watched] = plans
            .each_mut()
            .map(|plans| plans.iter_mut().map(Option::as_deref_mut).collect::<Vec<_>>());
        Job { session, plain, watched }
    });
    run_jobs(&mut jobs.collect::<Vec<_>>(), threads, TURN)
}

/// A place in the line for what a session changes and another thread has access to.
fn request(session: &Session) -> Option<Access> {
    let kinds = lock(&session.kinds);
    let plans = plans_of(&kinds.plain).into_iter().chain(plans_of(&kinds.watched));
    plans.flatten().find(|plan| plan.is_barred()).map(|plan| plan.request())
}

/// The error that ended a run, as an object; one that is none, such as Ctrl-C, ends all of them.
fn caught(py: Python<'_>, error: PyErr) -> PyResult<Py<PyAny>> {
    if error.is_instance_of::<PyException>(py) {
        Ok(error.into_value(py).into_any())
    } else {
        Err(error)
    }
}

/// Run several sessions side by side, each on one thread at a time, until one of them has reached what it runs until.
///
/// A thread takes the next session from a queue, and waits for no other one. Each makes the steps that it would make by
/// itself, with the same bits. Python's signal handlers run every 50 ms or so, at a whole step of all sessions.
///
/// Parameters
/// ----------
/// requests : list of (Session, Steps, Seconds or Epochs)
///     What each session runs until, as in :meth:`Session.run`; None where it goes on with a run that has begun. No
///     session changes what another one reads or changes.
/// threads : int, optional
///     How many at once, at most; by default as many as native work may use.
/// seconds : float, optional
///     Return after so long also where no session has reached it.
///
/// Returns
/// -------
/// list
///     For each session: what :meth:`Session.run` returns; the exception that it would raise; or None where it has not
///     reached it yet.
///
/// Raises
/// ------
/// KeyboardInterrupt
///     On Ctrl-C, after whole steps.
/// ValueError
///     If a session is there twice.
/// RuntimeError
///     If a session changes what another one reads or changes.
///
/// Examples
/// --------
/// >>> def session(rows, total):
/// ...     feed, ones = eg._core.Feed(2), eg.ones(rows)
/// ...     def step():
/// ...         with eg._core.Recording() as recording:
/// ...             feed.next()
/// ...             eg._core.accumulate(total, eg._core.take(ones, feed.indices).sum())
/// ...         return recording.plan, []
/// ...     return eg._core.Session([(step, feed)], rows, [total])
/// >>> totals = [eg.zeros((), dtype="float64") for _ in range(2)]
/// >>> sessions = [session(4, totals[0]), session(6, totals[1])]
/// >>> requests, done = [(one, eg._core.Epochs(3)) for one in sessions], []
/// >>> while requests:
/// ...     found = eg._core.run_side_by_side(requests)
/// ...     requests = [(one, None) for (one, _), ended in zip(requests, found) if ended is None]
/// >>> [one.finished().tolist() for one in sessions]
/// [[[4.0], [4.0], [4.0]], [[6.0], [6.0], [6.0]]]
#[pyfunction]
#[pyo3(signature = (requests, threads=None, seconds=None))]
pub(crate) fn run_side_by_side(
    py: Python<'_>,
    requests: Vec<(Py<Session>, Option<Any<'_>>)>,
    threads: Option<usize>,
    seconds: Option<f64>,
) -> PyResult<Vec<Option<Py<PyAny>>>> {
    let began = Instant::now();
    let (held, untils): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
    let sessions: Vec<&Session> = held.iter().map(Py::get).collect();
    for (place, &session) in sessions.iter().enumerate() {
        if sessions[..place].iter().any(|&other| std::ptr::eq(other, session)) {
            return Err(PyValueError::new_err("requests: expected each session once"));
        }
    }
    for (session, until) in sessions.iter().zip(untils) {
        if let Some(until) = until {
            session.begin(until_of(&until)?);
        }
    }
    let threads = threads.unwrap_or_else(team::threads);
    let mut found: Vec<Option<Py<PyAny>>> = sessions.iter().map(|_| None).collect();
    let mut access: Option<Access> = None;
    let is_early = || seconds.is_none_or(|seconds| began.elapsed().as_secs_f64() < seconds);
    while found.iter().all(Option::is_none) && !found.is_empty() && is_early() {
        let outcomes = run(py, || turn(&sessions, threads))?;
        drop(access.take());
        tell_notices(py)?;
        py.check_signals()?;
        let is_barred = outcomes.iter().all(|outcome| *outcome == Outcome::Barred);
        for ((outcome, session), found) in outcomes.into_iter().zip(&sessions).zip(&mut found) {
            let made = match outcome {
                Outcome::Host(Next::Reached) => {
                    *found = Some(ended(py, session));
                    continue;
                }
                Outcome::Barred => continue,
                Outcome::Paused => Ok(true),
                Outcome::Failed(error) => Err(exception(error)),
                Outcome::Host(next) => session.serve(py, next),
            };
            match made {
                Ok(has_moved) if has_moved && session.has_stopped() => {
                    *found = Some(ended(py, session));
                }
                Ok(_) => {}
                Err(error) => *found = Some(caught(py, error)?),
            }
        }
        if is_barred && let Some(request) = sessions.iter().find_map(|session| request(session)) {
            // Without the locks of a turn: who has access may look at these sessions.
            wait_for(py, &request)?;
            access = Some(request);
        }
    }
    Ok(found)
}

fn ended(py: Python<'_>, session: &Session) -> Py<PyAny> {
    PyBool::new(py, session.has_ended()).to_owned().into_any().unbind()
}
