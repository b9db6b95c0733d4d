//! AVX-512 (F, BW, DQ, VL): sixteen `f32` or eight `f64` lanes, masks in their own registers.

#[allow(clippy::wildcard_imports, reason = "one module of intrinsics")]
use core::arch::x86_64::*;
use core::ops::Neg;

use super::avx2::{F32x8, F64x4};
use super::intrinsics::{in_isa, in_isa_raw, operators};
use super::{Chain, Isa, Kernel, Simd, Vector, row};

/// AVX-512 with FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx512;

impl Simd for Avx512 {
    const ISA: Isa = Isa::Avx512;
    #[inline(always)]
    fn outlined<K: Kernel>(kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        #[inline(never)]
        fn call<K: Kernel>(kernel: K) -> K::Output {
            kernel.run::<Avx512>()
        }
        // SAFETY: only code that `dispatch` runs on AVX-512 has this type.
        unsafe { call(kernel) }
    }
    type F32 = F32x16;
    type F64 = F64x8;
    // Zen 4 multiplies 512 bits in two halves.
    const HALVES: bool = true;
    type HalfF32 = HalfF32;
    type HalfF64 = HalfF64;
}

/// A mask of the first `n` lanes.
#[inline(always)]
fn first(n: usize) -> u32 {
    (1_u32 << n) - 1
}

/// 16 lanes of `f32`.
#[derive(Clone, Copy)]
pub(super) struct F32x16(__m512);

impl Vector for F32x16 {
    type Elem = f32;
    type Mask = __mmask16;
    type Bits = __m512i;
    const LANES: usize = 16;

    in_isa! {
        fn splat(x: f32) -> Self { Self(_mm512_set1_ps(x)) }
        fn constant(x: f64) -> Self { Self(_mm512_set1_ps(x as f32)) }
        fn mul_add(self, a: Self, b: Self) -> Self { Self(_mm512_fmadd_ps(self.0, a.0, b.0)) }
        fn neg_mul_add(self, a: Self, b: Self) -> Self { Self(_mm512_fnmadd_ps(self.0, a.0, b.0)) }
        fn sqrt(self) -> Self { Self(_mm512_sqrt_ps(self.0)) }
        fn settle() -> () { _mm_sfence() }
        fn abs(self) -> Self { Self(_mm512_abs_ps(self.0)) }
        fn round(self) -> Self { Self(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)) }
        fn floor(self) -> Self { Self(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(self.0)) }
        fn copysign(self, sign: Self) -> Self {
            let top = _mm512_set1_ps(-0.0);
            Self(_mm512_or_ps(_mm512_and_ps(top, sign.0), _mm512_andnot_ps(top, self.0)))
        }
        fn lt(self, other: Self) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0) }
        fn le(self, other: Self) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_LE_OQ>(self.0, other.0) }
        fn eq(self, other: Self) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, other.0) }
        fn is_nan(self) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0) }
        fn select(mask: __mmask16, yes: Self, no: Self) -> Self { Self(_mm512_mask_blend_ps(mask, no.0, yes.0)) }
        fn mask_and(a: __mmask16, b: __mmask16) -> __mmask16 { a & b }
        fn mask_or(a: __mmask16, b: __mmask16) -> __mmask16 { a | b }
        fn mask_not(a: __mmask16) -> __mmask16 { !a }
        fn min(self, other: Self) -> Self { Self(_mm512_min_ps(self.0, other.0)) }
        fn max(self, other: Self) -> Self { Self(_mm512_max_ps(self.0, other.0)) }
        fn to_bits(self) -> __m512i { _mm512_castps_si512(self.0) }
        fn from_bits(bits: __m512i) -> Self { Self(_mm512_castsi512_ps(bits)) }
        fn bits_splat(x: i64) -> __m512i { _mm512_set1_epi32(x as i32) }
        fn bits_add(a: __m512i, b: __m512i) -> __m512i { _mm512_add_epi32(a, b) }
        fn bits_sub(a: __m512i, b: __m512i) -> __m512i { _mm512_sub_epi32(a, b) }
        fn bits_and(a: __m512i, b: __m512i) -> __m512i { _mm512_and_si512(a, b) }
        fn bits_or(a: __m512i, b: __m512i) -> __m512i { _mm512_or_si512(a, b) }
        fn bits_xor(a: __m512i, b: __m512i) -> __m512i { _mm512_xor_si512(a, b) }
        fn bits_mul_low(a: __m512i, b: __m512i) -> __m512i {
            let low = _mm512_set1_epi32(0xffff);
            _mm512_mullo_epi32(_mm512_and_si512(a, low), _mm512_and_si512(b, low))
        }
        fn bits_shl<const N: u32>(a: __m512i) -> __m512i { _mm512_slli_epi32::<N>(a) }
        fn bits_shr<const N: u32>(a: __m512i) -> __m512i { _mm512_srli_epi32::<N>(a) }
        fn to_int(self) -> __m512i { _mm512_cvtps_epi32(self.0) }
        fn from_int(a: __m512i) -> Self { Self(_mm512_cvtepi32_ps(a)) }
        fn reduce_add(self) -> f32 {
            let (low, high) = (_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0));
            F32x8(_mm256_add_ps(low, high)).reduce_add()
        }
    }

    in_isa_raw! {
        unsafe fn at_least(words: *const u32, lowest: u32) -> __mmask16 {
            _mm512_cmpge_epu32_mask(_mm512_loadu_si512(words.cast()), _mm512_set1_epi32(lowest.cast_signed()))
        }
        unsafe fn load(p: *const f32) -> Self { Self(_mm512_loadu_ps(p)) }
        unsafe fn load_pairs(p: *const f32, places: *const u32) -> (Self, Self) {
            let (low, high) = (F32x8::load_pairs(p, places), F32x8::load_pairs(p, places.add(8)));
            let first = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low.0.0), high.0.0);
            (Self(first), Self(_mm512_insertf32x8::<1>(_mm512_castps256_ps512(low.1.0), high.1.0)))
        }
        unsafe fn load_first(p: *const f32, n: usize) -> Self { Self(_mm512_maskz_loadu_ps(first(n) as __mmask16, p)) }
        unsafe fn store(self, p: *mut f32) -> () { _mm512_storeu_ps(p, self.0) }
        unsafe fn stream(self, p: *mut f32) -> () { _mm512_stream_ps(p, self.0) }
        unsafe fn store_first(self, p: *mut f32, n: usize) -> () { _mm512_mask_storeu_ps(p, first(n) as __mmask16, self.0) }
        unsafe fn transpose(from: *const f32, stride: isize, rows: usize, to: *mut f32, to_stride: usize, cols: usize) -> () {
            if cols <= 4 {
                // Row r goes to lane group r / 4: the loads place what shuffles would have to.
                let mut x = [_mm512_setzero_ps(); 4];
                for r in 0..4 {
                    x[r] = _mm512_castps128_ps512(_mm_loadu_ps(row(from, stride, rows, r)));
                    x[r] = _mm512_insertf32x4::<1>(x[r], _mm_loadu_ps(row(from, stride, rows, r + 4)));
                    x[r] = _mm512_insertf32x4::<2>(x[r], _mm_loadu_ps(row(from, stride, rows, r + 8)));
                    x[r] = _mm512_insertf32x4::<3>(x[r], _mm_loadu_ps(row(from, stride, rows, r + 12)));
                }
                let low_0 = _mm512_castps_pd(_mm512_unpacklo_ps(x[0], x[1]));
                let low_1 = _mm512_castps_pd(_mm512_unpacklo_ps(x[2], x[3]));
                let high_0 = _mm512_castps_pd(_mm512_unpackhi_ps(x[0], x[1]));
                let high_1 = _mm512_castps_pd(_mm512_unpackhi_ps(x[2], x[3]));
                let columns = [
                    _mm512_unpacklo_pd(low_0, low_1),
                    _mm512_unpackhi_pd(low_0, low_1),
                    _mm512_unpacklo_pd(high_0, high_1),
                    _mm512_unpackhi_pd(high_0, high_1),
                ];
                for c in 0..4 {
                    if c < cols {
                        _mm512_storeu_ps(to.wrapping_add(c * to_stride), _mm512_castpd_ps(columns[c]));
                    }
                }
                return;
            }
            // Each row is read at once: rows that are pages apart share few lines of the cache, and would be gone
            // before their second quarter is read.
            let mut y = [[_mm512_setzero_ps(); 4]; 4];
            let mut p = from;
            for r in 0..16 {
                y[r / 4][r % 4] = _mm512_loadu_ps(p);
                p = if r + 1 < rows { p.wrapping_offset(stride) } else { p };
            }
            for g in 0..4 {
                let low_0 = _mm512_castps_pd(_mm512_unpacklo_ps(y[g][0], y[g][1]));
                let low_1 = _mm512_castps_pd(_mm512_unpacklo_ps(y[g][2], y[g][3]));
                let high_0 = _mm512_castps_pd(_mm512_unpackhi_ps(y[g][0], y[g][1]));
                let high_1 = _mm512_castps_pd(_mm512_unpackhi_ps(y[g][2], y[g][3]));
                // Group q of y[g][c] is column 4 q + c of rows 4 g..4 g + 4.
                y[g] = [
                    _mm512_castpd_ps(_mm512_unpacklo_pd(low_0, low_1)),
                    _mm512_castpd_ps(_mm512_unpackhi_pd(low_0, low_1)),
                    _mm512_castpd_ps(_mm512_unpacklo_pd(high_0, high_1)),
                    _mm512_castpd_ps(_mm512_unpackhi_pd(high_0, high_1)),
                ];
            }
            let mut columns = [_mm512_setzero_ps(); 16];
            for c in 0..4 {
                let low_0 = _mm512_shuffle_f32x4::<0x44>(y[0][c], y[1][c]);
                let low_1 = _mm512_shuffle_f32x4::<0x44>(y[2][c], y[3][c]);
                let high_0 = _mm512_shuffle_f32x4::<0xee>(y[0][c], y[1][c]);
                let high_1 = _mm512_shuffle_f32x4::<0xee>(y[2][c], y[3][c]);
                columns[c] = _mm512_shuffle_f32x4::<0x88>(low_0, low_1);
                columns[4 + c] = _mm512_shuffle_f32x4::<0xdd>(low_0, low_1);
                columns[8 + c] = _mm512_shuffle_f32x4::<0x88>(high_0, high_1);
                columns[12 + c] = _mm512_shuffle_f32x4::<0xdd>(high_0, high_1);
            }
            for c in 0..16 {
                if c < cols {
                    _mm512_storeu_ps(to.wrapping_add(c * to_stride), columns[c]);
                }
            }
        }
    }
}

operators! { F32x16: Add add _mm512_add_ps, Sub sub _mm512_sub_ps, Mul mul _mm512_mul_ps, Div div _mm512_div_ps }

impl Neg for F32x16 {
    type Output = Self;
    in_isa! { fn neg(self) -> Self { Self(_mm512_xor_ps(self.0, _mm512_set1_ps(-0.0))) } }
}

/// 8 lanes of `f64`.
#[derive(Clone, Copy)]
pub(super) struct F64x8(__m512d);

impl Vector for F64x8 {
    type Elem = f64;
    type Mask = __mmask8;
    type Bits = __m512i;
    const LANES: usize = 8;

    in_isa! {
        fn splat(x: f64) -> Self { Self(_mm512_set1_pd(x)) }
        fn constant(x: f64) -> Self { Self(_mm512_set1_pd(x)) }
        fn mul_add(self, a: Self, b: Self) -> Self { Self(_mm512_fmadd_pd(self.0, a.0, b.0)) }
        fn neg_mul_add(self, a: Self, b: Self) -> Self { Self(_mm512_fnmadd_pd(self.0, a.0, b.0)) }
        fn sqrt(self) -> Self { Self(_mm512_sqrt_pd(self.0)) }
        fn settle() -> () { _mm_sfence() }
        fn abs(self) -> Self { Self(_mm512_abs_pd(self.0)) }
        fn round(self) -> Self { Self(_mm512_roundscale_pd::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)) }
        fn floor(self) -> Self { Self(_mm512_roundscale_pd::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(self.0)) }
        fn copysign(self, sign: Self) -> Self {
            let top = _mm512_set1_pd(-0.0);
            Self(_mm512_or_pd(_mm512_and_pd(top, sign.0), _mm512_andnot_pd(top, self.0)))
        }
        fn lt(self, other: Self) -> __mmask8 { _mm512_cmp_pd_mask::<_CMP_LT_OQ>(self.0, other.0) }
        fn le(self, other: Self) -> __mmask8 { _mm512_cmp_pd_mask::<_CMP_LE_OQ>(self.0, other.0) }
        fn eq(self, other: Self) -> __mmask8 { _mm512_cmp_pd_mask::<_CMP_EQ_OQ>(self.0, other.0) }
        fn is_nan(self) -> __mmask8 { _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(self.0, self.0) }
        fn select(mask: __mmask8, yes: Self, no: Self) -> Self { Self(_mm512_mask_blend_pd(mask, no.0, yes.0)) }
        fn mask_and(a: __mmask8, b: __mmask8) -> __mmask8 { a & b }
        fn mask_or(a: __mmask8, b: __mmask8) -> __mmask8 { a | b }
        fn mask_not(a: __mmask8) -> __mmask8 { !a }
        fn min(self, other: Self) -> Self { Self(_mm512_min_pd(self.0, other.0)) }
        fn max(self, other: Self) -> Self { Self(_mm512_max_pd(self.0, other.0)) }
        fn to_bits(self) -> __m512i { _mm512_castpd_si512(self.0) }
        fn from_bits(bits: __m512i) -> Self { Self(_mm512_castsi512_pd(bits)) }
        fn bits_splat(x: i64) -> __m512i { _mm512_set1_epi64(x) }
        fn bits_add(a: __m512i, b: __m512i) -> __m512i { _mm512_add_epi64(a, b) }
        fn bits_sub(a: __m512i, b: __m512i) -> __m512i { _mm512_sub_epi64(a, b) }
        fn bits_and(a: __m512i, b: __m512i) -> __m512i { _mm512_and_si512(a, b) }
        fn bits_or(a: __m512i, b: __m512i) -> __m512i { _mm512_or_si512(a, b) }
        fn bits_xor(a: __m512i, b: __m512i) -> __m512i { _mm512_xor_si512(a, b) }
        fn bits_mul_low(a: __m512i, b: __m512i) -> __m512i { _mm512_mul_epu32(a, b) }
        fn bits_shl<const N: u32>(a: __m512i) -> __m512i { _mm512_slli_epi64::<N>(a) }
        fn bits_shr<const N: u32>(a: __m512i) -> __m512i { _mm512_srli_epi64::<N>(a) }
        fn to_int(self) -> __m512i { _mm512_cvtpd_epi64(self.0) }
        fn from_int(a: __m512i) -> Self { Self(_mm512_cvtepi64_pd(a)) }
        fn reduce_add(self) -> f64 {
            let (low, high) = (_mm512_castpd512_pd256(self.0), _mm512_extractf64x4_pd::<1>(self.0));
            F64x4(_mm256_add_pd(low, high)).reduce_add()
        }
    }

    in_isa_raw! {
        unsafe fn at_least(words: *const u32, lowest: u32) -> __mmask8 {
            _mm256_cmpge_epu32_mask(_mm256_loadu_si256(words.cast()), _mm256_set1_epi32(lowest.cast_signed()))
        }
        unsafe fn load(p: *const f64) -> Self { Self(_mm512_loadu_pd(p)) }
        unsafe fn load_pairs(p: *const f64, places: *const u32) -> (Self, Self) {
            let (low, high) = (F64x4::load_pairs(p, places), F64x4::load_pairs(p, places.add(4)));
            let first = _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(low.0.0), high.0.0);
            (Self(first), Self(_mm512_insertf64x4::<1>(_mm512_castpd256_pd512(low.1.0), high.1.0)))
        }
        unsafe fn load_first(p: *const f64, n: usize) -> Self { Self(_mm512_maskz_loadu_pd(first(n) as __mmask8, p)) }
        unsafe fn store(self, p: *mut f64) -> () { _mm512_storeu_pd(p, self.0) }
        unsafe fn stream(self, p: *mut f64) -> () { _mm512_stream_pd(p, self.0) }
        unsafe fn store_first(self, p: *mut f64, n: usize) -> () { _mm512_mask_storeu_pd(p, first(n) as __mmask8, self.0) }
        unsafe fn transpose(from: *const f64, stride: isize, rows: usize, to: *mut f64, to_stride: usize, cols: usize) -> () {
            let mut y = [[_mm512_setzero_pd(); 2]; 4];
            let mut p = from;
            for r in 0..8 {
                y[r / 2][r % 2] = _mm512_loadu_pd(p);
                p = if r + 1 < rows { p.wrapping_offset(stride) } else { p };
            }
            for g in 0..4 {
                // Group q of y[g][c] is column 2 q + c of rows 2 g and 2 g + 1.
                y[g] = [_mm512_unpacklo_pd(y[g][0], y[g][1]), _mm512_unpackhi_pd(y[g][0], y[g][1])];
            }
            let mut columns = [_mm512_setzero_pd(); 8];
            for c in 0..2 {
                let low_0 = _mm512_shuffle_f64x2::<0x44>(y[0][c], y[1][c]);
                let low_1 = _mm512_shuffle_f64x2::<0x44>(y[2][c], y[3][c]);
                let high_0 = _mm512_shuffle_f64x2::<0xee>(y[0][c], y[1][c]);
                let high_1 = _mm512_shuffle_f64x2::<0xee>(y[2][c], y[3][c]);
                columns[c] = _mm512_shuffle_f64x2::<0x88>(low_0, low_1);
                columns[2 + c] = _mm512_shuffle_f64x2::<0xdd>(low_0, low_1);
                columns[4 + c] = _mm512_shuffle_f64x2::<0x88>(high_0, high_1);
                columns[6 + c] = _mm512_shuffle_f64x2::<0xdd>(high_0, high_1);
            }
            for c in 0..8 {
                if c < cols {
                    _mm512_storeu_pd(to.wrapping_add(c * to_stride), columns[c]);
                }
            }
        }
    }
}

operators! { F64x8: Add add _mm512_add_pd, Sub sub _mm512_sub_pd, Mul mul _mm512_mul_pd, Div div _mm512_div_pd }

impl Neg for F64x8 {
    type Output = Self;
    in_isa! { fn neg(self) -> Self { Self(_mm512_xor_pd(self.0, _mm512_set1_pd(-0.0))) } }
}

/// Eight `f32` lanes of sums, with the masks of AVX-512.
#[derive(Clone, Copy)]
pub(super) struct HalfF32(__m256);

/// Four `f64` lanes of sums, with the masks of AVX-512.
#[derive(Clone, Copy)]
pub(super) struct HalfF64(__m256d);

macro_rules! halves {
    ($half:ident, $elem:ident, $lanes:literal: $zero:ident $all:ident $read:ident $read_all:ident $write:ident $fma:ident $add:ident $le:ident $blend:ident) => {
        impl Chain for $half {
            type Elem = $elem;
            const WIDTH: usize = $lanes;

            in_isa! {
                fn zero() -> Self { Self($zero()) }
                fn all(x: $elem) -> Self { Self($all(x)) }
                fn add_product(self, a: Self, b: Self) -> Self { Self($fma(a.0, b.0, self.0)) }
                fn plus(self, other: Self) -> Self { Self($add(self.0, other.0)) }
                fn or_lowest(self, lowest: Self) -> Self { Self($blend($le::<_CMP_LE_OQ>(self.0, lowest.0), self.0, lowest.0)) }
            }

            in_isa_raw! {
                unsafe fn read_first(p: *const $elem, n: usize) -> Self { Self($read(first(n) as __mmask8, p)) }
                unsafe fn read_all(p: *const $elem) -> Self { Self($read_all(p)) }
                unsafe fn write(self, p: *mut $elem, n: usize) -> () { $write(p, first(n) as __mmask8, self.0) }
            }
        }
    };
}

halves!(HalfF32, f32, 8: _mm256_setzero_ps _mm256_set1_ps _mm256_maskz_loadu_ps _mm256_loadu_ps _mm256_mask_storeu_ps _mm256_fmadd_ps _mm256_add_ps _mm256_cmp_ps_mask _mm256_mask_blend_ps);
halves!(HalfF64, f64, 4: _mm256_setzero_pd _mm256_set1_pd _mm256_maskz_loadu_pd _mm256_loadu_pd _mm256_mask_storeu_pd _mm256_fmadd_pd _mm256_add_pd _mm256_cmp_pd_mask _mm256_mask_blend_pd);
