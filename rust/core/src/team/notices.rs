//! What users have to hear, until the host says it: each text once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{current, lock};

#[derive(Default)]
pub(super) struct Notices {
    waiting: AtomicBool,
    /// All texts so far, and how many of them were taken.
    texts: Mutex<(Vec<String>, usize)>,
}

impl Notices {
    /// Has the host hear a text, unless it has.
    pub(super) fn tell(&self, text: String) {
        let (texts, _) = &mut *lock(&self.texts);
        if !texts.contains(&text) {
            texts.push(text);
            self.waiting.store(true, Ordering::Release);
        }
    }
}

/// Has the host hear a text, unless it has.
pub(crate) fn tell(text: String) {
    current().notices.tell(text);
}

/// What users have to hear and was not taken yet.
pub fn take_notices() -> Vec<String> {
    let notices = &current().notices;
    if !notices.waiting.load(Ordering::Acquire) {
        return Vec::new();
    }
    notices.waiting.store(false, Ordering::Relaxed);
    let (texts, taken) = &mut *lock(&notices.texts);
    let rest = texts[*taken..].to_vec();
    *taken = texts.len();
    rest
}
