//! The class `Tensor`: what it is, its place on the tape, its values in Python. Operators, functions,
//! reductions and shapes are blocks of methods in files of their own.

use evengrad_core::{DType, Tensor as CoreTensor, capture, tape};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyBool, PyFloat, PyInt, PyTuple};

use crate::Any;
use crate::creation::copied;
use crate::error::exception;
use crate::native_call::{run, run_tensor};
use crate::operand::{constant, other_tensor};
use crate::{names, numpy as arrays};

/// An n-dimensional array that may take part in differentiation.
///
/// Made by :func:`tensor`, :func:`zeros` and their like, and by operations on other tensors. It has the
/// operators and methods that a NumPy user expects, with NumPy's broadcasting. Numbers of Python and NumPy
/// scalars take the tensor's type; NumPy arrays may stand on either side of an operator.
///
/// An operation on a tensor that requires a gradient is recorded; :meth:`backward` of a result then leaves
/// the gradients in the ``grad`` of the tensors it was computed from.
///
/// A tensor may be used from several threads.
///
/// Examples
/// --------
/// >>> x = eg.tensor([1.0, 2.0, 3.0], requires_grad=True)
/// >>> y = (x * x).sum()
/// >>> y.backward()
/// >>> x.grad.tolist()
/// [2.0, 4.0, 6.0]
#[pyclass(frozen, weakref, module = "evengrad")]
pub(crate) struct Tensor(pub(crate) CoreTensor);

/// What `array_api_compat` has for NumPy arrays, scikit-learn's copy first: whoever loaded it compares namespaces.
const NAMESPACES_OF_NUMPY: [&str; 2] =
    ["sklearn.externals.array_api_compat.numpy", "array_api_compat.numpy"];

/// One element as a Python object of its type.
fn single<'py>(py: Python<'py>, tensor: &CoreTensor) -> PyResult<Any<'py>> {
    capture::forbid("item").map_err(exception)?;
    Ok(match tensor.dtype() {
        // Through their own type: not every integer is a float.
        DType::I64 if tensor.count() == 1 => {
            let values = run(py, || tensor.to_vec::<i64>())?;
            values.first().into_pyobject(py)?.into_any()
        }
        DType::Bool => {
            let value = run(py, || tensor.item())?;
            PyBool::new(py, value != 0.0).to_owned().into_any()
        }
        _ => {
            let value = run(py, || tensor.item())?;
            PyFloat::new(py, value).into_any()
        }
    })
}

#[pymethods]
impl Tensor {
    /// Sizes of the dimensions.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[1.0, 2.0, 3.0]]).shape
    /// (1, 3)
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.shape())
    }

    /// Number of dimensions.
    #[getter]
    fn ndim(&self) -> usize {
        self.0.ndim()
    }

    /// Number of elements.
    #[getter]
    fn size(&self) -> usize {
        self.0.count()
    }

    /// Type of the elements: ``"float32"``, ``"float64"``, ``"int64"`` or ``"bool"``.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> Bound<'py, pyo3::types::PyString> {
        match self.0.dtype() {
            DType::Bool => intern!(py, "bool"),
            DType::I64 => intern!(py, "int64"),
            DType::F32 => intern!(py, "float32"),
            DType::F64 => intern!(py, "float64"),
        }
        .clone()
    }

    /// Bytes of one element.
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.dtype().size()
    }

    /// Whether backward passes compute a gradient for this tensor.
    ///
    /// It can be switched on leaves of a floating-point type; a ``RuntimeError`` says so elsewhere.
    #[getter]
    fn requires_grad(&self) -> bool {
        self.0.requires_grad()
    }

    #[setter]
    fn set_requires_grad(&self, flag: bool) -> PyResult<()> {
        self.0.set_requires_grad(flag).map_err(exception)
    }

    /// The gradient that backward passes have added up here, or None.
    ///
    /// Assign None to start anew, or a tensor of this tensor's shape and type.
    #[getter]
    fn grad(&self) -> Option<Self> {
        self.0.grad().map(Self)
    }

    #[setter]
    fn set_grad(&self, gradient: Option<&Bound<'_, Self>>) -> PyResult<()> {
        self.0.set_grad(gradient.map(|tensor| tensor.get().0.detach())).map_err(exception)
    }

    /// True for a tensor that no recorded operation made.
    #[getter]
    fn is_leaf(&self) -> bool {
        self.0.is_leaf()
    }

    /// The name of the recorded operation that made this tensor, or None.
    ///
    /// Examples
    /// --------
    /// >>> x = eg.tensor(2.0, requires_grad=True)
    /// >>> x.exp().grad_fn
    /// 'exp'
    #[getter]
    fn grad_fn(&self) -> Option<&'static str> {
        self.0.node().map(|node| node.name())
    }

    /// Back-propagate from this tensor.
    ///
    /// Adds to the ``grad`` of every leaf that requires one: ∂self/∂leaf, weighted with ``gradient``. Nothing
    /// is added anywhere unless the whole pass succeeds.
    ///
    /// Parameters
    /// ----------
    /// gradient : Tensor or array, optional
    ///     The gradient of some scalar with respect to this tensor, of its shape. It may be left out where
    ///     this tensor has one element, and is 1 then.
    /// retain_graph : bool
    ///     Keep what the pass needs, for another pass through the same graph.
    ///
    /// Raises
    /// ------
    /// RuntimeError
    ///     If this tensor requires no gradient, the graph was freed by an earlier pass, or a tensor that the
    ///     pass needs was changed in place.
    /// ValueError
    ///     If a gradient is missing or has another shape.
    ///
    /// Examples
    /// --------
    /// >>> w = eg.tensor([1.0, -2.0], requires_grad=True)
    /// >>> (w * w).backward(eg.tensor([1.0, 10.0]))
    /// >>> w.grad.tolist()
    /// [2.0, -40.0]
    #[pyo3(signature = (gradient=None, retain_graph=false))]
    fn backward(
        &self,
        py: Python<'_>,
        gradient: Option<&Any<'_>>,
        retain_graph: bool,
    ) -> PyResult<()> {
        let gradient = gradient
            .map(|given| other_tensor("gradient", given, Some(self.0.dtype())))
            .transpose()?;
        run(py, || tape::backward(&self.0, gradient.as_ref(), retain_graph))
    }

    /// The same values, in the same memory, without a place on the tape.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor(1.0, requires_grad=True).exp().detach().requires_grad
    /// False
    fn detach(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || Ok(self.0.detach()))
    }

    /// A copy with memory of its own; gradients flow through it.
    ///
    /// Examples
    /// --------
    /// >>> x = eg.tensor([1.0, 2.0])
    /// >>> y = x.clone()
    /// >>> y.copy_([5.0, 5.0]).tolist(), x.tolist()
    /// ([5.0, 5.0], [1.0, 2.0])
    fn clone(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || {
            if tape::is_recording(&[&self.0]) {
                // A product with one is exact, and is recorded.
                self.0.mul(&constant(1.0, self.0.dtype())?)
            } else {
                copied(&self.0)
            }
        })
    }

    /// Keep the gradient of this tensor, though it is no leaf, when a backward pass comes by.
    ///
    /// Raises
    /// ------
    /// RuntimeError
    ///     If this tensor requires no gradient.
    ///
    /// Examples
    /// --------
    /// >>> x = eg.tensor(3.0, requires_grad=True)
    /// >>> y = x * x
    /// >>> y.retain_grad()
    /// >>> (y * 2.0).backward()
    /// >>> y.grad.item()
    /// 2.0
    fn retain_grad(&self) -> PyResult<()> {
        self.0.retain_grad().map_err(exception)
    }

    /// Set ``requires_grad`` and return this tensor.
    ///
    /// Parameters
    /// ----------
    /// flag
    ///     Whether gradients are to be computed for this tensor.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([1.0, 2.0]).requires_grad_().requires_grad
    /// True
    #[pyo3(signature = (flag=true))]
    fn requires_grad_(slf: Bound<'_, Self>, flag: bool) -> PyResult<Bound<'_, Self>> {
        slf.get().0.set_requires_grad(flag).map_err(exception)?;
        Ok(slf)
    }

    /// Forget the gradient: ``grad`` becomes None.
    ///
    /// Examples
    /// --------
    /// >>> x = eg.tensor(3.0, requires_grad=True)
    /// >>> (x * x).backward()
    /// >>> x.zero_grad()
    /// >>> x.grad is None
    /// True
    fn zero_grad(&self) -> PyResult<()> {
        self.0.set_grad(None).map_err(exception)
    }

    /// Replace this tensor's values in place and return it. The tape does not see it.
    ///
    /// Between the capture and the replay of a step, a copy from a tensor is a part of the step; one from an
    /// array is an error there, because it would not be repeated.
    ///
    /// Parameters
    /// ----------
    /// source : Tensor or array
    ///     Values of this tensor's shape, converted to its type.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If the shapes differ, or this is a view with gaps, such as some of the columns.
    ///
    /// Examples
    /// --------
    /// >>> state = eg.tensor([0.0, 0.0])
    /// >>> state.copy_([1.0, 2.0]).tolist()
    /// [1.0, 2.0]
    fn copy_<'py>(slf: Bound<'py, Self>, source: &Any<'py>) -> PyResult<Bound<'py, Self>> {
        let (py, to) = (slf.py(), &slf.get().0);
        if !source.is_instance_of::<Self>() {
            capture::forbid("copy_ from an array").map_err(exception)?;
        }
        let source = other_tensor("copy_", source, Some(to.dtype()))?;
        run(py, || source.detach().cast(to.dtype())?.copy_into(to))?;
        Ok(slf)
    }

    /// The values as a read-only NumPy array.
    ///
    /// Large results share their memory with the array, which keeps it alive; it shows later changes made in
    /// place. Small ones, and tensors that are trained, are copied. Use ``numpy.array(tensor)`` for an array
    /// to write to.
    ///
    /// Raises
    /// ------
    /// RuntimeError
    ///     While a step is captured: the values are not those of the replays.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[1.0, 2.0]]).numpy()
    /// array([[1., 2.]], dtype=float32)
    fn numpy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyUntypedArray>> {
        capture::forbid("numpy").map_err(exception)?;
        arrays::view_out(slf)
    }

    /// NumPy's protocol: `numpy.asarray(tensor)`.
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<&Any<'py>>,
        copy: Option<bool>,
    ) -> PyResult<Any<'py>> {
        let py = slf.py();
        capture::forbid("numpy").map_err(exception)?;
        let inner = &slf.get().0;
        let same = match dtype {
            None => true,
            Some(dtype) => {
                PyArrayDescr::new(py, dtype)?.is_equiv_to(&arrays::descriptor(py, inner.dtype()))
            }
        };
        if copy == Some(false) && !(same && arrays::may_share(inner)) {
            return Err(PyValueError::new_err(
                "numpy.asarray(..., copy=False): this tensor's values cannot be had without a copy, because \
                 its memory is in use elsewhere or has another dtype",
            ));
        }
        let array = if copy == Some(true) && same {
            arrays::copy_out(py, inner)?
        } else if copy == Some(false) {
            arrays::share_out(slf)?
        } else {
            arrays::view_out(slf)?
        };
        match dtype {
            Some(dtype) if !same => array.call_method1(intern!(py, "astype"), (dtype,)),
            _ => Ok(array.into_any()),
        }
    }

    /// The array API standard's namespace: that of NumPy arrays, whose functions take tensors and return arrays.
    ///
    /// So tensors go into scikit-learn under ``array_api_dispatch`` too, alone and beside NumPy arrays, and what comes
    /// back is NumPy's; gradients are not recorded.
    ///
    /// Raises
    /// ------
    /// TypeError
    ///     With a NumPy before 2, which lacks the standard's functions, where no ``array_api_compat`` is loaded.
    #[allow(clippy::unused_self, reason = "a method, by the protocol")]
    #[pyo3(signature = (*, api_version=None))]
    fn __array_namespace__<'py>(
        &self,
        py: Python<'py>,
        api_version: Option<&str>,
    ) -> PyResult<Any<'py>> {
        // Every version is that of NumPy's own choice.
        let _ = api_version;
        let loaded = py.import("sys")?.getattr("modules")?;
        for name in NAMESPACES_OF_NUMPY {
            if loaded.contains(name)? {
                return loaded.get_item(name);
            }
        }
        let numpy = py.import("numpy")?;
        if !numpy.hasattr("__array_api_version__")? {
            return Err(PyTypeError::new_err(
                "tensors are arrays of the standard by NumPy, from version 2 on; pass tensor.numpy()",
            ));
        }
        Ok(numpy.into_any())
    }

    /// Where the values are: ``"cpu"``, as of NumPy arrays.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([1.0]).device
    /// 'cpu'
    #[allow(clippy::unused_self, reason = "a property of each tensor, by the array API standard")]
    #[getter]
    fn device(&self) -> &'static str {
        "cpu"
    }

    /// None: NumPy leaves operators to this class, so that ``array + tensor`` is a tensor.
    #[classattr]
    #[allow(non_upper_case_globals, reason = "NumPy's name for it")]
    const __array_ufunc__: Option<bool> = None;

    /// The DLPack protocol's device: the processor's memory.
    #[allow(clippy::unused_self, reason = "a method, by the protocol")]
    fn __dlpack_device__(&self) -> (i32, i32) {
        crate::dlpack::DEVICE
    }

    /// The DLPack protocol: `numpy.from_dlpack(tensor)`, `torch.from_dlpack(tensor)`.
    ///
    /// Consumers of version 1 and later get read-only memory, shared where that is safe; older ones, which
    /// know nothing of read-only memory, get a copy.
    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<&Any<'py>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Any<'py>> {
        let _ = stream;
        capture::forbid("__dlpack__").map_err(exception)?;
        crate::dlpack::export(py, &self.0, max_version, dl_device, copy)
    }

    /// The value of a tensor with one element, as a Python number.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If there is not exactly one element.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[2.5]]).item()
    /// 2.5
    fn item<'py>(&self, py: Python<'py>) -> PyResult<Any<'py>> {
        single(py, &self.0)
    }

    /// The values as nested lists of Python numbers.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[1.0, 2.0], [3.0, 4.0]]).tolist()
    /// [[1.0, 2.0], [3.0, 4.0]]
    fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Any<'py>> {
        capture::forbid("tolist").map_err(exception)?;
        arrays::copy_out(py, &self.0)?.call_method0(intern!(py, "tolist"))
    }

    fn __float__(&self, py: Python<'_>) -> PyResult<f64> {
        single(py, &self.0)?.extract()
    }

    fn __int__<'py>(&self, py: Python<'py>) -> PyResult<Any<'py>> {
        // `int` of Python itself rounds towards zero and refuses infinities and NaN.
        py.get_type::<PyInt>().call1((single(py, &self.0)?,))
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        if self.0.count() != 1 {
            return Err(PyValueError::new_err(format!(
                "the truth of a tensor with {} elements is ambiguous; compare .numpy() with .all() or .any()",
                self.0.count()
            )));
        }
        single(py, &self.0)?.is_truthy()
    }

    fn __len__(&self) -> PyResult<usize> {
        self.0
            .shape()
            .first()
            .copied()
            .ok_or_else(|| PyTypeError::new_err("len: a tensor without dimensions has no length"))
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        // The object's identity: equality compares elements. Objects lie on multiples of 16.
        slf.as_ptr() as isize >> 4
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let inner = &slf.get().0;
        let shape = PyTuple::new(py, inner.shape())?.repr()?;
        let grad = if inner.requires_grad() { ", requires_grad=True" } else { "" };
        let traits = format!("shape={shape}, dtype={}{grad}", inner.dtype().name());
        if capture::is_open() {
            return Ok(format!("tensor(<captured>, {traits})"));
        }
        let options = [("separator", ", "), ("prefix", "tensor("), ("suffix", ",")];
        let (array, options) = ((arrays::view_out(slf)?,), options.into_py_dict(py)?);
        let values =
            arrays::module(py)?.call_method(intern!(py, "array2string"), array, Some(&options))?;
        Ok(format!("tensor({values}, {traits})"))
    }

    /// What notebooks show.
    fn _repr_html_(slf: &Bound<'_, Self>) -> PyResult<String> {
        let text = Self::__repr__(slf)?;
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let inner = &slf.get().0;
        let bytes = inner.count() * inner.dtype().size();
        Ok(format!(
            "<div class=\"evengrad-tensor\"><pre>{text}</pre><small>{} · {} elements · {bytes} bytes</small></div>",
            inner.dtype().name(),
            inner.count()
        ))
    }

    /// The elements converted to another type; differentiable between floating-point types.
    ///
    /// Parameters
    /// ----------
    /// dtype : str or NumPy dtype
    ///     ``"float32"``, ``"float64"``, ``"int64"`` (rounds towards zero) or ``"bool"`` (true for anything
    ///     but zero).
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     For any other type.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([0.0, 2.5]).astype("int64").tolist()
    /// [0, 2]
    fn astype(&self, py: Python<'_>, dtype: &Any<'_>) -> PyResult<Self> {
        let dtype = names::dtype(dtype)?;
        run_tensor(py, || self.0.cast(dtype))
    }
}
