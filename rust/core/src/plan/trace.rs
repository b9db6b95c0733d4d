//! A timeline of steps in Chrome's trace format, which `chrome://tracing` and Perfetto show: what each worker does in each
//! stage of a step, and how long it waits for the others. `EVENGRAD_TRACE` names the file.
//!
//! Without it, a run of steps looks once at a static. With it, each worker notes times while it works, and writes them
//! when its run of steps ends. The file is whole after each of them.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use super::worker_program::WorkerProgram;
use crate::launch::Launch;
use crate::team::{self, Barrier, lock};

const VARIABLE: &str = "EVENGRAD_TRACE";
/// Events of a file: some seconds of small steps, and what viewers still open, chosen.
const MOST_EVENTS: usize = 200_000;

static TRACE: OnceLock<Trace> = OnceLock::new();

/// The file, and when its time begins.
pub(super) struct Trace {
    began: Instant,
    process: u32,
    place: Mutex<Place>,
}

/// Where the next event goes: before the end of the list.
struct Place {
    file: File,
    end: u64,
    left: usize,
}

/// What a worker does for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Takes over what others have written.
    Takes,
    /// Computes this part of its share.
    Works(usize),
    /// Writes replicas for others.
    Publishes,
    /// Waits for the others.
    Waits,
    /// Does for all what is worth no barrier, and what comes between steps, while the others wait.
    Serves,
}

struct Event {
    doing: Doing,
    stage: usize,
    start: Instant,
    end: Instant,
}

/// Reads the variable of the environment: from then on steps are noted, where it names a file. The host sees to it that
/// nobody changes a variable meanwhile.
pub fn read_environment() {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else { return };
    match Trace::new(path.as_ref()) {
        Ok(trace) => {
            let _ = TRACE.set(trace);
        }
        Err(error) => {
            let path = path.to_string_lossy();
            team::tell(format!(
                "{VARIABLE}={path}: the file cannot be written ({error}), so that there is no trace"
            ));
        }
    }
}

/// The trace of this process, if there is one; a forked child has none.
pub(super) fn current() -> Option<&'static Trace> {
    TRACE.get().filter(|trace| trace.process == std::process::id())
}

impl Trace {
    fn new(path: &Path) -> std::io::Result<Self> {
        let mut file = File::create(path)?;
        let process = std::process::id();
        let name = format!(
            "[\n{{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":{process},\"tid\":0,\
             \"args\":{{\"name\":\"evengrad\"}}}}"
        );
        file.write_all(name.as_bytes())?;
        file.write_all(b"\n]\n")?;
        let place = Place { file, end: name.len() as u64, left: MOST_EVENTS };
        Ok(Self { began: Instant::now(), process, place: Mutex::new(place) })
    }

    /// Writes events, as text that begins with a comma each.
    fn write(&self, text: &str, events: usize) {
        let place = &mut *lock(&self.place);
        if place.left == 0 {
            return;
        }
        let written = place
            .file
            .seek(SeekFrom::Start(place.end))
            .and_then(|_| place.file.write_all(text.as_bytes()))
            .and_then(|()| place.file.write_all(b"\n]\n"));
        place.end += text.len() as u64;
        place.left = place.left.saturating_sub(events);
        if let Err(error) = written {
            place.left = 0;
            team::tell(format!("{VARIABLE}: the file cannot be written any more ({error})"));
        } else if place.left == 0 {
            team::tell(format!("{VARIABLE}: the file has {MOST_EVENTS} events and gets no more"));
        }
    }
}

/// What one worker does in a run of steps.
pub(super) struct Lane<'a> {
    trace: &'static Trace,
    program: &'a WorkerProgram,
    launches: &'a [Launch],
    /// The number of the plan, and whose lane it is.
    plan: usize,
    thread: usize,
    /// Which worker of the program.
    worker: usize,
    events: Vec<Event>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(
        trace: &'static Trace,
        (program, launches): (&'a WorkerProgram, &'a [Launch]),
        plan: usize,
        (thread, worker): (usize, usize),
    ) -> Self {
        Self { trace, program, launches, plan, thread, worker, events: Vec::new() }
    }

    /// Does the worker's share of a stage and notes it.
    pub(super) fn perform(&mut self, stage: usize) {
        let (program, events) = (self.program, &mut self.events);
        program.perform_noting(self.launches, stage, self.worker, &mut |doing, start, end| {
            events.push(Event { doing, stage, start, end });
        });
    }

    fn note(&mut self, doing: Doing, stage: usize, start: Instant, end: Instant) {
        self.events.push(Event { doing, stage, start, end });
    }

    /// Meets the others, the last of whom does what is to be done for all.
    pub(super) fn meet(&mut self, stage: usize, barrier: &Barrier, last: impl FnOnce()) -> bool {
        let (arrived, mut served) = (Instant::now(), None);
        let goes_on = barrier.wait_after(|| {
            last();
            served = Some(Instant::now());
        });
        match served {
            Some(end) => self.note(Doing::Serves, stage, arrived, end),
            None => self.note(Doing::Waits, stage, arrived, Instant::now()),
        }
        goes_on
    }

    /// Does a whole step of a program of one worker and notes it.
    pub(super) fn perform_alone(&mut self) {
        for stage in 0..self.program.len() {
            self.perform(stage);
            let start = Instant::now();
            self.program.perform_last(self.launches, stage);
            self.note(Doing::Serves, stage, start, Instant::now());
        }
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        use std::fmt::Write as _;
        let mut text = String::new();
        let micros = |from: Instant, to: Instant| to.duration_since(from).as_nanos() as f64 / 1e3;
        for event in &self.events {
            let (name, launches) = match event.doing {
                Doing::Takes => ("takes over", String::new()),
                Doing::Works(part) => {
                    ("works", self.program.names(self.launches, event.stage, self.worker, part))
                }
                Doing::Publishes => ("publishes", String::new()),
                Doing::Waits => ("waits", String::new()),
                Doing::Serves => ("serves all", String::new()),
            };
            let _ = write!(
                text,
                ",\n{{\"name\":\"{name}\",\"cat\":\"step\",\"ph\":\"X\",\"ts\":{:.3},\"dur\":{:.3},\"pid\":{},\"tid\":{},\
                 \"args\":{{\"plan\":{},\"stage\":{},\"launches\":\"{launches}\"}}}}",
                micros(self.trace.began, event.start),
                micros(event.start, event.end),
                self.trace.process,
                self.thread,
                self.plan,
                event.stage,
            );
        }
        self.trace.write(&text, self.events.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole_after_each_run() {
        let path = std::env::temp_dir().join(format!("evengrad-trace-{}.json", std::process::id()));
        let trace = Trace::new(&path).expect("a folder for such files");
        let read = || std::fs::read_to_string(&path).expect("written");
        assert!(read().starts_with("[\n{") && read().ends_with("}\n]\n"));
        trace.write(",\n{\"name\":\"works\"}", 1);
        trace.write(",\n{\"name\":\"waits\"}", MOST_EVENTS);
        // It is full.
        trace.write(",\n{\"name\":\"more\"}", 1);
        assert!(read().ends_with("},\n{\"name\":\"works\"},\n{\"name\":\"waits\"}\n]\n"));
        std::fs::remove_file(&path).expect("there");
    }
}
