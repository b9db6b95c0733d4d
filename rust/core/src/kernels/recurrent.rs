//! RNN, LSTM and GRU kernels: rows of a batch through all steps of a recurrence, and back.
//!
//! A step is one small product with the recurrent kernel for all rows that are taken together, and one pass over their
//! gates. Rows do not depend on each other, nor on which of them are taken together. Where steps are masked, the rows
//! that count at a step are gathered for its product, so that rows of several lengths cost what their steps cost; a
//! row has the same bits as without the masked steps.

use super::gemm::{Gemm, MatMut, MatRef, PackedB, Right, pack_b, packed_len, panel_width};
use super::math::{Real, VectorMath};
use super::scratch::Room;
use super::simd::{Chain, Kernel, Scalar, Simd, Vector, dispatch};

/// Which recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// h ← tanh(p + h·U).
    Simple,
    /// Long short-term memory, with gates in the order i, f, g, o.
    Lstm,
    /// The gated recurrent unit that resets after the product, with gates in the order z, r, g.
    Gru,
}

impl Cell {
    /// How many times as wide as the state the products are.
    pub const fn gates(self) -> usize {
        match self {
            Self::Simple => 1,
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }

    /// How many states there are.
    pub const fn states(self) -> usize {
        match self {
            Self::Lstm => 2,
            Self::Simple | Self::Gru => 1,
        }
    }

    /// How many times as wide as the state what the backward pass needs of a step is.
    pub const fn kept(self) -> usize {
        match self {
            Self::Simple => 1,
            Self::Lstm | Self::Gru => 4,
        }
    }
}

/// A recurrence and its sizes.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Which recurrence.
    pub cell: Cell,
    /// Rows of the batch.
    pub rows: usize,
    /// Steps of each row.
    pub steps: usize,
    /// Elements of a state.
    pub units: usize,
}

impl Sizes {
    /// Elements of a step of one row: of the products, of what is kept, and of the states.
    pub(crate) const fn widths(self) -> (usize, usize, usize) {
        let Self { cell, units, .. } = self;
        (cell.gates() * units, cell.kept() * units, cell.states() * units)
    }
}

/// The forward pass. Every slice but the kernel and the bias holds (rows, ...) without gaps.
#[derive(Debug)]
pub struct Forward<'a, T> {
    /// Sizes.
    pub sizes: Sizes,
    /// Inputs times the kernel, bias added: (rows, steps, gates·units).
    pub projected: &'a [T],
    /// (units, gates·units).
    pub kernel: &'a [T],
    /// Added to the recurrent product of a GRU: (gates·units,).
    pub bias: Option<&'a [T]>,
    /// The first states, (rows, units) each; the second is not looked at where there is one.
    pub first: [&'a [T]; 2],
    /// What h is multiplied with before the recurrent product: (rows, units).
    pub mask: Option<&'a [T]>,
    /// Which steps count, not 0: (rows, steps); all of them where there is none.
    pub counts: Option<&'a [u8]>,
    /// h before each step, times the mask: (rows, steps, units).
    pub previous: &'a mut [T],
    /// i, f, g, o of an LSTM; z, r, h·U, g of a GRU; h: (rows, steps, kept·units).
    pub kept: &'a mut [T],
    /// All states: (rows, steps, states·units).
    pub out: &'a mut [T],
}

/// The backward pass.
#[derive(Debug)]
pub struct Backward<'a, T> {
    /// Sizes.
    pub sizes: Sizes,
    /// Of all states: (rows, steps, states·units).
    pub gradient: &'a [T],
    /// As in the forward pass.
    pub kept: &'a [T],
    /// As in the forward pass.
    pub out: &'a [T],
    /// As in the forward pass.
    pub first: [&'a [T]; 2],
    /// As in the forward pass.
    pub kernel: &'a [T],
    /// As in the forward pass.
    pub mask: Option<&'a [T]>,
    /// As in the forward pass.
    pub counts: Option<&'a [u8]>,
    /// The gradient of `projected`.
    pub projected: &'a mut [T],
    /// That of the recurrent product, where it is another one (in a GRU).
    pub recurrent: Option<&'a mut [T]>,
    /// That of the first h.
    pub h: &'a mut [T],
    /// That of the first c of an LSTM.
    pub c: &'a mut [T],
    /// Room for one product: (rows, units).
    pub through: &'a mut [T],
}

#[inline(always)]
fn load<V: Vector>(from: &[V::Elem], at: usize) -> V {
    let rest = &from[at..];
    // SAFETY: the slice has that many elements.
    unsafe { V::read(rest.as_ptr(), rest.len()) }
}

#[inline(always)]
fn store<V: Vector>(v: V, to: &mut [V::Elem], at: usize) {
    let rest = &mut to[at..];
    // SAFETY: the slice has that many elements.
    unsafe { v.write(rest.as_mut_ptr(), rest.len()) }
}

/// The consecutive parts of `units` elements.
#[inline(always)]
fn parts<T, const N: usize>(x: &[T], units: usize) -> [&[T]; N] {
    core::array::from_fn(|i| &x[i * units..(i + 1) * units])
}

#[inline(always)]
fn parts_mut<T, const N: usize>(x: &mut [T], units: usize) -> [&mut [T]; N] {
    let mut rest = x.chunks_exact_mut(units);
    core::array::from_fn(|_| rest.next().unwrap_or_default())
}

/// The first parts of a room's memory as slices of so many elements.
#[inline(always)]
#[allow(clippy::mut_from_ref, reason = "the parts are apart, and each room is asked once")]
fn slices<T: Scalar>(room: &Room, lens: [usize; 2]) -> [&mut [T]; 2] {
    let [first, second, _] = room.parts::<T>();
    [(first, lens[0]), (second, lens[1])].map(|(start, len)| {
        if len == 0 {
            let none: &mut [T] = &mut [];
            return none;
        }
        // SAFETY: the room was made for so many elements, one part behind the other, and its memory holds numbers.
        unsafe { core::slice::from_raw_parts_mut(start, len) }
    })
}

/// The transposed recurrent kernel of units · wide elements, packed where it is wide enough for panels: once, and not at
/// every step.
#[inline(always)]
fn transposed<T: Scalar>(
    kernel: &[T],
    (units, wide): (usize, usize),
    panels: &mut [T],
) -> Right<T> {
    assert!(kernel.len() >= units * wide);
    let matrix = MatRef { ptr: kernel.as_ptr(), row_stride: 1, col_stride: wide as isize };
    if panels.is_empty() {
        return Right::Matrix(matrix);
    }
    assert!(panels.len() >= packed_len::<T>(wide, units));
    // SAFETY: the matrix lies inside the kernel and its panels inside theirs, as was just checked.
    unsafe { pack_b(wide, units, matrix, panels.as_mut_ptr()) };
    Right::Packed(PackedB { ptr: panels.as_ptr(), k: wide })
}

/// Rows of a product with the recurrent kernel, or with its transpose, of k rows and n columns.
#[inline(always)]
fn product<T: Scalar, S: Simd>(
    (m, n, k): (usize, usize, usize),
    (a, a_stride): (&[T], usize),
    b: Right<T>,
    (c, c_stride): (&mut [T], usize),
    accumulate: bool,
) {
    assert!(a.len() >= (m - 1) * a_stride + k && c.len() >= (m - 1) * c_stride + n);
    let a = MatRef { ptr: a.as_ptr(), row_stride: a_stride as isize, col_stride: 1 };
    let c = MatMut { ptr: c.as_mut_ptr(), row_stride: c_stride as isize };
    // The matrices lie inside the slices, as was checked, and C is borrowed by itself.
    S::outlined(Gemm { accumulate, ..Gemm::new((m, n, k), a, b, c) });
}

impl<T: Scalar + Real> Kernel for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let Sizes { rows, steps, units, .. } = self.sizes;
        let (wide, kept, _) = self.sizes.widths();
        assert!(self.kernel.len() >= units * wide);
        let kernel = Right::Matrix(MatRef {
            ptr: self.kernel.as_ptr(),
            row_stride: wide as isize,
            col_stride: 1,
        });
        if let Some(counts) = self.counts {
            self.run_counted::<S>(counts, kernel);
            return;
        }
        for t in 0..steps {
            let gates = core::mem::take(&mut self.kept);
            for row in 0..rows {
                self.prepare(row, t, &mut gates[(row * steps + t) * kept..][..wide]);
            }
            self.kept = gates;
            product::<T, S>(
                (rows, wide, units),
                (&self.previous[t * units..], steps * units),
                kernel,
                (&mut self.kept[t * kept..], steps * kept),
                true,
            );
            for row in 0..rows {
                self.step::<S>(row, t);
            }
        }
    }
}

impl<T: Scalar + Real> Forward<'_, T> {
    /// All steps, each with the rows that count there: they lie one behind the other for the product.
    #[inline(always)]
    fn run_counted<S: Simd>(&mut self, counts: &[u8], kernel: Right<T>) {
        let Sizes { rows, steps, units, .. } = self.sizes;
        let (wide, kept, _) = self.sizes.widths();
        let lens = [rows * units, rows * wide];
        let room = Room::around::<T>([lens[0], lens[1], 0]);
        let [seen, sums] = slices::<T>(&room, lens);
        for t in 0..steps {
            let mut few = 0;
            for row in 0..rows {
                let at = row * steps + t;
                if counts[at] == 0 {
                    self.carry(row, t);
                    continue;
                }
                self.prepare(row, t, &mut sums[few * wide..][..wide]);
                seen[few * units..][..units].copy_from_slice(&self.previous[at * units..][..units]);
                few += 1;
            }
            if few == 0 {
                continue;
            }
            product::<T, S>((few, wide, units), (&*seen, units), kernel, (&mut *sums, wide), true);
            let mut made = sums.chunks_exact(wide);
            for row in 0..rows {
                let at = row * steps + t;
                if counts[at] == 0 {
                    continue;
                }
                let sums = made.next().unwrap_or_default();
                self.kept[at * kept..][..wide].copy_from_slice(sums);
                self.step::<S>(row, t);
            }
        }
    }

    /// Leaves the states of a row as they are over a step that does not count.
    #[inline(always)]
    fn carry(&mut self, row: usize, t: usize) {
        let Sizes { cell, steps, units, .. } = self.sizes;
        let (.., state) = self.sizes.widths();
        let at = row * steps + t;
        let (before, now) = self.out.split_at_mut(at * state);
        let now = &mut now[..state];
        if t == 0 {
            for (states, first) in now.chunks_exact_mut(units).zip(self.first).take(cell.states()) {
                states.copy_from_slice(&first[row * units..][..units]);
            }
        } else {
            now.copy_from_slice(&before[before.len() - state..]);
        }
        self.previous[at * units..][..units].fill(T::zero());
    }

    /// Writes what a step's product starts from.
    #[inline(always)]
    fn prepare(&mut self, row: usize, t: usize, start: &mut [T]) {
        let Sizes { cell, steps, units, .. } = self.sizes;
        let (wide, _, state) = self.sizes.widths();
        let at = row * steps + t;
        let own = row * units..(row + 1) * units;
        let h = if t == 0 {
            &self.first[0][own.clone()]
        } else {
            &self.out[(at - 1) * state..][..units]
        };
        let previous = &mut self.previous[at * units..][..units];
        match self.mask {
            None => previous.copy_from_slice(h),
            Some(mask) => {
                for (to, (&h, &mask)) in previous.iter_mut().zip(h.iter().zip(&mask[own])) {
                    *to = h * mask;
                }
            }
        }
        match (cell, self.bias) {
            (Cell::Gru, Some(bias)) => start.copy_from_slice(bias),
            (Cell::Gru, None) => start.fill(T::zero()),
            _ => start.copy_from_slice(&self.projected[at * wide..][..wide]),
        }
    }

    /// Makes gates of the products, and the next states of the gates.
    #[inline(always)]
    fn step<S: Simd>(&mut self, row: usize, t: usize) {
        let Sizes { cell, steps, units, .. } = self.sizes;
        let (wide, kept, state) = self.sizes.widths();
        let at = row * steps + t;
        let gates = &mut self.kept[at * kept..][..kept];
        let (before, now) = self.out.split_at_mut(at * state);
        let now = &mut now[..state];
        // The last of the states before: c of an LSTM, h of the others.
        let old = if t == 0 {
            &self.first[cell.states() - 1][row * units..][..units]
        } else {
            &before[before.len() - units..]
        };
        let one = T::V::<S>::constant(1.0);
        match cell {
            Cell::Simple => {
                for j in (0..units).step_by(<T::V<S> as Vector>::LANES) {
                    let h = load::<T::V<S>>(gates, j).tanh();
                    store(h, gates, j);
                    store(h, now, j);
                }
            }
            Cell::Lstm => {
                let [i, f, g, o] = parts_mut(gates, units);
                let [h, c] = parts_mut(now, units);
                for j in (0..units).step_by(<T::V<S> as Vector>::LANES) {
                    let write = load::<T::V<S>>(i, j).sigmoid();
                    let keep = load::<T::V<S>>(f, j).sigmoid();
                    let new = load::<T::V<S>>(g, j).tanh();
                    let read = load::<T::V<S>>(o, j).sigmoid();
                    let sum = keep * load(old, j) + write * new;
                    store(write, i, j);
                    store(keep, f, j);
                    store(new, g, j);
                    store(read, o, j);
                    store(sum, c, j);
                    store(read * sum.tanh(), h, j);
                }
            }
            Cell::Gru => {
                let [z, r, inner, g] = parts_mut(gates, units);
                let [pz, pr, pg] = parts(&self.projected[at * wide..][..wide], units);
                for j in (0..units).step_by(<T::V<S> as Vector>::LANES) {
                    let keep = (load::<T::V<S>>(z, j) + load(pz, j)).sigmoid();
                    let reset = (load::<T::V<S>>(r, j) + load(pr, j)).sigmoid();
                    let new = (load::<T::V<S>>(pg, j) + reset * load(inner, j)).tanh();
                    store(keep, z, j);
                    store(reset, r, j);
                    store(new, g, j);
                    store(keep * load(old, j) + (one - keep) * new, now, j);
                }
            }
        }
    }
}

impl<T: Scalar + Real> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let Sizes { rows, steps, units, .. } = self.sizes;
        let (wide, ..) = self.sizes.widths();
        self.h.fill(T::zero());
        self.c.fill(T::zero());
        let panels = if units < panel_width::<T>() { 0 } else { packed_len::<T>(wide, units) };
        let gathered = if self.counts.is_some() { rows * wide } else { 0 };
        let lens = [panels, gathered];
        let room = Room::around::<T>([panels, gathered, 0]);
        let [panels, gathered] = slices::<T>(&room, lens);
        let kernel = transposed(self.kernel, (units, wide), panels);
        if let Some(counts) = self.counts {
            self.run_counted::<S>(counts, kernel, gathered);
            return;
        }
        for t in (0..steps).rev() {
            for row in 0..rows {
                self.step::<S>(row, t);
            }
            let slopes = self.recurrent.as_deref().unwrap_or(self.projected);
            product::<T, S>(
                (rows, units, wide),
                (&slopes[t * wide..], steps * wide),
                kernel,
                (self.through, units),
                false,
            );
            for (i, (h, &through)) in self.h.iter_mut().zip(self.through.iter()).enumerate() {
                *h = *h + self.mask.map_or(through, |mask| through * mask[i]);
            }
        }
    }
}

impl<T: Scalar + Real> Backward<'_, T> {
    /// All steps, each with the rows that count there, gathered one behind the other for the product.
    #[inline(always)]
    fn run_counted<S: Simd>(&mut self, counts: &[u8], kernel: Right<T>, gathered: &mut [T]) {
        let Sizes { rows, steps, units, .. } = self.sizes;
        let (wide, ..) = self.sizes.widths();
        for t in (0..steps).rev() {
            let mut few = 0;
            for row in 0..rows {
                let at = row * steps + t;
                if counts[at] == 0 {
                    self.pass(row, t);
                    continue;
                }
                self.step::<S>(row, t);
                let slopes = self.recurrent.as_deref().unwrap_or(self.projected);
                gathered[few * wide..][..wide].copy_from_slice(&slopes[at * wide..][..wide]);
                few += 1;
            }
            if few == 0 {
                continue;
            }
            let through = &mut *self.through;
            product::<T, S>(
                (few, units, wide),
                (&*gathered, wide),
                kernel,
                (through, units),
                false,
            );
            let mut made = self.through.chunks_exact(units);
            for row in 0..rows {
                if counts[row * steps + t] == 0 {
                    continue;
                }
                let own = row * units;
                let through = made.next().unwrap_or_default();
                for (j, (h, &through)) in self.h[own..].iter_mut().zip(through).enumerate() {
                    *h = *h + self.mask.map_or(through, |mask| through * mask[own + j]);
                }
            }
        }
    }

    /// Hands the gradients of a row's states on to the step before, over a step that does not count.
    #[inline(always)]
    fn pass(&mut self, row: usize, t: usize) {
        let Sizes { cell, steps, units, .. } = self.sizes;
        let (wide, _, state) = self.sizes.widths();
        let at = row * steps + t;
        let own = row * units..(row + 1) * units;
        let (h, c) = self.gradient[at * state..][..state].split_at(units);
        for (sum, &given) in self.h[own.clone()].iter_mut().zip(h) {
            *sum = *sum + given;
        }
        if cell == Cell::Lstm {
            for (sum, &given) in self.c[own].iter_mut().zip(c) {
                *sum = *sum + given;
            }
        }
        self.projected[at * wide..][..wide].fill(T::zero());
        if let Some(recurrent) = self.recurrent.as_deref_mut() {
            recurrent[at * wide..][..wide].fill(T::zero());
        }
    }

    /// Writes the gradients of a step's products, and leaves in h and c what reaches them past the products.
    #[inline(always)]
    fn step<S: Simd>(&mut self, row: usize, t: usize) {
        let Sizes { cell, steps, units, .. } = self.sizes;
        let (wide, kept, state) = self.sizes.widths();
        let at = row * steps + t;
        let gates = &self.kept[at * kept..][..kept];
        let given = &self.gradient[at * state..][..state];
        let slopes = &mut self.projected[at * wide..][..wide];
        let own = row * units..(row + 1) * units;
        let h = &mut self.h[own.clone()];
        let old = if t == 0 {
            &self.first[cell.states() - 1][own.clone()]
        } else {
            &self.out[at * state - units..at * state]
        };
        let (zero, one) = (T::V::<S>::constant(0.0), T::V::<S>::constant(1.0));
        match cell {
            Cell::Simple => {
                for j in (0..units).step_by(<T::V<S> as Vector>::LANES) {
                    let y = load::<T::V<S>>(gates, j);
                    let dh = load::<T::V<S>>(h, j) + load(given, j);
                    store(dh * (one - y * y), slopes, j);
                    store(zero, h, j);
                }
            }
            Cell::Lstm => {
                let c = &mut self.c[own];
                let [i, f, g, o] = parts(gates, units);
                let [dh_given, dc_given] = parts(given, units);
                let [_, sums] = parts(&self.out[at * state..][..state], units);
                let [di, df, dg, d_o] = parts_mut(slopes, units);
                for j in (0..units).step_by(<T::V<S> as Vector>::LANES) {
                    let (write, keep) = (load::<T::V<S>>(i, j), load::<T::V<S>>(f, j));
                    let (new, read) = (load::<T::V<S>>(g, j), load::<T::V<S>>(o, j));
                    let shown = load::<T::V<S>>(sums, j).tanh();
                    let dh = load::<T::V<S>>(h, j) + load(dh_given, j);
                    let dc = load::<T::V<S>>(c, j) + load(dc_given, j);
                    let dc = dc + dh * read * (one - shown * shown);
                    store(dc * new * write * (one - write), di, j);
                    store(dc * load(old, j) * keep * (one - keep), df, j);
                    store(dc * write * (one - new * new), dg, j);
                    store(dh * shown * read * (one - read), d_o, j);
                    store(dc * keep, c, j);
                    store(zero, h, j);
                }
            }
            Cell::Gru => {
                let [z, r, inner, g] = parts(gates, units);
                let [dz, dr, dg] = parts_mut(slopes, units);
                let recurrent = self.recurrent.as_deref_mut().unwrap_or_default();
                let [uz, ur, ug] = parts_mut(&mut recurrent[at * wide..][..wide], units);
                for j in (0..units).step_by(<T::V<S> as Vector>::LANES) {
                    let (keep, reset) = (load::<T::V<S>>(z, j), load::<T::V<S>>(r, j));
                    let new = load::<T::V<S>>(g, j);
                    let dh = load::<T::V<S>>(h, j) + load(given, j);
                    let of_keep = dh * (load::<T::V<S>>(old, j) - new) * keep * (one - keep);
                    let of_new = dh * (one - keep) * (one - new * new);
                    let of_reset = of_new * load(inner, j) * reset * (one - reset);
                    store(of_keep, dz, j);
                    store(of_keep, uz, j);
                    store(of_reset, dr, j);
                    store(of_reset, ur, j);
                    store(of_new, dg, j);
                    store(of_new * reset, ug, j);
                    store(dh * keep, h, j);
                }
            }
        }
    }
}

/// Runs the forward pass.
///
/// # Panics
/// Where a slice is shorter than the sizes say.
pub fn recurrent_rows<T: Scalar + Real>(pass: Forward<'_, T>) {
    dispatch(pass);
}

/// Runs the backward pass.
///
/// # Panics
/// Where a slice is shorter than the sizes say.
pub fn recurrent_rows_backward<T: Scalar + Real>(pass: Backward<'_, T>) {
    dispatch(pass);
}
