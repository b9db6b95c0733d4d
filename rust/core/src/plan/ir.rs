//! The planner's intermediate representation: what its passes hand on to each other.
//!
//! A [`Strategy`] is one way to run a step. Its [`Schedule`] is a list of phases between barriers; a phase is a set of
//! chains that do not need each other; a chain is a run of launches over one axis of work items, each of which reads
//! only its own blocks of what the others wrote, so that a block passes through all of it while it is in cache.

use smallvec::SmallVec;

use super::cost_model::SMALL_PHASE_NANOSECONDS;
use crate::launch::{Launch, pointers};

/// A table by the buffers of operands (see [`Operand::key`](crate::launch::Operand::key)).
pub(super) type BufferMap<T> = rustc_hash::FxHashMap<usize, T>;

/// Where the operands of a launch lie.
pub(super) type Addresses = SmallVec<[*mut u8; 8]>;

/// An operand whose place is in the worker's scratch.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScratchOperand {
    /// Which operand of its launch.
    pub(super) operand: usize,
    /// Bytes of one work item of the chain (in each row, where items are columns).
    pub(super) item_bytes: usize,
    /// Where a block of it begins in the worker's scratch.
    pub(super) offset: usize,
}

/// A launch in a chain: `scale` of its work items make one of the chain's.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) launch: usize,
    pub(super) scale: usize,
    pub(super) in_scratch: SmallVec<[ScratchOperand; 2]>,
}

impl Link {
    pub(super) fn new(launch: usize, scale: usize) -> Self {
        Self { launch, scale, in_scratch: SmallVec::new() }
    }
}

#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Work items of the axis that all links share.
    pub(super) items: usize,
    pub(super) links: Vec<Link>,
    /// Estimated nanoseconds on one thread.
    pub(super) cost: f64,
    /// Work items that are taken at a time.
    pub(super) block: usize,
    /// Bytes of scratch that a block needs.
    pub(super) scratch: usize,
}

#[derive(Debug, Default)]
pub(super) struct Phase {
    pub(super) chains: Vec<Chain>,
}

#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) phases: Vec<Phase>,
    /// Estimated nanoseconds of a step on one thread.
    pub(super) cost: f64,
}

impl Schedule {
    /// True where a phase is done by one worker at the barrier that ends the phase before: it is worth none of its own.
    pub(super) fn is_attached(&self, phase: usize) -> bool {
        let cost = |phase: &Phase| phase.chains.iter().map(|chain| chain.cost).sum::<f64>();
        phase > 0 && cost(&self.phases[phase]) < SMALL_PHASE_NANOSECONDS
    }

    /// Barriers of a step.
    pub(super) fn barriers(&self) -> usize {
        (0..self.phases.len()).filter(|&phase| !self.is_attached(phase)).count()
    }
}

/// One way to run a step: its launches, each along one of its axes, and when they run.
pub(super) struct Strategy {
    pub(super) launches: Vec<Launch>,
    pub(super) schedule: Schedule,
    pub(super) addresses: Vec<Addresses>,
}

impl Strategy {
    pub(super) fn new(launches: Vec<Launch>, schedule: Schedule) -> Self {
        // Addresses first: operands that go to scratch will have none of their own.
        let addresses = launches.iter().map(|launch| pointers(&launch.operands)).collect();
        Self { launches, schedule, addresses }
    }

    /// All chains, phase after phase.
    pub(super) fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.schedule.phases.iter().flat_map(|phase| &phase.chains)
    }
}

// SAFETY: the addresses point into buffers that the launches and the executor keep alive, and are used under the
// engine's lock, by the one worker whose tasks they are.
unsafe impl Send for Strategy {}
// SAFETY: as above.
unsafe impl Sync for Strategy {}

/// How a step is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// Which of the plan's strategies; the first is that of fewer threads than there may be.
    pub(super) strategy: usize,
    /// How many threads.
    pub(super) threads: usize,
}
