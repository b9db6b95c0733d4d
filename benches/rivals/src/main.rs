//! Products of matrices on one thread, in GFLOP/s: evengrad's kernel beside the crates `gemm`, `gemmkit` and
//! `matrixmultiply`, at the shapes that a step of the race's networks needs.
//!
//! All take turns within milliseconds, and each counts by the median of its turns. Results are compared first.

use std::hint::black_box;
use std::time::Instant;

use evengrad_core::buffer::Buffer;
use evengrad_core::kernels::gemm::{Gemm, MatMut, MatRef, gemm};

/// Which factor lies transposed: none forward, the first for the gradient of weights, the second for that of inputs.
#[derive(Clone, Copy, PartialEq)]
enum Turned {
    Neither,
    Left,
    Right,
}

const KINDS: [(Turned, &str); 3] =
    [(Turned::Neither, "A·B"), (Turned::Left, "Aᵀ·B"), (Turned::Right, "A·Bᵀ")];

/// Rows of a batch, inputs and units of a layer.
const LAYERS: [(&str, usize, usize, usize); 12] = [
    ("tabular", 32, 30, 64),
    ("tabular", 32, 64, 32),
    ("tabular", 32, 32, 2),
    ("mnist", 50, 784, 300),
    ("mnist", 50, 300, 100),
    ("mnist", 50, 100, 10),
    ("five-by-100", 20, 784, 100),
    ("five-by-100", 20, 100, 100),
    ("deep-20, selu-100", 128, 100, 100),
    ("wide", 512, 784, 2048),
    ("wide", 512, 2048, 2048),
    ("huge", 1024, 4096, 4096),
];

/// How often each library has its turn.
const TURNS: usize = 15;
/// Floating-point operations of a turn, at least.
const TURN: f64 = 2e7;

/// A product m x k by k x n.
struct Product {
    size: (usize, usize, usize),
    turned: Turned,
    a: Memory,
    b: Memory,
    c: Memory,
}

/// The memory of a tensor, whose large pages products run on.
struct Memory(std::sync::Arc<Buffer>);

impl Memory {
    fn new(len: usize) -> Self {
        let memory = Self(Buffer::new(4 * len).expect("fits"));
        for i in 0..len {
            // SAFETY: the buffer was made for so many elements, and nobody else has it.
            unsafe { memory.pointer().add(i).write((i * 7919 % 2001) as f32 / 1000.0 - 1.0) };
        }
        memory
    }

    fn pointer(&self) -> *mut f32 {
        self.0.pointer().cast()
    }
}

#[derive(Clone, Copy)]
enum Library {
    Evengrad,
    Gemm,
    Gemmkit,
    Matrixmultiply,
}

const LIBRARIES: [(Library, &str); 4] = [
    (Library::Evengrad, "evengrad"),
    (Library::Gemm, "gemm"),
    (Library::Gemmkit, "gemmkit"),
    (Library::Matrixmultiply, "matrixmultiply"),
];

impl Product {
    fn new((rows, inputs, units): (usize, usize, usize), turned: Turned) -> Self {
        let size @ (m, k, n) = match turned {
            Turned::Neither => (rows, inputs, units),
            Turned::Left => (inputs, rows, units),
            Turned::Right => (rows, units, inputs),
        };
        Self { size, turned, a: Memory::new(m * k), b: Memory::new(k * n), c: Memory::new(m * n) }
    }

    fn flops(&self) -> f64 {
        let (m, k, n) = self.size;
        2.0 * m as f64 * k as f64 * n as f64
    }

    fn run(&self, library: Library) {
        let (m, k, n) = self.size;
        let steps = |turned: bool, rows: usize, cols: usize| {
            if turned { (1, rows as isize) } else { (cols as isize, 1) }
        };
        let (a_row, a_col) = steps(self.turned == Turned::Left, m, k);
        let (b_row, b_col) = steps(self.turned == Turned::Right, k, n);
        let (a, b, c) = (self.a.pointer(), self.b.pointer(), self.c.pointer());
        let c_row = n as isize;
        // SAFETY: the three were allocated in these sizes, apart from each other.
        unsafe {
            match library {
                Library::Evengrad => {
                    let a = MatRef { ptr: a.cast_const(), row_stride: a_row, col_stride: a_col };
                    let b = MatRef { ptr: b.cast_const(), row_stride: b_row, col_stride: b_col };
                    gemm(Gemm::new((m, n, k), a, b, MatMut { ptr: c, row_stride: c_row }));
                }
                Library::Gemm => gemm::gemm(
                    m,
                    n,
                    k,
                    c,
                    1,
                    c_row,
                    false,
                    a.cast_const(),
                    a_col,
                    a_row,
                    b.cast_const(),
                    b_col,
                    b_row,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    gemm::Parallelism::None,
                ),
                Library::Gemmkit => gemmkit::gemm_unchecked(
                    m,
                    k,
                    n,
                    1.0,
                    a.cast_const(),
                    a_row,
                    a_col,
                    b.cast_const(),
                    b_row,
                    b_col,
                    0.0,
                    c,
                    c_row,
                    1,
                    gemmkit::Parallelism::Serial,
                ),
                Library::Matrixmultiply => matrixmultiply::sgemm(
                    m, k, n, 1.0, a, a_row, a_col, b, b_row, b_col, 0.0, c, c_row, 1,
                ),
            }
        }
    }

    fn result(&self, library: Library) -> Vec<f32> {
        self.run(library);
        let (m, _, n) = self.size;
        // SAFETY: C has so many elements, and nobody writes them meanwhile.
        unsafe { std::slice::from_raw_parts(self.c.pointer(), m * n) }.to_vec()
    }

    /// Whether two libraries mean the same product.
    fn check(&self) {
        let ours = self.result(Library::Evengrad);
        let tolerance = 1e-5 * self.size.1 as f32;
        for (library, name) in LIBRARIES {
            let theirs = self.result(library);
            let apart = ours.iter().zip(&theirs).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            assert!(apart <= tolerance, "{name} differs by {apart} at {:?}", self.size);
        }
    }

    /// GFLOP/s of each library.
    fn race(&self) -> [f64; LIBRARIES.len()] {
        let repeats = (TURN / self.flops()).ceil() as usize;
        let mut times = LIBRARIES.map(|_| Vec::with_capacity(TURNS));
        for _ in 0..TURNS {
            for ((library, _), times) in LIBRARIES.iter().zip(&mut times) {
                self.run(*library);
                let start = Instant::now();
                for _ in 0..repeats {
                    self.run(*black_box(library));
                }
                times.push(start.elapsed().as_nanos() as f64 / repeats as f64);
            }
        }
        times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            self.flops() / times[TURNS / 2]
        })
    }
}

fn main() {
    let names = LIBRARIES.map(|(_, name)| format!("{name:>15}")).concat();
    println!("{:18} {:22}{names}{:>8}", "network", "product", "ratio");
    for (network, rows, inputs, units) in LAYERS {
        for (turned, kind) in KINDS {
            let product = Product::new((rows, inputs, units), turned);
            product.check();
            let speeds = product.race();
            let best = speeds[1..].iter().copied().fold(0.0, f64::max);
            let (m, k, n) = product.size;
            let shape = format!("{kind:5} {m}x{k}x{n}");
            let speeds_text = speeds.map(|speed| format!("{speed:>15.1}")).concat();
            println!("{network:18} {shape:22}{speeds_text}{:>8.2}", speeds[0] / best);
        }
    }
}
