//! Gather and scatter-add kernels: rows taken from their places, and added up again by place.

use super::caches::prefetch_near;

/// Columns whose sums are kept in registers or the nearest cache while the rows go by.
const COLUMNS: usize = 64;

/// Bytes that are copied at a time, while as many of the next row are on their way: rows of a data set lie anywhere in
/// memory, and a hardware prefetcher finds out about each when most of it has passed. Asked for in the second-level cache:
/// in the first, on Zen 4, half of that is gained.
const PIECE: usize = 256;

/// Rows of no more than a piece are asked for so many rows before their turn: some hundred nanoseconds, the way from
/// memory. Chosen.
const AHEAD: usize = 8;

/// Copies a row from each place to the rows of `to`, one after the other; `absent` stands where there is no place.
///
/// # Panics
/// Where `row` is zero, or a place is beyond `from`.
pub fn take_rows<T: Copy>(
    from: &[T],
    row: usize,
    places: impl Iterator<Item = Option<usize>> + Clone,
    absent: T,
    to: &mut [T],
) {
    let piece = PIECE / size_of::<T>();
    if row <= piece {
        take_short_rows(from, row, places, absent, to);
        return;
    }
    let mut places = places.peekable();
    for to in to.chunks_exact_mut(row) {
        let place = places.next().flatten();
        let next = places.peek().copied().flatten().map(|next| &from[next * row..][..row]);
        match place.map(|place| &from[place * row..][..row]) {
            None => to.fill(absent),
            Some(here) => {
                // Without a next row, this one is asked for again, which costs nothing.
                let next = next.unwrap_or(here).chunks(piece);
                for ((here, to), next) in here.chunks(piece).zip(to.chunks_mut(piece)).zip(next) {
                    prefetch_near(next.as_ptr(), size_of_val(next));
                    to.copy_from_slice(here);
                }
            }
        }
    }
}

/// [`take_rows`] for rows of no more than a piece.
fn take_short_rows<T: Copy>(
    from: &[T],
    row: usize,
    places: impl Iterator<Item = Option<usize>> + Clone,
    absent: T,
    to: &mut [T],
) {
    let mut later = places.clone().skip(AHEAD);
    for (to, place) in to.chunks_exact_mut(row).zip(places) {
        if let Some(later) = later.next().flatten() {
            prefetch_near(from.as_ptr().wrapping_add(later * row), row * size_of::<T>());
        }
        match place {
            None => to.fill(absent),
            Some(place) => to.copy_from_slice(&from[place * row..][..row]),
        }
    }
}

/// Sorts positions by their place, those of one place in order: the positions of place `r` become
/// `order[starts[r]..starts[r + 1]]`. Positions without a place are left out.
pub fn group(
    places: impl Iterator<Item = Option<usize>> + Clone,
    starts: &mut [i64],
    order: &mut [i64],
) {
    // Count each place one further on, sum up, and let the first slot of each place move as it fills:
    // every `starts[r]` ends where place r ends, so that shifting by one puts all at their beginnings.
    starts.fill(0);
    order.fill(0);
    for place in places.clone().flatten() {
        starts[place + 1] += 1;
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    for (position, place) in places.enumerate() {
        if let Some(place) = place {
            order[starts[place] as usize] = position as i64;
            starts[place] += 1;
        }
    }
    starts.rotate_right(1);
    starts[0] = 0;
}

/// `to = Σ from[member]` over the members in order, where `from` has rows as long as `to`. Sums run in `f64`, so that
/// many members do not drift.
pub fn add_rows<T: Copy + Into<f64> + num_traits::FromPrimitive + num_traits::Zero>(
    from: &[T],
    members: &[i64],
    to: &mut [T],
) {
    let row = to.len();
    match members {
        [] => to.fill(T::zero()),
        [one] => to.copy_from_slice(&from[*one as usize * row..][..row]),
        _ => {
            for (block, to) in to.chunks_mut(COLUMNS).enumerate() {
                let mut sums = [0.0; COLUMNS];
                for &member in members {
                    let from = &from[member as usize * row + block * COLUMNS..][..to.len()];
                    sums.iter_mut().zip(from).for_each(|(sum, &x)| *sum += x.into());
                }
                for (to, sum) in to.iter_mut().zip(sums) {
                    *to = T::from_f64(sum).unwrap_or_else(T::zero);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_from_their_places() {
        for row in [1, 3, 64, 65, 200] {
            let from: Vec<f32> = (0..7 * row).map(|i| i as f32).collect();
            let places = [Some(6), Some(0), None, Some(3), Some(3), None];
            let mut to = vec![9.0; places.len() * row];
            take_rows(&from, row, places.into_iter(), -1.0, &mut to);
            for (place, to) in places.iter().zip(to.chunks_exact(row)) {
                let expected = |i| place.map_or(-1.0, |place| (place * row + i) as f32);
                assert!(to.iter().enumerate().all(|(i, &x)| x == expected(i)), "{row}");
            }
        }
    }

    #[test]
    fn groups_keep_the_order_of_positions() {
        let places = [Some(2), None, Some(0), Some(2), Some(2)];
        let (mut starts, mut order) = ([9; 5], [9; 5]);
        group(places.into_iter(), &mut starts, &mut order);
        assert_eq!(starts, [0, 1, 1, 4, 4]);
        assert_eq!(order[..4], [2, 0, 3, 4]);
    }

    #[test]
    fn long_sums_do_not_drift() {
        let from = vec![0.1f32; 100_000];
        let members: Vec<i64> = (0..100_000).collect();
        let mut to = [0.0f32];
        add_rows(&from, &members, &mut to);
        assert_eq!(to[0], (f64::from(0.1f32) * 1e5) as f32);
    }
}
