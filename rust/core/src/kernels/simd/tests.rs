//! Every lane operation has the same bits on every instruction set.

use proptest::prelude::*;

use super::*;

/// Whether a result is compared bit by bit, or all NaNs count as one: which payload arithmetic returns is
/// left open by IEEE 754.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Bits,
    Values,
}

/// Every lane operation on sixteen triples.
struct Operations<T>([[T; 16]; 3]);

impl<T: Scalar> Kernel for Operations<T> {
    type Output = Vec<(&'static str, Compare, Vec<T>)>;

    #[inline(always)]
    fn run<S: Simd>(self) -> Self::Output {
        use Compare::{Bits, Values};
        let lanes = T::V::<S>::LANES;
        let mut out: Self::Output = Vec::new();
        for start in (0..16).step_by(lanes) {
            let mut x = [T::V::<S>::constant(0.0); 3];
            for (x, from) in x.iter_mut().zip(&self.0) {
                // SAFETY: the lanes divide 16.
                *x = unsafe { T::V::<S>::load(from.as_ptr().add(start)) };
            }
            let [a, b, c] = x;
            let (zero, one) = (T::V::<S>::constant(0.0), T::V::<S>::splat(T::one()));
            let (less, nan) = (T::V::<S>::lt(a, b), T::V::<S>::is_nan(c));
            // Words around the limits of signed and unsigned numbers.
            let words: [u32; 16] = core::array::from_fn(|i| {
                [0, 1, u32::MAX, 1 << 31, (1 << 31) - 1, 77, 78, 79][i % 8]
            });
            // SAFETY: the lanes divide 16.
            let at_least =
                |lowest| unsafe { T::V::<S>::at_least(words.as_ptr().add(start), lowest) };
            let places: [u32; 16] = core::array::from_fn(|i| (i as u32 * 7 + 3) % 15);
            // SAFETY: places are at most 14 of 16, and the lanes divide those.
            let (first, second) =
                unsafe { T::V::<S>::load_pairs(self.0[0].as_ptr(), places.as_ptr().add(start)) };
            let truth = |mask| T::V::<S>::select(mask, one, zero);
            // An integer within the bounds of to_int.
            let small = a.abs().min(T::V::<S>::constant(1e6)).copysign(a).round();
            let small = T::V::<S>::select(small.is_nan(), zero, small);
            let (bits_a, bits_b) = (a.to_bits(), b.to_bits());
            let results = [
                ("add", Values, a + b),
                ("sub", Values, a - b),
                ("mul", Values, a * b),
                ("div", Values, a / b),
                ("neg", Bits, -a),
                ("mul_add", Values, a.mul_add(b, c)),
                ("neg_mul_add", Values, a.neg_mul_add(b, c)),
                ("sqrt", Values, a.sqrt()),
                ("abs", Bits, a.abs()),
                ("round", Values, a.round()),
                ("floor", Values, a.floor()),
                ("copysign", Bits, a.copysign(b)),
                ("lt", Bits, truth(less)),
                ("le", Bits, truth(a.le(b))),
                ("eq", Bits, truth(a.eq(b))),
                ("at_least_78", Bits, truth(at_least(78))),
                ("at_least_2^31", Bits, truth(at_least(1 << 31))),
                ("at_least_0", Bits, truth(at_least(0))),
                ("is_nan", Bits, truth(nan)),
                ("select", Bits, T::V::<S>::select(less, b, c)),
                ("mask_and", Bits, truth(T::V::<S>::mask_and(less, nan))),
                ("mask_or", Bits, truth(T::V::<S>::mask_or(less, nan))),
                ("mask_not", Bits, truth(T::V::<S>::mask_not(less))),
                ("min", Bits, a.min(b)),
                ("max", Bits, a.max(b)),
                ("load_pairs, first", Bits, first),
                ("load_pairs, second", Bits, second),
                ("splat", Bits, T::V::<S>::splat(self.0[0][3])),
                ("constant", Bits, T::V::<S>::constant(0.1)),
                ("bits_splat", Bits, T::V::<S>::from_bits(T::V::<S>::bits_splat(-5))),
                ("bits_add", Bits, T::V::<S>::from_bits(T::V::<S>::bits_add(bits_a, bits_b))),
                ("bits_sub", Bits, T::V::<S>::from_bits(T::V::<S>::bits_sub(bits_a, bits_b))),
                ("bits_and", Bits, T::V::<S>::from_bits(T::V::<S>::bits_and(bits_a, bits_b))),
                ("bits_or", Bits, T::V::<S>::from_bits(T::V::<S>::bits_or(bits_a, bits_b))),
                ("bits_xor", Bits, T::V::<S>::from_bits(T::V::<S>::bits_xor(bits_a, bits_b))),
                (
                    "bits_mul_low",
                    Bits,
                    T::V::<S>::from_bits(T::V::<S>::bits_mul_low(bits_a, bits_b)),
                ),
                ("bits_shl", Bits, T::V::<S>::from_bits(T::V::<S>::bits_shl::<23>(bits_a))),
                ("bits_shr", Bits, T::V::<S>::from_bits(T::V::<S>::bits_shr::<9>(bits_a))),
                ("to_int", Bits, T::V::<S>::from_bits(small.to_int())),
                ("from_int", Bits, T::V::<S>::from_int(small.to_int())),
            ];
            for (i, (name, compare, v)) in results.into_iter().enumerate() {
                if start == 0 {
                    out.push((name, compare, vec![T::zero(); 16]));
                }
                // SAFETY: as above.
                unsafe { v.store(out[i].2.as_mut_ptr().add(start)) }
            }
        }
        out
    }
}

/// The bits of a value, with one NaN for all where they do not matter.
fn key<T: Scalar>(x: T, compare: Compare) -> Vec<u8> {
    let x = if compare == Compare::Values && x.is_nan() { T::nan() } else { x };
    // SAFETY: a float is plain bytes.
    unsafe { core::slice::from_raw_parts((&raw const x).cast(), size_of::<T>()) }.to_vec()
}

fn assert_same_everywhere<T: Scalar>(operands: [[T; 16]; 3]) {
    let expected = dispatch_on(Isa::Portable, Operations(operands));
    for isa in Isa::available() {
        for ((name, compare, found), (_, _, expected)) in
            dispatch_on(isa, Operations(operands)).iter().zip(&expected)
        {
            for i in 0..16 {
                let of = [operands[0][i], operands[1][i], operands[2][i]];
                let (f, e) = (found[i], expected[i]);
                assert_eq!(key(f, *compare), key(e, *compare), "{isa} {name} {of:?}: {f:?}, {e:?}");
            }
        }
    }
}

/// Values at which conventions differ.
fn special<T: Scalar>() -> Vec<T> {
    let tiny = T::min_positive_value() / (T::one() + T::one());
    let mut values = vec![T::zero(), T::one(), T::infinity(), T::nan(), tiny, T::max_value()];
    for x in [0.5, 1.5, 2.5, 0.1, 3e5, 4_194_303.0] {
        values.extend(T::from(x));
    }
    let negative: Vec<T> = values.iter().map(|&x| -x).collect();
    values.extend(negative);
    values
}

fn specials_agree<T: Scalar>() {
    let values = special::<T>();
    let pairs = values.iter().flat_map(|&a| values.iter().map(move |&b| (a, b)));
    for (shift, (a, b)) in pairs.enumerate() {
        let at = |i: usize| values[(i + shift) % values.len()];
        assert_same_everywhere::<T>([[a; 16], [b; 16], core::array::from_fn(at)]);
    }
}

#[test]
fn special_values_have_the_same_bits_everywhere() {
    specials_agree::<f32>();
    specials_agree::<f64>();
}

proptest! {
    #[test]
    fn any_values_have_the_same_bits_everywhere(words in prop::array::uniform16(any::<[u64; 3]>())) {
        let operand = |i: usize| words.map(|w| f64::from_bits(w[i]));
        assert_same_everywhere([operand(0), operand(1), operand(2)]);
        // Exponents close together, so that sums round and cancel.
        let near = |i: usize| operand(i).map(|x| f64::from_bits(x.to_bits() & !(0x7f0 << 52) | (0x3f0 << 52)));
        assert_same_everywhere([near(0), near(1), near(2)]);
        let operand = |i: usize| words.map(|w| f32::from_bits(w[i] as u32));
        assert_same_everywhere([operand(0), operand(1), operand(2)]);
        let near = |i: usize| operand(i).map(|x| f32::from_bits(x.to_bits() & !(0x78 << 23) | (0x78 << 23)));
        assert_same_everywhere([near(0), near(1), near(2)]);
    }
}

/// Two pages of memory, the second of which may not be touched.
#[cfg(unix)]
struct Guarded {
    start: *mut u8,
    page: usize,
}

#[cfg(unix)]
impl Guarded {
    fn new() -> Self {
        // SAFETY: a fresh private mapping, whose second page is then closed.
        unsafe {
            let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
            let (access, kind) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
            let start = libc::mmap(core::ptr::null_mut(), 2 * page, access, kind, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            let start = start.cast::<u8>();
            assert_eq!(libc::mprotect(start.add(page).cast(), page, libc::PROT_NONE), 0);
            Self { start, page }
        }
    }

    /// Room for exactly `n` elements before the closed page.
    fn last<T>(&self, n: usize) -> *mut T {
        self.start.wrapping_add(self.page - n * size_of::<T>()).cast()
    }
}

#[cfg(unix)]
impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`.
        unsafe { libc::munmap(self.start.cast(), 2 * self.page) };
    }
}

#[cfg(unix)]
struct Partial<'a>(&'a Guarded);

#[cfg(unix)]
impl Partial<'_> {
    #[inline(always)]
    fn check<T: Scalar, S: Simd>(&self) {
        let lanes = T::V::<S>::LANES;
        for n in 0..=lanes {
            let p = self.0.last::<T>(n);
            let mut all = [T::nan(); 16];
            // SAFETY: n elements lie before the closed page; `all` has room for every vector.
            unsafe {
                for i in 0..n {
                    p.add(i).write(T::from(i + 1).unwrap_or_default());
                }
                let x = T::V::<S>::load_first(p, n);
                x.store(all.as_mut_ptr());
                for (i, &lane) in all[..lanes].iter().enumerate() {
                    let expected = if i < n { i + 1 } else { 0 };
                    assert_eq!(lane.to_usize(), Some(expected), "{} lane {i} of {n}", S::ISA);
                }
                (x + x).store_first(p, n);
                for i in 0..n {
                    assert_eq!((*p.add(i)).to_usize(), Some(2 * (i + 1)), "{}", S::ISA);
                }
                let mut place = [T::one(); 16];
                x.store_first(place.as_mut_ptr(), n);
                assert!(place[n..].iter().all(|&x| x == T::one()), "{} wrote past {n}", S::ISA);
            }
        }
    }
}

#[cfg(unix)]
impl Kernel for Partial<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        self.check::<f32, S>();
        self.check::<f64, S>();
    }
}

#[cfg(unix)]
#[test]
fn partial_loads_and_stores_touch_nothing_else() {
    let guarded = Guarded::new();
    for isa in Isa::available() {
        dispatch_on(isa, Partial(&guarded));
    }
}

struct Folds;

impl Folds {
    #[inline(always)]
    fn check<T: Scalar, S: Simd>() {
        let lanes = T::V::<S>::LANES;
        let number = |i: usize| T::from(i).unwrap_or_default();
        let mut from = [T::zero(); 16 * 20];
        for (i, x) in from.iter_mut().enumerate() {
            *x = number(i);
        }
        // 1, 1e-9 and -1 show the order of a sum.
        let mut tree: Vec<T> =
            (0..lanes).map(|i| T::from([1.0, 1e-9, -1.0][i % 3]).unwrap_or_default()).collect();
        // SAFETY: every block lies in its array.
        unsafe {
            let x = T::V::<S>::load(tree.as_ptr());
            while tree.len() > 1 {
                let high = tree.split_off(tree.len() / 2);
                for (low, high) in tree.iter_mut().zip(high) {
                    *low = *low + high;
                }
            }
            assert_eq!(x.reduce_add(), tree[0], "{}", S::ISA);
            for rows in 1..=lanes {
                for cols in 0..=lanes {
                    let mut to = [T::nan(); 16 * 17];
                    T::V::<S>::transpose(from.as_ptr(), 20, rows, to.as_mut_ptr(), 17, cols);
                    for (i, x) in to.iter().enumerate() {
                        let (c, r) = (i / 17, i % 17);
                        let written = c < cols && r < lanes;
                        let expected = number(r.min(rows - 1) * 20 + c);
                        assert!(if written { *x == expected } else { x.is_nan() }, "{}", S::ISA);
                    }
                }
            }
        }
    }
}

impl Kernel for Folds {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        Self::check::<f32, S>();
        Self::check::<f64, S>();
    }
}

#[test]
fn sums_and_transposes_follow_their_definition() {
    for isa in Isa::available() {
        dispatch_on(isa, Folds);
    }
}
