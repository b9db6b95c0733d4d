//! DLPack: tensors for other libraries, by the protocol of <https://dmlc.github.io/dlpack/latest/>.
//!
//! Version 1 can say that memory is read-only, so it may be the tensor's own. Version 0 cannot, and its
//! consumers write where they like: they get a copy.

use std::ffi::{CStr, c_void};

use evengrad_core::{DType, Tensor as CoreTensor};
use pyo3::exceptions::{PyBufferError, PyRuntimeError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::Any;
use crate::creation::copied;
use crate::native_call::run;
use crate::numpy::may_share;

/// The processor's memory: (kDLCPU, 0).
pub(crate) const DEVICE: (i32, i32) = (1, 0);
/// The newest version that this module writes.
const VERSION: (u32, u32) = (1, 0);
const READ_ONLY: u64 = 1;
const IS_COPY: u64 = 2;

const NAME: &CStr = c"dltensor";
const NAME_VERSIONED: &CStr = c"dltensor_versioned";

/// `DLTensor`.
#[repr(C)]
struct Array {
    data: *mut c_void,
    device: [i32; 2],
    ndim: i32,
    kind: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensor`.
#[repr(C)]
struct Managed {
    array: Array,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}

/// `DLManagedTensorVersioned`.
#[repr(C)]
struct ManagedVersioned {
    version: [u32; 2],
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut ManagedVersioned)>,
    flags: u64,
    array: Array,
}

/// What a consumer holds until it calls the deleter: the header first, so that both have one address.
#[repr(C)]
struct Export<M> {
    managed: M,
    _shape: Vec<i64>,
    _strides: Vec<i64>,
    /// Keeps the memory.
    _tensor: CoreTensor,
}

impl<M> Export<M> {
    /// Moves everything to a place of its own and lets the header point there; the receiver of the pointer owns
    /// it.
    fn leak(
        tensor: CoreTensor,
        header: impl FnOnce(Array) -> M,
        array: fn(&mut M) -> &mut Array,
    ) -> *mut Self {
        let (kind, bits) = match tensor.dtype() {
            DType::I64 => (0, 64),
            DType::F32 => (2, 32),
            DType::F64 => (2, 64),
            DType::Bool => (6, 8),
        };
        let origin = tensor.layout().offset * tensor.dtype().size();
        let mut shape: Vec<i64> = tensor.shape().iter().map(|&size| size as i64).collect();
        let mut strides: Vec<i64> = tensor.strides().iter().map(|&stride| stride as i64).collect();
        let mut managed = header(Array {
            data: tensor.buffer().pointer().wrapping_add(origin).cast(),
            device: [DEVICE.0, DEVICE.1],
            ndim: tensor.ndim() as i32,
            kind,
            bits,
            lanes: 1,
            shape: std::ptr::null_mut(),
            strides: std::ptr::null_mut(),
            byte_offset: 0,
        });
        // The lists stay where they are when their owners move.
        let inside = array(&mut managed);
        (inside.shape, inside.strides) = (shape.as_mut_ptr(), strides.as_mut_ptr());
        Box::into_raw(Box::new(Self { managed, _shape: shape, _strides: strides, _tensor: tensor }))
    }
}

/// The deleter: frees the export. No Python here, a consumer may call it on any thread.
///
/// # Safety
/// `managed` is the header of an `Export<M>` that nobody uses any more.
unsafe extern "C" fn delete<M>(managed: *mut M) {
    if !managed.is_null() {
        // SAFETY: the header is the first field, so this is the address that `Box::into_raw` gave.
        drop(unsafe { Box::from_raw(managed.cast::<Export<M>>()) });
    }
}

/// The capsule's end: a consumer renames a capsule that it takes over, so one that still has its name was not
/// taken.
///
/// # Safety
/// `capsule` is a capsule made by `capsule_of::<M>` with `name`.
unsafe fn abandon<M>(capsule: *mut ffi::PyObject, name: &CStr) {
    // SAFETY: the caller's promise; the calls look at the capsule and at the name only.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, name.as_ptr()) == 1 {
            delete::<M>(ffi::PyCapsule_GetPointer(capsule, name.as_ptr()).cast());
        }
    }
}

unsafe extern "C" fn abandon_old(capsule: *mut ffi::PyObject) {
    // SAFETY: the destructor of capsules with this name and content.
    unsafe { abandon::<Managed>(capsule, NAME) }
}

unsafe extern "C" fn abandon_versioned(capsule: *mut ffi::PyObject) {
    // SAFETY: as above.
    unsafe { abandon::<ManagedVersioned>(capsule, NAME_VERSIONED) }
}

fn capsule_of<'py, M>(
    py: Python<'py>,
    managed: *mut Export<M>,
    name: &'static CStr,
    abandon: unsafe extern "C" fn(*mut ffi::PyObject),
) -> PyResult<Any<'py>> {
    // SAFETY: the name is static, and the destructor fits the content.
    let capsule = unsafe {
        let raw = ffi::PyCapsule_New(managed.cast(), name.as_ptr(), Some(abandon));
        Bound::from_owned_ptr_or_err(py, raw)
    };
    if capsule.is_err() {
        // SAFETY: no capsule was made, so the export is still this function's own.
        drop(unsafe { Box::from_raw(managed) });
    }
    capsule
}

/// The capsule for a consumer that understands `max_version`.
pub(crate) fn export<'py>(
    py: Python<'py>,
    tensor: &CoreTensor,
    max_version: Option<(u32, u32)>,
    device: Option<(i32, i32)>,
    copy: Option<bool>,
) -> PyResult<Any<'py>> {
    if tensor.requires_grad() {
        return Err(PyRuntimeError::new_err(
            "__dlpack__: this tensor requires a gradient, which the other library would not see; export \
             tensor.detach()",
        ));
    }
    if device.is_some_and(|device| device != DEVICE) {
        return Err(PyBufferError::new_err(
            "__dlpack__: evengrad's tensors are in CPU memory only",
        ));
    }
    let versioned = max_version.is_some_and(|(major, _)| major >= VERSION.0);
    let share = copy != Some(true) && versioned && may_share(tensor);
    if copy == Some(false) && !share {
        return Err(PyBufferError::new_err(
            "__dlpack__: this tensor's memory cannot be shared: it is in use elsewhere, or the consumer does \
             not know read-only memory (DLPack before 1.0); allow a copy",
        ));
    }
    let tensor = if share { tensor.clone() } else { run(py, || copied(tensor))? };
    if versioned {
        let header = |array| ManagedVersioned {
            version: [VERSION.0, VERSION.1],
            context: std::ptr::null_mut(),
            deleter: Some(delete::<ManagedVersioned>),
            flags: if share { READ_ONLY } else { IS_COPY },
            array,
        };
        let export = Export::leak(tensor, header, |managed| &mut managed.array);
        capsule_of(py, export, NAME_VERSIONED, abandon_versioned)
    } else {
        let header = |array| Managed {
            array,
            context: std::ptr::null_mut(),
            deleter: Some(delete::<Managed>),
        };
        let export = Export::leak(tensor, header, |managed| &mut managed.array);
        capsule_of(py, export, NAME, abandon_old)
    }
}
