//! Replicas of what workers exchange, against false sharing and slow ownership transfers between cores.
//!
//! Weights are read by every worker and updated by some of them; activations are written row by row, and all of them
//! are read for the gradients of the weights. A core that writes a line which others hold since they read it waits for
//! each line by itself, however early it prefetches. A line that its last holder has *written* moves to the next many
//! times quicker (docs/adr/0017). So every worker but the first reads a replica of its own. Whoever writes a block
//! broadcasts it into all of them, and whoever reads a replica first acquires what came from others: it writes a byte
//! of each line, with the value that is there, and now the line is one that its holder has written.
//!
//! A replica changes nothing in what is computed, and the buffer itself is always up to date.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::cost_model::{REPLICAS_MOST_BYTES, REPLICAS_MOST_WORKERS};
use super::ir::{BufferMap, Chain, Strategy};
use crate::buffer::{ALIGNMENT, Buffer};
use crate::error::Result;
use crate::launch::{Access, Launch, Operand};

/// Bytes of a buffer: `rows` pieces of `len` from `start` on, each `pitch` behind the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    start: usize,
    len: usize,
    rows: usize,
    pitch: usize,
}

impl Region {
    /// What a launch writes of an operand for some of its work items.
    fn new(operand: &Operand, items: &Range<usize>) -> Option<Self> {
        match operand.access {
            Access::Own { bytes } => Some(Self {
                start: operand.origin + items.start * bytes,
                len: items.len() * bytes,
                rows: 1,
                pitch: 0,
            }),
            Access::Columns { bytes, row } => Some(Self {
                start: operand.origin + items.start * bytes,
                len: (items.end * bytes).min(row).saturating_sub(items.start * bytes),
                rows: operand.extent.len() / row,
                pitch: row,
            }),
            Access::All | Access::Scattered => None,
        }
    }

    fn pieces(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.rows).map(move |row| {
            let start = self.start + row * self.pitch;
            start..start + self.len
        })
    }
}

/// A block that has been written and goes to the replicas.
pub(super) struct Broadcast {
    region: Region,
    from: *mut u8,
    to: Vec<*mut u8>,
}

impl Broadcast {
    /// Copies the block. Its writer alone touches it, in the buffer and in the replicas, until the next barrier.
    pub(super) fn perform(&self) {
        for piece in self.region.pieces() {
            for to in &self.to {
                // SAFETY: the region was taken from an operand that lies inside the buffer; the replicas are as large
                // and other memory.
                unsafe {
                    let from = self.from.add(piece.start);
                    std::ptr::copy_nonoverlapping(from, to.add(piece.start), piece.len());
                }
            }
        }
    }
}

/// Lines of a worker's replica that others have written.
pub(super) struct Acquire {
    region: Region,
    replica: *mut u8,
}

impl Acquire {
    /// Writes a byte of each line with the value that it has. Nobody else touches the replica until the next barrier.
    pub(super) fn perform(&self) {
        for piece in self.region.pieces() {
            let mut at = piece.start;
            while at < piece.end {
                // SAFETY: as for `Broadcast`. Volatile, for it is the writing that counts.
                unsafe {
                    let byte = self.replica.add(at);
                    byte.write_volatile(byte.read_volatile());
                }
                at = (at + 1).next_multiple_of(ALIGNMENT);
            }
        }
    }
}

/// What a worker does between two barriers that concerns replicas.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// The buffers of which it reads replicas.
    pub(super) read: FxHashSet<usize>,
    /// The blocks that it broadcasts, each with its buffer.
    pub(super) written: Vec<(usize, Region)>,
}

/// A buffer with its replicas.
struct Replicated {
    buffer: Arc<Buffer>,
    /// Bytes in use.
    bytes: usize,
    /// Of the workers after the first, who reads the buffer itself.
    replicas: Vec<Arc<Buffer>>,
    /// In which phases it is written.
    written: Vec<bool>,
}

impl Replicated {
    fn memory_of(&self, worker: usize) -> *mut u8 {
        match worker.checked_sub(1) {
            None => self.buffer.pointer(),
            Some(other) => self.replicas[other].pointer(),
        }
    }
}

/// What the workers of a program exchange.
#[derive(Default)]
pub(super) struct Replicas {
    buffers: BufferMap<Replicated>,
    /// The buffers' versions when all replicas were last known to equal them.
    versions: BufferMap<u64>,
}

// SAFETY: addresses are used under the engine's lock, by the worker whose tasks they are.
unsafe impl Send for Replicas {}
// SAFETY: as above.
unsafe impl Sync for Replicas {}

/// The operands of a chain's links that lie in memory of their own, with the position of their link.
fn operands<'a>(
    chain: &'a Chain,
    launches: &'a [Launch],
) -> impl Iterator<Item = (usize, &'a Operand)> {
    chain.links.iter().enumerate().flat_map(move |(position, link)| {
        let all = launches[link.launch].operands.iter().enumerate();
        let in_scratch =
            move |index: usize| link.in_scratch.iter().any(|place| place.operand == index);
        all.filter(move |(index, _)| !in_scratch(*index))
            .map(move |(_, operand)| (position, operand))
    })
}

impl Replicas {
    /// Finds what workers of this strategy exchange: written in blocks in one phase, read as a whole in another.
    pub(super) fn new(strategy: &Strategy, threads: usize) -> Result<Self> {
        if !(2..=REPLICAS_MOST_WORKERS).contains(&threads) {
            return Ok(Self::default());
        }
        let schedule = &strategy.schedule;
        let phases = &schedule.phases;
        let mut buffers: BufferMap<Replicated> = BufferMap::default();
        let mut read: BufferMap<Vec<usize>> = BufferMap::default();
        let mut never = FxHashSet::default();
        for (p, phase) in phases.iter().enumerate() {
            let operands =
                phase.chains.iter().flat_map(|chain| operands(chain, &strategy.launches));
            for (_, operand) in operands {
                let known = buffers.entry(operand.key()).or_insert_with(|| Replicated {
                    buffer: Arc::clone(&operand.buffer),
                    bytes: 0,
                    replicas: Vec::new(),
                    written: vec![false; phases.len()],
                });
                known.bytes = known.bytes.max(operand.extent.end);
                match (operand.writes, operand.access) {
                    (true, Access::Own { .. } | Access::Columns { .. }) => known.written[p] = true,
                    (false, Access::Own { .. } | Access::Columns { .. }) => {}
                    (false, Access::All) => read.entry(operand.key()).or_default().push(p),
                    _ => {
                        never.insert(operand.key());
                    }
                }
            }
        }
        buffers.retain(|key, known| {
            let read = read.get(key).into_iter().flatten();
            let mut alone = read.filter(|&&p| !known.written[p] && !schedule.is_attached(p));
            known.written.contains(&true) && alone.next().is_some() && !never.contains(key)
        });
        if buffers.values().map(|known| known.bytes).sum::<usize>() > REPLICAS_MOST_BYTES {
            return Ok(Self::default());
        }
        for known in buffers.values_mut() {
            let replicas = (1..threads).map(|_| Buffer::new(known.bytes));
            known.replicas = replicas.collect::<Result<Vec<_>>>()?;
        }
        Ok(Self { buffers, versions: BufferMap::default() })
    }

    /// Where a worker finds an operand in a phase; `None` for where it always lies.
    pub(super) fn find(&self, operand: &Operand, phase: usize, worker: usize) -> Option<*mut u8> {
        let known = self.buffers.get(&operand.key())?;
        (!known.written[phase]).then(|| known.memory_of(worker).wrapping_add(operand.origin))
    }

    /// What a block of a chain has written for others, of some work items of the chain.
    pub(super) fn written(
        &self,
        launches: &[Launch],
        chain: &Chain,
        block: &Range<usize>,
    ) -> Vec<(usize, Region)> {
        let mut found = Vec::new();
        if self.buffers.is_empty() {
            return found;
        }
        for (position, operand) in operands(chain, launches) {
            if !operand.writes || !self.buffers.contains_key(&operand.key()) {
                continue;
            }
            let scale = chain.links[position].scale;
            let items = block.start * scale..block.end * scale;
            let region = Region::new(operand, &items).map(|region| (operand.key(), region));
            found.extend(region.filter(|region| !found.contains(region)));
        }
        found
    }

    /// The task that brings a block to the replicas.
    pub(super) fn broadcast(&self, (key, region): (usize, Region)) -> Broadcast {
        let known = &self.buffers[&key];
        let to = known.replicas.iter().map(|replica| replica.pointer()).collect();
        Broadcast { region, from: known.buffer.pointer(), to }
    }

    /// What a worker acquires at the beginning of each stage of a step, given what all do in each: the blocks that
    /// others have written since it read the buffer last. A step follows upon a step.
    pub(super) fn acquires(&self, stages: &[Vec<Traffic>], worker: usize) -> Vec<Vec<Acquire>> {
        let mut pending: Vec<(usize, Region)> = Vec::new();
        let mut stage = |all: &Vec<Traffic>| {
            let read = &all[worker].read;
            let acquired = pending
                .extract_if(.., |(key, _)| read.contains(key))
                .map(|(key, region)| Acquire {
                    region,
                    replica: self.buffers[&key].memory_of(worker),
                })
                .collect();
            let others = all.iter().enumerate().filter(|(other, _)| *other != worker);
            pending.extend(others.flat_map(|(_, traffic)| &traffic.written));
            acquired
        };
        // The first time round only shows what is left for the beginning.
        let _: Vec<Vec<Acquire>> = stages.iter().map(&mut stage).collect();
        stages.iter().map(stage).collect()
    }

    /// The buffers of which a chain reads replicas in a phase.
    pub(super) fn reads<'a>(
        &'a self,
        launches: &'a [Launch],
        chain: &'a Chain,
        phase: usize,
    ) -> impl Iterator<Item = usize> + 'a {
        let read = operands(chain, launches).map(|(_, operand)| operand.key());
        read.filter(move |key| self.buffers.get(key).is_some_and(|known| !known.written[phase]))
    }

    /// Brings the replicas up to date where something else has written the buffers since.
    pub(super) fn refresh(&mut self) {
        for (key, known) in &self.buffers {
            let version = known.buffer.version();
            if self.versions.insert(*key, version) != Some(version) {
                for replica in &known.replicas {
                    // SAFETY: both hold so many bytes, are different memory, and no worker runs yet.
                    unsafe {
                        let (from, to) = (known.buffer.pointer(), replica.pointer());
                        std::ptr::copy_nonoverlapping(from, to, known.bytes);
                    }
                }
            }
        }
    }

    /// Takes note that steps, which have kept the replicas up to date, count as one new version of each buffer.
    pub(super) fn note_version(&mut self) {
        self.versions.values_mut().for_each(|version| *version += 1);
    }

    /// The replicas hold nothing any more.
    pub(super) fn forget(&mut self) {
        self.versions.clear();
    }

    /// Bytes of all replicas.
    pub(super) fn bytes(&self) -> usize {
        let replicas = self.buffers.values().flat_map(|known| &known.replicas);
        replicas.map(|replica| replica.capacity()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: Region = Region { start: 100, len: 70, rows: 1, pitch: 0 };

    fn replicated(replicas: usize) -> Replicated {
        let buffer = || Buffer::new(512).expect("small");
        Replicated {
            buffer: buffer(),
            bytes: 512,
            replicas: (0..replicas).map(|_| buffer()).collect(),
            written: Vec::new(),
        }
    }

    fn only(known: Replicated) -> Replicas {
        Replicas { buffers: [(5, known)].into_iter().collect(), ..Replicas::default() }
    }

    fn read(buffer: &Buffer) -> Vec<u8> {
        // SAFETY: it has so many bytes, and nobody writes them meanwhile.
        unsafe { std::slice::from_raw_parts(buffer.pointer(), 512) }.to_vec()
    }

    fn fill(buffer: &Buffer, value: impl Fn(usize) -> u8) {
        for at in 0..512 {
            // SAFETY: as above.
            unsafe { buffer.pointer().add(at).write(value(at)) };
        }
    }

    #[test]
    fn a_block_goes_to_all_replicas_and_nothing_else_does() {
        let region = Region { start: 64, len: 10, rows: 3, pitch: 100 };
        let known = replicated(2);
        fill(&known.buffer, |_| 7);
        known.replicas.iter().for_each(|replica| fill(replica, |_| 1));
        let memory = known.replicas.clone();
        let replicas = only(known);
        replicas.broadcast((5, region)).perform();
        for replica in memory {
            for (at, byte) in read(&replica).into_iter().enumerate() {
                let inside = [64..74, 164..174, 264..274].iter().any(|piece| piece.contains(&at));
                assert_eq!(byte, if inside { 7 } else { 1 }, "byte {at}");
            }
        }
    }

    #[test]
    fn acquiring_changes_nothing() {
        let known = replicated(0);
        fill(&known.buffer, |at| at as u8);
        Acquire { region: REGION, replica: known.buffer.pointer() }.perform();
        assert!(read(&known.buffer).iter().enumerate().all(|(at, byte)| *byte == at as u8));
    }

    #[test]
    fn workers_acquire_what_others_wrote_since_they_read_it() {
        let replicas = only(replicated(1));
        let of = |start| (5, Region { start, ..REGION });
        let traffic = |read: &[usize], written: &[usize]| Traffic {
            read: read.iter().copied().collect(),
            written: written.iter().map(|&start| of(start)).collect(),
        };
        // Both read in the first stage of a step and in the second; each writes some in the third, and whoever comes
        // last there too.
        let nobody = || traffic(&[], &[]);
        let step = [
            vec![traffic(&[5], &[]), traffic(&[5, 6], &[]), nobody()],
            vec![traffic(&[5], &[]), traffic(&[5], &[]), nobody()],
            vec![traffic(&[], &[0]), traffic(&[], &[128, 256]), traffic(&[], &[384])],
        ];
        for (worker, expected) in [(0, vec![128, 256, 384]), (1, vec![0, 384])] {
            let acquires = replicas.acquires(&step, worker);
            let starts: Vec<usize> =
                acquires[0].iter().map(|acquire| acquire.region.start).collect();
            assert_eq!(starts, expected);
            assert!(acquires[1].is_empty() && acquires[2].is_empty(), "once is enough");
        }
    }
}
