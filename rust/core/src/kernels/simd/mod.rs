//! One vector type for each instruction set, behind one trait, so that every kernel is written once.
//!
//! A kernel is a struct that implements [`Kernel`]; [`dispatch()`] picks the instruction set once and runs the
//! kernel inside a function compiled for it. Everything a kernel calls must be `#[inline(always)]`, or the
//! instruction set does not reach it.

#[cfg(target_arch = "x86_64")]
mod avx2;
// Here and in dispatch.rs: what is compiled for one machine alone (tools/native.sh) has no kernels that never run
// there. The tests compare every instruction set that runs.
#[cfg(all(target_arch = "x86_64", not(without_avx512)))]
mod avx512;
mod chain;
mod dispatch;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod intrinsics;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(test, not(without_portable)))]
mod portable;

use core::fmt::Debug;
use core::ops::{Add, Div, Mul, Neg, Sub};

use num_traits::Float;

pub use chain::Chain;
pub use dispatch::{Isa, Kernel, dispatch, dispatch_on, isa};

/// A scalar that vectors are made of: `f32` or `f64`.
pub trait Lane: Copy + PartialOrd + Send + Sync + 'static {
    /// The signed integer of the same width.
    type Int: Copy + Into<i64>;
}

/// A vector of floats.
///
/// Lane operations are IEEE 754 and identical on every instruction set (`mul_add` is always fused), so a
/// result does not depend on the lane, the vector width or the instruction set that computed it.
#[allow(clippy::return_self_not_must_use, reason = "arithmetic: every method returns a value")]
pub trait Vector:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The scalar type.
    type Elem: Lane;
    /// One truth value for each lane.
    type Mask: Copy;
    /// Integers of the lane's width (for exponents and bit patterns).
    type Bits: Copy;
    /// How many lanes.
    const LANES: usize;

    /// All lanes equal to `x`.
    fn splat(x: Self::Elem) -> Self;
    /// All lanes equal to `x` rounded to the lane type (for constants in generic code).
    fn constant(x: f64) -> Self;
    /// Reads `LANES` elements.
    ///
    /// # Safety
    /// `p` is valid for reading `LANES` elements (no alignment asked beyond the element's).
    unsafe fn load(p: *const Self::Elem) -> Self;
    /// Reads the elements at `LANES` places, and those that follow each.
    ///
    /// # Safety
    /// `places` is valid for reading `LANES` of them, and `p` for reading two elements at each.
    unsafe fn load_pairs(p: *const Self::Elem, places: *const u32) -> (Self, Self);
    /// Reads the first `n <= LANES` elements; the other lanes are zero and their memory is not touched.
    ///
    /// # Safety
    /// `p` is valid for reading `n` elements.
    unsafe fn load_first(p: *const Self::Elem, n: usize) -> Self;
    /// Writes `LANES` elements.
    ///
    /// # Safety
    /// `p` is valid for writing `LANES` elements.
    unsafe fn store(self, p: *mut Self::Elem);
    /// Writes the first `n <= LANES` lanes.
    ///
    /// # Safety
    /// `p` is valid for writing `n` elements.
    unsafe fn store_first(self, p: *mut Self::Elem, n: usize);

    /// Writes `LANES` elements to memory rather than to a cache, where the instruction set can: what is written does not
    /// have to be read first, and takes no place from what is needed. [`Self::settle`] comes before anybody else looks.
    ///
    /// # Safety
    /// As for [`Self::store`], and `p` is aligned to the size of the vector.
    unsafe fn stream(self, p: *mut Self::Elem);
    /// Puts what [`Self::stream`] has written before all that is written from now on.
    fn settle();

    /// `self * a + b`, rounded once.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// `b - self * a`, rounded once.
    fn neg_mul_add(self, a: Self, b: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// To the nearest integer, ties to even.
    fn round(self) -> Self;
    /// Toward minus infinity.
    fn floor(self) -> Self;
    /// The magnitude of `self` with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// `self < other` (false where either is NaN).
    fn lt(self, other: Self) -> Self::Mask;
    /// `self <= other` (false where either is NaN).
    fn le(self, other: Self) -> Self::Mask;
    /// `self == other` (false where either is NaN).
    fn eq(self, other: Self) -> Self::Mask;
    /// True where the lane is NaN.
    fn is_nan(self) -> Self::Mask;
    /// `if mask { yes } else { no }`, lane by lane.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// Lane-wise and.
    fn mask_and(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Lane-wise or.
    fn mask_or(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Lane-wise not.
    fn mask_not(a: Self::Mask) -> Self::Mask;
    /// The smaller; `other` where either is NaN (x86 `min` order).
    fn min(self, other: Self) -> Self;
    /// The larger; `other` where either is NaN (x86 `max` order).
    fn max(self, other: Self) -> Self;

    /// True in the lanes whose word is at least `lowest`, as an unsigned number.
    ///
    /// # Safety
    /// `words` is valid for reading `LANES` words.
    unsafe fn at_least(words: *const u32, lowest: u32) -> Self::Mask;

    /// The bit patterns of the lanes.
    fn to_bits(self) -> Self::Bits;
    /// Lanes from bit patterns.
    fn from_bits(bits: Self::Bits) -> Self;
    /// All lanes of an integer vector equal to `x` (truncated to the lane's width).
    fn bits_splat(x: i64) -> Self::Bits;
    /// Wrapping integer sum.
    fn bits_add(a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// Wrapping integer difference.
    fn bits_sub(a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// Bitwise and.
    fn bits_and(a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// Bitwise or.
    fn bits_or(a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// Bitwise exclusive or.
    fn bits_xor(a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// The product of the lower halves of the lanes.
    fn bits_mul_low(a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// Left shift by `N` bits.
    fn bits_shl<const N: u32>(a: Self::Bits) -> Self::Bits;
    /// Logical right shift by `N` bits.
    fn bits_shr<const N: u32>(a: Self::Bits) -> Self::Bits;
    /// Integer value of a lane that already holds an integer (|x| < 2^22 for f32, 2^51 for f64).
    fn to_int(self) -> Self::Bits;
    /// Float value of small signed integers (same bounds).
    fn from_int(a: Self::Bits) -> Self;

    /// The lanes summed in a fixed tree order: lane i with lane i + LANES/2, and so on.
    fn reduce_add(self) -> Self::Elem;

    /// Transposes a block: `to[c * to_stride + r] = from[r * stride + c]` for r, c < `LANES`, except that rows
    /// from `rows` on repeat the last one, and that only the first `cols` columns are written, in order.
    ///
    /// # Safety
    /// `1 <= rows`, and each of the rows is valid for reading `LANES` elements; `to` is valid for writing
    /// `LANES` elements at each of the first `cols <= LANES` multiples of `to_stride`.
    unsafe fn transpose(
        from: *const Self::Elem,
        stride: isize,
        rows: usize,
        to: *mut Self::Elem,
        to_stride: usize,
        cols: usize,
    );
}

/// The vectors of one instruction set.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Which it is: constant, so that a kernel's choices by it cost nothing.
    const ISA: Isa;
    /// Runs a kernel in a function of its own, compiled for the same instruction set: a call instead of one
    /// more copy of the code.
    fn outlined<K: Kernel>(kernel: K) -> K::Output;
    /// `f32` lanes.
    type F32: Vector<Elem = f32>;
    /// `f64` lanes.
    type F64: Vector<Elem = f64>;
    /// Whether there are vectors of half the lanes that multiply in less time, on some of the processors.
    const HALVES: bool = false;
    /// Half the `f32` lanes, where [`Self::HALVES`].
    type HalfF32: Chain<Elem = f32>;
    /// Half the `f64` lanes, where [`Self::HALVES`].
    type HalfF64: Chain<Elem = f64>;
}

/// A scalar with its vectors: what a kernel generic over `f32` and `f64` is written against.
pub trait Scalar: Lane + Float + Default + Debug {
    /// This scalar's vector in an instruction set.
    type V<S: Simd>: Vector<Elem = Self>;
    /// Half of it, where [`Simd::HALVES`].
    type Half<S: Simd>: Chain<Elem = Self>;
}

impl Lane for f32 {
    type Int = i32;
}
impl Lane for f64 {
    type Int = i64;
}
impl Scalar for f32 {
    type V<S: Simd> = S::F32;
    type Half<S: Simd> = S::HalfF32;
}
impl Scalar for f64 {
    type V<S: Simd> = S::F64;
    type Half<S: Simd> = S::HalfF64;
}

/// The start of row `r`, or of the last one where there are only `rows`.
///
/// # Safety
/// The rows lie in one allocation.
#[inline(always)]
unsafe fn row<T>(from: *const T, stride: isize, rows: usize, r: usize) -> *const T {
    // SAFETY: the caller's promise.
    unsafe { from.offset(stride * r.min(rows - 1) as isize) }
}

#[cfg(test)]
mod tests;
