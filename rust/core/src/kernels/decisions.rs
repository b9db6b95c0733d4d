//! Which classes predictions name, and whether they are the targets'.

use crate::dtype::Element;

/// Numbers above it are a yes.
const HALF: f64 = 0.5;

/// Targets of rows: the number of each row's class, or a number for each class, which is a yes above ½.
#[derive(Clone, Copy)]
pub struct Truth<'a, L> {
    /// One a row, or one for each class of each row.
    pub targets: &'a [L],
    /// How many classes there are.
    pub classes: usize,
    /// True where targets are the numbers of classes.
    pub by_number: bool,
}

impl<L: Element> Truth<'_, L> {
    /// Whether a row is of a class.
    #[inline(always)]
    pub fn is(&self, row: usize, class: usize) -> bool {
        if self.by_number {
            self.targets[row].to_f64() == class as f64
        } else {
            self.targets[row * self.classes + class].to_f64() > HALF
        }
    }

    /// The one class of a row, of numbers for each the first of the largest; none where there is no such class.
    fn class(&self, row: usize) -> Option<usize> {
        if self.by_number {
            let number = self.targets[row].to_f64();
            let class = number as usize;
            return (class as f64 == number && class < self.classes).then_some(class);
        }
        Some(one_class(&self.targets[row * self.classes..][..self.classes]))
    }
}

/// The class that a row of numbers names: the first of the largest, NaN above all; of a single number, 1 above ½, else 0.
fn one_class<T: Element>(row: &[T]) -> usize {
    let value = |at: usize| row[at].to_f64();
    if row.len() == 1 {
        return usize::from(value(0) > HALF);
    }
    let (mut class, mut best) = (0, value(0));
    for at in 1..row.len() {
        let value = value(at);
        if value > best || (value.is_nan() && !best.is_nan()) {
            (class, best) = (at, value);
        }
    }
    class
}

/// Which classes of a row are named.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Those above a limit; for each limit there are counts of its own. Without limits and `top` it is the largest.
    pub limits: Vec<f64>,
    /// Those among so many of the largest of a row, the first of those that tie. Of a single class all rows are one row.
    pub top: Option<usize>,
}

/// The weights of what is counted, class by class.
pub struct Counts<'a> {
    /// For each limit the classes three times over: named rightly, named, and true.
    pub weights: &'a mut [f64],
    /// How many classes there are.
    pub classes: usize,
}

impl Counts<'_> {
    /// A row that names one class, or none where there is no such class.
    #[inline(always)]
    fn add_one<L: Element>(&mut self, said: usize, weight: f64, truth: Truth<'_, L>, row: usize) {
        let (right, others) = self.weights.split_at_mut(self.classes);
        let (named, so) = others.split_at_mut(self.classes);
        let mut is_so = |class: usize| {
            so[class] += weight;
            if class == said {
                right[class] += weight;
            }
        };
        if truth.by_number {
            truth.class(row).into_iter().for_each(&mut is_so);
        } else {
            (0..truth.classes).filter(|&class| truth.is(row, class)).for_each(&mut is_so);
        }
        if let Some(named) = named.get_mut(said) {
            *named += weight;
        }
    }

    #[inline(always)]
    fn add(&mut self, limit: usize, class: usize, weight: f64, named: bool, is_so: bool) {
        let first = limit * 3 * self.classes + class;
        for (place, counts) in [named && is_so, named, is_so].into_iter().enumerate() {
            if counts {
                self.weights[first + place * self.classes] += weight;
            }
        }
    }
}

/// Adds the weights of rows to counts. Rows of weight 0 are not looked at.
pub fn count_decisions<P: Element, L: Element>(
    rule: &Rule,
    predictions: &[P],
    truth: Truth<'_, L>,
    weight: impl Fn(usize) -> f64,
    mut counts: Counts<'_>,
) {
    let classes = counts.classes;
    let rows = predictions.len() / classes;
    // As numbers of the predictions' type, like which they are compared.
    let in_type = |limit: &f64| P::from_f64(*limit).to_f64();
    let whole = rule.top.filter(|_| classes == 1).map(|k| {
        let seen = |row: usize| (weight(row) != 0.0).then(|| key(predictions[row])).flatten();
        limit_of_largest(rows, seen, k)
    });
    let mut spare_of_whole = whole.map_or(0, |(_, spare)| spare);
    for row in 0..rows {
        let weight = weight(row);
        if weight == 0.0 {
            continue;
        }
        let values = &predictions[row * classes..][..classes];
        if rule.limits.is_empty() && rule.top.is_none() {
            let said = one_class(values);
            // Of a single class, a no names none.
            let said = if classes == 1 { 1 - said } else { said };
            counts.add_one(said, weight, truth, row);
            continue;
        }
        let (least, mut spare) = match (whole, rule.top) {
            (Some((least, _)), _) => (least, spare_of_whole),
            (None, Some(k)) => limit_of_largest(classes, |at| key(values[at]), k),
            (None, None) => (Some(0), usize::MAX),
        };
        for (class, &value) in values.iter().enumerate() {
            let key = key(value);
            let ties = key.is_some() && key == least && spare > 0;
            spare -= usize::from(ties);
            let among = key.is_some() && (key > least || ties);
            let is_so = truth.is(row, class);
            if rule.limits.is_empty() {
                counts.add(0, class, weight, among, is_so);
            }
            for (at, limit) in rule.limits.iter().map(in_type).enumerate() {
                counts.add(at, class, weight, among && value.to_f64() > limit, is_so);
            }
        }
        spare_of_whole = spare;
    }
}

/// Adds the weights of rows to the matrix (true class, class that is named), of two classes at least. Rows of weight 0
/// are not looked at.
pub fn count_confusion<P: Element, L: Element>(
    predictions: &[P],
    truth: Truth<'_, L>,
    weight: impl Fn(usize) -> f64,
    matrix: &mut [f64],
) {
    let size = truth.classes.max(2);
    for (row, values) in predictions.chunks_exact(truth.classes).enumerate() {
        let weight = weight(row);
        if weight == 0.0 {
            continue;
        }
        if let Some(class) = truth.class(row) {
            matrix[class * size + one_class(values)] += weight;
        }
    }
}

/// The least of the `k` largest keys, and how many of that key are among them.
fn limit_of_largest(
    len: usize,
    key: impl Fn(usize) -> Option<u64>,
    k: usize,
) -> (Option<u64>, usize) {
    let from = |limit: u64| (0..len).filter(|&at| key(at) >= Some(limit)).count();
    let keys = || (0..len).filter_map(&key);
    let (Some(mut low), Some(mut high)) = (keys().min(), keys().max()) else {
        return (None, 0);
    };
    if from(low) <= k {
        // All of them.
        return (Some(low), len);
    }
    // At least k are at `low` or above, fewer above `high`.
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let count = from(middle);
        if count >= k {
            low = middle;
        } else {
            high = middle - 1;
        }
        if count == k {
            break;
        }
    }
    (Some(low), k - (0..len).filter(|&at| key(at) > Some(low)).count())
}

/// An integer in the order of the numbers; nothing for NaN.
#[inline(always)]
fn key<T: Element>(x: T) -> Option<u64> {
    const SIGN: u64 = 1 << 63;
    // One zero for both signs: they tie.
    let x = x.to_f64() + 0.0;
    let bits = x.to_bits();
    (!x.is_nan()).then_some(if bits & SIGN == 0 { bits | SIGN } else { !bits })
}
