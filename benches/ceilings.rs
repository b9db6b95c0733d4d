//! Hardware ceilings at this moment, to judge figures by: peak FLOP/s, memory bandwidth, latency between cores. Prints
//! one line of JSON.
//!
//! Fused multiply-adds in registers and the triad `a = b + s * c` in memory, on one thread and on as many as
//! the process may use, the time that a cache line takes from one thread to another, and the time to write
//! many lines one after the other that another thread has read, or written. Two virtual processors are at
//! times two cores, near or far from each other, and at times two halves of one, so a ratio that was measured
//! with two threads means little without these.

use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use evengrad_core::kernels::simd::{Kernel, Simd, Vector, dispatch, isa};

/// Each ceiling is the best of so many tries: what disturbs one lowers it, and nothing raises it.
const TRIES: usize = 5;

/// `SUMS` independent sums in registers, `DEPTH` multiply-adds each.
struct MultiplyAdds<const SUMS: usize>;

/// Some milliseconds on any processor with vector multiply-adds.
const DEPTH: usize = 1 << 20;

impl<const SUMS: usize> Kernel for MultiplyAdds<SUMS> {
    /// Floating-point operations done.
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        let factor = S::F32::splat(black_box(0.999));
        let addend = S::F32::splat(black_box(0.001));
        // Hidden from the compiler one by one, or it would keep a single sum for all.
        let mut sums: [S::F32; SUMS] = core::array::from_fn(|_| S::F32::splat(black_box(1.0)));
        for _ in 0..DEPTH {
            for sum in &mut sums {
                *sum = sum.mul_add(factor, addend);
            }
        }
        black_box(sums.into_iter().reduce(|a, b| a + b).map_or(0.0, Vector::reduce_add));
        (2 * S::F32::LANES * SUMS * DEPTH) as f64
    }
}

/// One pass of `a = b + s * c`.
struct Triad<'a> {
    a: &'a mut [f32],
    b: &'a [f32],
    c: &'a [f32],
}

/// Floats in each of the three arrays, all threads together: 128 MiB, more than caches hold.
const TRIAD: usize = 1 << 25;

impl Kernel for Triad<'_> {
    /// Bytes read and written, as STREAM counts them: without the lines that are read only to be overwritten.
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        let s = black_box(0.5_f32);
        // Plain safe code: inlined into the function for the instruction set, it is vectorized for it.
        for ((a, b), c) in self.a.iter_mut().zip(self.b).zip(self.c) {
            *a = c.mul_add(s, *b);
        }
        (size_of::<f32>() * (self.a.len() + self.b.len() + self.c.len())) as f64
    }
}

/// The most that threads did in a second, all together. `prepare` makes the work of one of them, outside of
/// the measured time; the work returns how much it did.
fn best_rate<W: FnMut() -> f64>(threads: usize, prepare: impl Fn() -> W + Sync) -> f64 {
    let start = Barrier::new(threads);
    let worker = || {
        let mut work = prepare();
        let mut tries = [(0.0, 0.0); TRIES];
        for one in &mut tries {
            start.wait();
            let begin = Instant::now();
            let amount = work();
            *one = (amount, begin.elapsed().as_secs_f64());
        }
        tries
    };
    let tries: Vec<[(f64, f64); TRIES]> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    (0..TRIES)
        .map(|i| {
            let amount: f64 = tries.iter().map(|thread| thread[i].0).sum();
            amount / tries.iter().map(|thread| thread[i].1).fold(0.0, f64::max)
        })
        .fold(0.0, f64::max)
}

/// Multiply-adds in GFLOP/s. How many sums hide the latency depends on the processor; how many registers
/// there are, on the instruction set: the best number counts.
fn multiply_adds(threads: usize) -> f64 {
    let rates = [
        best_rate(threads, || || dispatch(MultiplyAdds::<8>)),
        best_rate(threads, || || dispatch(MultiplyAdds::<12>)),
        best_rate(threads, || || dispatch(MultiplyAdds::<16>)),
        best_rate(threads, || || dispatch(MultiplyAdds::<24>)),
    ];
    rates.into_iter().fold(0.0, f64::max) / 1e9
}

/// The triad in GB/s. Each thread touches its own part first, as the system may place memory by that.
fn triad(threads: usize) -> f64 {
    let length = TRIAD / threads;
    let rate = best_rate(threads, || {
        let mut a = vec![1.0_f32; length];
        let (b, c) = (vec![2.0_f32; length], vec![3.0_f32; length]);
        move || dispatch(Triad { a: &mut a, b: &b, c: &c })
    });
    rate / 1e9
}

/// A cache line of its own, on processors whose lines are 128 bytes too.
#[repr(align(128))]
struct Line(AtomicUsize);

/// Nanoseconds that a cache line takes from one thread to another; `None` where there is one thread.
fn pass_a_line(threads: usize) -> Option<f64> {
    const MINE: usize = 0;
    const YOURS: usize = 1;
    const OVER: usize = 2;
    // By time and not by count: two threads that have to share one core pass the line once in a time slice.
    const LONG_ENOUGH: Duration = Duration::from_millis(20);
    const TURNS_BETWEEN_LOOKS: usize = 64;

    let one_try = || {
        let line = Line(AtomicUsize::new(MINE));
        thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    match line.0.load(Ordering::Acquire) {
                        YOURS => line.0.store(MINE, Ordering::Release),
                        OVER => break,
                        _ => spin_loop(),
                    }
                }
            });
            let mut turns = 0;
            let begin = Instant::now();
            while begin.elapsed() < LONG_ENOUGH {
                for _ in 0..TURNS_BETWEEN_LOOKS {
                    while line.0.load(Ordering::Acquire) != MINE {
                        spin_loop();
                    }
                    line.0.store(YOURS, Ordering::Release);
                }
                turns += TURNS_BETWEEN_LOOKS;
            }
            while line.0.load(Ordering::Acquire) != MINE {
                spin_loop();
            }
            let elapsed = begin.elapsed().as_nanos() as f64;
            line.0.store(OVER, Ordering::Release);
            // There and back.
            elapsed / (2 * turns) as f64
        })
    };
    (threads > 1).then(|| (0..TRIES).map(|_| one_try()).fold(f64::INFINITY, f64::min))
}

/// What another thread did with lines before they are written.
#[derive(Clone, Copy)]
enum Before {
    Read,
    Written,
}

/// Nanoseconds to write a line, one of many in a row, that another thread has read or written since;
/// `None` where there is one thread.
fn write_lines_of_another(threads: usize, before: Before) -> Option<f64> {
    // 256 KiB: a part of what a core's second-level cache holds.
    const LINES: usize = 4096;
    const WORDS: usize = 64 / size_of::<AtomicUsize>();
    const PASSES: usize = 50;
    let words: Vec<AtomicUsize> = (0..LINES * WORDS).map(|_| AtomicUsize::new(0)).collect();
    let turn = AtomicUsize::new(0);
    // Awake, as workers are: a core that sleeps lets go of its lines sooner.
    let wait_for = |at: usize| {
        while turn.load(Ordering::Acquire) != at {
            spin_loop();
        }
    };
    let write = || {
        for word in words.iter().step_by(WORDS) {
            word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    };
    let times = || {
        thread::scope(|scope| {
            scope.spawn(|| {
                for pass in 0..PASSES {
                    wait_for(2 * pass + 1);
                    match before {
                        Before::Read => {
                            let sum: usize =
                                words.iter().map(|word| word.load(Ordering::Relaxed)).sum();
                            black_box(sum);
                        }
                        Before::Written => write(),
                    }
                    turn.store(2 * pass + 2, Ordering::Release);
                }
            });
            let one_pass = |pass| {
                turn.store(2 * pass + 1, Ordering::Release);
                wait_for(2 * pass + 2);
                let begin = Instant::now();
                write();
                begin.elapsed().as_nanos() as f64 / LINES as f64
            };
            let mut times: Vec<f64> = (0..PASSES).map(one_pass).collect();
            times.sort_by(f64::total_cmp);
            times[PASSES / 2]
        })
    };
    (threads > 1).then(times)
}

fn main() {
    let number =
        |of: Option<f64>| of.map_or_else(|| "null".to_owned(), |value| format!("{value:.1}"));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let line = number(pass_a_line(threads));
    let [read, written] = [Before::Read, Before::Written]
        .map(|before| number(write_lines_of_another(threads, before)));
    println!(
        "{{\"isa\": \"{}\", \"threads\": {threads}, \"fma_gflops\": {{\"one\": {:.2}, \"all\": {:.2}}}, \
         \"line_ns\": {line}, \"write_line_ns\": {{\"read\": {read}, \"written\": {written}}}, \
         \"triad_gbs\": {{\"one\": {:.2}, \"all\": {:.2}}}}}",
        isa(),
        multiply_adds(1),
        multiply_adds(threads),
        triad(1),
        triad(threads),
    );
}
