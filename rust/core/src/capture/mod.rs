//! Capture of a step: while one is open on a thread, every launch of that thread is kept in order.

mod page_release;

use std::cell::RefCell;
use std::sync::Arc;

use page_release::PageRelease;

use crate::error::{Result, bail};
use crate::launch::Launch;

/// Something that writes the values of the next step into fixed memory before the step is replayed: a learning
/// rate, the number of a random draw, the rows of a batch.
pub trait StepInput: Send + Sync {
    /// Prepares the memory for the next step.
    fn advance(&self) -> Result<()>;
}

/// What a capture kept.
#[derive(Default)]
pub struct Recording {
    /// Every launch, in order.
    pub launches: Vec<Launch>,
    /// The step inputs to call before each replay, each once, in order of first use.
    pub inputs: Vec<Arc<dyn StepInput>>,
}

/// A capture that is open.
#[derive(Default)]
struct Open {
    recording: Recording,
    pages: PageRelease,
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

/// Advances a step input, now and before each replay of the step that is being captured.
pub(crate) fn advance(input: Arc<impl StepInput + 'static>) -> Result<()> {
    input.advance()?;
    let input: Arc<dyn StepInput> = input;
    record_input(&input);
    Ok(())
}

/// Keeps a launch if a capture is open.
pub(crate) fn record(launch: impl FnOnce() -> Launch) {
    OPEN.with_borrow_mut(|open| {
        if let Some(Open { recording, pages }) = open {
            let launch = launch();
            pages.release(&recording.launches);
            pages.note(recording.launches.len(), &launch);
            recording.launches.push(launch);
        }
    });
}

/// Has `input` called before each replay of the step that is being captured, if one is.
pub fn record_input(input: &Arc<dyn StepInput>) {
    OPEN.with_borrow_mut(|open| {
        if let Some(Open { recording, .. }) = open
            && !recording.inputs.iter().any(|known| Arc::ptr_eq(known, input))
        {
            recording.inputs.push(Arc::clone(input));
        }
    });
}

/// Refuses to read values during a capture, with [`Error::Capture`](crate::Error::Capture): a replay could not read
/// them again.
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
