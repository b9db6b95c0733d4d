//! AVX2 with FMA: eight `f32` or four `f64` lanes, masks as all-ones lanes.

#[allow(clippy::wildcard_imports, reason = "one module of intrinsics")]
use core::arch::x86_64::*;
use core::ops::Neg;

use super::intrinsics::{in_isa, in_isa_raw, operators};
use super::{Isa, Kernel, Simd, Vector, row};

/// AVX2 with FMA.
#[derive(Clone, Copy)]
#[cfg_attr(without_avx2, allow(dead_code, reason = "its vectors are halves of AVX-512's"))]
pub(super) struct Avx2;

impl Simd for Avx2 {
    const ISA: Isa = Isa::Avx2;
    #[inline(always)]
    fn outlined<K: Kernel>(kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        #[inline(never)]
        fn call<K: Kernel>(kernel: K) -> K::Output {
            kernel.run::<Avx2>()
        }
        // SAFETY: only code that `dispatch` runs on AVX2 has this type.
        unsafe { call(kernel) }
    }
    type F32 = F32x8;
    type F64 = F64x4;
    type HalfF32 = Self::F32;
    type HalfF64 = Self::F64;
}

/// 1.5 * 2^52: adding it to a small integer leaves the integer in the low bits.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// A window of eight starting at `8 - n` holds `n` ones, then zeros.
static LANES_32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
/// A window of four starting at `4 - n` holds `n` ones, then zeros.
static LANES_64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

/// A mask of the first `n <= 8` lanes.
#[inline(always)]
fn first_32(n: usize) -> __m256i {
    debug_assert!(n <= 8);
    // SAFETY: the window lies inside the table for n <= 8; AVX2 is there, as for every method of this file.
    unsafe { _mm256_loadu_si256(LANES_32.as_ptr().add(8 - n).cast()) }
}

/// A mask of the first `n <= 4` lanes.
#[inline(always)]
fn first_64(n: usize) -> __m256i {
    debug_assert!(n <= 4);
    // SAFETY: the window lies inside the table for n <= 4; AVX2 is there, as for every method of this file.
    unsafe { _mm256_loadu_si256(LANES_64.as_ptr().add(4 - n).cast()) }
}

/// 8 lanes of `f32`.
#[derive(Clone, Copy)]
pub(super) struct F32x8(pub(super) __m256);

impl Vector for F32x8 {
    type Elem = f32;
    type Mask = __m256;
    type Bits = __m256i;
    const LANES: usize = 8;

    in_isa! {
        fn splat(x: f32) -> Self { Self(_mm256_set1_ps(x)) }
        fn constant(x: f64) -> Self { Self(_mm256_set1_ps(x as f32)) }
        fn mul_add(self, a: Self, b: Self) -> Self { Self(_mm256_fmadd_ps(self.0, a.0, b.0)) }
        fn neg_mul_add(self, a: Self, b: Self) -> Self { Self(_mm256_fnmadd_ps(self.0, a.0, b.0)) }
        fn sqrt(self) -> Self { Self(_mm256_sqrt_ps(self.0)) }
        fn settle() -> () { _mm_sfence() }
        fn abs(self) -> Self { Self(_mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0)) }
        fn round(self) -> Self { Self(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)) }
        fn floor(self) -> Self { Self(_mm256_round_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(self.0)) }
        fn copysign(self, sign: Self) -> Self {
            let top = _mm256_set1_ps(-0.0);
            Self(_mm256_or_ps(_mm256_and_ps(top, sign.0), _mm256_andnot_ps(top, self.0)))
        }
        fn lt(self, other: Self) -> __m256 { _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0) }
        fn le(self, other: Self) -> __m256 { _mm256_cmp_ps::<_CMP_LE_OQ>(self.0, other.0) }
        fn eq(self, other: Self) -> __m256 { _mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, other.0) }
        fn is_nan(self) -> __m256 { _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0) }
        fn select(mask: __m256, yes: Self, no: Self) -> Self { Self(_mm256_blendv_ps(no.0, yes.0, mask)) }
        fn mask_and(a: __m256, b: __m256) -> __m256 { _mm256_and_ps(a, b) }
        fn mask_or(a: __m256, b: __m256) -> __m256 { _mm256_or_ps(a, b) }
        fn mask_not(a: __m256) -> __m256 { _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1))) }
        fn min(self, other: Self) -> Self { Self(_mm256_min_ps(self.0, other.0)) }
        fn max(self, other: Self) -> Self { Self(_mm256_max_ps(self.0, other.0)) }
        fn to_bits(self) -> __m256i { _mm256_castps_si256(self.0) }
        fn from_bits(bits: __m256i) -> Self { Self(_mm256_castsi256_ps(bits)) }
        fn bits_splat(x: i64) -> __m256i { _mm256_set1_epi32(x as i32) }
        fn bits_add(a: __m256i, b: __m256i) -> __m256i { _mm256_add_epi32(a, b) }
        fn bits_sub(a: __m256i, b: __m256i) -> __m256i { _mm256_sub_epi32(a, b) }
        fn bits_and(a: __m256i, b: __m256i) -> __m256i { _mm256_and_si256(a, b) }
        fn bits_or(a: __m256i, b: __m256i) -> __m256i { _mm256_or_si256(a, b) }
        fn bits_xor(a: __m256i, b: __m256i) -> __m256i { _mm256_xor_si256(a, b) }
        fn bits_mul_low(a: __m256i, b: __m256i) -> __m256i {
            let low = _mm256_set1_epi32(0xffff);
            _mm256_mullo_epi32(_mm256_and_si256(a, low), _mm256_and_si256(b, low))
        }
        fn bits_shl<const N: u32>(a: __m256i) -> __m256i { _mm256_sll_epi32(a, _mm_cvtsi32_si128(N as i32)) }
        fn bits_shr<const N: u32>(a: __m256i) -> __m256i { _mm256_srl_epi32(a, _mm_cvtsi32_si128(N as i32)) }
        fn to_int(self) -> __m256i { _mm256_cvtps_epi32(self.0) }
        fn from_int(a: __m256i) -> Self { Self(_mm256_cvtepi32_ps(a)) }
        fn reduce_add(self) -> f32 {
            let x = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
        }
    }

    in_isa_raw! {
        unsafe fn at_least(words: *const u32, lowest: u32) -> __m256 {
            let (x, low) = (_mm256_loadu_si256(words.cast()), _mm256_set1_epi32(lowest.cast_signed()));
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(x, low), x))
        }
        unsafe fn load(p: *const f32) -> Self { Self(_mm256_loadu_ps(p)) }
        unsafe fn load_pairs(p: *const f32, places: *const u32) -> (Self, Self) {
            // Quicker than to gather, which takes an element at a time. Numbers 2 i and 2 i + 1 of the places.
            let mut x = [_mm_setzero_pd(); 4];
            for i in 0..4 {
                let low = p.add(*places.add(2 * i) as usize).cast::<f64>();
                let high = p.add(*places.add(2 * i + 1) as usize).cast::<f64>();
                x[i] = _mm_set_pd(high.read_unaligned(), low.read_unaligned());
            }
            let even = _mm256_castpd_ps(_mm256_set_m128d(x[2], x[0]));
            let odd = _mm256_castpd_ps(_mm256_set_m128d(x[3], x[1]));
            let first = _mm256_shuffle_ps::<0b10_00_10_00>(even, odd);
            (Self(first), Self(_mm256_shuffle_ps::<0b11_01_11_01>(even, odd)))
        }
        unsafe fn load_first(p: *const f32, n: usize) -> Self { Self(_mm256_maskload_ps(p, first_32(n))) }
        unsafe fn store(self, p: *mut f32) -> () { _mm256_storeu_ps(p, self.0) }
        unsafe fn stream(self, p: *mut f32) -> () { _mm256_stream_ps(p, self.0) }
        unsafe fn store_first(self, p: *mut f32, n: usize) -> () { _mm256_maskstore_ps(p, first_32(n), self.0) }
        unsafe fn transpose(from: *const f32, stride: isize, rows: usize, to: *mut f32, to_stride: usize, cols: usize) -> () {
            for quad in 0..2 {
                if 4 * quad >= cols {
                    break;
                }
                // Row r goes to lane group r / 4: the loads place what shuffles would have to.
                let mut x = [_mm256_setzero_ps(); 4];
                for r in 0..4 {
                    let p = from.add(4 * quad);
                    x[r] = _mm256_castps128_ps256(_mm_loadu_ps(row(p, stride, rows, r)));
                    x[r] = _mm256_insertf128_ps::<1>(x[r], _mm_loadu_ps(row(p, stride, rows, r + 4)));
                }
                let low_0 = _mm256_castps_pd(_mm256_unpacklo_ps(x[0], x[1]));
                let low_1 = _mm256_castps_pd(_mm256_unpacklo_ps(x[2], x[3]));
                let high_0 = _mm256_castps_pd(_mm256_unpackhi_ps(x[0], x[1]));
                let high_1 = _mm256_castps_pd(_mm256_unpackhi_ps(x[2], x[3]));
                let y = [
                    _mm256_unpacklo_pd(low_0, low_1),
                    _mm256_unpackhi_pd(low_0, low_1),
                    _mm256_unpacklo_pd(high_0, high_1),
                    _mm256_unpackhi_pd(high_0, high_1),
                ];
                for c in 0..4 {
                    if 4 * quad + c < cols {
                        _mm256_storeu_ps(to.add((4 * quad + c) * to_stride), _mm256_castpd_ps(y[c]));
                    }
                }
            }
        }
    }
}

operators! { F32x8: Add add _mm256_add_ps, Sub sub _mm256_sub_ps, Mul mul _mm256_mul_ps, Div div _mm256_div_ps }

impl Neg for F32x8 {
    type Output = Self;
    in_isa! { fn neg(self) -> Self { Self(_mm256_xor_ps(self.0, _mm256_set1_ps(-0.0))) } }
}

/// 4 lanes of `f64`.
#[derive(Clone, Copy)]
pub(super) struct F64x4(pub(super) __m256d);

impl Vector for F64x4 {
    type Elem = f64;
    type Mask = __m256d;
    type Bits = __m256i;
    const LANES: usize = 4;

    in_isa! {
        fn splat(x: f64) -> Self { Self(_mm256_set1_pd(x)) }
        fn constant(x: f64) -> Self { Self(_mm256_set1_pd(x)) }
        fn mul_add(self, a: Self, b: Self) -> Self { Self(_mm256_fmadd_pd(self.0, a.0, b.0)) }
        fn neg_mul_add(self, a: Self, b: Self) -> Self { Self(_mm256_fnmadd_pd(self.0, a.0, b.0)) }
        fn sqrt(self) -> Self { Self(_mm256_sqrt_pd(self.0)) }
        fn settle() -> () { _mm_sfence() }
        fn abs(self) -> Self { Self(_mm256_andnot_pd(_mm256_set1_pd(-0.0), self.0)) }
        fn round(self) -> Self { Self(_mm256_round_pd::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)) }
        fn floor(self) -> Self { Self(_mm256_round_pd::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(self.0)) }
        fn copysign(self, sign: Self) -> Self {
            let top = _mm256_set1_pd(-0.0);
            Self(_mm256_or_pd(_mm256_and_pd(top, sign.0), _mm256_andnot_pd(top, self.0)))
        }
        fn lt(self, other: Self) -> __m256d { _mm256_cmp_pd::<_CMP_LT_OQ>(self.0, other.0) }
        fn le(self, other: Self) -> __m256d { _mm256_cmp_pd::<_CMP_LE_OQ>(self.0, other.0) }
        fn eq(self, other: Self) -> __m256d { _mm256_cmp_pd::<_CMP_EQ_OQ>(self.0, other.0) }
        fn is_nan(self) -> __m256d { _mm256_cmp_pd::<_CMP_UNORD_Q>(self.0, self.0) }
        fn select(mask: __m256d, yes: Self, no: Self) -> Self { Self(_mm256_blendv_pd(no.0, yes.0, mask)) }
        fn mask_and(a: __m256d, b: __m256d) -> __m256d { _mm256_and_pd(a, b) }
        fn mask_or(a: __m256d, b: __m256d) -> __m256d { _mm256_or_pd(a, b) }
        fn mask_not(a: __m256d) -> __m256d { _mm256_xor_pd(a, _mm256_castsi256_pd(_mm256_set1_epi32(-1))) }
        fn min(self, other: Self) -> Self { Self(_mm256_min_pd(self.0, other.0)) }
        fn max(self, other: Self) -> Self { Self(_mm256_max_pd(self.0, other.0)) }
        fn to_bits(self) -> __m256i { _mm256_castpd_si256(self.0) }
        fn from_bits(bits: __m256i) -> Self { Self(_mm256_castsi256_pd(bits)) }
        fn bits_splat(x: i64) -> __m256i { _mm256_set1_epi64x(x) }
        fn bits_add(a: __m256i, b: __m256i) -> __m256i { _mm256_add_epi64(a, b) }
        fn bits_sub(a: __m256i, b: __m256i) -> __m256i { _mm256_sub_epi64(a, b) }
        fn bits_and(a: __m256i, b: __m256i) -> __m256i { _mm256_and_si256(a, b) }
        fn bits_or(a: __m256i, b: __m256i) -> __m256i { _mm256_or_si256(a, b) }
        fn bits_xor(a: __m256i, b: __m256i) -> __m256i { _mm256_xor_si256(a, b) }
        fn bits_mul_low(a: __m256i, b: __m256i) -> __m256i { _mm256_mul_epu32(a, b) }
        fn bits_shl<const N: u32>(a: __m256i) -> __m256i { _mm256_sll_epi64(a, _mm_cvtsi32_si128(N as i32)) }
        fn bits_shr<const N: u32>(a: __m256i) -> __m256i { _mm256_srl_epi64(a, _mm_cvtsi32_si128(N as i32)) }
        fn to_int(self) -> __m256i {
            // x + 1.5 * 2^52 holds the integer x in its low bits (AVX2 has no 64-bit conversion).
            let magic = _mm256_set1_pd(MAGIC);
            _mm256_sub_epi64(_mm256_castpd_si256(_mm256_add_pd(self.0, magic)), _mm256_castpd_si256(magic))
        }
        fn from_int(a: __m256i) -> Self {
            let magic = _mm256_set1_pd(MAGIC);
            let sum = _mm256_castsi256_pd(_mm256_add_epi64(a, _mm256_castpd_si256(magic)));
            Self(_mm256_sub_pd(sum, magic))
        }
        fn reduce_add(self) -> f64 {
            let x = _mm_add_pd(_mm256_castpd256_pd128(self.0), _mm256_extractf128_pd::<1>(self.0));
            _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)))
        }
    }

    in_isa_raw! {
        unsafe fn at_least(words: *const u32, lowest: u32) -> __m256d {
            let (x, low) = (_mm_loadu_si128(words.cast()), _mm_set1_epi32(lowest.cast_signed()));
            let kept = _mm_cmpeq_epi32(_mm_max_epu32(x, low), x);
            _mm256_castsi256_pd(_mm256_cvtepi32_epi64(kept))
        }
        unsafe fn load(p: *const f64) -> Self { Self(_mm256_loadu_pd(p)) }
        unsafe fn load_pairs(p: *const f64, places: *const u32) -> (Self, Self) {
            let mut x = [_mm_setzero_pd(); 4];
            for i in 0..4 {
                x[i] = _mm_loadu_pd(p.add(*places.add(i) as usize));
            }
            let (even, odd) = (_mm256_set_m128d(x[2], x[0]), _mm256_set_m128d(x[3], x[1]));
            (Self(_mm256_unpacklo_pd(even, odd)), Self(_mm256_unpackhi_pd(even, odd)))
        }
        unsafe fn load_first(p: *const f64, n: usize) -> Self { Self(_mm256_maskload_pd(p, first_64(n))) }
        unsafe fn store(self, p: *mut f64) -> () { _mm256_storeu_pd(p, self.0) }
        unsafe fn stream(self, p: *mut f64) -> () { _mm256_stream_pd(p, self.0) }
        unsafe fn store_first(self, p: *mut f64, n: usize) -> () { _mm256_maskstore_pd(p, first_64(n), self.0) }
        unsafe fn transpose(from: *const f64, stride: isize, rows: usize, to: *mut f64, to_stride: usize, cols: usize) -> () {
            for pair in 0..2 {
                if 2 * pair >= cols {
                    break;
                }
                // Row r goes to lane group r / 2, as above.
                let mut x = [_mm256_setzero_pd(); 2];
                for r in 0..2 {
                    let p = from.add(2 * pair);
                    x[r] = _mm256_castpd128_pd256(_mm_loadu_pd(row(p, stride, rows, r)));
                    x[r] = _mm256_insertf128_pd::<1>(x[r], _mm_loadu_pd(row(p, stride, rows, r + 2)));
                }
                if 2 * pair < cols {
                    _mm256_storeu_pd(to.add(2 * pair * to_stride), _mm256_unpacklo_pd(x[0], x[1]));
                }
                if 2 * pair + 1 < cols {
                    _mm256_storeu_pd(to.add((2 * pair + 1) * to_stride), _mm256_unpackhi_pd(x[0], x[1]));
                }
            }
        }
    }
}

operators! { F64x4: Add add _mm256_add_pd, Sub sub _mm256_sub_pd, Mul mul _mm256_mul_pd, Div div _mm256_div_pd }

impl Neg for F64x4 {
    type Output = Self;
    in_isa! { fn neg(self) -> Self { Self(_mm256_xor_pd(self.0, _mm256_set1_pd(-0.0))) } }
}
