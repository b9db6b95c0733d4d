//! Whole looks: who reads or changes several tensors as one thing keeps others away from all of them meanwhile. A lock
//! for readers and writers, over any set of tensors.
//!
//! A replay of a plan is whole by itself, since it holds the engine; it only asks, with the engine in hand, whether another
//! thread has access to what it touches (`bars`). Whatever takes several native calls, such as a step in Python, a copy
//! of a model, or the replacement of all its variables, asks for an [`Access`] to them. The host drains the engine once it
//! has one: replays that began before have ended then, and later ones see it.
//!
//! Requests are served in their order, so that neither readers nor writers starve.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::{Engine, current, generation, lock};
use crate::buffer::Buffer;

/// Whoever waits for a request that waits itself goes ahead after so long: the two may belong together.
const PATIENCE: Duration = Duration::from_secs(1);

/// What requests are about: addresses that stand for tensors' memory, or for other things; in their order.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<usize>);

impl Keys {
    /// These addresses; who asks for access keeps what they stand for.
    pub fn new(mut addresses: Vec<usize>) -> Self {
        addresses.sort_unstable();
        addresses.dedup();
        Self(addresses)
    }

    /// What stands for a tensor's memory.
    pub fn of_buffer(buffer: &Arc<Buffer>) -> usize {
        Arc::as_ptr(buffer) as usize
    }

    /// The addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }

    fn overlap(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
            match a.cmp(b) {
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Less => ours.next(),
                std::cmp::Ordering::Greater => theirs.next(),
            };
        }
        false
    }
}

struct Request {
    number: u64,
    thread: ThreadId,
    reads: Keys,
    writes: Keys,
    granted: bool,
}

impl Request {
    fn is_against(&self, other: &Self) -> bool {
        self.thread != other.thread && self.bars(&other.reads, &other.writes)
    }

    fn bars(&self, reads: &Keys, writes: &Keys) -> bool {
        self.writes.overlap(reads) || self.writes.overlap(writes) || self.reads.overlap(writes)
    }
}

/// All requests of a process, in the order in which they came.
#[derive(Default)]
pub(super) struct Requests {
    list: Mutex<Vec<Request>>,
    changed: Condvar,
    asked: AtomicU64,
    /// How many are granted, for a look without the lock.
    granted: AtomicUsize,
}

impl Requests {
    /// Grants a request unless others are in its way.
    fn try_grant(&self, list: &mut [Request], number: u64, patient: bool) -> bool {
        let Some(at) = list.iter().position(|one| one.number == number) else { return false };
        let asked = &list[at];
        // Those who wait for this thread must not have it wait for them.
        let waits_for_us = |other: &Request| {
            list.iter()
                .any(|ours| ours.granted && ours.thread == asked.thread && ours.is_against(other))
        };
        let free = list.iter().enumerate().all(|(place, other)| {
            let counts = other.granted || (patient && place < at && !waits_for_us(other));
            !(counts && other.is_against(asked))
        });
        if free && !list[at].granted {
            list[at].granted = true;
            self.granted.fetch_add(1, Ordering::SeqCst);
        }
        free
    }
}

/// A place in the line for some tensors, and access to them once it is granted, until it is dropped.
pub struct Access {
    engine: &'static Engine,
    number: u64,
    /// When it began to wait; none where it was granted at once.
    since: Option<Instant>,
}

impl Access {
    /// Asks for access to what the keys stand for: shared with others who read, and for this thread alone where it writes.
    /// It is granted at once where no other thread is in the way.
    pub fn request(reads: Keys, writes: Keys) -> Self {
        let engine = current();
        let requests = &engine.requests;
        let number = requests.asked.fetch_add(1, Ordering::Relaxed);
        let mut list = lock(&requests.list);
        let thread = std::thread::current().id();
        list.push(Request { number, thread, reads, writes, granted: false });
        let at_once = requests.try_grant(&mut list, number, true);
        drop(list);
        Self { engine, number, since: (!at_once).then(Instant::now) }
    }

    /// Waits until access is granted, at most so long; true where it is.
    pub fn wait(&self, limit: Duration) -> bool {
        let Some(since) = self.since else { return true };
        let requests = &self.engine.requests;
        let until = Instant::now() + limit;
        let mut list = lock(&requests.list);
        loop {
            let is_granted = list.iter().any(|one| one.number == self.number && one.granted);
            let patient = since.elapsed() < PATIENCE;
            if is_granted || requests.try_grant(&mut list, self.number, patient) {
                return true;
            }
            let mut left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            if patient {
                left = left.min(PATIENCE);
            }
            list = match requests.changed.wait_timeout(list, left) {
                Ok((list, _)) => list,
                Err(broken) => broken.into_inner().0,
            };
        }
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        // A forked child has a line of its own, and cannot know who holds the lock of this one.
        if self.engine.generation != generation() {
            return;
        }
        let requests = &self.engine.requests;
        let mut list = lock(&requests.list);
        if let Some(at) = list.iter().position(|one| one.number == self.number) {
            if list.remove(at).granted {
                requests.granted.fetch_sub(1, Ordering::SeqCst);
            }
            if list.iter().any(|one| !one.granted) {
                requests.changed.notify_all();
            }
        }
    }
}

/// True where another thread has access to something that this one must leave alone: to what it would read while that
/// thread writes, or to what it would write. Asked with the engine in hand, it holds until the engine is let go.
pub(crate) fn bars(reads: &Keys, writes: &Keys) -> bool {
    let requests = &current().requests;
    if requests.granted.load(Ordering::SeqCst) == 0 {
        return false;
    }
    let thread = std::thread::current().id();
    let list = lock(&requests.list);
    list.iter().any(|one| one.granted && one.thread != thread && one.bars(reads, writes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_AT_ALL: Duration = Duration::ZERO;
    const FOREVER: Duration = Duration::from_mins(10);

    /// Keys that no other test has.
    fn keys(numbers: &[usize], test: usize) -> Keys {
        Keys::new(numbers.iter().map(|number| 1000 * test + number).collect())
    }

    fn reading(keys: &Keys) -> Access {
        Access::request(keys.clone(), Keys::default())
    }

    fn writing(keys: &Keys) -> Access {
        Access::request(Keys::default(), keys.clone())
    }

    /// What another thread finds.
    fn elsewhere<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(work).join().expect("no panic"))
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let may = |ask: fn(&Keys) -> Access, numbers: &[usize]| {
            let keys = keys(numbers, 1);
            elsewhere(move || ask(&keys).wait(NOT_AT_ALL))
        };
        let held = reading(&keys(&[3, 1, 5], 1));
        assert!(held.wait(NOT_AT_ALL));
        assert!(may(reading, &[5]));
        assert!(!may(writing, &[5]));
        assert!(may(writing, &[2, 4]));
        drop(held);
        let held = writing(&keys(&[1], 1));
        assert!(held.wait(NOT_AT_ALL));
        assert!(!may(reading, &[0, 1]));
        // The same thread is not in its own way.
        assert!(writing(&keys(&[1], 1)).wait(NOT_AT_ALL));
        drop(held);
        assert!(may(writing, &[0, 1]));
    }

    #[test]
    fn a_writer_that_waits_comes_before_later_readers() {
        let held = reading(&keys(&[1], 2));
        assert!(held.wait(NOT_AT_ALL));
        let (both, second) = (keys(&[1, 2], 2), keys(&[2], 2));
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let writer = writing(&both);
                assert!(!writer.wait(NOT_AT_ALL));
                sender.send(()).expect("somebody listens");
                assert!(writer.wait(FOREVER));
            });
            receiver.recv().expect("the other thread asks");
            // The writer waits for this thread, which may read more.
            assert!(reading(&second).wait(NOT_AT_ALL));
            let later = scope.spawn(|| {
                let later = reading(&second);
                // The second time when its patience is over, at the latest.
                (later.wait(NOT_AT_ALL), later.wait(FOREVER))
            });
            assert_eq!(later.join().expect("no panic"), (false, true));
            drop(held);
        });
    }

    #[test]
    fn replays_ask_for_what_they_touch() {
        let (one, two, none) = (keys(&[1], 3), keys(&[2], 3), Keys::default());
        let held = reading(&one);
        assert!(!bars(&none, &one));
        elsewhere(|| {
            assert!(bars(&none, &one));
            assert!(!bars(&one, &two));
        });
        drop(held);
        let _held = writing(&one);
        elsewhere(|| {
            assert!(bars(&one, &none));
            assert!(!bars(&two, &none));
        });
    }
}
