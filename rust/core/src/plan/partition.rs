//! Partition of a step: from a list of launches to strategies, each of phases of chains.
//!
//! One pass in program order decides: a launch joins the chain that all its latest dependencies stand in, if its blocks
//! line up with theirs, and otherwise opens a chain one phase later. Then every chain moves to the latest phase that
//! those who need it allow.
//!
//! For a dense net this gives the two-phase step: rows of the batch run through the whole net and back, then the rows
//! of every weight take their gradient and their update together.

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::block_size::block_items;
use super::column_partition::by_columns;
use super::cost_model::{
    DEEP_BYTES, DEEP_LAUNCHES, LAUNCH_NANOSECONDS, LAYERS_BYTES, ONE_THREAD_NANOSECONDS,
};
use super::ir::{BufferMap, Chain, Link, Phase, Schedule, Strategy};
use crate::launch::{Access, Launch, Operand};

/// The strategies for a step that are worth trying: by rows; with large weights by columns; by layers.
pub(super) fn partition(launches: Vec<Launch>) -> Vec<Strategy> {
    let by_rows = schedule(&launches, false);
    let mut others = Vec::new();
    // A step that is worth no second thread is run by rows.
    if by_rows.cost >= ONE_THREAD_NANOSECONDS {
        if let Some(launches) = by_columns(&launches) {
            let schedule = schedule(&launches, false);
            others.push(Strategy::new(launches, schedule));
        }
        if is_deep(&launches) {
            let by_layers = schedule(&launches, true);
            others.push(Strategy::new(launches.iter().map(Launch::again).collect(), by_layers));
        }
    }
    others.insert(0, Strategy::new(launches, by_rows));
    others
}

/// True for a step of many launches that together need more than a core's caches hold.
fn is_deep(launches: &[Launch]) -> bool {
    if launches.len() < DEEP_LAUNCHES {
        return false;
    }
    let operands = launches.iter().flat_map(|launch| &launch.operands);
    let buffers: BufferMap<usize> =
        operands.map(|operand| (operand.key(), operand.extent.len())).collect();
    DEEP_BYTES.contains(&buffers.values().sum())
}

/// Puts launches into chains and phases: as few phases as can be, rows through the whole net and back, then all
/// weights.
///
/// `by_layers`, the weights of some layers at a time on the way back take gradient and update as soon as nobody needs
/// the old ones any more, while what they need is near. That costs a barrier each time.
fn schedule(launches: &[Launch], by_layers: bool) -> Schedule {
    let mut partitioner = Partitioner {
        launches,
        phases: Vec::new(),
        places: Vec::with_capacity(launches.len()),
        scales: Vec::with_capacity(launches.len()),
        by_layers,
        closed: FxHashSet::default(),
        touches: BufferMap::default(),
    };
    for index in 0..launches.len() {
        partitioner.place(index);
    }
    if !by_layers {
        partitioner.defer();
    }
    let mut phases = partitioner.phases;
    for phase in &mut phases {
        // What was joined to another chain, or deferred, left nothing behind.
        phase.chains.retain(|chain| !chain.links.is_empty());
    }
    phases.retain(|phase| !phase.chains.is_empty());
    for chain in phases.iter_mut().flat_map(|phase| &mut phase.chains) {
        let links = chain.links.iter();
        let cost = links.map(|link| LAUNCH_NANOSECONDS + launches[link.launch].cost.nanoseconds());
        chain.cost = cost.sum();
        chain.block = block_items(chain, launches);
    }
    let cost = phases.iter().flat_map(|phase| &phase.chains).map(|chain| chain.cost).sum();
    Schedule { phases, cost }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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

/// The accesses to a buffer so far. Reads wait for writes alone, of which there are few.
#[derive(Default)]
struct Touches {
    reads: Vec<Touch>,
    writes: Vec<Touch>,
}

/// Which operand of a launch must come after which earlier access.
type Dependencies = SmallVec<[(usize, Touch); 8]>;

fn overlap(a: &Operand, b: &Operand) -> bool {
    a.extent.start < b.extent.end && b.extent.start < a.extent.end
}

/// The scale that lines a launch up with a chain of `items` work items, and what the chain's own must be divided by
/// first.
fn line_up(items: usize, launch_items: usize) -> Option<(usize, usize)> {
    if launch_items.is_multiple_of(items) {
        Some((launch_items / items, 1))
    } else if items.is_multiple_of(launch_items) && launch_items > 1 {
        Some((1, items / launch_items))
    } else {
        None
    }
}

/// True where both operands give each work item of the chain the same bytes of the buffer.
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

/// True where chains of `many` work items can go by `few`: one item of those is several of these, but many rows are not
/// given up for one.
fn divides(few: usize, many: usize) -> bool {
    many == few || (few > 1 && many.is_multiple_of(few))
}

struct Partitioner<'a> {
    launches: &'a [Launch],
    phases: Vec<Phase>,
    places: Vec<Place>,
    /// Scale of each placed launch in its chain.
    scales: Vec<usize>,
    /// Whether chains end where much waits for them; see [`schedule`].
    by_layers: bool,
    /// Chains that nothing joins any more.
    closed: FxHashSet<Place>,
    touches: BufferMap<Touches>,
}

impl Partitioner<'_> {
    /// Accesses that operand `o` must not pass: one of the two writes and they overlap.
    fn conflicts<'b>(&'b self, operand: &'b Operand) -> impl Iterator<Item = Touch> + 'b {
        let known = self.touches.get(&operand.key());
        let reads = known.filter(|_| operand.writes).into_iter().flat_map(|known| &known.reads);
        let all = known.into_iter().flat_map(|known| &known.writes).chain(reads).copied();
        all.filter(move |touch| {
            overlap(&self.launches[touch.launch].operands[touch.operand], operand)
        })
    }

    fn place(&mut self, index: usize) {
        let operands = self.launches[index].operands.iter().enumerate();
        let mut newest: Dependencies = operands
            .flat_map(|(o, operand)| self.conflicts(operand).map(move |touch| (o, touch)))
            .collect();
        let Some(phase) = newest.iter().map(|(_, touch)| self.places[touch.launch].phase).max()
        else {
            self.open(index, 0);
            return;
        };
        newest.retain(|(_, touch)| self.places[touch.launch].phase == phase);
        if !self.try_join(index, phase, &newest) {
            if self.by_layers {
                self.close(&newest);
            }
            self.open(index, phase + 1);
        }
    }

    /// Ends the chains that somebody waits for, where they have written much.
    fn close(&mut self, newest: &[(usize, Touch)]) {
        for (_, touch) in newest {
            let place = self.places[touch.launch];
            if self.closed.contains(&place) {
                continue;
            }
            let chain = &self.phases[place.phase].chains[place.chain];
            let operands = chain.links.iter().flat_map(|link| &self.launches[link.launch].operands);
            let written = operands.filter(|operand| operand.writes);
            if written.map(|operand| operand.extent.len()).sum::<usize>() > LAYERS_BYTES {
                self.closed.insert(place);
            }
        }
    }

    /// Appends the launch to the chain that its newest dependencies stand in, after joining their chains to one where
    /// they are several; false where its blocks do not line up with theirs.
    fn try_join(&mut self, index: usize, phase: usize, newest: &[(usize, Touch)]) -> bool {
        let launch = &self.launches[index];
        let mut homes: SmallVec<[usize; 8]> =
            newest.iter().map(|(_, touch)| self.places[touch.launch].chain).collect();
        homes.sort_unstable();
        homes.dedup();
        // Every chain is divided down to the fewest work items among them.
        let chains = &self.phases[phase].chains;
        let items = homes.iter().map(|&home| chains[home].items).min().unwrap_or(1);
        let Some((scale, divide)) = line_up(items, launch.items) else { return false };
        let items = items / divide;
        let is_open = |home: usize| {
            !self.closed.contains(&Place { phase, chain: home })
                && divides(items, chains[home].items)
        };
        if !homes.iter().all(|&home| is_open(home)) {
            return false;
        }
        let fits = newest.iter().all(|(o, touch)| {
            let earlier = &self.launches[touch.launch].operands[touch.operand];
            let home = &chains[self.places[touch.launch].chain];
            let earlier_scale = self.scales[touch.launch] * (home.items / items);
            same_blocks(earlier, earlier_scale, &launch.operands[*o], scale)
        });
        if !fits {
            return false;
        }
        let place = Place { phase, chain: homes[0] };
        for &home in &homes {
            let chain = &mut self.phases[phase].chains[home];
            let divide = chain.items / items;
            if divide == 1 && home == place.chain {
                continue;
            }
            chain.items = items;
            for link in &mut chain.links {
                link.scale *= divide;
                self.scales[link.launch] = link.scale;
                self.places[link.launch] = place;
            }
            if home != place.chain {
                let links = std::mem::take(&mut chain.links);
                self.phases[phase].chains[place.chain].links.extend(links);
            }
        }
        self.phases[phase].chains[place.chain].links.push(Link::new(index, scale));
        self.settle(index, place, scale);
        true
    }

    fn open(&mut self, index: usize, phase: usize) {
        while self.phases.len() <= phase {
            self.phases.push(Phase::default());
        }
        let chains = &mut self.phases[phase].chains;
        let place = Place { phase, chain: chains.len() };
        let links = vec![Link::new(index, 1)];
        chains.push(Chain { items: self.launches[index].items, links, ..Chain::default() });
        self.settle(index, place, 1);
    }

    fn settle(&mut self, index: usize, place: Place, scale: usize) {
        self.places.push(place);
        self.scales.push(scale);
        for (o, operand) in self.launches[index].operands.iter().enumerate() {
            let touches = self.touches.entry(operand.key()).or_default();
            let list = if operand.writes { &mut touches.writes } else { &mut touches.reads };
            list.push(Touch { launch: index, operand: o });
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
                let moved = std::mem::take(&mut self.phases[phase].chains[chain]);
                for link in &moved.links {
                    self.places[link.launch] = place;
                }
                self.phases[latest].chains.push(moved);
            }
        }
    }
}
