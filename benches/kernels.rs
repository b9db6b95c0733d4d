//! Kernels alone, on buffers that are ready: what a launch costs before tape, plan and threads.

use criterion::Criterion;

fn main() {
    Criterion::default().configure_from_args().final_summary();
}
