//! Sessions: the one driver of training and evaluation steps. Epoch after epoch it draws the order of the rows, feeds
//! mini-batches to captured or host-run steps, and stops at whole steps once what it runs until is reached.
//!
//! A [`Session`] decides what comes next and counts what was done; it runs nothing itself. Its caller carries the
//! decisions out, natively for as long as no code of the host is needed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dtype::DType;
use crate::error::{Result, bail};
use crate::feed::Feed;
use crate::generator::Generator;
use crate::host_access;
use crate::tensor::Tensor;

mod side_by_side;
mod watch;

pub use side_by_side::{Job, Outcome, run_side_by_side};
use watch::Watch;
pub use watch::{Counted, Notes, Samples};

/// Steps whose scheduled values the host computes at a time.
const PREPARED_AT_A_TIME: usize = 4096;

/// When a run returns: always at a whole step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Until {
    /// So many steps are done, or the epoch in progress has ended.
    Steps(usize),
    /// So much time has passed and a step is done, so many steps are done, or the epoch in progress has ended.
    Seconds(Duration, usize),
    /// So many epochs have ended, the one in progress among them.
    Epochs(usize),
}

/// What the caller of a session has to do next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Bring these rows of the data into the memory that the steps read, from its beginning on.
    Load(Vec<i64>),
    /// Compute the scheduled values, such as learning rates, of so many steps to come; then [`Session::prepared`].
    Prepare(usize),
    /// Make up to so many steps of this kind; then [`Session::ran`].
    Run {
        /// The number of the feed that the steps take their rows from; 0 where the host brings the batches.
        kind: usize,
        /// At most so many.
        steps: usize,
        /// Whether they are watched, and made by what stands beside this kind.
        watched: bool,
    },
    /// What the run goes on until is reached.
    Reached,
}

/// Where batches come from.
enum Source {
    /// Rows in a drawn order, cut into batches: with each feed as many whole ones as those before it leave.
    Rows {
        rows: usize,
        /// Draws the order of each epoch; without it, rows come as they lie.
        shuffle: Option<Generator>,
        feeds: Vec<Feed>,
        /// Rows that the steps' memory holds at a time; all of them where nothing has to be loaded.
        window: usize,
        /// The order in progress.
        order: Vec<i64>,
        /// Steps of the order that earlier epochs have made.
        begun: usize,
        /// Steps of an epoch, and steps of an order, at most.
        limits: (Option<usize>, Option<usize>),
    },
    /// The host brings the batches, as many as it has, or so many at most.
    Host { most: Option<usize> },
}

/// Epochs of steps, of which the caller hears as often as it wishes.
pub struct Session {
    source: Source,
    sums: Vec<Tensor>,
    /// Where in its stream the order in progress was drawn.
    order_draw: u64,
    /// Steps done in the epoch in progress; none between epochs.
    step: Option<usize>,
    /// Steps of the epoch that has ended last.
    ended_with: usize,
    /// Steps and epochs of this run.
    run_steps: usize,
    run_epochs: usize,
    /// The first step of the order whose rows are not in the feeds.
    loaded: usize,
    until: Until,
    started: Instant,
    deadline: Instant,
    /// Whether steps need scheduled values from the host, and how many are there.
    scheduled: bool,
    ready: usize,
    finished: Vec<f64>,
    ended: Vec<Duration>,
    watch: Option<Watch>,
}

impl Session {
    /// Epochs over rows. Each feed takes as many whole batches as are left by those before it, and nothing may be left in
    /// the end. `sums` are `float64` tensors that begin each epoch as zeros. The steps' memory holds `window` rows.
    pub fn over_rows(
        rows: usize,
        shuffle: Option<Generator>,
        feeds: Vec<Feed>,
        sums: Vec<Tensor>,
        window: usize,
    ) -> Result<Self> {
        let left = feeds.iter().fold(rows, |left, feed| left % feed.batch_size());
        if left > 0 || feeds.is_empty() {
            bail!(Value, "session: {left} of {rows} rows are in no batch");
        }
        if feeds.iter().any(|feed| feed.batch_size() > window) {
            bail!(Value, "session: a window of {window} rows is smaller than a batch");
        }
        let (order, begun, limits) = (Vec::new(), 0, (None, None));
        Self::new(Source::Rows { rows, shuffle, feeds, window, order, begun, limits }, sums)
    }

    /// Epochs over batches that the host brings: until it has no more, or `most` of them.
    pub fn over_host_batches(most: Option<usize>, sums: Vec<Tensor>) -> Result<Self> {
        Self::new(Source::Host { most }, sums)
    }

    fn new(source: Source, sums: Vec<Tensor>) -> Result<Self> {
        if sums.iter().any(|sum| sum.dtype() != DType::F64 || !sum.layout().is_contiguous()) {
            bail!(Type, "session: expected float64 sums without gaps");
        }
        Ok(Self {
            source,
            sums,
            order_draw: 0,
            step: None,
            ended_with: 0,
            run_steps: 0,
            run_epochs: 0,
            loaded: 0,
            until: Until::Epochs(0),
            started: Instant::now(),
            deadline: Instant::now(),
            scheduled: false,
            ready: 0,
            finished: Vec::new(),
            ended: Vec::new(),
            watch: None,
        })
    }

    /// Watches the next step and then every so many, or as seldom as keeps what that costs small. Whoever makes the steps
    /// has them [noted](Notes::take_in).
    pub fn watch(&mut self, notes: Notes, every: Option<usize>) -> Result<()> {
        self.watch = Some(Watch::new(notes, every)?);
        Ok(())
    }

    /// True where the coming step is watched.
    pub fn is_watched(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.wait() == 0)
    }

    /// Notes that watching has taken so long besides the steps: it is paid for by fewer of them.
    pub fn spend(&mut self, time: Duration) {
        if let Some(watch) = &mut self.watch {
            watch.spend(time);
        }
    }

    /// What is kept of the steps, where they are watched.
    pub fn notes(&self) -> Option<&Arc<Notes>> {
        self.watch.as_ref().map(|watch| &watch.notes)
    }

    /// Has an epoch of rows end after so many steps, so that the next one goes on in the order; and an order end after so
    /// many, so that rows that come later in it are left out.
    pub fn limit(&mut self, epoch: Option<usize>, order: Option<usize>) -> Result<()> {
        match &mut self.source {
            Source::Rows { limits, .. } if epoch != Some(0) && order != Some(0) => {
                *limits = (epoch, order);
                Ok(())
            }
            _ => bail!(Value, "session: epochs of rows alone are limited, to one step or more"),
        }
    }

    /// Has so many rows be in the steps' memory at a time from now on; those of the coming step are loaded anew.
    ///
    /// # Errors
    /// If there are no rows, or a batch has more.
    pub fn set_window(&mut self, rows: usize) -> Result<()> {
        let at = self.epoch_start() + self.step.unwrap_or(0);
        match &mut self.source {
            Source::Rows { feeds, window, .. } => {
                if feeds.iter().any(|feed| feed.batch_size() > rows) {
                    bail!(Value, "session: a window of {rows} rows is smaller than a batch");
                }
                *window = rows;
            }
            Source::Host { .. } => bail!(Value, "session: its steps bring their batches"),
        }
        self.loaded = at;
        Ok(())
    }

    /// Steps of the epoch in progress, or else of the next one; none where the host alone knows.
    pub fn steps_per_epoch(&self) -> Option<usize> {
        match &self.source {
            Source::Rows { begun, limits: (epoch, _), .. } => {
                Some((self.steps_per_order() - begun).min(epoch.unwrap_or(usize::MAX)))
            }
            Source::Host { most } => *most,
        }
    }

    /// Steps of the order in progress that earlier epochs have made.
    pub fn epoch_start(&self) -> usize {
        if let Source::Rows { begun, .. } = &self.source { *begun } else { 0 }
    }

    fn steps_per_order(&self) -> usize {
        let Source::Rows { limits: (_, order), .. } = &self.source else { return usize::MAX };
        self.kinds().last().map_or(0, |&(_, end)| end).min(order.unwrap_or(usize::MAX))
    }

    /// Steps done in the epoch in progress; none between epochs.
    pub fn step(&self) -> Option<usize> {
        self.step
    }

    /// Where in its stream the order in progress was drawn; none between orders.
    pub fn order_draw(&self) -> Option<u64> {
        (self.step.is_some() || self.epoch_start() > 0).then_some(self.order_draw)
    }

    /// Steps that the epoch which has ended last had.
    pub fn last_epoch_steps(&self) -> usize {
        self.ended_with
    }

    /// True where the run has ended an epoch and begun no other.
    pub fn has_ended(&self) -> bool {
        self.step.is_none() && self.run_epochs > 0
    }

    /// The sums of each epoch that has ended since the last [`Session::start`], one after the other.
    pub fn finished(&self) -> &[f64] {
        &self.finished
    }

    /// When each epoch has ended since the last [`Session::start`], counted from there.
    pub fn ended(&self) -> &[Duration] {
        &self.ended
    }

    /// Begins to run until that is reached. The host's schedules may have changed since the last run.
    pub fn start(&mut self, until: Until) {
        self.until = until;
        self.started = Instant::now();
        self.deadline = self.started;
        if let Until::Seconds(time, _) = until {
            self.deadline += time;
        }
        (self.ready, self.run_steps, self.run_epochs) = (0, 0, 0);
        self.finished.clear();
        self.ended.clear();
    }

    /// Begins an epoch as if so many of its steps had been done, with the order that the generator draws next, of which
    /// earlier epochs have made the steps before `epoch_start`.
    pub fn seek(&mut self, step: usize, epoch_start: usize) -> Result<()> {
        if epoch_start > 0 && epoch_start >= self.steps_per_order() {
            bail!(Value, "session: an order has no step {epoch_start}");
        }
        let before = self.epoch_start();
        self.set_epoch_start(epoch_start);
        if self.steps_per_epoch().is_some_and(|steps| step > steps) {
            self.set_epoch_start(before);
            bail!(Value, "session: an epoch has no step {step}");
        }
        self.clear_sums();
        self.draw_order()?;
        (self.step, self.loaded) = (Some(step), epoch_start + step);
        Ok(())
    }

    /// Decides what comes next.
    pub fn decide(&mut self) -> Result<Next> {
        loop {
            let Some(step) = self.step else {
                if self.is_reached() {
                    return Ok(Next::Reached);
                }
                self.begin()?;
                continue;
            };
            if self.end_if_done()? {
                continue;
            }
            if self.is_reached() {
                return Ok(Next::Reached);
            }
            if self.scheduled && self.ready == 0 {
                return Ok(Next::Prepare(self.most_steps().min(PREPARED_AT_A_TIME)));
            }
            return Ok(match (self.next_batches(step)?, &self.watch) {
                (Next::Run { kind, steps, .. }, Some(watch)) => {
                    let (watched, most) = watch.next();
                    Next::Run { kind, steps: steps.min(most), watched }
                }
                (next, _) => next,
            });
        }
    }

    /// Notes steps that were done, of one kind and watched or not, as [`Next::Run`] says, and the time that they took;
    /// none where that tells nothing of steps to come.
    pub fn ran(&mut self, steps: usize, time: Option<Duration>) {
        if let Some(watch) = &mut self.watch {
            watch.ran(steps, time);
        }
        self.step = self.step.map(|step| step + steps);
        self.run_steps += steps;
        self.ready = self.ready.saturating_sub(steps);
        if let Until::Steps(left) | Until::Seconds(_, left) = &mut self.until {
            *left = left.saturating_sub(steps);
        }
    }

    /// Notes that the host has computed the scheduled values of so many steps.
    pub fn prepared(&mut self, steps: usize) {
        self.ready = steps;
    }

    /// Says whether the steps that run natively need scheduled values; those computed before count no more.
    pub fn set_scheduled(&mut self, scheduled: bool) {
        (self.scheduled, self.ready) = (scheduled, 0);
    }

    /// Ends the epoch in progress, since the host has no more batches, and notes its sums.
    pub fn end_epoch(&mut self) -> Result<()> {
        for sum in &self.sums {
            self.finished.extend(sum.to_vec::<f64>()?);
        }
        self.ended.push(self.started.elapsed());
        if let Some(watch) = &self.watch {
            watch.notes.end_epoch();
        }
        self.ended_with = self.step.take().unwrap_or(0);
        let made = self.epoch_start() + self.ended_with;
        self.set_epoch_start(if made < self.steps_per_order() { made } else { 0 });
        self.run_epochs += 1;
        match &mut self.until {
            Until::Epochs(left) => *left = left.saturating_sub(1),
            Until::Steps(left) | Until::Seconds(_, left) => *left = 0,
        }
        Ok(())
    }

    /// Ends the epoch in progress if all its steps are done; tells whether it did. Whoever leaves a run between steps
    /// asks for it, so that no epoch is done and not noted.
    pub fn end_if_done(&mut self) -> Result<bool> {
        let is_done = self.step.is_some() && self.step == self.steps_per_epoch();
        if is_done {
            self.end_epoch()?;
        }
        Ok(is_done)
    }

    fn is_reached(&self) -> bool {
        match self.until {
            Until::Steps(left) | Until::Epochs(left) => left == 0,
            // However short the time, a run makes a step.
            Until::Seconds(_, left) => {
                left == 0 || (self.run_steps > 0 && Instant::now() >= self.deadline)
            }
        }
    }

    /// How many steps of this run are to come, as far as is known: epochs after this one may be longer.
    fn most_steps(&self) -> usize {
        let epoch = self.steps_per_epoch();
        let left = epoch.map(|steps| steps - self.step.unwrap_or(0));
        match self.until {
            Until::Steps(steps) | Until::Seconds(_, steps) => left.unwrap_or(steps).min(steps),
            Until::Epochs(epochs) => epoch.zip(left).map_or(usize::MAX, |(epoch, left)| {
                left.saturating_add(epoch.saturating_mul(epochs.saturating_sub(1)))
            }),
        }
    }

    fn begin(&mut self) -> Result<()> {
        self.clear_sums();
        if self.epoch_start() == 0 {
            self.draw_order()?;
        }
        self.step = Some(0);
        Ok(())
    }

    fn clear_sums(&self) {
        for sum in &self.sums {
            // By the host: this thread may work for one that has the engine, which a kernel would wait for.
            host_access::with_mut(sum, |sum: &mut [f64]| sum.fill(0.0));
        }
    }

    fn draw_order(&mut self) -> Result<()> {
        if let Source::Rows { rows, shuffle, order, .. } = &mut self.source {
            self.order_draw = shuffle.as_ref().map_or(0, Generator::draws);
            *order = match shuffle {
                Some(generator) => generator.permutation(*rows)?,
                None => (0..*rows as i64).collect(),
            };
        }
        self.loaded = 0;
        Ok(())
    }

    fn set_epoch_start(&mut self, step: usize) {
        if let Source::Rows { begun, .. } = &mut self.source {
            *begun = step;
        }
    }

    /// For each feed its batch size, and the step of an order after its last one.
    fn kinds(&self) -> Vec<(usize, usize)> {
        let Source::Rows { rows, feeds, .. } = &self.source else { return Vec::new() };
        let (mut left, mut end) = (*rows, 0);
        let each = feeds.iter().map(|feed| {
            let size = feed.batch_size();
            end += left / size;
            left %= size;
            (size, end)
        });
        each.collect()
    }

    fn next_batches(&mut self, step: usize) -> Result<Next> {
        let kinds = self.kinds();
        let left = self.steps_per_epoch().map_or(1, |steps| steps - step);
        let Source::Rows { rows, feeds, window, order, begun, .. } = &self.source else {
            return Ok(Next::Run { kind: 0, steps: 1, watched: false });
        };
        // In the order from here on.
        let step = begun + step;
        let (mut kind, mut first_step, mut first_row) = (0, 0, 0);
        while step >= kinds[kind].1 {
            first_row += (kinds[kind].1 - first_step) * kinds[kind].0;
            first_step = kinds[kind].1;
            kind += 1;
        }
        let (size, end) = kinds[kind];
        if step < self.loaded {
            let ready = if self.scheduled { self.ready } else { usize::MAX };
            let most = match self.until {
                Until::Steps(most) | Until::Seconds(_, most) => most.min(left),
                Until::Epochs(_) => left,
            };
            return Ok(Next::Run {
                kind,
                steps: (self.loaded.min(end) - step).min(ready).min(most),
                watched: false,
            });
        }
        let steps = (end - step).min(window / size);
        let from = first_row + (step - first_step) * size;
        let taken = order[from..from + steps * size].to_vec();
        self.loaded = step + steps;
        if *window < *rows {
            feeds[kind].load((0..taken.len() as i64).collect())?;
            return Ok(Next::Load(taken));
        }
        feeds[kind].load(taken)?;
        let step = step - begun;
        self.next_batches(step)
    }
}

#[cfg(test)]
mod tests;
