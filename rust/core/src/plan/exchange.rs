//! Copies of what workers exchange, so that no cache line is written by one core after others have read it.
//!
//! Weights are read by every worker and updated by some of them; activations are written row by row, and all of them
//! are read for the gradients of the weights. A core that writes a line which others hold since they read it waits for
//! each line by itself, however far ahead it asks. A line that its last holder has *written* moves to the next many
//! times quicker (docs/adr/0017). So every worker but the first reads a copy of its own. Whoever writes a block writes it
//! into all of them, and whoever reads a copy first writes a byte of each line that came from others, with the value
//! that is there: now the line is one that its holder has written.
//!
//! A copy changes nothing in what is computed, and the buffer itself is always up to date.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::execute::Way;
use super::schedule::Chain;
use crate::buffer::{ALIGNMENT, Buffer};
use crate::error::Result;
use crate::launch::{Access, Launch, Operand};

/// More workers than this have no copies: each block would be written as many times.
const MOST_WORKERS: usize = 4;
/// Copies of more bytes than this would not stay in a core's caches.
const MOST_BYTES: usize = 2 << 20;

/// Bytes of a buffer: `rows` pieces of `len` from `start` on, each `pitch` behind the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    start: usize,
    len: usize,
    rows: usize,
    pitch: usize,
}

impl Region {
    /// What a launch writes of an operand for some of its units.
    fn new(operand: &Operand, units: &Range<usize>) -> Option<Self> {
        match operand.access {
            Access::Own { bytes } => Some(Self {
                start: operand.origin + units.start * bytes,
                len: units.len() * bytes,
                rows: 1,
                pitch: 0,
            }),
            Access::Columns { bytes, row } => Some(Self {
                start: operand.origin + units.start * bytes,
                len: (units.end * bytes).min(row).saturating_sub(units.start * bytes),
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

/// A block that has been written and goes to the copies.
pub(super) struct Publish {
    region: Region,
    from: *mut u8,
    to: Vec<*mut u8>,
}

impl Publish {
    /// Copies the block. Its writer alone touches it, in the buffer and in the copies, until the next barrier.
    pub(super) fn perform(&self) {
        for piece in self.region.pieces() {
            for to in &self.to {
                // SAFETY: the region was taken from an operand that lies inside the buffer; the copies are as large and
                // other memory.
                unsafe {
                    let from = self.from.add(piece.start);
                    std::ptr::copy_nonoverlapping(from, to.add(piece.start), piece.len());
                }
            }
        }
    }
}

/// Lines of a worker's copy that others have written.
pub(super) struct Take {
    region: Region,
    copy: *mut u8,
}

impl Take {
    /// Writes a byte of each line with the value that it has. Nobody else touches the copy until the next barrier.
    pub(super) fn perform(&self) {
        for piece in self.region.pieces() {
            let mut at = piece.start;
            while at < piece.end {
                // SAFETY: as for `Publish`. Volatile, for it is the writing that counts.
                unsafe {
                    let byte = self.copy.add(at);
                    byte.write_volatile(byte.read_volatile());
                }
                at = (at + 1).next_multiple_of(ALIGNMENT);
            }
        }
    }
}

/// What a worker does in a stretch of work that concerns copies.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// The buffers that it reads from copies.
    pub(super) read: Vec<usize>,
    /// The blocks that it writes into copies, each with its buffer.
    pub(super) written: Vec<(usize, Region)>,
}

/// A buffer with its copies.
struct Shared {
    buffer: Arc<Buffer>,
    /// Bytes in use.
    bytes: usize,
    /// Of the workers after the first, who reads the buffer itself.
    copies: Vec<Arc<Buffer>>,
    /// In which phases it is written.
    written: Vec<bool>,
}

impl Shared {
    fn memory_of(&self, worker: usize) -> *mut u8 {
        match worker.checked_sub(1) {
            None => self.buffer.pointer(),
            Some(copy) => self.copies[copy].pointer(),
        }
    }
}

/// What the workers of a program exchange.
#[derive(Default)]
pub(super) struct Exchange {
    shared: HashMap<usize, Shared>,
    /// The buffers' versions when all copies were last known to equal them.
    versions: HashMap<usize, u64>,
}

// SAFETY: addresses are used under the engine's lock, by the worker whose tasks they are.
unsafe impl Send for Exchange {}
// SAFETY: as above.
unsafe impl Sync for Exchange {}

/// The operands of a chain's links that lie in memory of their own, with the position of their link.
fn operands<'a>(
    chain: &'a Chain,
    launches: &'a [Launch],
) -> impl Iterator<Item = (usize, &'a Operand)> {
    chain.links.iter().enumerate().flat_map(move |(position, link)| {
        let all = launches[link.launch].operands.iter().enumerate();
        let moved = move |index: usize| link.moved.iter().any(|moved| moved.operand == index);
        all.filter(move |(index, _)| !moved(*index)).map(move |(_, operand)| (position, operand))
    })
}

impl Exchange {
    /// Finds what workers of this way exchange: written in blocks in one phase, read as a whole in another.
    pub(super) fn new(way: &Way, width: usize) -> Result<Self> {
        if !(2..=MOST_WORKERS).contains(&width) {
            return Ok(Self::default());
        }
        let phases = &way.schedule.phases;
        let mut shared: HashMap<usize, Shared> = HashMap::new();
        let mut read: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut never = Vec::new();
        for (p, phase) in phases.iter().enumerate() {
            for (_, operand) in phase.chains.iter().flat_map(|chain| operands(chain, &way.launches))
            {
                let known = shared.entry(operand.key()).or_insert_with(|| Shared {
                    buffer: Arc::clone(&operand.buffer),
                    bytes: 0,
                    copies: Vec::new(),
                    written: vec![false; phases.len()],
                });
                known.bytes = known.bytes.max(operand.extent.end);
                match (operand.writes, operand.access) {
                    (true, Access::Own { .. } | Access::Columns { .. }) => known.written[p] = true,
                    (false, Access::Own { .. } | Access::Columns { .. }) => {}
                    (false, Access::All) => read.entry(operand.key()).or_default().push(p),
                    _ => never.push(operand.key()),
                }
            }
        }
        shared.retain(|key, known| {
            let read = read.get(key).into_iter().flatten();
            let mut alone = read.filter(|&&p| !known.written[p] && !way.schedule.is_attached(p));
            known.written.contains(&true) && alone.next().is_some() && !never.contains(key)
        });
        if shared.values().map(|known| known.bytes).sum::<usize>() > MOST_BYTES {
            return Ok(Self::default());
        }
        for known in shared.values_mut() {
            known.copies =
                (1..width).map(|_| Buffer::new(known.bytes)).collect::<Result<Vec<_>>>()?;
        }
        Ok(Self { shared, versions: HashMap::new() })
    }

    /// Where a worker finds an operand in a phase; `None` for where it always lies.
    pub(super) fn find(&self, operand: &Operand, phase: usize, worker: usize) -> Option<*mut u8> {
        let known = self.shared.get(&operand.key())?;
        (!known.written[phase]).then(|| known.memory_of(worker).wrapping_add(operand.origin))
    }

    /// What a block of a chain has written for others, of some units of the chain.
    pub(super) fn written(
        &self,
        launches: &[Launch],
        chain: &Chain,
        block: &Range<usize>,
    ) -> Vec<(usize, Region)> {
        let mut found = Vec::new();
        for (position, operand) in operands(chain, launches) {
            if !operand.writes || !self.shared.contains_key(&operand.key()) {
                continue;
            }
            let scale = chain.links[position].scale;
            let units = block.start * scale..block.end * scale;
            let region = Region::new(operand, &units).map(|region| (operand.key(), region));
            found.extend(region.filter(|region| !found.contains(region)));
        }
        found
    }

    /// The task that brings a block to the copies.
    pub(super) fn publish(&self, (key, region): (usize, Region)) -> Publish {
        let known = &self.shared[&key];
        let to = known.copies.iter().map(|copy| copy.pointer()).collect();
        Publish { region, from: known.buffer.pointer(), to }
    }

    /// What a worker takes over in each stretch of a step, given what all do in each: the blocks that others have written
    /// since it read the buffer last. A step follows upon a step.
    pub(super) fn takes(&self, step: &[Vec<Traffic>], worker: usize) -> Vec<Vec<Take>> {
        let mut pending: Vec<(usize, Region)> = Vec::new();
        let mut stretch = |all: &Vec<Traffic>| {
            let read = &all[worker].read;
            let taken = pending.extract_if(.., |(key, _)| read.contains(key));
            let taken = taken
                .map(|(key, region)| Take { region, copy: self.shared[&key].memory_of(worker) })
                .collect();
            let others = all.iter().enumerate().filter(|(other, _)| *other != worker);
            pending.extend(others.flat_map(|(_, traffic)| &traffic.written));
            taken
        };
        // The first time round only shows what is left for the beginning.
        let _: Vec<Vec<Take>> = step.iter().map(&mut stretch).collect();
        step.iter().map(stretch).collect()
    }

    /// The buffers that a chain reads from copies in a phase.
    pub(super) fn reads(&self, launches: &[Launch], chain: &Chain, phase: usize) -> Vec<usize> {
        let read = operands(chain, launches).map(|(_, operand)| operand.key());
        let copied = |key: &usize| self.shared.get(key).is_some_and(|known| !known.written[phase]);
        read.filter(copied).collect()
    }

    /// Brings the copies up to date where something else has written the buffers since.
    pub(super) fn refresh(&mut self) {
        for (key, known) in &self.shared {
            let version = known.buffer.version();
            if self.versions.insert(*key, version) != Some(version) {
                for copy in &known.copies {
                    // SAFETY: both hold so many bytes, are different memory, and no worker runs yet.
                    unsafe {
                        let (from, to) = (known.buffer.pointer(), copy.pointer());
                        std::ptr::copy_nonoverlapping(from, to, known.bytes);
                    }
                }
            }
        }
    }

    /// Takes note that steps, which have kept the copies up to date, count as one new version of each buffer.
    pub(super) fn note_version(&mut self) {
        self.versions.values_mut().for_each(|version| *version += 1);
    }

    /// The copies hold nothing any more.
    pub(super) fn forget(&mut self) {
        self.versions.clear();
    }

    /// Bytes of all copies.
    pub(super) fn bytes(&self) -> usize {
        let copies = self.shared.values().flat_map(|known| &known.copies);
        copies.map(|copy| copy.capacity()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: Region = Region { start: 100, len: 70, rows: 1, pitch: 0 };

    fn shared(copies: usize) -> Shared {
        let buffer = || Buffer::new(512).expect("small");
        Shared {
            buffer: buffer(),
            bytes: 512,
            copies: (0..copies).map(|_| buffer()).collect(),
            written: Vec::new(),
        }
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
    fn a_block_goes_to_all_copies_and_nothing_else_does() {
        let region = Region { start: 64, len: 10, rows: 3, pitch: 100 };
        let known = shared(2);
        fill(&known.buffer, |_| 7);
        known.copies.iter().for_each(|copy| fill(copy, |_| 1));
        let copies = known.copies.clone();
        let exchange = Exchange { shared: HashMap::from([(5, known)]), ..Exchange::default() };
        exchange.publish((5, region)).perform();
        for copy in copies {
            for (at, byte) in read(&copy).into_iter().enumerate() {
                let inside = [64..74, 164..174, 264..274].iter().any(|piece| piece.contains(&at));
                assert_eq!(byte, if inside { 7 } else { 1 }, "byte {at}");
            }
        }
    }

    #[test]
    fn taking_over_changes_nothing() {
        let known = shared(0);
        fill(&known.buffer, |at| at as u8);
        Take { region: REGION, copy: known.buffer.pointer() }.perform();
        assert!(read(&known.buffer).iter().enumerate().all(|(at, byte)| *byte == at as u8));
    }

    #[test]
    fn workers_take_over_what_others_wrote_since_they_read_it() {
        let exchange = Exchange { shared: HashMap::from([(5, shared(1))]), ..Exchange::default() };
        let of = |start| (5, Region { start, ..REGION });
        let traffic = |read: &[usize], written: &[usize]| Traffic {
            read: read.to_vec(),
            written: written.iter().map(|&start| of(start)).collect(),
        };
        // Both read in the first stretch of a step and in the second; each writes some in the third, and whoever comes
        // last there too.
        let nobody = || traffic(&[], &[]);
        let step = [
            vec![traffic(&[5], &[]), traffic(&[5, 6], &[]), nobody()],
            vec![traffic(&[5], &[]), traffic(&[5], &[]), nobody()],
            vec![traffic(&[], &[0]), traffic(&[], &[128, 256]), traffic(&[], &[384])],
        ];
        for (worker, expected) in [(0, vec![128, 256, 384]), (1, vec![0, 384])] {
            let takes = exchange.takes(&step, worker);
            let starts: Vec<usize> = takes[0].iter().map(|take| take.region.start).collect();
            assert_eq!(starts, expected);
            assert!(takes[1].is_empty() && takes[2].is_empty(), "once is enough");
        }
    }
}
