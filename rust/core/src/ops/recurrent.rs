//! Recurrent layers: all steps of a row in one launch.
//!
//! With p the inputs times their kernel (bias added), and q = (mask ⊙ h)·U + b':
//!
//! ```text
//! simple    h ← tanh(p + q)
//! LSTM      i, f, o = σ(p + q)      g = tanh(p + q)           c ← f·c + i·g      h ← o·tanh(c)
//! GRU       z, r = σ(p + q)         g = tanh(p + r·q)         h ← z·h + (1 - z)·g
//! ```
//! The backward pass goes through the steps from the last to the first, with ∂h ← mask ⊙ (∂q·Uᵀ) and, past the product,
//! ∂c ← f·∂c (LSTM) or ∂h ← z·∂h (GRU). ∂U and ∂b' are one product and one sum over all rows and steps.
//!
//! Over a step that does not count the states stay as they are, and their gradients go on to the step before.
//!
//! Rows of the batch are the work items, a few at a time, so that a plan takes them from the input to the loss and
//! back, however many the steps, with one barrier before ∂U.

use smallvec::smallvec;

use super::dense_steps::{check_counts, product_of_steps};
use super::matmul::{flipped, product, product_cost};
use crate::dtype::with_float;
use crate::error::{Result, bail};
use crate::kernels::recurrent::{
    Backward as BackwardPass, Forward, Sizes, recurrent_rows, recurrent_rows_backward,
};
use crate::launch::{Cost, Operand, Operands, launch, push};
use crate::layout::show;
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

pub use crate::kernels::recurrent::Cell;

/// So many rows share each pass over the recurrent kernel, where their number can be divided so: twice as many are 6 %
/// faster, and leave half as many threads something to do.
const ROWS_TOGETHER: usize = 8;
/// The same where steps are masked: rows of several lengths end one after the other, and the fewer are left, the less
/// they share.
const MASKED_ROWS_TOGETHER: usize = 16;

/// The variables and first states of a recurrence.
#[derive(Clone, Copy)]
pub struct Recurrence<'a> {
    /// Which one.
    pub cell: Cell,
    /// U, (units, gates·units).
    pub kernel: &'a Tensor,
    /// b' of a GRU, (gates·units,).
    pub bias: Option<&'a Tensor>,
    /// h, and c of an LSTM, before the first step: (rows, units) each.
    pub first: &'a [&'a Tensor],
    /// What h is multiplied with before each product, a constant: (rows, units).
    pub mask: Option<&'a Tensor>,
    /// Which steps count, booleans (rows, steps); all of them where there is none.
    pub counts: Option<&'a Tensor>,
}

/// The most rows up to `ROWS_TOGETHER`, or its like under a mask, that divide all of them.
fn rows_together(rows: usize, masked: bool) -> usize {
    let most = if masked { MASKED_ROWS_TOGETHER } else { ROWS_TOGETHER };
    (1..=most.min(rows)).rev().find(|&few| rows.is_multiple_of(few)).unwrap_or(1)
}

fn check(projected: &Tensor, of: Recurrence<'_>) -> Result<Sizes> {
    projected.dtype().require_float("recurrent")?;
    let Recurrence { cell, kernel, .. } = of;
    let units = kernel.shape().first().copied().unwrap_or(0);
    let wide = cell.gates() * units;
    if kernel.shape() != [units, wide] || units == 0 {
        let (gates, got) = (cell.gates(), show(kernel.shape()));
        bail!(Shape, "recurrent: expected a kernel of shape (units, {gates}·units), got {got}");
    }
    let &[rows, steps, width] = projected.shape() else {
        bail!(
            Shape,
            "recurrent: expected products of shape (rows, steps, {wide}), got {}",
            show(projected.shape())
        );
    };
    if width != wide || steps == 0 {
        let got = show(projected.shape());
        bail!(
            Shape,
            "recurrent: expected products of shape (rows, steps, {wide}), one step or more, got {got}"
        );
    }
    if of.first.len() != cell.states() {
        bail!(Value, "recurrent: expected {} states, got {}", cell.states(), of.first.len());
    }
    if of.bias.is_some() && cell != Cell::Gru {
        bail!(Value, "recurrent: only a GRU has a bias of its own here");
    }
    let state = [rows, units];
    let states = of.first.iter().map(|first| ("first state", *first, &state[..]));
    let mask = of.mask.map(|mask| ("mask", mask, &state[..]));
    let bias_shape = [wide];
    let bias = of.bias.map(|bias| ("bias", bias, &bias_shape[..]));
    for (what, tensor, shape) in states.chain(mask).chain(bias) {
        if tensor.shape() != shape {
            let (expected, got) = (show(shape), show(tensor.shape()));
            bail!(Shape, "recurrent: expected a {what} of shape {expected}, got {got}");
        }
    }
    let others = of.first.iter().copied().chain(of.mask).chain(of.bias).chain([kernel]);
    for tensor in others {
        if tensor.dtype() != projected.dtype() {
            let (products, other) = (projected.dtype().name(), tensor.dtype().name());
            bail!(Type, "recurrent: the products are {products} but another argument is {other}");
        }
    }
    if let Some(counts) = of.counts {
        check_counts("recurrent", counts, [rows, steps])?;
    }
    if of.mask.is_some_and(Tensor::requires_grad) {
        bail!(State, "recurrent: the mask has no gradient here; pass mask.detach()");
    }
    Ok(Sizes { cell, rows, steps, units })
}

/// What both passes cost: the small products, and some thirty operations for each element of a gate.
fn cost(sizes: Sizes, x: &Tensor) -> Cost {
    let Sizes { cell, rows, steps, units } = sizes;
    let wide = cell.gates() * units;
    let products = product_cost(rows * steps, units, wide, x.dtype());
    let gates = Cost::elementwise(rows * steps * wide, 30.0, 3, x.dtype());
    Cost { flops: products.flops + gates.flops, bytes: products.bytes + gates.bytes }
}

/// What the backward pass keeps.
struct Kept {
    sizes: Sizes,
    kernel: Saved,
    mask: Option<Saved>,
    counts: Option<Saved>,
    first: Vec<Saved>,
    previous: Saved,
    gates: Saved,
    out: Saved,
    has_bias: bool,
}

/// All states after every step, (rows, steps, states·units): h, and beside it the c of an LSTM.
///
/// `projected` is (rows, steps, gates·units).
pub fn recurrent(projected: &Tensor, of: Recurrence<'_>) -> Result<Tensor> {
    let sizes = check(projected, of)?;
    let Sizes { rows, steps, units, .. } = sizes;
    let (wide, kept, state) = sizes.widths();
    let x = projected.packed()?;
    let kernel = of.kernel.packed()?;
    let bias = of.bias.map(Tensor::packed).transpose()?;
    let mask = of.mask.map(Tensor::packed).transpose()?;
    let counts = of.counts.map(Tensor::packed).transpose()?;
    let first = of.first.iter().map(|first| first.packed()).collect::<Result<Vec<_>>>()?;
    let new = |width| Tensor::empty(&[rows, steps, width], x.dtype());
    let (previous, gates, out) = (new(units)?, new(kept)?, new(state)?);
    let few = rows_together(rows, counts.is_some());
    let row = few * steps;
    let mut operands: Operands = smallvec![
        Operand::read_own(&x, row * wide),
        Operand::read(&kernel),
        Operand::read_own(&first[0], few * units),
        Operand::read_own(&first[first.len() - 1], few * units),
        Operand::write_own(&previous, row * units),
        Operand::write_own(&gates, row * kept),
        Operand::write_own(&out, row * state),
    ];
    let has_bias = bias.is_some();
    operands.extend(bias.as_ref().map(Operand::read));
    let read_mask = |mask| Operand::read_own(mask, few * units);
    let masked = push(&mut operands, mask.as_ref().map(read_mask));
    let read_counts = |counts| Operand::read_own(counts, row);
    let counted = push(&mut operands, counts.as_ref().map(read_counts));
    with_float!(x.dtype(), "recurrent", T => launch("recurrent", rows / few, cost(sizes, &x), operands,
    move |items, arguments| {
        recurrent_rows(Forward::<T> {
            sizes: Sizes { rows: items.len() * few, ..sizes },
            projected: arguments.own(0, &items),
            kernel: arguments.all(1),
            bias: has_bias.then(|| arguments.all(7)),
            first: [arguments.own(2, &items), arguments.own(3, &items)],
            mask: masked.map(|i| arguments.own(i, &items)),
            counts: counted.map(|i| arguments.own(i, &items)),
            previous: arguments.own_mut(4, &items),
            kept: arguments.own_mut(5, &items),
            out: arguments.own_mut(6, &items),
        });
    }))?;
    let mut inputs = vec![projected, of.kernel];
    inputs.extend(of.first);
    inputs.extend(of.bias);
    Ok(out.recorded("recurrent", &inputs, |out| {
        RecurrentBackward(Kept {
            sizes,
            kernel: Saved::new(&kernel),
            mask: mask.as_ref().map(Saved::new),
            counts: counts.as_ref().map(Saved::new),
            first: first.iter().map(Saved::new).collect(),
            previous: Saved::new(&previous),
            gates: Saved::new(&gates),
            out: Saved::new(out),
            has_bias,
        })
    }))
}

struct RecurrentBackward(Kept);

impl Backward for RecurrentBackward {
    fn backward(&self, grad: &Tensor, needs: &[bool]) -> Result<Gradients> {
        let sizes = self.0.sizes;
        let Sizes { cell, rows, steps, units } = sizes;
        let wide = cell.gates() * units;
        let new = |shape: &[usize]| Tensor::empty(shape, grad.dtype());
        let slopes = new(&[rows, steps, wide])?;
        // The products of a GRU are not all multiplied with r.
        let others = (cell == Cell::Gru).then(|| new(&[rows, steps, wide])).transpose()?;
        let [h, c, through] = [new(&[rows, units])?, new(&[rows, units])?, new(&[rows, units])?];
        self.launch(grad, &slopes, others.as_ref(), [&h, &c, &through])?;
        let all = |x: &Tensor, width: usize| x.with_shape(&[rows * steps, width]);
        let recurrent = others.as_ref().unwrap_or(&slopes).clone();
        let mut out: Gradients = smallvec![needs[0].then_some(slopes)];
        out.push(if needs[1] {
            let previous = self.0.previous.get()?;
            Some(if let Some(counts) = &self.0.counts {
                product_of_steps("recurrent", previous, &recurrent, counts.get()?)?
            } else {
                let previous = flipped(&all(previous, units)?);
                product("recurrent", &previous, &all(&recurrent, wide)?)?
            })
        } else {
            None
        });
        let states = [h, c].into_iter().take(cell.states());
        out.extend(states.zip(&needs[2..]).map(|(state, need)| need.then_some(state)));
        if self.0.has_bias {
            let need = needs[needs.len() - 1];
            out.push(need.then(|| all(&recurrent, wide)?.sum(&[0], false)).transpose()?);
        }
        Ok(out)
    }
}

impl RecurrentBackward {
    fn launch(
        &self,
        grad: &Tensor,
        slopes: &Tensor,
        others: Option<&Tensor>,
        [h, c, through]: [&Tensor; 3],
    ) -> Result<()> {
        let Kept { sizes, first, gates, out, kernel, mask, counts, .. } = &self.0;
        let sizes = *sizes;
        let Sizes { rows, steps, units, .. } = sizes;
        let (wide, kept, state) = sizes.widths();
        let grad = grad.packed()?;
        let few = rows_together(rows, counts.is_some());
        let row = few * steps;
        let mut operands: Operands = smallvec![
            Operand::read_own(&grad, row * state),
            Operand::read_own(gates.get()?, row * kept),
            Operand::read_own(out.get()?, row * state),
            Operand::read_own(first[0].get()?, few * units),
            Operand::read_own(first[first.len() - 1].get()?, few * units),
            Operand::read(kernel.get()?),
            Operand::write_own(slopes, row * wide),
            Operand::write_own(h, few * units),
            Operand::write_own(c, few * units),
            Operand::write_own(through, few * units),
        ];
        let is_gru = others.is_some();
        operands.extend(others.map(|others| Operand::write_own(others, row * wide)));
        let mask = mask.as_ref().map(Saved::get).transpose()?;
        let masked = push(&mut operands, mask.map(|mask| Operand::read_own(mask, few * units)));
        let counts = counts.as_ref().map(Saved::get).transpose()?;
        let read_counts = |counts| Operand::read_own(counts, row);
        let counted = push(&mut operands, counts.map(read_counts));
        let cost = cost(sizes, slopes);
        with_float!(grad.dtype(), "recurrent", T => launch("recurrent backward", rows / few, cost, operands,
        move |items, arguments| {
            recurrent_rows_backward(BackwardPass::<T> {
                sizes: Sizes { rows: items.len() * few, ..sizes },
                gradient: arguments.own(0, &items),
                kept: arguments.own(1, &items),
                out: arguments.own(2, &items),
                first: [arguments.own(3, &items), arguments.own(4, &items)],
                kernel: arguments.all(5),
                mask: masked.map(|i| arguments.own(i, &items)),
                counts: counted.map(|i| arguments.own(i, &items)),
                projected: arguments.own_mut(6, &items),
                recurrent: is_gru.then(|| arguments.own_mut(10, &items)),
                h: arguments.own_mut(7, &items),
                c: arguments.own_mut(8, &items),
                through: arguments.own_mut(9, &items),
            });
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::dense_steps::dense_steps;
    use crate::testing::gradcheck;

    fn tensor(seed: usize, shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f64> =
            (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f64 / 1000.0 - 1.0).collect();
        Tensor::from_slice(&values, shape).expect("fits")
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_inside_any_batch() {
        for (cell, units) in [(Cell::Simple, 5), (Cell::Lstm, 9), (Cell::Gru, 18)] {
            for rows in [1, 7, 16, 34] {
                let (x, u) = (tensor(1, &[rows, 3, cell.gates() * units]), cell.gates() * units);
                let kernel = tensor(2, &[units, u]);
                let (h, c) = (tensor(3, &[rows, units]), tensor(4, &[rows, units]));
                let run = |x: &Tensor, h: &Tensor, c: &Tensor| {
                    let first = [h, c];
                    let first = &first[..cell.states()];
                    let of = Recurrence {
                        cell,
                        kernel: &kernel,
                        bias: None,
                        first,
                        mask: None,
                        counts: None,
                    };
                    recurrent(x, of).expect("fits").to_vec::<f64>().expect("f64")
                };
                let whole = run(&x, &h, &c);
                let one = |t: &Tensor| t.index(0, rows as isize - 1)?.unsqueeze(0);
                let last = run(
                    &one(&x).expect("a row"),
                    &one(&h).expect("a row"),
                    &one(&c).expect("a row"),
                );
                assert_eq!(last[..], whole[whole.len() - last.len()..], "{cell:?} {rows}");
            }
        }
    }

    #[test]
    fn a_padded_row_has_the_bits_of_the_row_alone() {
        for (cell, units) in [(Cell::Simple, 5), (Cell::Lstm, 17), (Cell::Gru, 18)] {
            let (rows, steps, wide) = (34, 6, cell.gates() * units);
            let x = tensor(1, &[rows, steps, wide]);
            let kernel = tensor(2, &[units, wide]);
            let first: Vec<Tensor> =
                (0..cell.states()).map(|i| tensor(3 + i, &[rows, units])).collect();
            // Row r has r % steps of the steps, from the first on, and its last state counts.
            let lengths: Vec<usize> = (0..rows).map(|row| row % (steps + 1)).collect();
            let counts: Vec<u8> = lengths
                .iter()
                .flat_map(|&length| (0..steps).map(move |t| u8::from(t < length)))
                .collect();
            let counts = Tensor::from_slice(&counts, &[rows, steps]).expect("fits");
            let run = |x: &Tensor, first: &[&Tensor], counts: Option<&Tensor>| {
                let of =
                    Recurrence { cell, kernel: &kernel, bias: None, first, mask: None, counts };
                recurrent(x, of).expect("fits")
            };
            let references: Vec<&Tensor> = first.iter().collect();
            let whole = run(&x, &references, Some(&counts));
            let values = whole.to_vec::<f64>().expect("f64");
            let state = cell.states() * units;
            for (row, &length) in lengths.iter().enumerate() {
                let last = &values[((row + 1) * steps - 1) * state..][..state];
                if length == 0 {
                    let first: Vec<f64> = first
                        .iter()
                        .flat_map(|one| {
                            one.to_vec::<f64>().expect("f64")[row * units..][..units].to_vec()
                        })
                        .collect();
                    assert_eq!(last, &first[..], "{cell:?}");
                    continue;
                }
                let one = |t: &Tensor| {
                    t.index(0, row as isize).and_then(|row| row.unsqueeze(0)).expect("a row")
                };
                let alone: Vec<Tensor> = first.iter().map(one).collect();
                let steps_of_row = &one(&x).to_vec::<f64>().expect("f64")[..length * wide];
                let short = Tensor::from_slice(steps_of_row, &[1, length, wide]).expect("fits");
                let made = run(&short, &alone.iter().collect::<Vec<_>>(), None);
                let made = made.to_vec::<f64>().expect("f64");
                assert_eq!(last, &made[(length - 1) * state..], "{cell:?} {row}");
            }
        }
    }

    #[test]
    fn gradients_pass_over_masked_steps() {
        let counts = [1, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0_u8];
        let counts = Tensor::from_slice(&counts, &[4, 3]).expect("fits");
        for cell in [Cell::Simple, Cell::Lstm, Cell::Gru] {
            let (units, wide) = (3, 3 * cell.gates());
            let (x, weights) = (tensor(1, &[4, 3, 2]), tensor(2, &[2, wide]));
            let mut inputs = vec![x, weights, tensor(3, &[units, wide]), tensor(4, &[wide])];
            inputs.extend((0..cell.states()).map(|i| tensor(5 + i, &[4, units])));
            gradcheck(
                |given| {
                    let bias = (cell == Cell::Gru).then_some(&given[3]);
                    let projected = dense_steps(&given[0], &given[1], Some(&given[3]), &counts)?;
                    let first: Vec<&Tensor> = given[4..].iter().collect();
                    let counts = Some(&counts);
                    let kernel = &given[2];
                    recurrent(
                        &projected,
                        Recurrence { cell, kernel, bias, first: &first, mask: None, counts },
                    )
                },
                &inputs,
            )
            .expect("right gradients");
        }
    }

    #[test]
    fn groups_divide_the_rows() {
        for (rows, few) in [(0, 1), (1, 1), (7, 7), (16, 8), (32, 8), (34, 2), (37, 1), (50, 5)] {
            assert_eq!(rows_together(rows, false), few);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let (x, kernel) = (tensor(1, &[2, 3, 8]), tensor(2, &[2, 8]));
        let (h, narrow) = (tensor(3, &[2, 2]), tensor(4, &[2, 1]));
        let error = |x: &Tensor, first: &[&Tensor], bias: Option<&Tensor>| {
            let of = Recurrence {
                cell: Cell::Lstm,
                kernel: &kernel,
                bias,
                first,
                mask: None,
                counts: None,
            };
            recurrent(x, of).expect_err("wrong").to_string()
        };
        assert!(error(&x, &[&h], None).contains("2 states, got 1"));
        assert!(error(&x, &[&h, &narrow], None).contains("first state of shape (2, 2)"));
        assert!(error(&h, &[&h, &h], None).contains("(rows, steps, 8)"));
        assert!(error(&x, &[&h, &h], Some(&h)).contains("only a GRU"));
        let single = h.cast(crate::DType::F32).expect("casts");
        assert!(error(&x, &[&h, &single], None).contains("float32"));
        let none = Tensor::zeros(&[2, 0, 8], crate::DType::F64).expect("empty");
        assert!(error(&none, &[&h, &h], None).contains("one step or more"));
    }
}
