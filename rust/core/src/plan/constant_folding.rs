//! Constant folding: leaving out launches whose results never change, such as the ones that a backward pass starts
//! from, scale factors, filled constants.
//!
//! A launch is constant if nobody else writes what it writes and all it reads is written by constant launches only. Its
//! result stands since the capture, so replays need not compute it again, and nothing has to wait for it.

use super::ir::BufferMap;
use crate::launch::Launch;

/// The launches that replays must run.
pub(super) fn fold_constants(launches: Vec<Launch>) -> Vec<Launch> {
    let mut writers: BufferMap<usize> = BufferMap::default();
    for operand in launches.iter().flat_map(|launch| &launch.operands) {
        if operand.writes {
            *writers.entry(operand.key()).or_default() += 1;
        }
    }
    // Buffers whose contents are known to stay as the capture left them.
    let mut constant: BufferMap<bool> = BufferMap::default();
    let changes = |launch: &Launch| {
        let is_constant = launch.operands.iter().all(|operand| {
            if operand.writes {
                writers[&operand.key()] == 1
            } else {
                constant.get(&operand.key()) == Some(&true)
            }
        });
        for operand in launch.operands.iter().filter(|operand| operand.writes) {
            constant.insert(operand.key(), is_constant);
        }
        !is_constant
    };
    launches.into_iter().filter(changes).collect()
}
