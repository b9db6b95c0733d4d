//! Adding up the rows that were taken from one place.

/// Columns whose sums are kept in registers or the nearest cache while the rows go by.
const COLUMNS: usize = 64;

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
