//! Random numbers: generators, what they draw, and dropout.

use evengrad_core::generator::Generator as CoreGenerator;
use evengrad_core::{DType, Result, Tensor as CoreTensor, rng};
use numpy::PyArray1;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::Any;
use crate::names;
use crate::native_call::{run, run_tensor};
use crate::operand::other_tensor;
use crate::shapes::sizes;
use crate::tensor::Tensor;

/// A whole number of 64 bits without a sign.
fn unsigned(argument: &str, given: &Any<'_>) -> PyResult<u64> {
    given.extract::<u64>().map_err(|error| {
        let text = format!("{argument}: expected an integer from 0 to 2**64 - 1, got {given}");
        if error.is_instance_of::<PyTypeError>(given.py()) {
            PyTypeError::new_err(text)
        } else {
            PyValueError::new_err(text)
        }
    })
}

fn stream_number(given: &Any<'_>) -> PyResult<u64> {
    unsigned("stream", given)
}

/// A source of random numbers.
///
/// They depend on the seed, the stream, the number of the draw and the place of the element alone: not on
/// threads, nor on how work is cut. A draw fills one tensor; inside a captured step every replay draws anew.
///
/// Parameters
/// ----------
/// seed : int
///     What the user chose, from 0 to 2⁶⁴ - 1.
/// stream : int
///     Who draws, as :func:`derive_stream` tells.
///
/// Raises
/// ------
/// ValueError
///     If a number is out of range.
///
/// Examples
/// --------
/// >>> first, second = eg._core.Generator(7), eg._core.Generator(7)
/// >>> first.normal(3).tolist() == second.normal(3).tolist()
/// True
/// >>> first.draws
/// 1
#[pyclass(frozen, weakref, module = "evengrad._core")]
pub(crate) struct Generator(pub(crate) CoreGenerator);

type Law = fn(&[usize], &CoreGenerator, f64, f64, DType) -> Result<CoreTensor>;

impl Generator {
    fn draw(
        &self,
        operation: &str,
        law: Law,
        shape: &Any<'_>,
        parameters: [f64; 2],
        dtype: Option<&Any<'_>>,
    ) -> PyResult<Tensor> {
        let (sizes, dtype) = (sizes(operation, shape)?, names::dtype_or_default(dtype)?);
        run_tensor(shape.py(), || law(&sizes, &self.0, parameters[0], parameters[1], dtype))
    }
}

#[pymethods]
impl Generator {
    #[new]
    #[pyo3(signature = (seed, stream=0))]
    fn new(seed: &Any<'_>, #[pyo3(from_py_with = stream_number)] stream: u64) -> PyResult<Self> {
        Ok(Self(CoreGenerator::new(unsigned("seed", seed)?, stream)))
    }

    /// The seed.
    #[getter]
    fn seed(&self) -> u64 {
        self.0.key().seed
    }

    /// The stream.
    #[getter]
    fn stream(&self) -> u64 {
        self.0.key().stream
    }

    /// The number of draws so far, which is the generator's whole state. Assign to it to go elsewhere.
    #[getter]
    fn draws(&self) -> u64 {
        self.0.draws()
    }

    #[setter]
    fn set_draws(&self, draws: &Any<'_>) -> PyResult<()> {
        self.0.set_draws(unsigned("draws", draws)?);
        Ok(())
    }

    /// Take tensors of so many rows for those of a batch from row `first` on: their random numbers are from now on what
    /// they would be within the whole batch.
    ///
    /// Parameters
    /// ----------
    /// first, rows : int
    ///     The first row and how many there are; with no rows, tensors are whole again.
    ///
    /// Examples
    /// --------
    /// >>> whole = eg._core.Generator(1).uniform((4, 2))
    /// >>> generator = eg._core.Generator(1)
    /// >>> generator.set_part(1, 2)
    /// >>> generator.uniform((2, 2)).tolist() == whole[1:3].tolist()
    /// True
    fn set_part(&self, first: u64, rows: u64) {
        self.0.set_part(first, rows);
    }

    /// Draw a tensor of numbers that are uniform from `low` up to `high`.
    ///
    /// Parameters
    /// ----------
    /// shape : int or tuple of ints
    ///     Sizes of the dimensions.
    /// low, high : float
    ///     The bounds.
    /// dtype : str or NumPy dtype, optional
    ///     A floating-point type; the default type if None.
    ///
    /// Raises
    /// ------
    /// TypeError
    ///     If the dtype is no floating-point type.
    ///
    /// Examples
    /// --------
    /// >>> x = eg._core.Generator(7).uniform((100,), -1.0, 1.0)
    /// >>> -1.0 <= x.amin().item() <= x.amax().item() <= 1.0
    /// True
    #[pyo3(signature = (shape, low=0.0, high=1.0, dtype=None))]
    fn uniform(
        &self,
        shape: &Any<'_>,
        low: f64,
        high: f64,
        dtype: Option<&Any<'_>>,
    ) -> PyResult<Tensor> {
        self.draw("uniform", CoreTensor::uniform, shape, [low, high], dtype)
    }

    /// Draw a tensor of normally distributed numbers.
    ///
    /// Parameters
    /// ----------
    /// shape : int or tuple of ints
    ///     Sizes of the dimensions.
    /// mean, std : float
    ///     Mean and standard deviation.
    /// dtype : str or NumPy dtype, optional
    ///     A floating-point type; the default type if None.
    ///
    /// Raises
    /// ------
    /// TypeError
    ///     If the dtype is no floating-point type.
    ///
    /// Examples
    /// --------
    /// >>> eg._core.Generator(7).normal((2, 3)).shape
    /// (2, 3)
    #[pyo3(signature = (shape, mean=0.0, std=1.0, dtype=None))]
    fn normal(
        &self,
        shape: &Any<'_>,
        mean: f64,
        std: f64,
        dtype: Option<&Any<'_>>,
    ) -> PyResult<Tensor> {
        self.draw("normal", CoreTensor::normal, shape, [mean, std], dtype)
    }

    /// Draw a tensor of normally distributed numbers, cut at two standard deviations from the mean.
    ///
    /// `std` is the deviation before the cut; what is left deviates by 0.88 of it.
    ///
    /// Parameters
    /// ----------
    /// shape : int or tuple of ints
    ///     Sizes of the dimensions.
    /// mean, std : float
    ///     Mean, and standard deviation before the cut.
    /// dtype : str or NumPy dtype, optional
    ///     A floating-point type; the default type if None.
    ///
    /// Raises
    /// ------
    /// TypeError
    ///     If the dtype is no floating-point type.
    ///
    /// Examples
    /// --------
    /// >>> x = eg._core.Generator(7).truncated_normal((1000,))
    /// >>> abs(x).amax().item() <= 2.0
    /// True
    #[pyo3(signature = (shape, mean=0.0, std=1.0, dtype=None))]
    fn truncated_normal(
        &self,
        shape: &Any<'_>,
        mean: f64,
        std: f64,
        dtype: Option<&Any<'_>>,
    ) -> PyResult<Tensor> {
        self.draw("truncated_normal", CoreTensor::truncated_normal, shape, [mean, std], dtype)
    }

    /// Draw an order of the numbers from 0 to `n` - 1, as an array of ``int64``.
    ///
    /// Raises
    /// ------
    /// RuntimeError
    ///     While a step is captured.
    ///
    /// Examples
    /// --------
    /// >>> sorted(eg._core.Generator(7).permutation(4).tolist())
    /// [0, 1, 2, 3]
    fn permutation<'py>(&self, py: Python<'py>, n: usize) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let order = run(py, || self.0.permutation(n))?;
        Ok(PyArray1::from_vec(py, order))
    }

    fn __repr__(&self) -> String {
        let key = self.0.key();
        format!("Generator(seed={}, stream={}, draws={})", key.seed, key.stream, self.0.draws())
    }
}

/// The stream that a named user of random numbers draws from: a hash of seed and name, the same for ever.
///
/// Parameters
/// ----------
/// seed : int
///     From 0 to 2⁶⁴ - 1.
/// path : str
///     Who draws, such as the path of a variable.
///
/// Raises
/// ------
/// ValueError
///     If the seed is out of range.
///
/// Examples
/// --------
/// >>> eg._core.derive_stream(7, "dense/kernel") != eg._core.derive_stream(7, "dense/bias")
/// True
#[pyfunction]
pub(crate) fn derive_stream(seed: &Any<'_>, path: &str) -> PyResult<u64> {
    Ok(rng::derive_stream(unsigned("seed", seed)?, path))
}

/// Drop each element with probability `rate` and divide the others by 1 - rate.
///
/// Parameters
/// ----------
/// x : Tensor or array
///     Of a floating-point type.
/// rate : float
///     From 0 to 1.
/// generator : Generator
///     Draws the mask: once a call, and once a replay.
///
/// Raises
/// ------
/// ValueError
///     If the rate is out of range.
///
/// Examples
/// --------
/// >>> x = eg._core.dropout(eg.ones(1000), 0.5, eg._core.Generator(7))
/// >>> sorted(set(x.tolist()))
/// [0.0, 2.0]
#[pyfunction]
pub(crate) fn dropout(
    py: Python<'_>,
    x: &Any<'_>,
    rate: f64,
    generator: &Bound<'_, Generator>,
) -> PyResult<Tensor> {
    let x = other_tensor("x", x, None)?;
    let generator = &generator.get().0;
    run_tensor(py, || x.dropout(rate, generator))
}

/// Replace each number of a table, with probability `rate`, by that of another row in the same column.
///
/// Parameters
/// ----------
/// x : Tensor or array
///     (rows, ...), of a floating-point type.
/// rate : float
///     From 0 to 1.
/// generator : Generator
///     Draws once a call, and once a replay.
///
/// Raises
/// ------
/// ValueError
///     If the rate is out of range.
///
/// Examples
/// --------
/// >>> x = eg.tensor([[1.0, 2.0], [3.0, 4.0]])
/// >>> eg._core.swap_noise(x, 1.0, eg._core.Generator(7)).tolist()
/// [[3.0, 4.0], [1.0, 2.0]]
#[pyfunction]
pub(crate) fn swap_noise(
    py: Python<'_>,
    x: &Any<'_>,
    rate: f64,
    generator: &Bound<'_, Generator>,
) -> PyResult<Tensor> {
    let x = other_tensor("x", x, None)?;
    let generator = &generator.get().0;
    run_tensor(py, || x.swap_noise(rate, generator))
}
