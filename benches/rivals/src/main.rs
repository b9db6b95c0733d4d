//! Matrix products (GEMM) on one thread, in GFLOP/s: evengrad's kernel beside the crates `gemm`, `gemmkit` and
//! `matrixmultiply`, at the shapes that a step of the race's networks needs.
//!
//! All take turns within milliseconds, and each counts by the median of its turns. Results are compared first.

// What is timed is that of the benches of kernels.
#[path = "../../product.rs"]
mod product;

use std::hint::black_box;
use std::time::Instant;

use product::{LAYOUTS, Product};

/// Rows of a batch, inputs and units of a layer, of the networks in `benches/race/workloads.py`.
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

/// One product, by all libraries.
struct Contest {
    size: (usize, usize, usize),
    turned: [bool; 2],
    product: Product<f32>,
}

impl Contest {
    /// The product of this layout that a layer needs.
    fn new((rows, inputs, units): (usize, usize, usize), turned: [bool; 2]) -> Self {
        let size = match turned {
            [true, _] => (inputs, rows, units),
            [_, true] => (rows, units, inputs),
            _ => (rows, inputs, units),
        };
        Self { size, turned, product: Product::new(size) }
    }

    fn flops(&self) -> f64 {
        let (m, k, n) = self.size;
        2.0 * m as f64 * k as f64 * n as f64
    }

    fn run(&self, library: Library) {
        let (m, k, n) = self.size;
        let (a, b, c) = self.product.matrices(self.turned);
        // SAFETY: the three were allocated in these sizes, apart from each other.
        unsafe {
            match library {
                Library::Evengrad => self.product.run(self.turned),
                Library::Gemm => gemm::gemm(
                    m,
                    n,
                    k,
                    c.ptr,
                    1,
                    c.row_stride,
                    false,
                    a.ptr,
                    a.col_stride,
                    a.row_stride,
                    b.ptr,
                    b.col_stride,
                    b.row_stride,
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
                    a.ptr,
                    a.row_stride,
                    a.col_stride,
                    b.ptr,
                    b.row_stride,
                    b.col_stride,
                    0.0,
                    c.ptr,
                    c.row_stride,
                    1,
                    gemmkit::Parallelism::Serial,
                ),
                Library::Matrixmultiply => matrixmultiply::sgemm(
                    m,
                    k,
                    n,
                    1.0,
                    a.ptr,
                    a.row_stride,
                    a.col_stride,
                    b.ptr,
                    b.row_stride,
                    b.col_stride,
                    0.0,
                    c.ptr,
                    c.row_stride,
                    1,
                ),
            }
        }
    }

    /// What a library makes of it, in place of no numbers.
    fn result(&self, library: Library) -> Vec<f32> {
        let (m, _, n) = self.size;
        let (_, _, c) = self.product.matrices(self.turned);
        // SAFETY: C has so many elements, and only the product, which ends in between, writes them too.
        unsafe {
            std::slice::from_raw_parts_mut(c.ptr, m * n).fill(f32::NAN);
            self.run(library);
            std::slice::from_raw_parts(c.ptr, m * n).to_vec()
        }
    }

    /// That all libraries mean the same product.
    fn check(&self) {
        let ours = self.result(Library::Evengrad);
        let tolerance = 1e-5 * self.size.1 as f32;
        for (library, name) in LIBRARIES {
            let theirs = self.result(library);
            let same = ours.iter().zip(&theirs).all(|(x, y)| (x - y).abs() <= tolerance);
            assert!(same, "{name} differs at {:?}, {:?}", self.size, self.turned);
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
        for (kind, turned) in LAYOUTS {
            let contest = Contest::new((rows, inputs, units), turned);
            contest.check();
            let speeds = contest.race();
            let best = speeds[1..].iter().copied().fold(0.0, f64::max);
            let (m, k, n) = contest.size;
            let shape = format!("{kind:5} {m}x{k}x{n}");
            let speeds_text = speeds.map(|speed| format!("{speed:>15.1}")).concat();
            println!("{network:18} {shape:22}{speeds_text}{:>8.2}", speeds[0] / best);
        }
    }
}
