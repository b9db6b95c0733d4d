//! The portable backend, plain arrays: the meaning of every operation, and the path of a processor without a faster
//! one.

use core::ops::{Add, Div, Mul, Neg, Sub};

use super::{Isa, Kernel, Lane, Simd, Vector, row};

/// Arrays of scalars.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Simd for Portable {
    const ISA: Isa = Isa::Portable;
    #[inline(never)]
    fn outlined<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Self>()
    }
    type F32 = Array<f32, 4>;
    type F64 = Array<f64, 2>;
    type HalfF32 = Self::F32;
    type HalfF64 = Self::F64;
}

/// `N` scalars.
#[derive(Clone, Copy)]
pub(super) struct Array<T, const N: usize>([T; N]);

/// `op` on every lane.
#[inline(always)]
fn each<T: Copy, R: Copy + Default, const N: usize>(a: [T; N], op: impl Fn(T) -> R) -> [R; N] {
    let mut out = [R::default(); N];
    for i in 0..N {
        out[i] = op(a[i]);
    }
    out
}

/// `op` on every pair of lanes.
#[inline(always)]
fn pairs<T: Copy, U: Copy, R: Copy + Default, const N: usize>(
    a: [T; N],
    b: [U; N],
    op: impl Fn(T, U) -> R,
) -> [R; N] {
    let mut out = [R::default(); N];
    for i in 0..N {
        out[i] = op(a[i], b[i]);
    }
    out
}

/// `x a + b` on every lane. Much code, and in most kernels many times: the tests compile it as a function.
#[cfg_attr(debug_assertions, inline(never))]
#[cfg_attr(not(debug_assertions), inline(always))]
fn fused<T: Copy, const N: usize>(
    x: [T; N],
    a: [T; N],
    b: [T; N],
    mul_add: impl Fn(T, T, T) -> T,
) -> [T; N] {
    let mut out = b;
    for i in 0..N {
        out[i] = mul_add(x[i], a[i], b[i]);
    }
    out
}

macro_rules! operator {
    ($trait:ident $method:ident) => {
        impl<T: Lane + $trait<Output = T> + Default, const N: usize> $trait for Array<T, N> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(pairs(self.0, other.0, T::$method))
            }
        }
    };
}
operator!(Add add);
operator!(Sub sub);
operator!(Mul mul);
operator!(Div div);

impl<T: Lane + Neg<Output = T> + Default, const N: usize> Neg for Array<T, N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(each(self.0, T::neg))
    }
}

/// Methods that are inlined into their kernel.
macro_rules! inlined {
    ($($(#[$attribute:meta])* fn $name:ident $(<const $n:ident: u32>)? ($($args:tt)*) -> $ret:ty $body:block)*) => {$(
        #[inline(always)]
        $(#[$attribute])*
        fn $name$(<const $n: u32>)?($($args)*) -> $ret $body
    )*};
}

/// The same body for both scalars: std gives their methods the same names, but no common trait.
macro_rules! array_vector {
    ($elem:ident $lanes:literal, $uint:ident, $int:ident, $mul_add:path) => {
        impl Vector for Array<$elem, $lanes> {
            type Elem = $elem;
            type Mask = [bool; $lanes];
            type Bits = [$uint; $lanes];
            const LANES: usize = $lanes;

            inlined! {
                fn splat(x: $elem) -> Self { Self([x; $lanes]) }
                #[allow(clippy::cast_lossless, reason = "f64 to f64 in one of the two expansions")]
                fn constant(x: f64) -> Self { Self([x as $elem; $lanes]) }
                fn settle() -> () {}
                fn mul_add(self, a: Self, b: Self) -> Self { Self(fused(self.0, a.0, b.0, $mul_add)) }
                fn neg_mul_add(self, a: Self, b: Self) -> Self { (-self).mul_add(a, b) }
                fn sqrt(self) -> Self { Self(each(self.0, $elem::sqrt)) }
                fn abs(self) -> Self { Self(each(self.0, $elem::abs)) }
                fn round(self) -> Self { Self(each(self.0, $elem::round_ties_even)) }
                fn floor(self) -> Self { Self(each(self.0, $elem::floor)) }
                fn copysign(self, sign: Self) -> Self { Self(pairs(self.0, sign.0, $elem::copysign)) }
                fn lt(self, other: Self) -> Self::Mask { pairs(self.0, other.0, |a, b| a < b) }
                fn le(self, other: Self) -> Self::Mask { pairs(self.0, other.0, |a, b| a <= b) }
                fn eq(self, other: Self) -> Self::Mask { pairs(self.0, other.0, |a, b| a == b) }
                fn is_nan(self) -> Self::Mask { each(self.0, $elem::is_nan) }
                fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
                    let mut out = no.0;
                    for i in 0..$lanes {
                        if mask[i] {
                            out[i] = yes.0[i];
                        }
                    }
                    Self(out)
                }
                fn mask_and(a: Self::Mask, b: Self::Mask) -> Self::Mask { pairs(a, b, |a, b| a & b) }
                fn mask_or(a: Self::Mask, b: Self::Mask) -> Self::Mask { pairs(a, b, |a, b| a | b) }
                fn mask_not(a: Self::Mask) -> Self::Mask { each(a, |a| !a) }
                fn min(self, other: Self) -> Self { Self(pairs(self.0, other.0, |a, b| if a < b { a } else { b })) }
                fn max(self, other: Self) -> Self { Self(pairs(self.0, other.0, |a, b| if a > b { a } else { b })) }
                fn to_bits(self) -> Self::Bits { each(self.0, $elem::to_bits) }
                fn from_bits(bits: Self::Bits) -> Self { Self(each(bits, $elem::from_bits)) }
                fn bits_splat(x: i64) -> Self::Bits { [x as $uint; $lanes] }
                fn bits_add(a: Self::Bits, b: Self::Bits) -> Self::Bits { pairs(a, b, $uint::wrapping_add) }
                fn bits_sub(a: Self::Bits, b: Self::Bits) -> Self::Bits { pairs(a, b, $uint::wrapping_sub) }
                fn bits_and(a: Self::Bits, b: Self::Bits) -> Self::Bits { pairs(a, b, |a, b| a & b) }
                fn bits_or(a: Self::Bits, b: Self::Bits) -> Self::Bits { pairs(a, b, |a, b| a | b) }
                fn bits_xor(a: Self::Bits, b: Self::Bits) -> Self::Bits { pairs(a, b, |a, b| a ^ b) }
                fn bits_mul_low(a: Self::Bits, b: Self::Bits) -> Self::Bits {
                    const LOW: $uint = $uint::MAX >> ($uint::BITS / 2);
                    pairs(a, b, |a, b| (a & LOW) * (b & LOW))
                }
                fn bits_shl<const N: u32>(a: Self::Bits) -> Self::Bits { each(a, |a| a << N) }
                fn bits_shr<const N: u32>(a: Self::Bits) -> Self::Bits { each(a, |a| a >> N) }
                fn to_int(self) -> Self::Bits { each(self.0, |a| a as $int as $uint) }
                fn from_int(a: Self::Bits) -> Self { Self(each(a, |a| a as $int as $elem)) }
                fn reduce_add(self) -> $elem {
                    let mut lanes = self.0;
                    let mut half = $lanes / 2;
                    while half > 0 {
                        for i in 0..half {
                            lanes[i] += lanes[i + half];
                        }
                        half /= 2;
                    }
                    lanes[0]
                }
            }

            #[inline(always)]
            unsafe fn load(p: *const $elem) -> Self {
                // SAFETY: the caller's promise; an array of scalars asks the scalar's alignment only.
                Self(unsafe { p.cast::<[$elem; $lanes]>().read() })
            }
            #[inline(always)]
            unsafe fn load_pairs(p: *const $elem, places: *const u32) -> (Self, Self) {
                let (mut first, mut second) = ([0.0; $lanes], [0.0; $lanes]);
                for i in 0..$lanes {
                    // SAFETY: the caller's promise: two elements at each place.
                    unsafe {
                        let pair = p.add(*places.add(i) as usize);
                        (first[i], second[i]) = (*pair, *pair.add(1));
                    }
                }
                (Self(first), Self(second))
            }
            #[inline(always)]
            unsafe fn at_least(words: *const u32, lowest: u32) -> [bool; $lanes] {
                // SAFETY: the caller's promise: a word for each lane.
                core::array::from_fn(|i| unsafe { words.add(i).read_unaligned() } >= lowest)
            }
            #[inline(always)]
            unsafe fn load_first(p: *const $elem, n: usize) -> Self {
                debug_assert!(n <= $lanes);
                let mut lanes = [0.0; $lanes];
                // Lane by lane: a copy of unknown length would be a call.
                for (i, lane) in lanes.iter_mut().enumerate() {
                    if i < n {
                        // SAFETY: the caller's promise: i < n.
                        *lane = unsafe { p.add(i).read() };
                    }
                }
                Self(lanes)
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $elem) {
                // SAFETY: as in load.
                unsafe { p.cast::<[$elem; $lanes]>().write(self.0) }
            }
            #[inline(always)]
            unsafe fn stream(self, p: *mut $elem) {
                // SAFETY: as in load.
                unsafe { self.store(p) }
            }
            #[inline(always)]
            unsafe fn store_first(self, p: *mut $elem, n: usize) {
                debug_assert!(n <= $lanes);
                for (i, lane) in self.0.into_iter().enumerate() {
                    if i < n {
                        // SAFETY: the caller's promise: i < n.
                        unsafe { p.add(i).write(lane) }
                    }
                }
            }
            #[inline(always)]
            unsafe fn transpose(
                from: *const $elem,
                stride: isize,
                rows: usize,
                to: *mut $elem,
                to_stride: usize,
                cols: usize,
            ) {
                for c in 0..cols {
                    for r in 0..$lanes {
                        // SAFETY: the caller's promise: a row that exists, c < cols <= LANES, r < LANES.
                        unsafe { *to.add(c * to_stride + r) = *row(from, stride, rows, r).add(c) }
                    }
                }
            }
        }
    };
}
array_vector!(f32 4, u32, i32, mul_add);
array_vector!(f64 2, u64, i64, f64::mul_add);

/// `x a + b`, rounded once, as the instruction has it.
///
/// Where the compiler may not use the instruction it calls a function for each lane. This needs no calls or branches:
/// the product is exact in `f64`; the sum, rounded to odd, still shows on which side of every `f32` it lies.
/// (S. Boldo, G. Melquiond: Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd, 2008.)
#[inline(always)]
fn mul_add(x: f32, a: f32, b: f32) -> f32 {
    if cfg!(any(target_feature = "fma", not(target_arch = "x86_64"))) {
        return x.mul_add(a, b);
    }
    let (product, b) = (f64::from(x) * f64::from(a), f64::from(b));
    let sum = product + b;
    let part = sum - product;
    let error = (product - (sum - part)) + (b - part);
    // Not a number where the sum is infinite or none: nothing is added to it then.
    let inexact = error.abs() > 0.0;
    let bits = sum.to_bits();
    let step = u64::from(inexact) & !bits & 1;
    let away = (error > 0.0) == (sum > 0.0);
    f64::from_bits(bits.wrapping_add(if away { step } else { step.wrapping_neg() })) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of any bits, and numbers near each other, whose sums cancel or fall halfway between two results.
    #[test]
    fn mul_add_rounds_once() {
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        let special =
            [0.0, -0.0, 1.0, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NAN, 1e-45, -1e-45];
        for round in 0..3_000_000 {
            let mut draw = || {
                let bits = next();
                match (round + bits as usize) % 8 {
                    0 => special[bits as usize % special.len()],
                    1..=3 => f32::from_bits(bits),
                    // Few bits of the fraction, and exponents near zero: halves are common.
                    _ => {
                        f32::from_bits((bits & 0x83ff_8001).wrapping_add(0x3c00_0000) & 0xbfff_ffff)
                    }
                }
            };
            let (x, a, b) = (draw(), draw(), draw());
            let (found, expected) = (mul_add(x, a, b), x.mul_add(a, b));
            assert!(
                found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                "{x:e} {a:e} {b:e}: {found:e}, not {expected:e}"
            );
        }
        // The sum in f64 is halfway between two results, and what it lost decides: b + 2^-14 (1 - 2^-46), b odd.
        let (x, a) = (1.0 + f32::EPSILON, (1.0 - f32::EPSILON) / 16384.0);
        let b = 1024.0 + 1.0 / 8192.0;
        assert_eq!(mul_add(x, a, b), b);
        assert_eq!(mul_add(-x, a, -b), -b);
    }
}
