//! A matrix product (GEMM) to be timed: for the benches of kernels, and beside other crates (`rivals`).

use std::marker::PhantomData;
use std::sync::Arc;

use evengrad_core::buffer::Buffer;
use evengrad_core::kernels::gemm::{Gemm, MatMut, MatRef, gemm};
use evengrad_core::kernels::simd::Scalar;

/// Which factors lie column after column: neither forward, the first for the gradient of weights, the second for that of
/// inputs.
pub(crate) const LAYOUTS: [(&str, [bool; 2]); 3] =
    [("A·B", [false, false]), ("Aᵀ·B", [true, false]), ("A·Bᵀ", [false, true])];

/// The memory of a tensor, whose large pages products run on.
struct Memory<T> {
    buffer: Arc<Buffer>,
    elements: PhantomData<T>,
}

impl<T: Scalar> Memory<T> {
    fn new(len: usize, value: impl Fn(usize) -> T) -> Self {
        let buffer = Buffer::new(len * size_of::<T>()).expect("fits");
        let memory = Self { buffer, elements: PhantomData };
        for i in 0..len {
            // SAFETY: the buffer was made for so many elements, and is used here alone.
            unsafe { memory.pointer().add(i).write(value(i)) };
        }
        memory
    }

    fn pointer(&self) -> *mut T {
        self.buffer.pointer().cast()
    }
}

/// A product of matrices in memory of their own, on one thread.
pub(crate) struct Product<T> {
    size: (usize, usize, usize),
    a: Memory<T>,
    b: Memory<T>,
    c: Memory<T>,
}

impl<T: Scalar> Product<T> {
    /// For m, k and n.
    pub(crate) fn new((m, k, n): (usize, usize, usize)) -> Self {
        let noise = |i: usize| T::from((i * 7919 % 2001) as f64 / 1000.0 - 1.0).unwrap_or_default();
        let [a, b] = [m * k, k * n].map(|len| Memory::new(len, noise));
        Self { size: (m, k, n), a, b, c: Memory::new(m * n, |_| T::zero()) }
    }

    /// Both factors and the result; see [`LAYOUTS`].
    pub(crate) fn matrices(
        &self,
        [turned_a, turned_b]: [bool; 2],
    ) -> (MatRef<T>, MatRef<T>, MatMut<T>) {
        let (m, k, n) = self.size;
        let matrix = |x: &Memory<T>, rows: usize, cols: usize, turned: bool| {
            let (row_stride, col_stride) = if turned { (1, rows) } else { (cols, 1) };
            MatRef {
                ptr: x.pointer().cast_const(),
                row_stride: row_stride as isize,
                col_stride: col_stride as isize,
            }
        };
        let (a, b) = (matrix(&self.a, m, k, turned_a), matrix(&self.b, k, n, turned_b));
        (a, b, MatMut { ptr: self.c.pointer(), row_stride: n as isize })
    }

    /// The product by our kernel.
    pub(crate) fn run(&self, turned: [bool; 2]) {
        let (m, k, n) = self.size;
        let (a, b, c) = self.matrices(turned);
        // SAFETY: the three were allocated in these sizes, apart from each other.
        unsafe { gemm(Gemm::new((m, n, k), a, b, c)) }
    }
}
