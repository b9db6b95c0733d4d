//! Balance: shares of equal cost for the workers of a phase, and the blocks of a share.
//!
//! Costs are estimates at first. Workers take the time of what they do, and the shares are cut again by that: estimates
//! know nothing of what lies in which cache. Shares change no bits.

use std::ops::Range;

use super::cost_model::{LARGE_CHAIN, WHOLE_CHAIN_NANOSECONDS};
use super::ir::Chain;

/// Consecutive work items of one chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) chain: usize,
    start: usize,
    stop: usize,
}

/// Cuts a phase's work into equal shares by cost: a part of every chain that is large, and a run of the others.
pub(super) fn cut(chains: &[Chain], costs: &[f64], threads: usize) -> Vec<Vec<Span>> {
    let total: f64 = costs.iter().sum();
    let is_large = |index: usize| {
        costs[index] * LARGE_CHAIN * threads as f64 >= total && chains[index].items >= 4 * threads
    };
    let (large, others): (Vec<usize>, Vec<usize>) =
        (0..chains.len()).partition(|&index| is_large(index));
    let mut shares = vec![Vec::new(); threads];
    for index in large {
        cut_run(chains, costs, &[index], 0.0, &mut shares);
    }
    cut_run(chains, costs, &others, WHOLE_CHAIN_NANOSECONDS, &mut shares);
    shares
}

/// Cuts some chains into equal shares, each of which is a run of spans. Chains that take less than `whole` stay whole.
fn cut_run(chains: &[Chain], costs: &[f64], run: &[usize], whole: f64, shares: &mut [Vec<Span>]) {
    let total: f64 = run.iter().map(|&index| costs[index]).sum();
    let threads = shares.len();
    let mut before = 0.0;
    for &index in run {
        let items = chains[index].items;
        let item = costs[index] / items as f64;
        // The work item at which worker w's share of the run begins, within this chain.
        let border = |worker: usize| {
            let cost = total * worker as f64 / threads as f64 - before;
            if costs[index] < whole {
                return if cost < costs[index] / 2.0 { 0 } else { items };
            }
            // Down where it is half of one: the last item of all is often a part of one.
            (cost / item - 0.5).ceil().clamp(0.0, items as f64) as usize
        };
        for (worker, share) in shares.iter_mut().enumerate() {
            let start = if worker == 0 { 0 } else { border(worker) };
            let stop = if worker + 1 == threads { items } else { border(worker + 1) };
            if start < stop {
                share.push(Span { chain: index, start, stop });
            }
        }
        before += costs[index];
    }
}

/// The blocks of a span. The last two share what is left evenly, so that none is a sliver.
pub(super) fn blocks(span: Span, block: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = span.start;
    std::iter::from_fn(move || {
        let left = span.stop - start;
        let size = if left <= block {
            left
        } else if left < 2 * block {
            left.div_ceil(2)
        } else {
            block
        };
        start += size;
        (size > 0).then_some(start - size..start)
    })
}

#[cfg(test)]
mod tests {
    use super::super::ir::Link;
    use super::*;

    fn chain(items: usize, cost: f64) -> Chain {
        let links = vec![Link::new(0, 1)];
        Chain { items, links, cost, block: items, scratch: 0 }
    }

    #[test]
    fn shares_cover_each_chain_once_and_evenly() {
        let chains = [chain(50, 100.0), chain(3, 1.0), chain(1, 500.0), chain(1000, 399.0)];
        let costs: Vec<f64> = chains.iter().map(|chain| chain.cost).collect();
        for threads in 1..7 {
            let shares = cut(&chains, &costs, threads);
            for (index, chain) in chains.iter().enumerate() {
                let mut next = 0;
                for span in shares.iter().flatten().filter(|span| span.chain == index) {
                    assert_eq!(span.start, next);
                    next = span.stop;
                }
                assert_eq!(next, chain.items, "threads {threads}");
            }
        }
    }

    #[test]
    fn shares_follow_measured_costs() {
        // Estimated alike, but the second chain takes four times as long.
        let shares = cut(&[chain(4, 0.0), chain(7, 0.0)], &[201.0, 801.0], 2);
        assert_eq!((shares[0][0].stop, shares[1][0].start, shares[1][0].stop), (4, 3, 7));
        assert_eq!((shares[0][1].chain, shares[0][1].stop), (1, 3));
    }

    #[test]
    fn chains_of_a_moment_stay_whole() {
        let chains = [chain(7, 0.0), chain(1, 0.0), chain(7, 0.0), chain(7, 0.0)];
        // Half of all lies in the third, nearer to its beginning or to its end.
        for (costs, first) in [([250.0, 50.0, 320.0, 280.0], 2), ([250.0, 50.0, 280.0, 320.0], 3)] {
            let shares = cut(&chains, &costs, 2);
            let spans: Vec<_> = shares.iter().flatten().map(|span| span.chain).collect();
            assert_eq!((spans, shares[0].len()), (vec![0, 1, 2, 3], first));
            assert!(shares.iter().flatten().all(|span| span.stop == chains[span.chain].items));
        }
    }

    #[test]
    fn a_large_chain_is_cut_among_all_whatever_stands_before_it() {
        let chains = [chain(3, 100.0), chain(40, 800.0), chain(5, 100.0)];
        let shares = cut(&chains, &[100.0, 800.0, 100.0], 2);
        let large: Vec<_> = shares.iter().map(|share| (share[0].chain, share[0].stop)).collect();
        assert_eq!(large, [(1, 20), (1, 40)]);
    }
}
