//! Page release: giving back the pages of what a step under capture is done with.
//!
//! A recording keeps every buffer that the step used, for a replay will use it again. Their contents are needed no
//! longer than in a step that is not recorded, so that the pages of large ones go back to the system as soon as nobody
//! but the recording holds the buffer: a capture needs no more memory than the step alone.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use crate::launch::{Access, Launch};
use crate::pages;

/// A buffer of many pages.
struct Large {
    key: usize,
    /// Where its first use stands: the launch, and which operand of it.
    first: (usize, usize),
    /// What the first use covers.
    extent: Range<usize>,
    /// Operands of recorded launches that hold it.
    operands: usize,
    /// False where a replay might find what this step left in it.
    replaceable: bool,
}

/// The large buffers of a recording that are still in use.
#[derive(Default)]
pub(super) struct PageRelease {
    large: Vec<Large>,
    /// Buffers written by what a replay leaves out, because it would compute the same.
    constant: HashSet<usize>,
}

impl PageRelease {
    /// Gives back the pages of buffers that nobody but the recorded launches holds.
    pub(super) fn release(&mut self, launches: &[Launch]) {
        self.large.retain(|large| {
            let buffer = &launches[large.first.0].operands[large.first.1].buffer;
            if Arc::strong_count(buffer) > large.operands {
                return true;
            }
            if large.replaceable {
                buffer.forget_contents();
            }
            false
        });
    }

    /// Takes note of a launch that is about to become number `index` of the recording.
    pub(super) fn note(&mut self, index: usize, launch: &Launch) {
        let mut reads = launch.operands.iter().filter(|operand| !operand.writes);
        // The planner leaves out no more launches than these.
        let is_constant = reads.all(|operand| self.constant.contains(&operand.key()));
        for (o, operand) in launch.operands.iter().enumerate() {
            if operand.writes && is_constant {
                self.constant.insert(operand.key());
            }
            if operand.buffer.capacity() < pages::HUGE {
                continue;
            }
            let of_whole_items = matches!(operand.access, Access::Own { .. });
            match self.large.iter_mut().find(|large| large.key == operand.key()) {
                Some(large) => {
                    large.operands += 1;
                    large.replaceable &= large.extent.start <= operand.extent.start
                        && operand.extent.end <= large.extent.end;
                }
                None => self.large.push(Large {
                    key: operand.key(),
                    first: (index, o),
                    extent: operand.extent.clone(),
                    operands: 1,
                    // What is read before it is written holds something from before the step.
                    replaceable: operand.writes && of_whole_items && !is_constant,
                }),
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(unsafe_code, reason = "looks at memory that no tensor holds any more")]
mod tests {
    use crate::generator::Generator;
    use crate::{DType, Result, Tensor, capture};

    /// Looks at the first number of a buffer that may be dead.
    struct Peek(*const f32);

    impl Peek {
        fn of(tensor: &Tensor) -> Self {
            Self(tensor.buffer().pointer().cast())
        }

        fn is_zero(&self) -> bool {
            // SAFETY: the recording that is open keeps the buffer.
            unsafe { *self.0 == 0.0 }
        }
    }

    #[test]
    fn only_what_a_replay_writes_again_is_given_back() -> Result<()> {
        let shape = [1024, 600];
        capture::begin()?;
        let random = Tensor::uniform(&shape, &Generator::new(1, 2), 1.0, 2.0, DType::F32)?;
        let (dead, held) = (random.exp()?, random.exp()?);
        let constant = Tensor::ones(&shape, DType::F32)?.exp()?;
        let small = random.amax(&[1], false)?;
        let peeks = [&dead, &held, &constant, &small].map(Peek::of);
        assert!(peeks.iter().all(|peek| !peek.is_zero()));
        let view = held.reshape(&[600, 1024])?;
        drop((dead, held, constant, small));
        let _next = random.square()?;
        assert_eq!(peeks.map(|peek| peek.is_zero()), [true, false, false, false]);
        drop((capture::end(), view));
        Ok(())
    }
}
