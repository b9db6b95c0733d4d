//! Matrix multiplication (GEMM), `C = A B` or `C += A B`, with a bias added to the finished tiles.
//!
//! `c_ij = f(fma(a_i,k-1, b_k-1,j, ... fma(a_i1, b_1j, fma(a_i0, b_0j, c0))))`, with `c0` zero or what C held: every
//! element is one chain in ascending order of the inner index. Its bits depend on its row of A and its column
//! of B alone: not on the shape around it, the strides, the packing, the instruction set, or a split of rows
//! or columns among threads.
//!
//! Single-threaded: callers split rows or columns of C.

mod bias;
mod blocks;
mod pack;
mod plan;
mod thin;
mod tile;

pub use bias::AddBias;
pub use pack::{PackedB, pack_b, packed_len, panel_width};

use crate::kernels::simd::{Isa, Kernel, Scalar, Simd, dispatch, dispatch_on};

/// A matrix to read: element (i, j) at `ptr + i * row_stride + j * col_stride`.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<T> {
    /// Element (0, 0).
    pub ptr: *const T,
    /// Elements from a row to the next.
    pub row_stride: isize,
    /// Elements from a column to the next.
    pub col_stride: isize,
}

impl<T> MatRef<T> {
    /// The same memory with rows and columns exchanged.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self { ptr: self.ptr, row_stride: self.col_stride, col_stride: self.row_stride }
    }

    /// The matrix from row i and column j on.
    #[must_use]
    pub fn at(self, i: usize, j: usize) -> Self {
        let offset = i as isize * self.row_stride + j as isize * self.col_stride;
        Self { ptr: self.ptr.wrapping_offset(offset), ..self }
    }
}

/// A matrix to write: element (i, j) at `ptr + i * row_stride + j`.
#[derive(Clone, Copy, Debug)]
pub struct MatMut<T> {
    /// Element (0, 0).
    pub ptr: *mut T,
    /// Elements from a row to the next.
    pub row_stride: isize,
}

impl<T> MatMut<T> {
    /// The matrix from row i and column j on.
    #[must_use]
    pub fn at(self, i: usize, j: usize) -> Self {
        let offset = i as isize * self.row_stride + j as isize;
        Self { ptr: self.ptr.wrapping_offset(offset), ..self }
    }
}

/// The right factor.
#[derive(Clone, Copy, Debug)]
pub enum Right<T> {
    /// Any matrix.
    Matrix(MatRef<T>),
    /// A matrix packed by [`pack_b`].
    Packed(PackedB<T>),
}

impl<T> From<MatRef<T>> for Right<T> {
    fn from(matrix: MatRef<T>) -> Self {
        Self::Matrix(matrix)
    }
}

impl<T> From<PackedB<T>> for Right<T> {
    fn from(packed: PackedB<T>) -> Self {
        Self::Packed(packed)
    }
}

/// A product as a [`Kernel`], for callers that are inside one already.
#[derive(Clone, Copy, Debug)]
pub struct Gemm<T> {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A and rows of B.
    pub k: usize,
    /// The left factor.
    pub a: MatRef<T>,
    /// The right factor.
    pub b: Right<T>,
    /// The result.
    pub c: MatMut<T>,
    /// Add to C instead of replacing it.
    pub accumulate: bool,
    /// What happens to the result before it is stored.
    pub bias: Option<AddBias<T>>,
}

impl<T> Gemm<T> {
    /// `C = A B` for A of m x k, B of k x n and C of m x n elements.
    pub fn new(
        (m, n, k): (usize, usize, usize),
        a: MatRef<T>,
        b: impl Into<Right<T>>,
        c: MatMut<T>,
    ) -> Self {
        Self { m, n, k, a, b: b.into(), c, accumulate: false, bias: None }
    }
}

/// `C = A B`, or `C += A B` with `accumulate`, and the bias on that.
///
/// # Safety
/// A and B are valid for reading in their shapes, C for writing (and reading) in its own, C overlaps neither, and
/// there is a bias for every column.
pub unsafe fn gemm<T: Scalar>(product: Gemm<T>) {
    dispatch(product);
}

/// [`gemm`] on a given instruction set.
///
/// # Safety
/// As for [`gemm`].
///
/// # Panics
/// Where this processor lacks it.
pub unsafe fn gemm_on<T: Scalar>(isa: Isa, product: Gemm<T>) {
    dispatch_on(isa, product);
}

impl<T: Scalar> Kernel for Gemm<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        if self.m > 0 && self.n > 0 {
            // SAFETY: the promise of `gemm`.
            unsafe { blocks::run::<T, S>(&self) }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::simd::isa;

    /// A matrix in memory of its own, with strides wider than it needs.
    struct Matrix<T> {
        data: Vec<T>,
        row_stride: usize,
        col_stride: usize,
    }

    /// How a matrix lies in memory: rows contiguous, columns contiguous, or neither.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Order {
        Rows,
        Columns,
        Neither,
    }
    const ORDERS: [Order; 3] = [Order::Rows, Order::Columns, Order::Neither];

    impl<T: Scalar> Matrix<T> {
        /// Values that look random, and depend on the place and the seed alone.
        fn new(rows: usize, cols: usize, order: Order, spare: usize, seed: usize) -> Self {
            let (row_stride, col_stride) = match order {
                Order::Rows => (cols + spare, 1),
                Order::Columns => (1, rows + spare),
                Order::Neither => (2 * cols + spare, 2),
            };
            let size = rows * row_stride + cols * col_stride;
            // Outside of the matrix lies what would spoil any sum.
            let mut data = vec![T::nan(); size];
            for i in 0..rows {
                for j in 0..cols {
                    let hash =
                        (i * 7919 + j * 104_729 + seed * 1_299_709).wrapping_mul(2_654_435_761);
                    let x = ((hash >> 8) % 2001) as f64 / 1000.0 - 1.0;
                    data[i * row_stride + j * col_stride] = T::from(x).unwrap_or_default();
                }
            }
            Self { data, row_stride, col_stride }
        }

        fn at(&self, i: usize, j: usize) -> f64 {
            self.data[i * self.row_stride + j * self.col_stride].to_f64().unwrap_or(f64::NAN)
        }

        fn as_ref(&self) -> MatRef<T> {
            MatRef {
                ptr: self.data.as_ptr(),
                row_stride: self.row_stride as isize,
                col_stride: self.col_stride as isize,
            }
        }
    }

    /// A product on one instruction set, into a C that held `c`; what lies between its rows must not change.
    fn product<T: Scalar>(
        isa: Isa,
        (m, n, k): (usize, usize, usize),
        a: MatRef<T>,
        b: Right<T>,
        start: Option<&Matrix<T>>,
        bias: Option<AddBias<T>>,
    ) -> Vec<T> {
        let pitch = n + 3;
        let guard = T::from(77.0).unwrap_or_default();
        let mut c = vec![guard; m * pitch];
        if let Some(start) = start {
            for i in 0..m {
                c[i * pitch..i * pitch + n]
                    .copy_from_slice(&start.data[i * start.row_stride..][..n]);
            }
        }
        let target = MatMut { ptr: c.as_mut_ptr(), row_stride: pitch as isize };
        let accumulate = start.is_some();
        // SAFETY: every matrix is allocated in its shape.
        unsafe { gemm_on(isa, Gemm { m, n, k, a, b, c: target, accumulate, bias }) }
        let mut out = Vec::with_capacity(m * n);
        for row in c.chunks_exact(pitch) {
            out.extend_from_slice(&row[..n]);
            assert!(row[n..].iter().all(|&x| x == guard), "wrote beyond a row, {m}x{n}x{k} {isa}");
        }
        out
    }

    fn packed<T: Scalar>(k: usize, n: usize, b: MatRef<T>) -> Vec<T> {
        let mut to = vec![T::nan(); packed_len::<T>(k, n)];
        // SAFETY: allocated for it.
        unsafe { pack_b(k, n, b, to.as_mut_ptr()) }
        to
    }

    /// Whether a large product is tried with these orders of its factors and this right factor: all of them in the best
    /// set; in the others, which take seconds for it, each order of each factor, and one packed right factor: packing is
    /// the same code everywhere.
    fn is_tried(set: Isa, (order_a, order_b): (Order, Order), packed: bool) -> bool {
        set == isa() || (order_a == order_b && packed == (order_a == Order::Neither))
    }

    /// All orders, both starts and the packed form: the same bits on all instruction sets, those of the definition.
    fn check<T: Scalar>((m, n, k): (usize, usize, usize), spare: usize) {
        let mut first: Option<[Vec<T>; 2]> = None;
        for (order_a, order_b) in ORDERS.into_iter().flat_map(|a| ORDERS.map(|b| (a, b))) {
            let a = Matrix::<T>::new(m, k, order_a, spare, 1);
            let b = Matrix::<T>::new(k, n, order_b, spare, 2);
            let start = Matrix::<T>::new(m, n, Order::Rows, spare, 3);
            let panels = packed(k, n, b.as_ref());
            let panels = Right::Packed(PackedB { ptr: panels.as_ptr(), k });
            for isa in Isa::available() {
                for right in [Right::Matrix(b.as_ref()), panels] {
                    let packed = matches!(right, Right::Packed(_));
                    if m * n * k >= 1 << 20 && !is_tried(isa, (order_a, order_b), packed) {
                        continue;
                    }
                    let plain = product(isa, (m, n, k), a.as_ref(), right, None, None);
                    let more = product(isa, (m, n, k), a.as_ref(), right, Some(&start), None);
                    let found = [plain, more];
                    // Whatever the order, the numbers are the same, and so is the definition.
                    let first = first.get_or_insert_with(|| {
                        check_exact((m, n, k), [&a, &b, &start], &found);
                        found.clone()
                    });
                    assert!(first[0] == found[0], "{m}x{n}x{k} {order_a:?} {order_b:?} {isa}");
                    assert!(first[1] == found[1], "{m}x{n}x{k} {order_a:?} {order_b:?} {isa} +=");
                }
            }
        }
        assert!(first.is_some(), "no instruction set");
    }

    /// A product, and one that is added to what C held, against the definition in double precision.
    fn check_exact<T: Scalar>(
        (m, n, k): (usize, usize, usize),
        [a, b, start]: [&Matrix<T>; 3],
        [plain, more]: &[Vec<T>; 2],
    ) {
        let tolerance = (k as f64 + 1.0) * T::epsilon().to_f64().unwrap_or(0.0);
        let off = |x: T, y: f64| (x.to_f64().unwrap_or(f64::NAN) - y).abs();
        for i in 0..m {
            for j in 0..n {
                let exact: f64 = (0..k).map(|p| a.at(i, p) * b.at(p, j)).sum();
                assert!(off(plain[i * n + j], exact) <= tolerance, "{m}x{n}x{k} at {i}, {j}");
                let sum = exact + start.at(i, j);
                assert!(off(more[i * n + j], sum) <= 2.0 * tolerance, "{m}x{n}x{k} at {i}, {j}");
            }
        }
    }

    #[test]
    fn small_and_awkward_shapes() {
        for m in [0, 1, 2, 3, 5, 14, 15, 29] {
            for n in [0, 1, 4, 17, 33] {
                for k in [0, 1, 5, 18] {
                    check::<f32>((m, n, k), 1);
                    check::<f64>((m, n, k), 0);
                }
            }
        }
    }

    #[test]
    fn shapes_with_many_blocks() {
        check::<f32>((3, 300, 301), 0);
        check::<f32>((130, 45, 523), 2);
        check::<f64>((131, 70, 270), 0);
        // Row strides of whole pages, and enough columns to pack A.
        check::<f32>((31, 600, 512), 512);
        // Few columns and many rows: several blocks of the transposed product.
        check::<f32>((600, 8, 20), 0);
        check::<f32>((401, 11, 18), 1);
        check::<f64>((2100, 2, 17), 0);
        check::<f64>((711, 6, 5), 0);
        check::<f64>((33, 280, 256), 256);
        // Few columns behind whole vectors, which are multiplied turned.
        check::<f32>((40, 36, 70), 1);
        check::<f32>((16, 17, 64), 0);
        check::<f64>((40, 34, 70), 0);
        check::<f64>((900, 9, 65), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn random_shapes(m in 0_usize..70, n in 0_usize..140, k in 0_usize..90, spare in 0_usize..4) {
            check::<f32>((m, n, k), spare);
            check::<f64>((m, n, k), spare);
        }

        #[test]
        fn a_part_has_the_bits_of_the_whole(
            (m, n, k) in (1_usize..200, 1_usize..150, 0_usize..600),
            (row, col) in (0_usize..200, 0_usize..150),
            (rows, cols) in (1_usize..200, 1_usize..150),
            order in 0_usize..9,
        ) {
            let (row, col) = (row % m, col % n);
            let (rows, cols) = (rows.min(m - row), cols.min(n - col));
            let a = Matrix::<f32>::new(m, k, ORDERS[order % 3], 0, 1);
            let b = Matrix::<f32>::new(k, n, ORDERS[order / 3], 0, 2);
            let right = Right::Matrix(b.as_ref());
            for isa in Isa::available() {
                let whole = product(isa, (m, n, k), a.as_ref(), right, None, None);
                let (from_a, from_b) = (a.as_ref().at(row, 0), b.as_ref().at(0, col));
                let of = (rows, cols, k);
                let part = product(isa, of, from_a, Right::Matrix(from_b), None, None);
                for i in 0..rows {
                    let expected = &whole[(row + i) * n + col..][..cols];
                    prop_assert_eq!(&part[i * cols..][..cols], expected, "row {} {}", i, isa);
                }
            }
        }
    }

    /// Parts of a product on one instruction set, which are small, against the whole, which is large.
    fn check_large((m, n, k): (usize, usize, usize), isa: Isa, orders: (Order, Order)) {
        let a = Matrix::<f32>::new(m, k, orders.0, 0, 1);
        let b = Matrix::<f32>::new(k, n, orders.1, 0, 2);
        let start = Matrix::<f32>::new(m, n, Order::Rows, 0, 3);
        let panels = packed(k, n, b.as_ref());
        let panels = Right::Packed(PackedB { ptr: panels.as_ptr(), k });
        for (right, more) in [(Right::Matrix(b.as_ref()), false), (panels, true)] {
            let begin = more.then_some(&start);
            let whole = product(isa, (m, n, k), a.as_ref(), right, begin, None);
            // Strips through the middle and along the ends, which cross every cut between blocks.
            for (row, rows, col, cols) in
                [(m / 2, 3, 0, n), (m - 2, 2, 0, n), (0, m, 0, 5), (0, m, n - 9, 9)]
            {
                let of = (rows, cols, k);
                let (a, b) = (a.as_ref().at(row, 0), Right::Matrix(b.as_ref().at(0, col)));
                let begin =
                    Matrix { data: start.data[row * start.row_stride + col..].to_vec(), ..start };
                let part = product(isa, of, a, b, more.then_some(&begin), None);
                for i in 0..rows {
                    let expected = &whole[(row + i) * n + col..][..cols];
                    assert!(part[i * cols..][..cols] == *expected, "row {} {isa}", row + i);
                }
            }
        }
    }

    #[test]
    fn a_large_product_has_the_bits_of_its_parts() {
        for (order_a, order_b) in ORDERS.into_iter().flat_map(|a| ORDERS.map(|b| (a, b))) {
            check_large((515, 517, 261), isa(), (order_a, order_b));
        }
        for other in Isa::available().filter(|&other| other != isa()) {
            check_large((515, 517, 131), other, (Order::Columns, Order::Neither));
        }
        // Two groups of rows, and two blocks of columns in each.
        check_large((1031, 4171, 131), isa(), (Order::Rows, Order::Rows));
        // A right factor that comes from memory, for one tile and for several.
        for m in [9, 31] {
            check_large((m, 33_010, 133), isa(), (Order::Rows, Order::Rows));
        }
    }

    /// With a bias for each column and a lowest value, to an empty C and to one that held something.
    fn check_bias<T: Scalar>(isa: Isa, (m, n, k): (usize, usize, usize), order: Order) {
        let a = Matrix::<T>::new(m, k, order, 0, 1);
        let b = Matrix::<T>::new(k, n, order, 0, 2);
        let start = Matrix::<T>::new(m, n, Order::Rows, 0, 3);
        let right = Right::Matrix(b.as_ref());
        let of = |x: f64| T::from(x).unwrap_or_default();
        // No number in C stays none, whatever the lowest value is.
        let bias: Vec<T> = (0..n)
            .map(|j| if j % 7 == 5 { T::nan() } else { of((j % 9) as f64 / 4.0 - 1.0) })
            .collect();
        for start in [None, Some(&start)] {
            let plain = product(isa, (m, n, k), a.as_ref(), right, start, None);
            for lowest in [f64::NEG_INFINITY, 0.25] {
                let add = AddBias { bias: bias.as_ptr(), lowest: of(lowest) };
                let out = product(isa, (m, n, k), a.as_ref(), right, start, Some(add));
                for (i, x) in out.iter().enumerate() {
                    let z = plain[i] + bias[i % n];
                    let expected = if z <= of(lowest) { of(lowest) } else { z };
                    let same = *x == expected || (x.is_nan() && expected.is_nan());
                    assert!(same, "{m}x{n}x{k} at {}, {} {isa}", i / n, i % n);
                }
            }
        }
    }

    #[test]
    fn a_bias_is_added_once_at_every_place() {
        for isa in Isa::available() {
            for size in [
                (1, 70, 3),
                (29, 41, 0),
                (40, 37, 600),
                (150, 30, 300),
                (70, 1, 20),
                (2100, 2, 16),
                (9, 500, 18),
                (32, 2, 32),
                (40, 34, 70),
            ] {
                for order in ORDERS {
                    check_bias::<f32>(isa, size, order);
                    check_bias::<f64>(isa, size, order);
                }
            }
            // Large, and so in one order and type: how factors lie is over once they are packed.
            check_bias::<f32>(isa, (515, 517, 131), Order::Rows);
        }
        check_bias::<f64>(isa(), (515, 261, 261), Order::Rows);
    }

    #[test]
    fn panels_are_where_the_layout_says() {
        let (k, n) = (7, 75);
        for order in ORDERS {
            let b = Matrix::<f32>::new(k, n, order, 1, 2);
            let panels = packed(k, n, b.as_ref());
            for p in 0..k {
                for j in 0..96 {
                    let expected = if j < n { b.at(p, j) } else { 0.0 };
                    let found = panels[j / 32 * k * 32 + p * 32 + j % 32];
                    assert_eq!(f64::from(found), expected, "{p}, {j}");
                }
            }
            // A thread's share of the columns starts at a panel.
            let a = Matrix::<f32>::new(5, k, Order::Rows, 0, 1);
            let all = PackedB { ptr: panels.as_ptr(), k };
            let whole = product(Isa::Portable, (5, n, k), a.as_ref(), all.into(), None, None);
            let from = Right::Packed(all.columns_from(64));
            let share = product(Isa::Portable, (5, 11, k), a.as_ref(), from, None, None);
            for i in 0..5 {
                assert_eq!(share[i * 11..][..11], whole[i * n + 64..][..11]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "column 8 starts no panel")]
    fn a_column_inside_a_panel_is_refused() {
        let _ = PackedB { ptr: core::ptr::null::<f32>(), k: 3 }.columns_from(8);
    }
}
