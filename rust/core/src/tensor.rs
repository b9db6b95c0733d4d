//! Tensors: typed views of shared memory, with a place in the graph of the tape.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use ndarray::{ArrayD, ArrayViewD, Axis, Slice};

use smallvec::smallvec;

use crate::buffer::Buffer;
use crate::dtype::{DType, Element, with_element};
use crate::error::{Result, bail};
use crate::host_access;
use crate::launch::{Cost, Operand, launch};
use crate::layout::{Layout, count, show};
use crate::tape::{self, Hooks, Node};
use crate::team::lock;

/// An n-dimensional array that may take part in differentiation. Cloning shares it.
#[derive(Clone)]
pub struct Tensor(Arc<Inner>);

struct Inner {
    buffer: Arc<Buffer>,
    layout: Layout,
    dtype: DType,
    requires_grad: AtomicBool,
    retains_grad: AtomicBool,
    node: Option<Arc<Node>>,
    grad: Mutex<Option<Tensor>>,
    /// Those of a leaf; the hooks of a result are its node's.
    hooks: OnceLock<Arc<Hooks>>,
}

impl Tensor {
    pub(crate) fn from_parts(
        buffer: Arc<Buffer>,
        layout: Layout,
        dtype: DType,
        node: Option<Arc<Node>>,
    ) -> Self {
        Self(Arc::new(Inner {
            buffer,
            layout,
            dtype,
            requires_grad: AtomicBool::new(node.is_some()),
            retains_grad: AtomicBool::new(false),
            node,
            grad: Mutex::new(None),
            hooks: OnceLock::new(),
        }))
    }

    /// A contiguous tensor whose contents are unspecified (but initialized): a kernel is about to fill it.
    pub fn empty(shape: &[usize], dtype: DType) -> Result<Self> {
        let buffer = Buffer::new(count(shape)? * dtype.size())?;
        Ok(Self::from_parts(buffer, Layout::contiguous(shape), dtype, None))
    }

    /// A tensor with all elements equal to `value` (rounded to `dtype`).
    pub fn full(shape: &[usize], value: f64, dtype: DType) -> Result<Self> {
        let out = Self::empty(shape, dtype)?;
        out.fill(value)?;
        Ok(out)
    }

    /// Zeros.
    pub fn zeros(shape: &[usize], dtype: DType) -> Result<Self> {
        Self::full(shape, 0.0, dtype)
    }

    /// Ones.
    pub fn ones(shape: &[usize], dtype: DType) -> Result<Self> {
        Self::full(shape, 1.0, dtype)
    }

    /// Replaces every element of a contiguous tensor.
    pub fn fill(&self, value: f64) -> Result<()> {
        let n = self.count();
        let cost = Cost::elementwise(n, 0.0, 1, self.dtype());
        let operands = smallvec![Operand::write_own(self, 1)];
        with_element!(self.dtype(), T => launch("fill", n, cost, operands, move |items, arguments| {
            arguments.own_mut::<T>(0, &items).fill(T::from_f64(value));
        }))
    }

    /// Copies `values` in row-major order.
    pub fn from_slice<T: Element>(values: &[T], shape: &[usize]) -> Result<Self> {
        if count(shape)? != values.len() {
            let (n, shape) = (values.len(), show(shape));
            bail!(Shape, "from_slice: {n} values do not fill the shape {shape}");
        }
        let out = Self::empty(shape, T::DTYPE)?;
        out.write(values)?;
        Ok(out)
    }

    /// Replaces the contents of a contiguous tensor: how a host puts data and scalars into fixed memory.
    pub fn write<T: Element>(&self, values: &[T]) -> Result<()> {
        if T::DTYPE != self.dtype()
            || values.len() != self.count()
            || !self.layout().is_contiguous()
        {
            bail!(
                Value,
                "write: expected {} contiguous {} values for shape {}, got {} {} values",
                self.count(),
                self.dtype().name(),
                show(self.shape()),
                values.len(),
                T::DTYPE.name()
            );
        }
        host_access::with_mut(self, |to: &mut [T]| to.copy_from_slice(values));
        Ok(())
    }

    /// The elements in row-major order.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        Ok(self.to_array::<T>()?.into_raw_vec_and_offset().0)
    }

    /// A copy as an `ndarray` array, row-major.
    pub fn to_array<T: Element>(&self) -> Result<ArrayD<T>> {
        if T::DTYPE != self.dtype() {
            bail!(Type, "expected a {} tensor, got {}", T::DTYPE.name(), self.dtype().name());
        }
        Ok(host_access::with(self, |view: ArrayViewD<'_, T>| {
            view.as_standard_layout().into_owned()
        }))
    }

    /// The single element of a tensor that has one, widened to `f64`.
    pub fn item(&self) -> Result<f64> {
        if self.count() != 1 {
            bail!(
                Value,
                "item: expected a tensor with one element, got shape {}; reduce it first, for example with .sum()",
                show(self.shape())
            );
        }
        with_element!(self.dtype(), T => Ok(self.to_vec::<T>()?[0].to_f64()))
    }

    /// Sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.0.layout.shape
    }

    /// Steps of the dimensions, in elements.
    pub fn strides(&self) -> &[isize] {
        &self.0.layout.strides
    }

    /// Number of dimensions.
    pub fn ndim(&self) -> usize {
        self.0.layout.shape.len()
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.0.layout.count()
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// How the tensor lies in its memory.
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// The memory.
    pub fn buffer(&self) -> &Arc<Buffer> {
        &self.0.buffer
    }

    /// The node of the tape that made it; `None` for a leaf.
    pub fn node(&self) -> Option<&Arc<Node>> {
        self.0.node.as_ref()
    }

    /// True for a tensor that no recorded operation made.
    pub fn is_leaf(&self) -> bool {
        self.0.node.is_none()
    }

    /// True where a backward pass computes a gradient for this tensor.
    pub fn requires_grad(&self) -> bool {
        self.0.requires_grad.load(Ordering::Relaxed)
    }

    /// Asks for a gradient, or stops asking. Only leaves of a floating-point type can be switched.
    pub fn set_requires_grad(&self, on: bool) -> Result<()> {
        if on {
            self.dtype().require_float("requires_grad")?;
        }
        if !self.is_leaf() && !on {
            bail!(
                State,
                "requires_grad can be switched off on leaf tensors only; use .detach() to cut a result from the tape"
            );
        }
        self.0.requires_grad.store(on || !self.is_leaf(), Ordering::Relaxed);
        Ok(())
    }

    /// Keeps the gradient of a tensor that is not a leaf when a backward pass reaches it.
    pub fn retain_grad(&self) -> Result<()> {
        if !self.requires_grad() {
            bail!(State, "retain_grad: this tensor does not require a gradient");
        }
        if let Some(node) = self.node() {
            self.0.retains_grad.store(true, Ordering::Relaxed);
            node.retain(self);
        }
        Ok(())
    }

    /// What sees this tensor's gradient in each backward pass that comes by. The hooks of a result go with its graph,
    /// when a pass frees it.
    pub fn hooks(&self) -> Result<&Arc<Hooks>> {
        if !self.requires_grad() {
            bail!(
                State,
                "register_hook: this tensor does not require a gradient, so that no pass computes one for it; make it \
                 with requires_grad=True"
            );
        }
        Ok(self.node().map_or(&self.0.hooks, |node| node.hooks()).get_or_init(Arc::default))
    }

    /// Shows the complete gradient of a leaf to its hooks.
    pub(crate) fn run_hooks(&self, gradient: Self) -> Result<Self> {
        match self.0.hooks.get() {
            Some(hooks) => hooks.run(gradient),
            None => Ok(gradient),
        }
    }

    /// The gradient that backward passes have left here.
    pub fn grad(&self) -> Option<Self> {
        lock(&self.0.grad).clone()
    }

    /// Replaces the gradient; it must have this tensor's shape and type.
    pub fn set_grad(&self, grad: Option<Self>) -> Result<()> {
        if let Some(grad) = &grad
            && (grad.shape() != self.shape() || grad.dtype() != self.dtype())
        {
            bail!(
                Shape,
                "grad: expected {} of shape {}, got {} of shape {}",
                self.dtype().name(),
                show(self.shape()),
                grad.dtype().name(),
                show(grad.shape())
            );
        }
        *lock(&self.0.grad) = grad;
        Ok(())
    }

    /// The same memory without a place on the tape.
    pub fn detach(&self) -> Self {
        if self.is_leaf() && !self.requires_grad() {
            return self.clone();
        }
        Self::from_parts(Arc::clone(&self.0.buffer), self.0.layout.clone(), self.0.dtype, None)
    }

    /// A number that no other living tensor has.
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    pub(crate) fn downgrade(&self) -> WeakTensor {
        WeakTensor(Arc::downgrade(&self.0))
    }

    /// The same memory seen through another layout, without a place on the tape.
    pub(crate) fn view(&self, layout: Layout) -> Self {
        Self::from_parts(Arc::clone(&self.0.buffer), layout, self.0.dtype, None)
    }

    /// The same values without gaps in row-major order, off the tape; itself where it already is so.
    pub(crate) fn packed(&self) -> Result<Self> {
        if self.layout().is_contiguous() {
            return Ok(self.detach());
        }
        let out = Self::empty(self.shape(), self.dtype())?;
        self.copy_into(&out)?;
        Ok(out)
    }

    /// Copies the elements into a contiguous tensor of the same shape and type.
    pub fn copy_into(&self, out: &Self) -> Result<()> {
        if self.shape() != out.shape() || self.dtype() != out.dtype() {
            bail!(Shape, "copy: shape {} does not fit {}", show(self.shape()), show(out.shape()));
        }
        if !out.layout().is_contiguous() {
            bail!(
                Value,
                "copy: expected contiguous memory to write to, got a view of shape {} with gaps; write to \
                 its rows one by one, or to the whole tensor",
                show(out.shape())
            );
        }
        let rows = self.shape().first().copied().unwrap_or(1);
        let row = self.count().checked_div(rows).unwrap_or(0);
        let cost = Cost::elementwise(self.count(), 0.0, 2, self.dtype());
        let whole = self.layout().is_contiguous();
        let source = if whole { Operand::read_own(self, row) } else { Operand::read(self) };
        let operands = smallvec![source, Operand::write_own(out, row)];
        let layout = Layout { offset: 0, ..self.layout().clone() };
        with_element!(self.dtype(), T => launch("copy", rows, cost, operands, move |items, arguments| {
            let out = arguments.own_mut::<T>(1, &items);
            if whole {
                out.copy_from_slice(arguments.own::<T>(0, &items));
                return;
            }
            let mut view = arguments.view::<T>(0, &layout);
            if view.ndim() > 0 {
                view.slice_axis_inplace(Axis(0), Slice::from(items));
            }
            out.iter_mut().zip(view.iter()).for_each(|(to, from)| *to = *from);
        }))
    }

    /// Attaches a result to the tape if one of its inputs asks for a gradient; `name` is for messages and `grad_fn`.
    pub(crate) fn recorded<B: tape::Backward>(
        self,
        name: &'static str,
        inputs: &[&Self],
        backward: impl FnOnce(&Self) -> B,
    ) -> Self {
        if !tape::is_recording(inputs) {
            return self;
        }
        let node = Node::new(name, inputs, Box::new(backward(&self)));
        let (buffer, layout) = (Arc::clone(&self.0.buffer), self.0.layout.clone());
        Self::from_parts(buffer, layout, self.0.dtype, Some(node))
    }

    /// [`recorded`](Self::recorded) for an operation with one input, whose gradient is a function of the result's.
    pub(crate) fn recorded_of<R: Fn(&Self) -> Result<Self> + Send + Sync + 'static>(
        self,
        name: &'static str,
        input: &Self,
        backward: impl FnOnce(&Self) -> R,
    ) -> Self {
        self.recorded(name, &[input], |y| tape::OfOne(backward(y)))
    }
}

/// A tensor that this handle does not keep alive.
pub(crate) struct WeakTensor(std::sync::Weak<Inner>);

impl WeakTensor {
    pub(crate) fn upgrade(&self) -> Option<Tensor> {
        self.0.upgrade().map(Tensor)
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor(shape={}, dtype={}", show(self.shape()), self.dtype().name())?;
        if self.requires_grad() {
            write!(f, ", requires_grad")?;
        }
        write!(f, ")")
    }
}
