//! The host's way into a tensor's memory: always under the engine's lock, so that no kernel runs meanwhile.

use ndarray::{ArrayViewD, Axis, ShapeBuilder};
use smallvec::SmallVec;

use crate::dtype::Element;
use crate::layout::Layout;
use crate::team;
use crate::tensor::Tensor;

/// Shows the elements of a tensor.
///
/// # Panics
/// Where `T` is not the tensor's element type.
pub fn with<T: Element, R>(tensor: &Tensor, look: impl FnOnce(ArrayViewD<'_, T>) -> R) -> R {
    assert_eq!(T::DTYPE, tensor.dtype());
    let _engine = team::quiet();
    // SAFETY: the layout lies inside the buffer, whose memory is initialized, and the lock keeps writers away.
    look(unsafe { view(tensor.buffer().pointer().cast::<T>(), tensor.layout()) })
}

/// Shows the elements of a tensor without gaps.
///
/// # Panics
/// Where `T` is not the tensor's element type or the tensor has gaps.
pub fn with_all<T: Element, R>(tensor: &Tensor, look: impl FnOnce(&[T]) -> R) -> R {
    assert!(T::DTYPE == tensor.dtype() && tensor.layout().is_contiguous());
    let _engine = team::quiet();
    // SAFETY: the layout lies inside the buffer, whose memory is initialized, and the lock keeps writers away.
    look(unsafe {
        let start = tensor.buffer().pointer().cast::<T>().add(tensor.layout().offset);
        std::slice::from_raw_parts(start, tensor.count())
    })
}

/// Lets the host replace the elements of a tensor without gaps.
///
/// # Panics
/// Where `T` is not the tensor's element type or the tensor has gaps.
pub fn with_mut<T: Element, R>(tensor: &Tensor, change: impl FnOnce(&mut [T]) -> R) -> R {
    assert!(T::DTYPE == tensor.dtype() && tensor.layout().is_contiguous());
    let _engine = team::quiet();
    tensor.buffer().touch();
    // SAFETY: as above, and the lock keeps readers away too.
    change(unsafe {
        let start = tensor.buffer().pointer().cast::<T>().add(tensor.layout().offset);
        std::slice::from_raw_parts_mut(start, tensor.count())
    })
}

/// An `ndarray` view of a layout; negative strides are walked from their far end.
///
/// # Safety
/// All elements of the layout, counted from `origin`, are valid `T`s for as long as the view lives, and nobody
/// writes them meanwhile.
pub(crate) unsafe fn view<'a, T: Element>(origin: *const T, layout: &Layout) -> ArrayViewD<'a, T> {
    let mut pointer = origin.wrapping_add(layout.offset);
    let mut steps: SmallVec<[usize; 4]> = SmallVec::with_capacity(layout.strides.len());
    // Steps between no elements mean nothing, and an owned copy must not reach beyond its empty memory.
    let empty = layout.shape.contains(&0);
    for (&size, &stride) in layout.shape.iter().zip(&layout.strides) {
        let stride = if empty { 0 } else { stride };
        if stride < 0 && size > 0 {
            pointer = pointer.wrapping_offset((size as isize - 1) * stride);
        }
        steps.push(stride.unsigned_abs());
    }
    let shape = layout.shape.to_vec().strides(steps.to_vec());
    // SAFETY: the caller's promise; the pointer is the lowest address and all steps are non-negative.
    let mut view = unsafe { ArrayViewD::from_shape_ptr(shape, pointer) };
    for (axis, &stride) in layout.strides.iter().enumerate() {
        if stride < 0 {
            view.invert_axis(Axis(axis));
        }
    }
    view
}
