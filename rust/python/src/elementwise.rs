//! Functions of one number as methods of `Tensor`: one for each row of the core's table.
//!
//! Each applies to every element of a floating-point tensor, gives a tensor of the same shape and type, is
//! differentiable, and raises TypeError for integers and truth values.

use pyo3::prelude::*;

use crate::door::run_tensor;
use crate::tensor::Tensor;

#[pymethods]
impl Tensor {
    /// The exponential function, eˣ.
    ///
    /// >>> eg.tensor([0.0, 1.0]).exp().numpy().round(4)
    /// array([1.    , 2.7183], dtype=float32)
    fn exp(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.exp())
    }

    /// eˣ - 1, accurate near zero.
    ///
    /// >>> eg.tensor([0.0, 1.0]).expm1().numpy().round(4)
    /// array([0.    , 1.7183], dtype=float32)
    fn expm1(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.expm1())
    }

    /// The natural logarithm, ln x: -inf at zero, NaN below.
    ///
    /// >>> eg.tensor([1.0, 2.0]).log().numpy().round(4)
    /// array([0.    , 0.6931], dtype=float32)
    fn log(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.log())
    }

    /// ln(1 + x), accurate near zero.
    ///
    /// >>> eg.tensor([0.0, 1.0]).log1p().numpy().round(4)
    /// array([0.    , 0.6931], dtype=float32)
    fn log1p(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.log1p())
    }

    /// The square root, √x: NaN below zero.
    ///
    /// >>> eg.tensor([4.0, 9.0]).sqrt().numpy().round(4)
    /// array([2., 3.], dtype=float32)
    fn sqrt(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.sqrt())
    }

    /// 1 / x.
    ///
    /// >>> eg.tensor([2.0, 4.0]).reciprocal().numpy().round(4)
    /// array([0.5 , 0.25], dtype=float32)
    fn reciprocal(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.reciprocal())
    }

    /// x².
    ///
    /// >>> eg.tensor([-3.0, 2.0]).square().numpy().round(4)
    /// array([9., 4.], dtype=float32)
    fn square(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.square())
    }

    /// |x|; the derivative at zero is 0.
    ///
    /// >>> eg.tensor([-3.0, 2.0]).abs().numpy().round(4)
    /// array([3., 2.], dtype=float32)
    fn abs(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.abs())
    }

    /// The sign of x: -1, 0 or 1; its derivative is 0.
    ///
    /// >>> eg.tensor([-3.0, 0.0]).sign().numpy().round(4)
    /// array([-1.,  0.], dtype=float32)
    fn sign(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.sign())
    }

    /// The sine.
    ///
    /// >>> eg.tensor([0.0, 1.0]).sin().numpy().round(4)
    /// array([0.    , 0.8415], dtype=float32)
    fn sin(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.sin())
    }

    /// The cosine.
    ///
    /// >>> eg.tensor([0.0, 1.0]).cos().numpy().round(4)
    /// array([1.    , 0.5403], dtype=float32)
    fn cos(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.cos())
    }

    /// The error function, 2/√π ∫₀ˣ e^(-t²) dt.
    ///
    /// >>> eg.tensor([0.0, 1.0]).erf().numpy().round(4)
    /// array([0.    , 0.8427], dtype=float32)
    fn erf(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.erf())
    }

    /// x held to [low, high]; the derivative is 1 inside and at the bounds, 0 outside.
    ///
    /// Parameters
    /// ----------
    /// low, high
    ///     The bounds, two numbers.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([-3.0, 0.5, 3.0]).clamp(-1.0, 1.0).numpy().round(4)
    /// array([-1. ,  0.5,  1. ], dtype=float32)
    #[pyo3(signature = (low, high))]
    fn clamp(&self, py: Python<'_>, low: f64, high: f64) -> PyResult<Self> {
        run_tensor(py, || self.0.clamp(low, high))
    }

    /// The rectifier, max(0, x); the derivative at zero is 0.
    ///
    /// >>> eg.tensor([-1.0, 2.0]).relu().numpy().round(4)
    /// array([0., 2.], dtype=float32)
    fn relu(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.relu())
    }

    /// The rectifier held to 6, min(max(0, x), 6); the derivative is 0 at zero and 1 at 6.
    ///
    /// >>> eg.tensor([-1.0, 8.0]).relu6().numpy().round(4)
    /// array([0., 6.], dtype=float32)
    fn relu6(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.relu6())
    }

    /// x where x > 0, else negative_slope·x; the slope is any finite number, else a ``ValueError``.
    ///
    /// Parameters
    /// ----------
    /// negative_slope
    ///     The derivative below 0.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([-1.0, 2.0]).leaky_relu(0.25).numpy().round(4)
    /// array([-0.25,  2.  ], dtype=float32)
    #[pyo3(signature = (negative_slope=0.01))]
    fn leaky_relu(&self, py: Python<'_>, negative_slope: f64) -> PyResult<Self> {
        run_tensor(py, || self.0.leaky_relu(negative_slope))
    }

    /// x where x > 0, else alpha·(eˣ - 1) (Clevert et al. 2015); a ``ValueError`` for alpha below zero.
    ///
    /// Parameters
    /// ----------
    /// alpha
    ///     What the values tend to below 0, with the sign changed.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([-1.0, 2.0]).elu().numpy().round(4)
    /// array([-0.6321,  2.    ], dtype=float32)
    #[pyo3(signature = (alpha=1.0))]
    fn elu(&self, py: Python<'_>, alpha: f64) -> PyResult<Self> {
        run_tensor(py, || self.0.elu(alpha))
    }

    /// λx where x > 0, else λα(eˣ - 1), with the constants that keep mean 0 and variance 1.
    ///
    /// Klambauer et al., 2017.
    ///
    /// >>> eg.tensor([-1.0, 2.0]).selu().numpy().round(4)
    /// array([-1.1113,  2.1014], dtype=float32)
    fn selu(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.selu())
    }

    /// x where x > 0, else alpha·(e^(x/alpha) - 1) (Barron 2017); a ``ValueError`` unless alpha > 0.
    ///
    /// Parameters
    /// ----------
    /// alpha
    ///     What the values tend to below 0, with the sign changed.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([-1.0, 2.0]).celu(2.0).numpy().round(4)
    /// array([-0.7869,  2.    ], dtype=float32)
    #[pyo3(signature = (alpha=1.0))]
    fn celu(&self, py: Python<'_>, alpha: f64) -> PyResult<Self> {
        run_tensor(py, || self.0.celu(alpha))
    }

    /// The logistic function, 1 / (1 + e⁻ˣ).
    ///
    /// >>> eg.tensor([0.0, 2.0]).sigmoid().numpy().round(4)
    /// array([0.5   , 0.8808], dtype=float32)
    fn sigmoid(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.sigmoid())
    }

    /// The hyperbolic tangent.
    ///
    /// >>> eg.tensor([0.0, 2.0]).tanh().numpy().round(4)
    /// array([0.   , 0.964], dtype=float32)
    fn tanh(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.tanh())
    }

    /// ln(1 + eˣ).
    ///
    /// >>> eg.tensor([0.0, 2.0]).softplus().numpy().round(4)
    /// array([0.6931, 2.1269], dtype=float32)
    fn softplus(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.softplus())
    }

    /// x / (1 + |x|).
    ///
    /// >>> eg.tensor([-1.0, 3.0]).softsign().numpy().round(4)
    /// array([-0.5 ,  0.75], dtype=float32)
    fn softsign(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.softsign())
    }

    /// x·sigmoid(x), also called swish.
    ///
    /// >>> eg.tensor([0.0, 2.0]).silu().numpy().round(4)
    /// array([0.    , 1.7616], dtype=float32)
    fn silu(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.silu())
    }

    /// x·Φ(x) with the normal distribution function Φ (Hendrycks & Gimpel 2016).
    ///
    /// >>> eg.tensor([0.0, 2.0]).gelu().numpy().round(4)
    /// array([0.    , 1.9545], dtype=float32)
    fn gelu(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.gelu())
    }

    /// The tanh approximation of :meth:`gelu`, x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
    ///
    /// >>> eg.tensor([0.0, 2.0]).gelu_tanh().numpy().round(4)
    /// array([0.    , 1.9546], dtype=float32)
    fn gelu_tanh(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.gelu_tanh())
    }

    /// x·tanh(softplus(x)) (Misra 2019).
    ///
    /// >>> eg.tensor([0.0, 2.0]).mish().numpy().round(4)
    /// array([0.   , 1.944], dtype=float32)
    fn mish(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.mish())
    }

    /// x/6 + 1/2 held to [0, 1]; the derivative at a bound is that of the inside.
    ///
    /// >>> eg.tensor([-4.0, 1.5]).hard_sigmoid().numpy().round(4)
    /// array([0.  , 0.75], dtype=float32)
    fn hard_sigmoid(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.hard_sigmoid())
    }

    /// x held to [-1, 1]; the derivative at a bound is 1, as that of :meth:`clamp`.
    ///
    /// >>> eg.tensor([-4.0, 0.5]).hard_tanh().numpy().round(4)
    /// array([-1. ,  0.5], dtype=float32)
    fn hard_tanh(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.hard_tanh())
    }

    /// x·hard_sigmoid(x), also called hard swish; the derivative at ±3 is that of the inside.
    ///
    /// >>> eg.tensor([-4.0, 3.0]).hard_silu().numpy().round(4)
    /// array([0., 3.], dtype=float32)
    fn hard_silu(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.hard_silu())
    }
}
