//! NEON, part of every aarch64 processor: four `f32` or two `f64` lanes.

#[allow(clippy::wildcard_imports, reason = "one module of intrinsics")]
use core::arch::aarch64::*;
use core::ops::Neg;

use super::intrinsics::{in_isa, in_isa_raw, operators};
use super::{Isa, Kernel, Simd, Vector, row};

/// NEON.
#[derive(Clone, Copy)]
pub(super) struct Neon;

impl Simd for Neon {
    const ISA: Isa = Isa::Neon;
    #[inline(never)]
    fn outlined<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Self>()
    }
    type F32 = F32x4;
    type F64 = F64x2;
    type HalfF32 = Self::F32;
    type HalfF64 = Self::F64;
}

/// 4 lanes of `f32`.
#[derive(Clone, Copy)]
pub(super) struct F32x4(float32x4_t);

impl Vector for F32x4 {
    type Elem = f32;
    type Mask = uint32x4_t;
    type Bits = uint32x4_t;
    const LANES: usize = 4;

    in_isa! {
        fn splat(x: f32) -> Self { Self(vdupq_n_f32(x)) }
        fn constant(x: f64) -> Self { Self(vdupq_n_f32(x as f32)) }
        fn mul_add(self, a: Self, b: Self) -> Self { Self(vfmaq_f32(b.0, self.0, a.0)) }
        fn neg_mul_add(self, a: Self, b: Self) -> Self { Self(vfmsq_f32(b.0, self.0, a.0)) }
        fn sqrt(self) -> Self { Self(vsqrtq_f32(self.0)) }
        fn settle() -> () {}
        fn abs(self) -> Self { Self(vabsq_f32(self.0)) }
        fn round(self) -> Self { Self(vrndnq_f32(self.0)) }
        fn floor(self) -> Self { Self(vrndmq_f32(self.0)) }
        fn copysign(self, sign: Self) -> Self { Self(vbslq_f32(vreinterpretq_u32_f32(vdupq_n_f32(-0.0)), sign.0, self.0)) }
        fn lt(self, other: Self) -> uint32x4_t { vcltq_f32(self.0, other.0) }
        fn le(self, other: Self) -> uint32x4_t { vcleq_f32(self.0, other.0) }
        fn eq(self, other: Self) -> uint32x4_t { vceqq_f32(self.0, other.0) }
        fn is_nan(self) -> uint32x4_t { Self::mask_not(vceqq_f32(self.0, self.0)) }
        fn select(mask: uint32x4_t, yes: Self, no: Self) -> Self { Self(vbslq_f32(mask, yes.0, no.0)) }
        fn mask_and(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t { vandq_u32(a, b) }
        fn mask_or(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t { vorrq_u32(a, b) }
        fn mask_not(a: uint32x4_t) -> uint32x4_t { vmvnq_u32(a) }
        // Not vminq and vmaxq: those return NaN where either is NaN, and order the zeros.
        fn min(self, other: Self) -> Self { Self(vbslq_f32(vcltq_f32(self.0, other.0), self.0, other.0)) }
        fn max(self, other: Self) -> Self { Self(vbslq_f32(vcgtq_f32(self.0, other.0), self.0, other.0)) }
        fn to_bits(self) -> uint32x4_t { vreinterpretq_u32_f32(self.0) }
        fn from_bits(bits: uint32x4_t) -> Self { Self(vreinterpretq_f32_u32(bits)) }
        fn bits_splat(x: i64) -> uint32x4_t { vdupq_n_u32(x as u32) }
        fn bits_add(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t { vaddq_u32(a, b) }
        fn bits_sub(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t { vsubq_u32(a, b) }
        fn bits_and(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t { vandq_u32(a, b) }
        fn bits_or(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t { vorrq_u32(a, b) }
        fn bits_xor(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t { veorq_u32(a, b) }
        fn bits_mul_low(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
            let low = vdupq_n_u32(0xffff);
            vmulq_u32(vandq_u32(a, low), vandq_u32(b, low))
        }
        fn bits_shl<const N: u32>(a: uint32x4_t) -> uint32x4_t { vshlq_u32(a, vdupq_n_s32(N as i32)) }
        fn bits_shr<const N: u32>(a: uint32x4_t) -> uint32x4_t { vshlq_u32(a, vdupq_n_s32(-(N as i32))) }
        fn to_int(self) -> uint32x4_t { vreinterpretq_u32_s32(vcvtnq_s32_f32(self.0)) }
        fn from_int(a: uint32x4_t) -> Self { Self(vcvtq_f32_s32(vreinterpretq_s32_u32(a))) }
        fn reduce_add(self) -> f32 {
            let x = vadd_f32(vget_low_f32(self.0), vget_high_f32(self.0));
            vget_lane_f32::<0>(x) + vget_lane_f32::<1>(x)
        }
    }

    in_isa_raw! {
        unsafe fn at_least(words: *const u32, lowest: u32) -> uint32x4_t { vcgeq_u32(vld1q_u32(words), vdupq_n_u32(lowest)) }
        unsafe fn load(p: *const f32) -> Self { Self(vld1q_f32(p)) }
        unsafe fn load_pairs(p: *const f32, places: *const u32) -> (Self, Self) {
            let mut x = [vdup_n_f32(0.0); 4];
            for i in 0..4 {
                x[i] = vld1_f32(p.add(*places.add(i) as usize));
            }
            let (low, high) = (vcombine_f32(x[0], x[1]), vcombine_f32(x[2], x[3]));
            (Self(vuzp1q_f32(low, high)), Self(vuzp2q_f32(low, high)))
        }
        unsafe fn load_first(p: *const f32, n: usize) -> Self {
            // Lane by lane: a copy of unknown length would be a call.
            let mut x = vdupq_n_f32(0.0);
            if n > 0 { x = vld1q_lane_f32::<0>(p, x); }
            if n > 1 { x = vld1q_lane_f32::<1>(p.add(1), x); }
            if n > 2 { x = vld1q_lane_f32::<2>(p.add(2), x); }
            if n > 3 { x = vld1q_lane_f32::<3>(p.add(3), x); }
            Self(x)
        }
        unsafe fn store(self, p: *mut f32) -> () { vst1q_f32(p, self.0) }
        unsafe fn stream(self, p: *mut f32) -> () { vst1q_f32(p, self.0) }
        unsafe fn store_first(self, p: *mut f32, n: usize) -> () {
            if n > 0 { vst1q_lane_f32::<0>(p, self.0); }
            if n > 1 { vst1q_lane_f32::<1>(p.add(1), self.0); }
            if n > 2 { vst1q_lane_f32::<2>(p.add(2), self.0); }
            if n > 3 { vst1q_lane_f32::<3>(p.add(3), self.0); }
        }
        unsafe fn transpose(from: *const f32, stride: isize, rows: usize, to: *mut f32, to_stride: usize, cols: usize) -> () {
            let even = [0, 2].map(|r| vld1q_f32(row(from, stride, rows, r)));
            let odd = [1, 3].map(|r| vld1q_f32(row(from, stride, rows, r)));
            let low = [0, 1].map(|i| vreinterpretq_f64_f32(vtrn1q_f32(even[i], odd[i])));
            let high = [0, 1].map(|i| vreinterpretq_f64_f32(vtrn2q_f32(even[i], odd[i])));
            let y = [
                vzip1q_f64(low[0], low[1]),
                vzip1q_f64(high[0], high[1]),
                vzip2q_f64(low[0], low[1]),
                vzip2q_f64(high[0], high[1]),
            ];
            for c in 0..4 {
                if c < cols {
                    vst1q_f32(to.add(c * to_stride), vreinterpretq_f32_f64(y[c]));
                }
            }
        }
    }
}

impl Neg for F32x4 {
    type Output = Self;
    in_isa! { fn neg(self) -> Self { Self(vnegq_f32(self.0)) } }
}

operators! { F32x4: Add add vaddq_f32, Sub sub vsubq_f32, Mul mul vmulq_f32, Div div vdivq_f32 }

/// 2 lanes of `f64`.
#[derive(Clone, Copy)]
pub(super) struct F64x2(float64x2_t);

impl Vector for F64x2 {
    type Elem = f64;
    type Mask = uint64x2_t;
    type Bits = uint64x2_t;
    const LANES: usize = 2;

    in_isa! {
        fn splat(x: f64) -> Self { Self(vdupq_n_f64(x)) }
        fn constant(x: f64) -> Self { Self(vdupq_n_f64(x)) }
        fn mul_add(self, a: Self, b: Self) -> Self { Self(vfmaq_f64(b.0, self.0, a.0)) }
        fn neg_mul_add(self, a: Self, b: Self) -> Self { Self(vfmsq_f64(b.0, self.0, a.0)) }
        fn sqrt(self) -> Self { Self(vsqrtq_f64(self.0)) }
        fn settle() -> () {}
        fn abs(self) -> Self { Self(vabsq_f64(self.0)) }
        fn round(self) -> Self { Self(vrndnq_f64(self.0)) }
        fn floor(self) -> Self { Self(vrndmq_f64(self.0)) }
        fn copysign(self, sign: Self) -> Self { Self(vbslq_f64(vreinterpretq_u64_f64(vdupq_n_f64(-0.0)), sign.0, self.0)) }
        fn lt(self, other: Self) -> uint64x2_t { vcltq_f64(self.0, other.0) }
        fn le(self, other: Self) -> uint64x2_t { vcleq_f64(self.0, other.0) }
        fn eq(self, other: Self) -> uint64x2_t { vceqq_f64(self.0, other.0) }
        fn is_nan(self) -> uint64x2_t { Self::mask_not(vceqq_f64(self.0, self.0)) }
        fn select(mask: uint64x2_t, yes: Self, no: Self) -> Self { Self(vbslq_f64(mask, yes.0, no.0)) }
        fn mask_and(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t { vandq_u64(a, b) }
        fn mask_or(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t { vorrq_u64(a, b) }
        fn mask_not(a: uint64x2_t) -> uint64x2_t { vreinterpretq_u64_u32(vmvnq_u32(vreinterpretq_u32_u64(a))) }
        // Not vminq and vmaxq: those return NaN where either is NaN, and order the zeros.
        fn min(self, other: Self) -> Self { Self(vbslq_f64(vcltq_f64(self.0, other.0), self.0, other.0)) }
        fn max(self, other: Self) -> Self { Self(vbslq_f64(vcgtq_f64(self.0, other.0), self.0, other.0)) }
        fn to_bits(self) -> uint64x2_t { vreinterpretq_u64_f64(self.0) }
        fn from_bits(bits: uint64x2_t) -> Self { Self(vreinterpretq_f64_u64(bits)) }
        fn bits_splat(x: i64) -> uint64x2_t { vdupq_n_u64(x as u64) }
        fn bits_add(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t { vaddq_u64(a, b) }
        fn bits_sub(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t { vsubq_u64(a, b) }
        fn bits_and(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t { vandq_u64(a, b) }
        fn bits_or(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t { vorrq_u64(a, b) }
        fn bits_xor(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t { veorq_u64(a, b) }
        fn bits_mul_low(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t { vmull_u32(vmovn_u64(a), vmovn_u64(b)) }
        fn bits_shl<const N: u32>(a: uint64x2_t) -> uint64x2_t { vshlq_u64(a, vdupq_n_s64(N as i64)) }
        fn bits_shr<const N: u32>(a: uint64x2_t) -> uint64x2_t { vshlq_u64(a, vdupq_n_s64(-(N as i64))) }
        fn to_int(self) -> uint64x2_t { vreinterpretq_u64_s64(vcvtnq_s64_f64(self.0)) }
        fn from_int(a: uint64x2_t) -> Self { Self(vcvtq_f64_s64(vreinterpretq_s64_u64(a))) }
        fn reduce_add(self) -> f64 {
            vgetq_lane_f64::<0>(self.0) + vgetq_lane_f64::<1>(self.0)
        }
    }

    in_isa_raw! {
        unsafe fn at_least(words: *const u32, lowest: u32) -> uint64x2_t {
            let kept = vcge_u32(vld1_u32(words), vdup_n_u32(lowest));
            vreinterpretq_u64_s64(vmovl_s32(vreinterpret_s32_u32(kept)))
        }
        unsafe fn load(p: *const f64) -> Self { Self(vld1q_f64(p)) }
        unsafe fn load_pairs(p: *const f64, places: *const u32) -> (Self, Self) {
            let (one, other) = (vld1q_f64(p.add(*places as usize)), vld1q_f64(p.add(*places.add(1) as usize)));
            (Self(vzip1q_f64(one, other)), Self(vzip2q_f64(one, other)))
        }
        unsafe fn load_first(p: *const f64, n: usize) -> Self {
            let mut x = vdupq_n_f64(0.0);
            if n > 0 { x = vld1q_lane_f64::<0>(p, x); }
            if n > 1 { x = vld1q_lane_f64::<1>(p.add(1), x); }
            Self(x)
        }
        unsafe fn store(self, p: *mut f64) -> () { vst1q_f64(p, self.0) }
        unsafe fn stream(self, p: *mut f64) -> () { vst1q_f64(p, self.0) }
        unsafe fn store_first(self, p: *mut f64, n: usize) -> () {
            if n > 0 { vst1q_lane_f64::<0>(p, self.0); }
            if n > 1 { vst1q_lane_f64::<1>(p.add(1), self.0); }
        }
        unsafe fn transpose(from: *const f64, stride: isize, rows: usize, to: *mut f64, to_stride: usize, cols: usize) -> () {
            let x = [0, 1].map(|r| vld1q_f64(row(from, stride, rows, r)));
            if cols > 0 {
                vst1q_f64(to, vzip1q_f64(x[0], x[1]));
            }
            if cols > 1 {
                vst1q_f64(to.add(to_stride), vzip2q_f64(x[0], x[1]));
            }
        }
    }
}

impl Neg for F64x2 {
    type Output = Self;
    in_isa! { fn neg(self) -> Self { Self(vnegq_f64(self.0)) } }
}

operators! { F64x2: Add add vaddq_f64, Sub sub vsubq_f64, Mul mul vmulq_f64, Div div vdivq_f64 }
