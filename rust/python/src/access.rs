//! Access to several tensors at once, for code that reads or changes them as one thing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use evengrad_core::buffer::Buffer;
use evengrad_core::team::access::{Access as CoreAccess, Keys};
use evengrad_core::team::{self, lock};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::Any;
use crate::functions::list;
use crate::native_call::run;
use crate::tensor::Tensor;

/// How long a thread waits before Python's signal handlers get their turn.
const TURN: Duration = Duration::from_millis(50);

/// Waits until access is granted, with the interpreter released and the engine free. Signal handlers run meanwhile, and
/// what they raise gives the place in the line up.
pub(crate) fn wait_for(py: Python<'_>, access: &CoreAccess) -> PyResult<()> {
    if !access.wait(Duration::ZERO) {
        while !run(py, || Ok(access.wait(TURN)))? {
            py.check_signals()?;
        }
    }
    Ok(())
}

/// Access to tensors, shared with other threads that read them, or for this thread alone: a ``with`` block in which no
/// other thread's step, ``fit`` or ``with`` block of this kind changes them, or touches them.
///
/// A captured step is whole by itself, and waits where another thread has access to what it changes. Blocks may stand
/// inside each other in one thread. Requests of several threads are served in their order.
///
/// Parameters
/// ----------
/// items : sequence
///     Tensors; other objects stand for themselves.
/// writes : bool
///     Whether they are changed.
///
/// Examples
/// --------
/// >>> a, b = eg.tensor([1.0]), eg.tensor([2.0])
/// >>> with eg._core.Access([a, b]):
/// ...     a.tolist(), b.tolist()
/// ([1.0], [2.0])
#[pyclass(frozen, weakref, module = "evengrad._core")]
pub(crate) struct Access {
    keys: Keys,
    writes: bool,
    /// Blocks that were entered and not left.
    entered: Mutex<Vec<CoreAccess>>,
    /// What the keys stand for.
    _buffers: Vec<Arc<Buffer>>,
    _objects: Vec<Py<PyAny>>,
}

impl Access {
    fn request(&self) -> CoreAccess {
        let (reads, writes) = if self.writes {
            (Keys::default(), self.keys.clone())
        } else {
            (self.keys.clone(), Keys::default())
        };
        CoreAccess::request(reads, writes)
    }

    /// Lets replays come to their end that began before access was granted: later ones see that it is.
    fn drain(py: Python<'_>) -> PyResult<()> {
        if team::try_engine().is_none() {
            run(py, || {
                drop(team::engine());
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// How often each tensor's memory was written: as long as the numbers stay, so do the values.
///
/// Examples
/// --------
/// >>> a, b = eg.tensor([1.0]), eg.tensor([2.0])
/// >>> before = eg._core.versions([a, b])
/// >>> _ = a.copy_(b)
/// >>> [now > then for now, then in zip(eg._core.versions([a, b]), before)]
/// [True, False]
#[pyfunction]
pub(crate) fn versions(tensors: &Any<'_>) -> PyResult<Vec<u64>> {
    let tensors = list("tensors", tensors)?;
    Ok(tensors.iter().map(|tensor| tensor.buffer().version()).collect())
}

#[pymethods]
impl Access {
    #[new]
    #[pyo3(signature = (items, writes=false))]
    fn new(items: &Any<'_>, writes: bool) -> PyResult<Self> {
        let (mut keys, mut buffers, mut objects) = (vec![], vec![], vec![]);
        for item in items.try_iter()? {
            let item = item?;
            if let Ok(tensor) = item.cast::<Tensor>() {
                let buffer = tensor.get().0.buffer();
                keys.push(Keys::of_buffer(buffer));
                buffers.push(Arc::clone(buffer));
            } else {
                keys.push(item.as_ptr() as usize);
                objects.push(item.unbind());
            }
        }
        Ok(Self {
            keys: Keys::new(keys),
            writes,
            entered: Mutex::default(),
            _buffers: buffers,
            _objects: objects,
        })
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (py, this) = (slf.py(), slf.get());
        let access = this.request();
        wait_for(py, &access)?;
        Self::drain(py)?;
        lock(&this.entered).push(access);
        Ok(slf)
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, _raised: &Bound<'_, PyTuple>) -> PyResult<()> {
        let left = lock(&self.entered).pop();
        left.map(drop).ok_or_else(|| PyRuntimeError::new_err("Access: left before it was entered"))
    }

    /// Enter the block if that needs no waiting; return whether it was entered. Leave it with ``leave``.
    fn try_enter(&self, py: Python<'_>) -> PyResult<bool> {
        let access = self.request();
        if !access.wait(Duration::ZERO) {
            return Ok(false);
        }
        Self::drain(py)?;
        lock(&self.entered).push(access);
        Ok(true)
    }

    /// Leave a block that was entered by ``try_enter``.
    fn leave(&self) {
        lock(&self.entered).pop();
    }
}
