//! The planner's cost model: every threshold and duration that its passes decide by, with what it was measured on.
//!
//! The costs of single launches are estimated by [`Cost::nanoseconds`](crate::launch::Cost::nanoseconds). Where a
//! number says "chosen", it is a choice of its order of magnitude. Each of these was halved and doubled by itself
//! (`make constants`): on none of six workloads did it stand out from the spread of the same module measured twice, so
//! none decides a quarter of a step (docs/about/performance-runs.md, 2026-12-01).

use std::ops::Range;
use std::time::Duration;

// Estimates.

/// Nanoseconds of calling a launch, whatever it does: some tens, chosen.
pub(super) const LAUNCH_NANOSECONDS: f64 = 50.0;

// Partition into chains and phases.

/// A phase that takes less, by estimate, shares the barrier before it. Chosen with the statistics of batch
/// normalization in view (docs/adr/0008), which take less, and the activations of any layer, which take more.
pub(super) const SMALL_PHASE_NANOSECONDS: f64 = 2_000.0;
/// Bytes of a block's own data that should stay in a core's second-level cache while the block passes its chain: a half
/// to a quarter of it on Zen 4, chosen.
pub(super) const BLOCK_BYTES: usize = 256 << 10;
/// Where links pass on no more than this to each other, of all items together, blocks gain nothing: it stays in the
/// first-level cache anyway. Such are the random numbers of images, one or some for each. Half of that cache, chosen.
pub(super) const PASSED_ON_BYTES: usize = 16 << 10;
/// Shared data above this does not stay in a core's cache from one block to the next: the second-level cache of Zen 4.
pub(super) const SECOND_LEVEL_BYTES: usize = 1 << 20;
/// Bytes that a chain writes before it ends for those who wait for it, where a step is cut by layers: a quarter of a
/// core's second-level cache. Measured as a whole on selu-100 and deep-20 on Zen 4 (docs/adr/0015).
pub(super) const LAYERS_BYTES: usize = 256 << 10;
/// Steps worth cutting by layers: more bytes than a core's caches keep, fewer than leave every cache whatever is done.
/// Chosen around selu-100 (18 MB) and deep-20 (docs/adr/0015).
pub(super) const DEEP_BYTES: Range<usize> = 4 << 20..64 << 20;
/// Launches of a step that is worth cutting into many phases: chosen.
pub(super) const DEEP_LAUNCHES: usize = 60;
/// Bytes of a weight that is worth a barrier more to stay with the core that updates it: what two cores exchange
/// within some microseconds on Zen 4 (docs/adr/0015).
pub(super) const COLUMNS_LEAST_BYTES: usize = 128 << 10;
/// The same for few rows, which are all that is exchanged: what a core reads of its own caches in half a microsecond.
/// One row of mnist on Zen 4, 12.5 to 8.4 microseconds (docs/adr/0015).
pub(super) const COLUMNS_LEAST_BYTES_OF_FEW_ROWS: usize = 64 << 10;

// Buffer assignment.

/// The arena is made where it takes no more than this part of the buffers that it replaces: chosen.
pub(super) const ARENA_PART: f64 = 0.75;

// Replicas.

/// More workers than this have no replicas: each block would be written as many times. Only two were measured
/// (docs/adr/0017).
pub(super) const REPLICAS_MOST_WORKERS: usize = 4;
/// Replicas of more bytes than this would not stay in a core's caches: on Zen 4 a gain for mnist and five-by-100, a
/// loss from mnist-bn's 2.7 MB on (docs/adr/0017).
pub(super) const REPLICAS_MOST_BYTES: usize = 2 << 20;

// Balance of the workers' shares.

/// A chain is cut among all workers if it takes one part in so many of what falls to one: chosen.
pub(super) const LARGE_CHAIN: f64 = 2.0;
/// One chain among several that takes less is not cut: each part of it costs some tens of nanoseconds more. Measured on
/// tabular, Zen 4: a twentieth of a step with whole small chains and rarer looks at the clock (docs/about/performance.md).
pub(super) const WHOLE_CHAIN_NANOSECONDS: f64 = 400.0;
/// Shares whose longest takes so many times the mean are cut again: chosen.
pub(super) const UNEVEN: f64 = 1.02;
/// Shares are looked at again after so many steps: the least of several times is that of the work, and not of what came
/// in between.
pub(super) const BALANCE_LEAST_STEPS: usize = 3;
/// And not before so long, which doubles with each time, up to the most: chosen.
pub(super) const BALANCE_WAIT: Duration = Duration::from_millis(2);
pub(super) const BALANCE_LONGEST_WAIT: Duration = Duration::from_millis(200);
/// Of steps that take less than this, one in so many is timed: a look at the clock for each part takes a few percent of
/// the smallest. Measured with [`WHOLE_CHAIN_NANOSECONDS`].
pub(super) const SHORT_STEP_NANOSECONDS: f64 = 100_000.0;
pub(super) const TIMED_SHORT_STEPS: usize = 8;

// Autotuning of threads and strategy.

/// Below this a step is not worth a second thread: barriers cost some hundred nanoseconds each, between cores that
/// share no cache much more (docs/adr/0017).
pub(super) const ONE_THREAD_NANOSECONDS: f64 = 5_000.0;
/// Above this a phase lasts longer than a process that takes a core keeps it, and waiting for one another costs
/// nothing: more threads are never slower. Chosen.
pub(super) const ALL_THREADS_NANOSECONDS: f64 = 50e6;
/// Above this most threads are tried first, below it last: a short run is over before threads have come together.
/// Chosen.
pub(super) const MOST_THREADS_FIRST_NANOSECONDS: f64 = 1e6;
/// A trial takes so long, in chunks of at most so much, and ends early with a choice that takes so many times as long
/// as another. Three chunks, of which one may be interrupted: chosen.
pub(super) const TRIAL: Duration = Duration::from_micros(2100);
pub(super) const TRIAL_CHUNK: Duration = Duration::from_micros(700);
pub(super) const HOPELESS: f64 = 2.0;
/// How long the best choice runs before it is compared with what the others reached: a core that another process takes
/// shows within this time.
pub(super) const COMPARE_EVERY: Duration = Duration::from_millis(20);
/// How long the others are not tried again: twice as long after each time that the same one won, up to the most. Trials
/// then take a percent of the time and less.
pub(super) const STAY: Duration = Duration::from_millis(200);
pub(super) const LONGEST_STAY: Duration = Duration::from_millis(1600);
/// How many kinds of steps are remembered after their plans are gone: chosen.
pub(super) const REMEMBERED_KINDS: usize = 32;
