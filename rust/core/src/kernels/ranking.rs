//! Scores of positives and negatives, kept one by one while there is room and then in groups of neighbours, and the areas
//! under curves that follow from their order.

/// A score, the weight of the positives that have it, and that of the negatives.
pub type Entry = [f64; 3];

/// How many entries there are, and the lowest and the highest score, 0 among them; the highest is NaN once a score is.
pub type Summary = [f64; 3];

/// Groups of neighbours fill this share of the room at most, so that it takes as many scores to fill it again.
const SHARE_OF_GROUPS: f64 = 0.5;

/// The area under what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// The share of positives above a threshold, over that of negatives.
    Roc,
    /// The share of what is above a threshold that is positive, over the share of positives above it.
    PrecisionRecall,
}

/// Adds scores with their weights, those of negatives below 0. A weight of 0 counts for nothing. `spare` is as long as
/// `entries`, and holds nothing before or after.
///
/// # Panics
/// Where there is no room for four entries.
pub fn collect_scores(
    entries: &mut [Entry],
    spare: &mut [Entry],
    summary: &mut Summary,
    scores: impl Iterator<Item = (f64, f64)>,
) {
    assert!(entries.len() >= 4, "room for four entries");
    let [count, low, high] = summary;
    // Whatever stands there: it is memory like any other.
    let mut filled = (*count as usize).min(entries.len());
    for (score, weight) in scores {
        if weight == 0.0 {
            continue;
        }
        if score.is_nan() {
            *high = f64::NAN;
            continue;
        }
        *low = low.min(score);
        if !high.is_nan() {
            *high = high.max(score);
        }
        if filled == entries.len() {
            filled = group_neighbours(entries, spare);
        }
        // One zero for both signs: they tie.
        entries[filled] = [score + 0.0, weight.max(0.0), (-weight).max(0.0)];
        filled += 1;
    }
    *count = filled as f64;
}

/// The area under a curve, 0 where there is none, and the weights of all positives and negatives; sorts the entries.
///
/// Thresholds lie between all scores that differ, or are those that are given, from the lowest to the highest: then
/// scores count as no less than 0 and no more than 1, and those between two thresholds as equal.
pub fn area_under_curve(
    entries: &mut [Entry],
    spare: &mut [Entry],
    curve: Curve,
    thresholds: Option<&[f64]>,
) -> [f64; 3] {
    sort_by_score(entries, spare);
    let ties = |score: f64, next: f64| match thresholds {
        None => score == next,
        Some(thresholds) => {
            let (score, next) = (score.clamp(0.0, 1.0), next.clamp(0.0, 1.0));
            let below = thresholds.partition_point(|&threshold| threshold < score);
            below == 0 || next > thresholds[below - 1]
        }
    };
    let (mut area, mut above, mut point) = (0.0, [0.0; 2], [0.0; 2]);
    let mut left = entries.iter().rev().peekable();
    while let Some(&[score, positives, negatives]) = left.next() {
        point = [point[0] + positives, point[1] + negatives];
        if left.peek().is_none_or(|next| !ties(score, next[0])) {
            area += match curve {
                Curve::Roc => trapezoid(above, point),
                Curve::PrecisionRecall => under_hyperbola(above, point),
            };
            above = point;
        }
    }
    let [positives, negatives] = point;
    let whole = match curve {
        Curve::Roc => positives * negatives,
        Curve::PrecisionRecall => positives,
    };
    [if whole > 0.0 { area / whole } else { 0.0 }, positives, negatives]
}

/// What a step from one point of the ROC curve to the next adds, times the weights of all.
fn trapezoid([true_before, false_before]: [f64; 2], [true_after, false_after]: [f64; 2]) -> f64 {
    f64::midpoint(true_before, true_after) * (false_after - false_before)
}

/// What a step adds under the curve of precision over recall, times the weight of all positives.
///
/// With t true of p predicted, t = a + s p is a line between the points, and the area is the integral of t / p over dt:
/// s (Δt + a ln(p' / p)).
fn under_hyperbola([t, f]: [f64; 2], [true_after, false_after]: [f64; 2]) -> f64 {
    let (before, after) = (t + f, true_after + false_after);
    if after == before {
        return 0.0;
    }
    let slope = (true_after - t) / (after - before);
    let growth = if before > 0.0 { after / before } else { 1.0 };
    slope * (true_after - t + (t - slope * before) * growth.ln())
}

/// Sorts entries by their scores, none of which is NaN: by one byte after the other, the last one first, from one array
/// into the other.
fn sort_by_score(entries: &mut [Entry], spare: &mut [Entry]) {
    const VALUES: usize = 256;
    const BYTES: usize = size_of::<u64>();
    // A whole number in the order of the scores.
    let key = |entry: &Entry| {
        let bits = entry[0].to_bits();
        if entry[0].is_sign_negative() { !bits } else { bits | (1 << 63) }
    };
    let value = |entry: &Entry, byte: usize| key(entry).to_le_bytes()[byte] as usize;
    let mut counts = [[0_usize; VALUES]; BYTES];
    for entry in &*entries {
        for (counts, value) in counts.iter_mut().zip(key(entry).to_le_bytes()) {
            counts[value as usize] += 1;
        }
    }
    let count = entries.len();
    let (mut from, mut to) = (&mut *entries, &mut spare[..count]);
    let mut is_in_spare = false;
    for (byte, counts) in counts.iter_mut().enumerate() {
        // Of floats of single precision, some bytes are the same in all.
        if counts.contains(&count) {
            continue;
        }
        let mut next = 0;
        for count in counts.iter_mut() {
            next += std::mem::replace(count, next);
        }
        for entry in &*from {
            let place = &mut counts[value(entry, byte)];
            to[*place] = *entry;
            *place += 1;
        }
        (from, to) = (to, from);
        is_in_spare = !is_in_spare;
    }
    if is_in_spare {
        to.copy_from_slice(from);
    }
}

/// Sorts entries and joins those of one score; where these still fill more than half of the room, neighbours too, in
/// groups with like shares of all positives and negatives: rare ones count as much. Gives the number of entries that are
/// left, at the beginning.
fn group_neighbours(entries: &mut [Entry], spare: &mut [Entry]) -> usize {
    sort_by_score(entries, spare);
    let distinct = join(entries, |group, next| group[0] == next[0]);
    let room = entries.len() as f64 * SHARE_OF_GROUPS;
    if distinct as f64 <= room {
        return distinct;
    }
    let entries = &mut entries[..distinct];
    let scale_of = |class: usize| {
        let whole: f64 = entries.iter().map(|entry| entry[class]).sum();
        if whole > 0.0 { 1.0 / whole } else { 0.0 }
    };
    let (positives, negatives) = (scale_of(1), scale_of(2));
    let share = |entry: Entry| entry[1] * positives + entry[2] * negatives;
    // The shares of a class add up to one. Two groups that follow each other have more than the limit together, so that
    // there are no more groups than the room has.
    let limit = 4.0 / room;
    join(entries, |group, next| share(group) + share(next) <= limit)
}

fn weight_of([_, positives, negatives]: Entry) -> f64 {
    positives + negatives
}

/// Joins each entry to the one before, or to what that was joined to, where `fits` says so; gives how many are left. A
/// group has the mean score.
fn join(entries: &mut [Entry], fits: impl Fn(Entry, Entry) -> bool) -> usize {
    let mut last = 0;
    for at in 1..entries.len() {
        let (group, next) = (entries[last], entries[at]);
        if fits(group, next) {
            let share = weight_of(next) / (weight_of(group) + weight_of(next));
            let score = group[0] + (next[0] - group[0]) * share;
            // Of infinite scores there is no mean.
            let score = if score.is_finite() { score } else { group[0] };
            entries[last] = [score, group[1] + next[1], group[2] + next[2]];
        } else {
            last += 1;
            entries[last] = next;
        }
    }
    (last + 1).min(entries.len())
}
