//! Hooks: code of the host that sees the gradient of one tensor during a backward pass, and may replace it.
//!
//! They run on the thread of the pass, between launches: no lock of the core is held, so that a hook may compute with
//! tensors itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::{Result, bail};
use crate::layout::show;
use crate::team::lock;
use crate::tensor::Tensor;

/// What looks at a gradient.
pub trait Hook: Send + Sync {
    /// May give another gradient, of the same shape and type, for the pass to go on with.
    fn call(&self, gradient: &Tensor) -> Result<Option<Tensor>>;
}

/// The hooks of one tensor, in the order in which they were added.
#[derive(Default)]
pub struct Hooks(Mutex<Vec<(u64, Arc<dyn Hook>)>>);

/// Numbers hooks; never the same twice.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Hooks {
    /// Adds a hook and returns the number by which it can be removed.
    pub fn add(&self, hook: Arc<dyn Hook>) -> u64 {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        lock(&self.0).push((number, hook));
        number
    }

    /// Removes a hook; false where it is gone already.
    pub fn remove(&self, number: u64) -> bool {
        let mut hooks = lock(&self.0);
        let place = hooks.iter().position(|(known, _)| *known == number);
        // Dropped after the lock is let go: the host's code may run when its hook dies.
        let removed = place.map(|place| hooks.remove(place));
        drop(hooks);
        removed.is_some()
    }

    /// Forgets all: no pass will come by again.
    pub(super) fn clear(&self) {
        let hooks = std::mem::take(&mut *lock(&self.0));
        drop(hooks);
    }

    /// Shows a gradient to each hook in turn and gives what comes out at the end.
    pub(crate) fn run(&self, mut gradient: Tensor) -> Result<Tensor> {
        // A copy, because a hook may remove itself.
        let hooks = lock(&self.0).clone();
        for (_, hook) in hooks {
            let Some(other) = hook.call(&gradient)? else { continue };
            if other.shape() != gradient.shape() || other.dtype() != gradient.dtype() {
                bail!(
                    Shape,
                    "register_hook: expected the hook to return None or a gradient of shape {} and dtype {}, got \
                     shape {} and dtype {}",
                    show(gradient.shape()),
                    gradient.dtype().name(),
                    show(other.shape()),
                    other.dtype().name()
                );
            }
            gradient = other.detach();
        }
        Ok(gradient)
    }
}
