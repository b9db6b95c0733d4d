//! How many threads native work may use: what the program asked for, what the environment says, and what the system
//! grants.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::current;
use crate::error::{Result, bail};

/// More threads than this are a typing error.
const MOST_THREADS: usize = 1024;
/// The variable that is this library's own. What it says and cannot be had is told.
const OWN_VARIABLE: &str = "EVENGRAD_NUM_THREADS";
/// Variables of others, by which schedulers and pools of processes limit whatever runs in them: the least of them counts.
const SHARED_VARIABLES: [&str; 2] = ["RAYON_NUM_THREADS", "OMP_NUM_THREADS"];

/// What `set_threads` asked for; zero for the default.
static WANTED: AtomicUsize = AtomicUsize::new(0);
/// The default, as it was when the environment was last read; zero before.
static DEFAULT: AtomicUsize = AtomicUsize::new(0);
/// The bound of `limit_threads`; zero for none.
static LIMIT: AtomicUsize = AtomicUsize::new(0);
/// How many the system has granted when it last refused one, the caller's included; zero where it has not.
static GRANTED: AtomicUsize = AtomicUsize::new(0);

/// A thread count from a variable such as `4` or `4,2`; `None` for anything that is not a positive number.
fn parse_threads(text: &str) -> Option<usize> {
    let count: usize = text.split(',').next()?.trim().parse().ok()?;
    (count > 0).then_some(count)
}

/// The default number of threads under these variables, and what the user has to hear of it.
fn default_threads(
    variable: impl Fn(&str) -> Option<String>,
    processors: usize,
) -> (usize, Option<String>) {
    let shared = SHARED_VARIABLES.iter().filter_map(|name| parse_threads(&variable(name)?));
    let least = shared.chain([processors]).min().unwrap_or(processors);
    let Some(text) = variable(OWN_VARIABLE).filter(|text| !text.trim().is_empty()) else {
        return (least, None);
    };
    match parse_threads(&text) {
        Some(count) if count <= processors => (count, None),
        Some(_) => {
            let notice = format!(
                "{OWN_VARIABLE}={text}: this process may use {processors} of the machine's processors, so that it \
                 uses {processors} threads"
            );
            (processors, Some(notice))
        }
        None => {
            let notice = format!(
                "{OWN_VARIABLE}={text}: expected a whole number of threads, 1 or more; it is ignored, and the number \
                 is {least}"
            );
            (least, Some(notice))
        }
    }
}

/// Processors that this process may use, by its affinity mask and its control group's quota.
fn processors() -> usize {
    static KNOWN: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let mask = affinity();
    // Reading the quota takes tens of microseconds, and it is the mask that changes while a process runs.
    if mask != 0 && KNOWN[0].load(Ordering::Relaxed) == mask {
        return KNOWN[1].load(Ordering::Relaxed);
    }
    let count = std::thread::available_parallelism().map_or(1, Into::into);
    KNOWN[1].store(count, Ordering::Relaxed);
    KNOWN[0].store(mask, Ordering::Relaxed);
    count
}

/// Processors in the calling thread's affinity mask; zero where that is not known.
fn affinity() -> usize {
    #[cfg(target_os = "linux")]
    // SAFETY: a set of zeros is an empty one, and the call writes no more than the size that it is given.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) == 0 {
            return libc::CPU_COUNT(&set) as usize;
        }
    }
    0
}

/// Reads the environment again: what it says holds from now on. The host sees to it that nobody changes a variable
/// meanwhile.
pub fn read_environment() {
    let (count, notice) = default_threads(|name| std::env::var(name).ok(), processors());
    DEFAULT.store(count, Ordering::Relaxed);
    if let Some(text) = notice {
        current().notices.tell(text);
    }
}

/// As [`read_environment`]; and what the system refused before may be had now.
pub fn renew_limits() {
    read_environment();
    GRANTED.store(0, Ordering::Relaxed);
}

/// What may be used without the bound of [`limit_threads`].
fn unlimited() -> usize {
    match WANTED.load(Ordering::Relaxed) {
        0 => match DEFAULT.load(Ordering::Relaxed) {
            0 => {
                read_environment();
                DEFAULT.load(Ordering::Relaxed)
            }
            count => count,
        },
        count => count,
    }
}

/// How many threads native work may use, the caller's included.
pub fn threads() -> usize {
    let bounds = [&LIMIT, &GRANTED].map(|bound| bound.load(Ordering::Relaxed));
    bounds.into_iter().filter(|&bound| bound > 0).fold(unlimited(), usize::min)
}

/// Sets how many threads native work may use from now on. Results do not depend on it.
pub fn set_threads(count: usize) -> Result<()> {
    if count == 0 || count > MOST_THREADS {
        bail!(Value, "set_num_threads: expected a count from 1 to {MOST_THREADS}, got {count}");
    }
    WANTED.store(count, Ordering::Relaxed);
    GRANTED.store(0, Ordering::Relaxed);
    Ok(())
}

/// Bounds the number of threads from outside, whatever else is said; as many as there would be without, or more, lift the
/// bound.
pub fn limit_threads(count: usize) {
    let bound = if count >= unlimited() { 0 } else { count.max(1) };
    LIMIT.store(bound, Ordering::Relaxed);
}

/// Takes note that the system lets no more threads start than make so many workers, the caller among them.
pub(super) fn note_refusal(workers: usize, wanted: usize, error: &std::io::Error) {
    GRANTED.store(workers, Ordering::Relaxed);
    current().notices.tell(format!(
        "the system refused some of {wanted} threads ({error}); work goes on with {workers}, with the same results"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default on four processors under these variables.
    fn under(variables: &[(&str, &str)]) -> (usize, Option<String>) {
        let value = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned())
        };
        default_threads(value, 4)
    }

    #[test]
    fn thread_variables_are_read_with_care() {
        assert_eq!(parse_threads("4"), Some(4));
        assert_eq!(parse_threads(" 3,2 "), Some(3));
        for bad in ["", "0", "-1", "2.5", "many", "1e3"] {
            assert_eq!(parse_threads(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_least_of_the_shared_variables_counts_and_the_own_one_before_them() {
        assert_eq!(under(&[]), (4, None));
        assert_eq!(under(&[("RAYON_NUM_THREADS", "3"), ("OMP_NUM_THREADS", "1")]), (1, None));
        assert_eq!(under(&[("RAYON_NUM_THREADS", "1"), ("OMP_NUM_THREADS", "3,2")]), (1, None));
        assert_eq!(under(&[("RAYON_NUM_THREADS", "64"), ("OMP_NUM_THREADS", "many")]), (4, None));
        assert_eq!(under(&[("EVENGRAD_NUM_THREADS", "3"), ("OMP_NUM_THREADS", "1")]), (3, None));
        assert_eq!(under(&[("EVENGRAD_NUM_THREADS", " ")]), (4, None));
    }

    #[test]
    fn what_the_own_variable_says_and_cannot_be_had_is_told() {
        for (text, expected) in
            [("abc", 2), ("-1", 2), ("2.5", 2), ("0", 2), ("99999999999999999999999", 2), ("5", 4)]
        {
            let (count, notice) =
                under(&[("EVENGRAD_NUM_THREADS", text), ("OMP_NUM_THREADS", "2")]);
            assert_eq!(count, expected, "{text}");
            let notice = notice.expect("there is something to say");
            assert!(notice.starts_with(&format!("EVENGRAD_NUM_THREADS={text}: ")), "{notice}");
        }
    }
}
