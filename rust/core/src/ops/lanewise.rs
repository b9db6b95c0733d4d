//! Elementwise operations: what all of them share, broadcasting to rows and one launch.

use smallvec::SmallVec;

use crate::dtype::with_float;
use crate::error::{Result, bail};
use crate::kernels::map::{InputPattern, Lanewise, RowPattern, map_rows};
use crate::launch::{Cost, Operand, Operands, launch};
use crate::layout::{Layout, broadcast, show};
use crate::tensor::Tensor;

/// Broadcasts the inputs, applies a lane-wise function, gives a new tensor that is not on the tape.
pub fn map<F: Lanewise<N>, const N: usize>(
    name: &'static str,
    function: F,
    inputs: [&Tensor; N],
) -> Result<Tensor> {
    let out = empty(name, &inputs)?;
    map_into(name, function, inputs, &out)?;
    Ok(out)
}

/// A new tensor of the shape that the inputs are broadcast to.
fn empty(name: &'static str, inputs: &[&Tensor]) -> Result<Tensor> {
    let mut shape = crate::layout::Shape::from_slice(inputs[0].shape());
    for input in &inputs[1..] {
        shape = broadcast(name, &shape, input.shape())?;
    }
    Tensor::empty(&shape, inputs[0].dtype())
}

/// Broadcasts the inputs to the shape of `out` and writes a lane-wise function of them there. An input may be
/// `out` itself.
pub fn map_into<F: Lanewise<N>, const N: usize>(
    name: &'static str,
    function: F,
    inputs: [&Tensor; N],
    out: &Tensor,
) -> Result<()> {
    let Walk { pattern, items, cost, operands } = walk(name, inputs, out)?;
    with_float!(out.dtype(), name, T => launch(name, items, cost, operands, move |items, arguments| {
        let inputs = std::array::from_fn(|i| arguments.pointer::<T>(i).cast_const());
        // SAFETY: the operands were made from tensors that cover the pattern, by `rows`.
        #[allow(unsafe_code, reason = "the one call of the lane-wise kernel; bounds come from the tensors' layouts")]
        unsafe { map_rows::<_, T, N>(function, &pattern, items, inputs, arguments.pointer(N)) };
    }))
}

/// All of a launch but the function.
struct Walk<const N: usize> {
    pattern: RowPattern<N>,
    items: usize,
    cost: Cost,
    operands: Operands,
}

/// How the inputs and the output are walked. Apart from [`map_into`], which is compiled for each function.
#[inline(never)]
fn walk<const N: usize>(name: &'static str, inputs: [&Tensor; N], out: &Tensor) -> Result<Walk<N>> {
    let dtype = out.dtype();
    dtype.require_float(name)?;
    for input in inputs {
        dtype.require_same(name, input.dtype())?;
    }
    if !out.layout().is_contiguous() {
        bail!(Internal, "{name}: the output of shape {} is not contiguous", show(out.shape()));
    }
    let whole = |input: &Tensor| input.shape() == out.shape() && input.layout().is_contiguous();
    let (pattern, items, mut operands) = if inputs.iter().all(|input| whole(input)) {
        // The usual case, without a look at dimensions: all elements of all tensors, one after the other.
        let operands = inputs.iter().map(|input| Operand::read_own(input, 1)).collect();
        (RowPattern::flat(out.count()), out.count(), operands)
    } else {
        let packed: SmallVec<[Tensor; 3]> = inputs
            .iter()
            .map(|input| lane_ready(name, input, out.shape()))
            .collect::<Result<_>>()?;
        let (pattern, items) = rows(name, out.shape(), &packed)?;
        let operands: Operands = packed
            .iter()
            .enumerate()
            .map(|(i, input)| match pattern.own(i).filter(|_| input.layout().is_contiguous()) {
                Some(elements) => Operand::read_own(input, elements),
                None => Operand::read(input),
            })
            .collect();
        (pattern, items, operands)
    };
    let inner = if pattern.outer.is_empty() { 1 } else { pattern.inner };
    operands.push(Operand::write_own(out, inner));
    let cost = Cost::elementwise(out.count(), 8.0, N + 1, dtype);
    Ok(Walk { pattern, items, cost, operands })
}

/// A tensor whose last dimension has step 1 or is repeated, so that it can be read lane by lane.
fn lane_ready(name: &str, input: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let layout = input.layout().broadcast_to(name, shape)?;
    let inner_step = layout
        .shape
        .iter()
        .zip(&layout.strides)
        .rev()
        .find(|(size, _)| **size != 1)
        .map_or(1, |(_, step)| *step);
    if inner_step == 0 || inner_step == 1 { Ok(input.detach()) } else { input.packed() }
}

/// Merges dimensions that every input walks alike; gives the pattern and its number of items.
fn rows<const N: usize>(
    name: &str,
    shape: &[usize],
    inputs: &[Tensor],
) -> Result<(RowPattern<N>, usize)> {
    let layouts: SmallVec<[Layout; 3]> = inputs
        .iter()
        .map(|input| input.layout().broadcast_to(name, shape))
        .collect::<Result<_>>()?;
    // Innermost first: (size, step of each input).
    let mut dims: SmallVec<[(usize, [isize; N]); 4]> = SmallVec::new();
    for d in (0..shape.len()).rev() {
        let size = shape[d];
        let steps: [isize; N] = std::array::from_fn(|i| layouts[i].strides[d]);
        if size == 1 {
            continue;
        }
        if let Some((inner, below)) = dims.last_mut()
            && (0..N).all(|i| steps[i] == below[i] * *inner as isize)
        {
            *inner *= size;
        } else {
            dims.push((size, steps));
        }
    }
    let (inner, inner_steps) = dims.first().copied().unwrap_or((1, [0; N]));
    let pattern = RowPattern {
        outer: dims[1.min(dims.len())..].iter().rev().map(|(size, _)| *size).collect(),
        inner,
        inputs: std::array::from_fn(|i| InputPattern {
            steps: dims[1.min(dims.len())..].iter().rev().map(|(_, steps)| steps[i]).collect(),
            repeats: inner_steps[i] == 0,
        }),
    };
    let items = if pattern.outer.is_empty() { inner } else { pattern.outer.iter().product() };
    let items = if shape.contains(&0) { 0 } else { items };
    Ok((pattern, items))
}
