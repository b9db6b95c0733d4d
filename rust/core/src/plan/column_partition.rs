//! Column partition: the same step with its large weights cut by columns.
//!
//! A plan by rows has every thread read all of every weight, and update some of its rows: in each step a weight goes
//! from the caches of those that updated it into those of all. By columns a thread multiplies with the columns that it
//! updates, and they stay with it. What crosses instead are the layer's inputs and outputs, for one barrier more. Which
//! of the two is quicker is measured, since bits are the same.
//!
//! Few rows are the other case: there is nothing else to cut among threads.

use rustc_hash::FxHashSet;

use super::cost_model::{COLUMNS_LEAST_BYTES, COLUMNS_LEAST_BYTES_OF_FEW_ROWS};
use crate::launch::{Access, FEW_ITEMS, Launch, Operand};

/// The operands that a launch touches column by column, if it is cut by columns.
fn columns(launch: &Launch) -> impl Iterator<Item = &Operand> {
    let access = launch.by_columns.iter().flat_map(|other| &other.access);
    let cut = launch.operands.iter().zip(access);
    cut.filter(|(_, access)| matches!(access, Access::Columns { .. })).map(|(operand, _)| operand)
}

/// Weights that one launch reads and a later one updates, with the gradients and the slots of the update.
fn kept(launches: &[Launch]) -> FxHashSet<usize> {
    let mut read = FxHashSet::default();
    let mut kept = FxHashSet::default();
    for launch in launches {
        let is_update = columns(launch).any(|operand| {
            operand.writes
                && operand.extent.len() >= COLUMNS_LEAST_BYTES
                && read.contains(&operand.key())
        });
        if is_update {
            kept.extend(columns(launch).map(Operand::key));
        }
        read.extend(columns(launch).filter(|operand| !operand.writes).map(Operand::key));
    }
    kept
}

/// The launches by columns where that may pay; `None` where there are none.
pub(super) fn by_columns(launches: &[Launch]) -> Option<Vec<Launch>> {
    let kept = kept(launches);
    let turned: Vec<Option<Launch>> = launches
        .iter()
        .map(|launch| {
            let few = launch.items < FEW_ITEMS
                && columns(launch)
                    .any(|operand| operand.extent.len() >= COLUMNS_LEAST_BYTES_OF_FEW_ROWS);
            let pays = few || columns(launch).any(|operand| kept.contains(&operand.key()));
            if pays { launch.turned() } else { None }
        })
        .collect();
    turned.iter().any(Option::is_some).then(|| {
        let pairs = turned.into_iter().zip(launches);
        pairs.map(|(turned, launch)| turned.unwrap_or_else(|| launch.again())).collect()
    })
}
