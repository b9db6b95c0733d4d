//! What operations on images share: how images lie in a tensor.
//!
//! (images, height, width), (images, height, width, channels), or, with `channels_first`, (images, channels, height,
//! width). Images are the work items: random numbers, and whatever is done with them, are of one image.

use crate::error::{Result, bail};
use crate::kernels::warp::{Frame, is_countable};
use crate::layout::show;
use crate::tensor::Tensor;

/// Sizes of the images in `x`, or an error that names `operation`.
pub(super) fn frame_of(operation: &str, x: &Tensor, channels_first: bool) -> Result<Frame> {
    x.dtype().require_float(operation)?;
    let frame = match (x.shape(), channels_first) {
        (&[_, height, width], _) => Frame { planes: 1, height, width, channels: 1 },
        (&[_, height, width, channels], false) => Frame { planes: 1, height, width, channels },
        (&[_, planes, height, width], true) => Frame { planes, height, width, channels: 1 },
        (shape, _) => bail!(
            Shape,
            "{operation}: expected images of shape (images, height, width) or (images, height, width, channels), got {}",
            show(shape)
        ),
    };
    if !is_countable(&frame) {
        bail!(Shape, "{operation}: images of shape {} are too large", show(x.shape()));
    }
    Ok(frame)
}

/// An error unless `rows` is float64 of shape (images, `each`).
pub(super) fn check_rows(
    operation: &str,
    what: &str,
    rows: &Tensor,
    shape: [usize; 2],
) -> Result<()> {
    crate::DType::F64.require_of(operation, what, rows.dtype())?;
    if rows.shape() != shape {
        let (expected, got) = (show(&shape), show(rows.shape()));
        bail!(Shape, "{operation}: expected {what} of shape {expected}, got {got}");
    }
    Ok(())
}
