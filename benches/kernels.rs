//! Kernels alone, on data that is ready: what a launch costs before tape, plan and threads.

use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evengrad_core::buffer::Buffer;
use evengrad_core::kernels::gemm::{Gemm, MatMut, MatRef, gemm};
use evengrad_core::kernels::simd::{Isa, Kernel, Scalar, Simd, Vector, dispatch, dispatch_on};

/// Does nothing, so that what is left is the dispatch itself.
struct Nothing;

impl Kernel for Nothing {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        black_box(());
    }
}

/// Fused multiply-adds in registers: the most that an instruction set can do, to judge kernels by.
struct MultiplyAdds;

impl MultiplyAdds {
    /// Independent sums, enough to hide the latency of one multiply-add on processors with two units.
    const SUMS: usize = 12;
    /// Multiply-adds of each sum.
    const DEPTH: usize = 1000;
}

impl Kernel for MultiplyAdds {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self) -> f32 {
        let factor = S::F32::splat(black_box(0.5));
        let mut sums = [S::F32::splat(black_box(1.0)); Self::SUMS];
        for _ in 0..Self::DEPTH {
            for sum in &mut sums {
                *sum = sum.mul_add(factor, factor);
            }
        }
        sums.into_iter().reduce(|a, b| a + b).map_or(0.0, Vector::reduce_add)
    }
}

/// How many floats a vector of the instruction set holds.
struct Lanes;

impl Kernel for Lanes {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self) -> usize {
        S::F32::LANES
    }
}

fn dispatching(criterion: &mut Criterion) {
    criterion.bench_function("dispatch", |bencher| bencher.iter(|| dispatch(Nothing)));
}

fn multiply_adds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("multiply_adds");
    for isa in Isa::available() {
        // Floating-point operations, as of the products below: "Gelem/s" reads GFLOP/s.
        let count = 2 * MultiplyAdds::SUMS * MultiplyAdds::DEPTH * dispatch_on(isa, Lanes);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(isa.name(), |bencher| {
            bencher.iter(|| dispatch_on(isa, MultiplyAdds));
        });
    }
    group.finish();
}

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
struct Product<T> {
    size: (usize, usize, usize),
    a: Memory<T>,
    b: Memory<T>,
    c: Memory<T>,
}

impl<T: Scalar> Product<T> {
    fn new((m, k, n): (usize, usize, usize)) -> Self {
        let noise = |i: usize| T::from((i * 7919 % 2001) as f64 / 1000.0 - 1.0).unwrap_or_default();
        let [a, b] = [m * k, k * n].map(|len| Memory::new(len, noise));
        Self { size: (m, k, n), a, b, c: Memory::new(m * n, |_| T::zero()) }
    }

    /// The product, with factors that lie row after row, or column after column.
    fn run(&self, [turned_a, turned_b]: [bool; 2]) {
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
        let c = MatMut { ptr: self.c.pointer(), row_stride: n as isize };
        // SAFETY: the three were allocated in these sizes, apart from each other.
        unsafe { gemm(Gemm::new((m, n, k), a, b, c)) }
    }
}

/// Layers of usual networks, one row of a batch, thin results, and matrices larger than caches.
const SIZES: [(usize, usize, usize); 20] = [
    (1, 4, 16),
    (1, 30, 64),
    (1, 100, 100),
    (1, 784, 300),
    (1, 4096, 4096),
    (14, 4096, 4096),
    (32, 30, 64),
    (32, 64, 32),
    (20, 100, 100),
    (128, 100, 1),
    (128, 100, 10),
    (128, 100, 100),
    (128, 3072, 100),
    (1024, 1024, 1),
    (50, 784, 300),
    (200, 784, 300),
    (256, 1024, 1024),
    (512, 784, 2048),
    (32, 3000, 3000),
    (1024, 4096, 4096),
];

fn products(criterion: &mut Criterion) {
    products_of::<f32>(criterion, "gemm f32");
    products_of::<f64>(criterion, "gemm f64");
}

/// GFLOP/s on one thread, shown as Gelem/s; shares of the peak are those of `multiply_adds` in the same run.
fn products_of<T: Scalar>(criterion: &mut Criterion, name: &str) {
    let mut group = criterion.benchmark_group(name);
    for size @ (m, k, n) in SIZES {
        let product = Product::<T>::new(size);
        group.throughput(Throughput::Elements((2 * m * k * n) as u64));
        for (layout, turned) in
            [("A·B", [false, false]), ("Aᵀ·B", [true, false]), ("A·Bᵀ", [false, true])]
        {
            group.bench_function(BenchmarkId::new(layout, format!("{m}x{k}x{n}")), |bencher| {
                bencher.iter(|| black_box(&product).run(turned));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, dispatching, multiply_adds, products);
criterion_main!(benches);
