//! From a list of launches to phases of chains.
//!
//! A *chain* is a run of launches over one axis in which each reads only its own blocks of what the others wrote, so
//! that a block can pass through all of it while it is in cache. A *phase* is a set of chains that do not need each
//! other; between phases stands a barrier. One pass in program order decides: a launch joins the chain that all its
//! latest dependencies stand in, if its blocks line up with theirs, and otherwise opens a chain one phase later. Then
//! every chain moves to the latest phase that those who need it allow.
//!
//! For a dense net this gives the two-phase step: rows of the batch run through the whole net and back, then the rows of
//! every weight take their gradient and their update together.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::temporaries::Moved;
use crate::launch::{Access, Launch, Operand};

/// A launch in a chain: `scale` of its units make one unit of the chain.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) launch: usize,
    pub(super) scale: usize,
    /// Its operands that lie in the worker's scratch.
    pub(super) moved: SmallVec<[Moved; 2]>,
}

impl Link {
    pub(super) fn new(launch: usize, scale: usize) -> Self {
        Self { launch, scale, moved: SmallVec::new() }
    }
}

#[derive(Debug)]
pub(super) struct Chain {
    /// Units of the axis that all links share.
    pub(super) units: usize,
    pub(super) links: Vec<Link>,
    /// Estimated nanoseconds on one thread.
    pub(super) cost: f64,
    /// Units that are taken at a time.
    pub(super) block: usize,
    /// Bytes of scratch that a block needs.
    pub(super) scratch: usize,
    /// Nothing joins it any more.
    pub(super) closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Phase {
    pub(super) chains: Vec<Chain>,
}

/// A phase that takes less, by estimate, is worth no barrier of its own.
const SMALL_NANOSECONDS: f64 = 2_000.0;

impl Phase {
    /// True where one worker does it at the barrier before, while the others wait.
    fn is_small(&self) -> bool {
        self.chains.iter().map(|chain| chain.cost).sum::<f64>() < SMALL_NANOSECONDS
    }
}

#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) phases: Vec<Phase>,
    /// Estimated nanoseconds of a step on one thread.
    pub(super) cost: f64,
}

/// Bytes of a block's own data that should stay in a core's cache while the block passes its chain.
const BLOCK_BYTES: usize = 256 << 10;
/// Shared data above this does not stay in a core's cache from one block to the next.
pub(super) const SECOND_LEVEL_BYTES: usize = 1 << 20;

/// Bytes that a chain writes before it ends for those who wait for it: a quarter of a core's second-level cache.
const LAYERS_BYTES: usize = 256 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    phase: usize,
    chain: usize,
}

/// An earlier access to a buffer.
#[derive(Clone, Copy)]
struct Touch {
    launch: usize,
    operand: usize,
}

fn overlap(a: &Operand, b: &Operand) -> bool {
    a.extent.start < b.extent.end && b.extent.start < a.extent.end
}

struct Planner<'a> {
    launches: &'a [Launch],
    phases: Vec<Phase>,
    places: Vec<Place>,
    /// Scale of each placed launch in its chain.
    scales: Vec<usize>,
    /// Whether chains end where much waits for them; see [`Schedule::by_layers`].
    by_layers: bool,
    touches: HashMap<usize, Vec<Touch>>,
}

impl Planner<'_> {
    /// Earlier operands that operand `o` must come after: one of the two writes and they overlap.
    fn conflicts<'b>(&'b self, operand: &'b Operand) -> impl Iterator<Item = Touch> + 'b {
        let key = operand.key();
        self.touches.get(&key).into_iter().flatten().copied().filter(move |touch| {
            let earlier = &self.launches[touch.launch].operands[touch.operand];
            (earlier.writes || operand.writes) && overlap(earlier, operand)
        })
    }

    /// The scale that lines the launch up with a chain of `units` units, and what the chain's own units must be
    /// divided by first.
    fn line_up(units: usize, launch_units: usize) -> Option<(usize, usize)> {
        if launch_units.is_multiple_of(units) {
            Some((launch_units / units, 1))
        } else if units.is_multiple_of(launch_units) && launch_units > 1 {
            Some((1, units / launch_units))
        } else {
            None
        }
    }

    /// True where both operands give each unit of the chain the same bytes of the buffer.
    fn same_blocks(a: &Operand, a_scale: usize, b: &Operand, b_scale: usize) -> bool {
        match (a.access, b.access) {
            (Access::Own { bytes: x }, Access::Own { bytes: y }) => {
                a.origin == b.origin && x * a_scale == y * b_scale
            }
            (Access::Columns { bytes: x, row }, Access::Columns { bytes: y, row: other }) => {
                a.origin == b.origin && row == other && x * a_scale == y * b_scale
            }
            _ => false,
        }
    }

    fn place(&mut self, index: usize) {
        let launch = &self.launches[index];
        let dependencies: Vec<(usize, Touch)> = launch
            .operands
            .iter()
            .enumerate()
            .flat_map(|(o, operand)| self.conflicts(operand).map(move |touch| (o, touch)))
            .collect();
        let latest = dependencies.iter().map(|(_, touch)| self.places[touch.launch].phase).max();
        let Some(phase) = latest else {
            self.open(index, 0);
            return;
        };
        let newest: Vec<_> = dependencies
            .into_iter()
            .filter(|(_, touch)| self.places[touch.launch].phase == phase)
            .collect();
        if !self.try_join(index, phase, &newest) {
            if self.by_layers {
                self.close(phase, &newest);
            }
            self.open(index, phase + 1);
        }
    }

    /// Ends the chains that somebody waits for, where they have written much.
    fn close(&mut self, phase: usize, newest: &[(usize, Touch)]) {
        for (_, touch) in newest {
            let chain = &mut self.phases[phase].chains[self.places[touch.launch].chain];
            let operands = chain.links.iter().flat_map(|link| &self.launches[link.launch].operands);
            let written = operands.filter(|operand| operand.writes);
            chain.closed |=
                written.map(|operand| operand.extent.len()).sum::<usize>() > LAYERS_BYTES;
        }
    }

    /// Appends the launch to the chain that its newest dependencies stand in, after joining their chains to one where
    /// they are several; false where its blocks do not line up with theirs.
    fn try_join(&mut self, index: usize, phase: usize, newest: &[(usize, Touch)]) -> bool {
        let launch = &self.launches[index];
        let mut homes: Vec<usize> =
            newest.iter().map(|(_, touch)| self.places[touch.launch].chain).collect();
        homes.sort_unstable();
        homes.dedup();
        // Every chain is divided down to the fewest units among them.
        let chains = &self.phases[phase].chains;
        let units = homes.iter().map(|&home| chains[home].units).min().unwrap_or(1);
        let Some((scale, divide)) = Self::line_up(units, launch.units) else { return false };
        let units = units / divide;
        if homes
            .iter()
            .any(|&home| chains[home].closed || !Self::divides(units, chains[home].units))
        {
            return false;
        }
        let fits = newest.iter().all(|(o, touch)| {
            let earlier = &self.launches[touch.launch].operands[touch.operand];
            let home = &chains[self.places[touch.launch].chain];
            let earlier_scale = self.scales[touch.launch] * (home.units / units);
            Self::same_blocks(earlier, earlier_scale, &launch.operands[*o], scale)
        });
        if !fits {
            return false;
        }
        let first = homes[0];
        for &home in &homes {
            let chain = &mut self.phases[phase].chains[home];
            let divide = chain.units / units;
            chain.units = units;
            for link in &mut chain.links {
                link.scale *= divide;
                self.scales[link.launch] = link.scale;
                self.places[link.launch] = Place { phase, chain: first };
            }
            if home != first {
                let links = std::mem::take(&mut chain.links);
                self.phases[phase].chains[first].links.extend(links);
            }
        }
        self.phases[phase].chains[first].links.push(Link::new(index, scale));
        self.settle(index, Place { phase, chain: first }, scale);
        true
    }

    /// True where chains of `many` units can go by `few`: one unit of those is several of these, but many rows are not
    /// given up for one.
    fn divides(few: usize, many: usize) -> bool {
        many == few || (few > 1 && many.is_multiple_of(few))
    }

    fn open(&mut self, index: usize, phase: usize) {
        while self.phases.len() <= phase {
            self.phases.push(Phase::default());
        }
        let chains = &mut self.phases[phase].chains;
        let place = Place { phase, chain: chains.len() };
        chains.push(Chain {
            units: self.launches[index].units,
            links: vec![Link::new(index, 1)],
            cost: 0.0,
            block: 1,
            scratch: 0,
            closed: false,
        });
        self.settle(index, place, 1);
    }

    fn settle(&mut self, index: usize, place: Place, scale: usize) {
        self.places.push(place);
        self.scales.push(scale);
        let launch = &self.launches[index];
        for (o, operand) in launch.operands.iter().enumerate() {
            let key = operand.key();
            self.touches.entry(key).or_default().push(Touch { launch: index, operand: o });
        }
    }

    /// Moves every chain to the latest phase that it may stand in. The gradients of all weights come together in the
    /// last one, and do not keep what a batch normalization waits for in a phase of theirs.
    fn defer(&mut self) {
        let last = self.phases.len().saturating_sub(1);
        for phase in (0..last).rev() {
            for chain in 0..self.phases[phase].chains.len() {
                let links = &self.phases[phase].chains[chain].links;
                let operands = links.iter().flat_map(|link| &self.launches[link.launch].operands);
                // Whoever needs this chain, or must not come before it, stands in a later phase.
                let later = operands
                    .flat_map(|operand| self.conflicts(operand))
                    .map(|touch| self.places[touch.launch].phase)
                    .filter(|&other| other > phase)
                    .min();
                let latest = later.map_or(last, |later| later - 1);
                if links.is_empty() || latest == phase {
                    continue;
                }
                let place = Place { phase: latest, chain: self.phases[latest].chains.len() };
                let empty = Chain { links: Vec::new(), ..self.phases[phase].chains[chain] };
                let moved = std::mem::replace(&mut self.phases[phase].chains[chain], empty);
                for link in &moved.links {
                    self.places[link.launch] = place;
                }
                self.phases[latest].chains.push(moved);
            }
        }
    }
}

/// Units that are taken at a time: their own data should fit a core's cache, but be no less than what the block
/// reads of shared data (weights), or those would be fetched again and again for little.
fn block_units(chain: &Chain, launches: &[Launch]) -> usize {
    if chain.links.len() == 1 {
        // Nothing comes after it that would find its data in the cache.
        return chain.units;
    }
    let mut even = false;
    let mut own: HashMap<usize, usize> = HashMap::new();
    let mut shared: HashMap<usize, usize> = HashMap::new();
    for link in &chain.links {
        for operand in &launches[link.launch].operands {
            let key = operand.key();
            match operand.access {
                Access::Own { bytes } => {
                    let slot = own.entry(key).or_default();
                    *slot = (*slot).max(bytes * link.scale);
                }
                Access::Columns { bytes, row } => {
                    let slot = own.entry(key).or_default();
                    *slot = (*slot).max(bytes * link.scale * (operand.extent.len() / row));
                    even = true;
                }
                Access::All | Access::Scattered => {
                    shared.insert(key, operand.extent.len());
                }
            }
        }
    }
    let per_unit: usize = own.values().sum::<usize>().max(1);
    let shared: usize = shared.values().sum();
    // What does not stay in the cache is fetched again for each block: then the blocks are so large that it is the
    // lesser part of what they move.
    let budget = if shared > SECOND_LEVEL_BYTES { 4 * shared } else { BLOCK_BYTES.max(shared) };
    let units = (budget / per_unit).clamp(1, chain.units);
    // Products take two units of columns side by side.
    if even { units.next_multiple_of(2).min(chain.units) } else { units }
}

impl Schedule {
    /// True where a phase is done by one worker at the barrier that ends the phase before.
    pub(super) fn is_attached(&self, phase: usize) -> bool {
        phase > 0 && self.phases[phase].is_small()
    }

    /// Barriers of a step.
    pub(super) fn barriers(&self) -> usize {
        (0..self.phases.len()).filter(|&phase| !self.is_attached(phase)).count()
    }

    /// As few phases as can be: rows through the whole net and back, then all weights.
    pub(super) fn new(launches: &[Launch]) -> Self {
        Self::with(launches, false)
    }

    /// Some layers at a time on the way back: their weights take gradient and update as soon as nobody needs the old ones
    /// any more, while what they need is near. That costs a meeting each time.
    pub(super) fn by_layers(launches: &[Launch]) -> Self {
        Self::with(launches, true)
    }

    fn with(launches: &[Launch], by_layers: bool) -> Self {
        let mut planner = Planner {
            launches,
            phases: Vec::new(),
            places: Vec::with_capacity(launches.len()),
            scales: Vec::with_capacity(launches.len()),
            by_layers,
            touches: HashMap::new(),
        };
        for index in 0..launches.len() {
            planner.place(index);
        }
        if !by_layers {
            planner.defer();
        }
        let mut phases = planner.phases;
        for phase in &mut phases {
            // What was joined to another chain, or deferred, left nothing behind.
            phase.chains.retain(|chain| !chain.links.is_empty());
        }
        phases.retain(|phase| !phase.chains.is_empty());
        for chain in phases.iter_mut().flat_map(|phase| &mut phase.chains) {
            // A launch is never free: calling it costs some tens of nanoseconds.
            chain.cost = chain
                .links
                .iter()
                .map(|link| 50.0 + launches[link.launch].cost.nanoseconds())
                .sum();
            chain.block = block_units(chain, launches);
        }
        let cost = phases.iter().flat_map(|phase| &phase.chains).map(|chain| chain.cost).sum();
        Self { phases, cost }
    }
}
