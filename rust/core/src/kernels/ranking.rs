//! Scores of positives and negatives, kept one by one while there is room and then in groups of neighbours.

/// A score, the weight of the positives that have it, and that of the negatives.
pub type Entry = [f64; 3];

/// How many entries there are, and the lowest and the highest score, 0 among them; the highest is NaN once a score is.
pub type Summary = [f64; 3];

/// Groups of neighbours fill this share of the room at most, so that it takes as many scores to fill it again.
const SHARE_OF_GROUPS: f64 = 0.5;

/// Adds scores with their weights, those of negatives below 0. A weight of 0 counts for nothing.
///
/// # Panics
/// Where there is no room for four entries.
pub fn collect_scores(
    entries: &mut [Entry],
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
            filled = group_neighbours(entries);
        }
        // One zero for both signs: they tie.
        entries[filled] = [score + 0.0, weight.max(0.0), (-weight).max(0.0)];
        filled += 1;
    }
    *count = filled as f64;
}

/// Sorts entries and joins those of one score.
pub fn rank_scores(entries: &mut [Entry], summary: &mut Summary) {
    let filled = (summary[0] as usize).min(entries.len());
    summary[0] = join_ties(&mut entries[..filled]) as f64;
}

fn join_ties(entries: &mut [Entry]) -> usize {
    entries.sort_unstable_by(|one, other| one[0].total_cmp(&other[0]));
    join(entries, |group, next| group[0] == next[0])
}

/// Sorts entries and joins those of one score; where these still fill more than half of the room, neighbours too, in
/// groups with like shares of all positives and negatives: rare ones count as much. Gives the number of entries that are
/// left, at the beginning.
fn group_neighbours(entries: &mut [Entry]) -> usize {
    let distinct = join_ties(entries);
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
