//! Recording a step: while a capture is open on a thread, every launch of that thread is kept in order.

mod idle;

use std::cell::RefCell;
use std::sync::Arc;

use idle::Idle;

use crate::error::{Result, bail};
use crate::launch::Launch;

/// Something that writes the values of the next step into fixed memory before the step is replayed: a learning
/// rate, the number of a random draw, the rows of a batch.
pub trait Host: Send + Sync {
    /// Prepares the memory for the next step.
    fn advance(&self) -> Result<()>;
}

/// What a capture kept.
#[derive(Default)]
pub struct Recording {
    /// Every launch, in order.
    pub launches: Vec<Launch>,
    /// The hosts to call before each replay, each once, in order of first use.
    pub hosts: Vec<Arc<dyn Host>>,
}

/// A capture that is open.
#[derive(Default)]
struct Open {
    recording: Recording,
    idle: Idle,
}

thread_local! {
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

/// Opens a capture on this thread.
pub fn begin() -> Result<()> {
    OPEN.with_borrow_mut(|open| {
        if open.is_some() {
            bail!(State, "capture: a step is already being captured on this thread");
        }
        *open = Some(Open::default());
        Ok(())
    })
}

/// Closes the capture of this thread and hands over what it kept; `None` where none was open.
pub fn end() -> Option<Recording> {
    OPEN.take().map(|open| open.recording)
}

/// True while a capture is open on this thread.
pub fn is_open() -> bool {
    OPEN.with_borrow(Option::is_some)
}

/// Runs `work` as if no capture were open on this thread: for state that a replay must find, not make.
pub fn paused<R>(work: impl FnOnce() -> R) -> R {
    let open = OPEN.take();
    let result = work();
    OPEN.set(open);
    result
}

/// Keeps a launch if a capture is open.
pub(crate) fn record(launch: impl FnOnce() -> Launch) {
    OPEN.with_borrow_mut(|open| {
        if let Some(Open { recording, idle }) = open {
            let launch = launch();
            idle.give_back(&recording.launches);
            idle.note(recording.launches.len(), &launch);
            recording.launches.push(launch);
        }
    });
}

/// Has `host` called before each replay of the step that is being captured, if one is.
pub fn record_host(host: &Arc<dyn Host>) {
    OPEN.with_borrow_mut(|open| {
        if let Some(Open { recording, .. }) = open
            && !recording.hosts.iter().any(|known| Arc::ptr_eq(known, host))
        {
            recording.hosts.push(Arc::clone(host));
        }
    });
}

/// Refuses to read values during a capture, with [`Error::Capture`](crate::Error::Capture): a replay could not read them
/// again.
pub fn forbid(what: &str) -> Result<()> {
    if is_open() {
        bail!(
            Capture,
            "{what}: the values of a tensor cannot be read while a step is being captured, because the replay would \
             not read them again; return the tensor from the step, or run it without compile"
        );
    }
    Ok(())
}
