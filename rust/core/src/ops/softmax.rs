//! Softmax, log-softmax and log-sum-exp of rows of logits.
//!
//! ```text
//! softmax      p_i = e^(z_i - m) / Σ e^(z_j - m)         m = max z, so that nothing overflows
//! log_softmax  l_i = (z_i - m) - ln Σ e^(z_j - m)
//! logsumexp    L   = m + ln Σ e^(z_j - m)
//!
//! ∂C/∂z_i = p_i (g_i - Σ g_j p_j)      g_i - p_i Σ g_j      g p_i
//! ```
//!
//! Each is one pass over the rows of the last dimension; another dimension is brought there first. A row of
//! nothing but -∞ has the logarithm -∞ and no gradient; as shares it is NaN.

use smallvec::{SmallVec, smallvec};

use crate::dtype::with_float;
use crate::error::Result;
use crate::kernels::softmax::{
    Normalized, logsumexp_rows, logsumexp_rows_backward, normalize_rows, normalize_rows_backward,
};
use crate::launch::{Cost, Operand, launch};
use crate::layout::{Layout, dimension};
use crate::ops::reduce::{in_own_order, rows};
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// What an exponential with its sums costs an element.
const FLOPS: f64 = 24.0;

impl Normalized {
    const fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::LogSoftmax => "log_softmax",
        }
    }
}

struct NormalizedBackward {
    kind: Normalized,
    y: Saved,
}

impl Backward for NormalizedBackward {
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        let (y, grad) = (self.y.get()?, grad.packed()?);
        let width = y.shape().last().copied().unwrap_or(0);
        let items = y.count().checked_div(width).unwrap_or(0);
        let out = Tensor::empty(y.shape(), y.dtype())?;
        let operands = smallvec![
            Operand::read_own(y, width),
            Operand::read_own(&grad, width),
            Operand::write_own(&out, width),
        ];
        let cost = Cost::elementwise(y.count(), FLOPS, 3, y.dtype());
        let (kind, name) = (self.kind, self.kind.name());
        with_float!(y.dtype(), name, T => launch(name, items, cost, operands,
        move |items, arguments| {
            let (y, grad) = (arguments.own::<T>(0, &items), arguments.own(1, &items));
            normalize_rows_backward(kind, y, grad, width, arguments.own_mut(2, &items));
        }))?;
        Ok(smallvec![Some(out)])
    }
}

/// Along the last dimension.
fn normalized(kind: Normalized, z: &Tensor) -> Result<Tensor> {
    let x = z.packed()?;
    let width = x.shape().last().copied().unwrap_or(0);
    let items = x.count().checked_div(width).unwrap_or(0);
    let out = Tensor::empty(x.shape(), x.dtype())?;
    let operands = smallvec![Operand::read_own(&x, width), Operand::write_own(&out, width)];
    let cost = Cost::elementwise(x.count(), FLOPS, 2, x.dtype());
    let name = kind.name();
    with_float!(x.dtype(), name, T => launch(name, items, cost, operands, move |items, arguments| {
        normalize_rows(kind, arguments.own::<T>(0, &items), width, arguments.own_mut(1, &items));
    }))?;
    Ok(out.recorded(kind.name(), &[z], |y| NormalizedBackward { kind, y: Saved::new(y) }))
}

fn normalized_along(kind: Normalized, z: &Tensor, dim: isize) -> Result<Tensor> {
    z.dtype().require_float(kind.name())?;
    let dim = dimension(kind.name(), dim, z.ndim())?;
    if dim + 1 == z.ndim() {
        return normalized(kind, z);
    }
    normalized(kind, &z.transpose(dim as isize, -1)?)?.transpose(dim as isize, -1)
}

struct LogSumExpBackward {
    x: Saved,
    y: Saved,
    order: SmallVec<[usize; 4]>,
}

impl Backward for LogSumExpBackward {
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        let (x, y, grad) = (self.x.get()?, self.y.get()?, grad.packed()?);
        let width = x.count().checked_div(y.count()).unwrap_or(0);
        let items = if width == 0 { 0 } else { y.count() };
        let out = Tensor::empty(x.shape(), x.dtype())?;
        let operands = smallvec![
            Operand::read_own(x, width),
            Operand::read_own(y, 1),
            Operand::read_own(&grad, 1),
            Operand::write_own(&out, width),
        ];
        let cost = Cost::elementwise(x.count(), FLOPS, 2, x.dtype());
        with_float!(x.dtype(), "logsumexp", T => launch("logsumexp", items, cost, operands,
        move |items, arguments| {
            let (x, y) = (arguments.own::<T>(0, &items), arguments.own(1, &items));
            logsumexp_rows_backward(x, y, arguments.own(2, &items), width, arguments.own_mut(3, &items));
        }))?;
        Ok(smallvec![Some(in_own_order(&out, &self.order))])
    }
}

impl Tensor {
    /// e^z / Σ e^z along `dim`.
    pub fn softmax(&self, dim: isize) -> Result<Self> {
        normalized_along(Normalized::Softmax, self, dim)
    }

    /// The logarithm of the softmax along `dim`, without underflow.
    pub fn log_softmax(&self, dim: isize) -> Result<Self> {
        normalized_along(Normalized::LogSoftmax, self, dim)
    }

    /// ln Σ e^z over `dims` (all where empty), without overflow; over nothing it is -∞.
    pub fn logsumexp(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        self.dtype().require_float("logsumexp")?;
        let r = rows("logsumexp", self, dims)?;
        let width = r.width;
        let y = Self::empty(&[r.count], self.dtype())?;
        if width == 0 {
            y.fill(f64::NEG_INFINITY)?;
        } else {
            let operands = smallvec![Operand::read_own(&r.x, width), Operand::write_own(&y, 1)];
            let cost = Cost::elementwise(r.x.count(), FLOPS, 1, self.dtype());
            with_float!(self.dtype(), "logsumexp", T => launch("logsumexp", r.count, cost, operands,
            move |items, arguments| {
                logsumexp_rows(arguments.own::<T>(0, &items), width, arguments.own_mut(1, &items));
            }))?;
        }
        let out = y.view(Layout::contiguous(if keepdim { &r.kept } else { &r.squeezed }));
        Ok(out.recorded("logsumexp", &[self], |_| LogSumExpBackward {
            x: Saved::new(&r.x),
            y: Saved::new(&y),
            order: r.order.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::tape::backward;

    fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape).expect("fits")
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    #[test]
    fn extreme_logits_are_exact() {
        let z = tensor(&[1000., 0., -1000., 7., 7., 7.], &[2, 3]);
        let third = 1.0 / 3.0;
        assert_eq!(values(&z.softmax(-1).expect("float")), [1., 0., 0., third, third, third]);
        let log = values(&z.log_softmax(1).expect("float"));
        assert_eq!(log[..3], [0., -1000., -2000.]);
        assert!(log[3..].iter().all(|l| (l + 3f64.ln()).abs() < 1e-15), "{log:?}");
        let sums = values(&z.logsumexp(&[1], false).expect("float"));
        assert_eq!(sums[0], 1000.0);
        assert!((sums[1] - 7.0 - 3f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn infinite_and_missing_logits() {
        let low = f64::NEG_INFINITY;
        let z = tensor(&[low, 0., low, low, f64::INFINITY, 0.], &[3, 2]);
        z.set_requires_grad(true).expect("a float leaf");
        let y = z.logsumexp(&[1], true).expect("float");
        assert_eq!(values(&y), [0., low, f64::INFINITY]);
        backward(&y, Some(&Tensor::ones(&[3, 1], DType::F64).expect("small")), false)
            .expect("a graph");
        assert_eq!(values(&z.grad().expect("reached"))[..4], [0., 1., 0., 0.]);
        let p = values(&z.softmax(1).expect("float"));
        assert_eq!(p[..2], [0., 1.]);
        assert!(p[2..].iter().all(|p| p.is_nan()), "{p:?}");
        let none = Tensor::zeros(&[2, 0], DType::F64).expect("empty");
        assert_eq!(values(&none.logsumexp(&[1], false).expect("float")), [low, low]);
        assert_eq!(none.softmax(1).expect("float").shape(), [2, 0]);
        assert!(Tensor::zeros(&[], DType::F32).expect("small").softmax(0).is_err());
        assert!(Tensor::zeros(&[2], DType::I64).expect("small").softmax(0).is_err());
    }

    /// Rows of every length around the vector widths sum to one, and agree with the composed form.
    #[test]
    fn rows_of_every_length() {
        for width in (1..40).chain([1023, 1025, 3000]) {
            let data: Vec<f64> =
                (0..19 * width).map(|i| ((i * 37) % 101) as f64 / 17.0 - 3.0).collect();
            let z = tensor(&data, &[19, width]);
            let p = z.softmax(-1).expect("float");
            for sum in values(&p.sum(&[1], false).expect("float")) {
                assert!((sum - 1.0).abs() < 1e-13, "{width}: {sum}");
            }
            let composed =
                z.exp().expect("float").sum(&[1], true).expect("float").log().expect("float");
            let fused = z.logsumexp(&[1], true).expect("float");
            for (a, b) in values(&composed).iter().zip(values(&fused)) {
                assert!((a - b).abs() < 1e-12, "{width}: {a} {b}");
            }
            let log = z.log_softmax(-1).expect("float");
            let difference = z.sub(&fused).expect("float").sub(&log).expect("float");
            assert!(values(&difference).iter().all(|d| d.abs() < 1e-13), "{width}");
        }
    }

    /// Rows of few columns go side by side, and yet each is what it is alone, also with infinities beside it.
    #[test]
    fn rows_do_not_depend_on_their_neighbours() {
        for width in 1..20 {
            let mut data: Vec<f64> =
                (0..21 * width).map(|i| ((i * 53) % 97) as f64 / 13.0 - 4.0).collect();
            data[7 * width..8 * width].fill(f64::INFINITY);
            data[12 * width] = f64::NAN;
            let z = tensor(&data, &[21, width]);
            for f in [Tensor::softmax, Tensor::log_softmax] {
                z.set_requires_grad(true).expect("a float leaf");
                z.set_grad(None).expect("none");
                let all = f(&z, 1).expect("float");
                backward(&all, Some(&z.detach()), false).expect("a graph");
                let gradients = values(&z.grad().expect("reached"));
                let all = values(&all);
                for row in 0..21 {
                    let here = row * width..(row + 1) * width;
                    let one = tensor(&data[here.clone()], &[1, width]);
                    one.set_requires_grad(true).expect("a float leaf");
                    let y = f(&one, 1).expect("float");
                    backward(&y, Some(&one.detach()), false).expect("a graph");
                    let bits = |x: &[f64]| -> Vec<u64> { x.iter().map(|x| x.to_bits()).collect() };
                    let gradient = values(&one.grad().expect("reached"));
                    let finite = !matches!(row, 7 | 12);
                    assert!(!finite || bits(&values(&y)) == bits(&all[here.clone()]));
                    assert!(!finite || bits(&gradient) == bits(&gradients[here.clone()]));
                    assert_eq!(finite, all[here].iter().all(|x| x.is_finite()), "{width} {row}");
                }
            }
        }
    }

    #[test]
    fn another_dimension_is_brought_to_the_end() {
        let z = tensor(&[0., 1., 2., 3., 4., 5.], &[3, 2]);
        let by_columns = z.transpose(0, 1).expect("two dims").softmax(1).expect("float");
        assert_eq!(
            values(&z.softmax(0).expect("float")),
            values(&by_columns.transpose(0, 1).expect("two dims"))
        );
    }

    /// Adding one number to a whole row changes no share, so each row of a gradient sums to zero.
    #[test]
    fn gradients_of_rows_sum_to_zero() {
        let z = tensor(&[0.3, -2., 1.5, 0.1, 9., -4.], &[2, 3]);
        let g = tensor(&[1., -2., 0.5, 3., 1., 7.], &[2, 3]);
        for y in [Tensor::softmax, Tensor::log_softmax].map(|f| {
            z.set_requires_grad(true).expect("a float leaf");
            f(&z, 1).expect("float")
        }) {
            z.set_grad(None).expect("none");
            backward(&y, Some(&g), false).expect("a graph");
            for sum in values(&z.grad().expect("reached").sum(&[1], false).expect("float")) {
                assert!(sum.abs() < 1e-14, "{sum}");
            }
        }
    }
}
