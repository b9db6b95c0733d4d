//! How the tests run a function on slices and measure its error.

use super::table::Table;
use super::{Real, VectorMath};
use crate::kernels::simd::{Isa, Kernel, Scalar, Simd, Vector, dispatch, dispatch_on};

/// A function of vectors as a value.
pub(super) trait Function: Copy {
    fn call<V: VectorMath>(self, x: V) -> V;
}

/// Names a method of [`VectorMath`] as a [`Function`].
macro_rules! function {
    ($($name:ident),*) => {$(
        #[allow(non_camel_case_types, reason = "it is the method's name")]
        #[derive(Clone, Copy)]
        pub(super) struct $name;
        impl Function for $name {
            #[inline(always)]
            fn call<V: VectorMath>(self, x: V) -> V {
                x.$name()
            }
        }
    )*};
}
function!(
    exp,
    expm1,
    ln,
    log1p,
    tanh,
    sigmoid,
    softplus,
    erf,
    normal_cdf,
    normal_quantile_central,
    sin,
    cos,
    recip
);

/// `x` to a fixed power.
#[derive(Clone, Copy)]
pub(super) struct Power(pub(super) f64);
impl Function for Power {
    #[inline(always)]
    fn call<V: VectorMath>(self, x: V) -> V {
        x.powf(V::constant(self.0))
    }
}

struct Map<'a, T, F>(F, &'a [T]);

impl<T: Scalar + Real, F: Function> Kernel for Map<'_, T, F> {
    type Output = Vec<T>;
    #[inline(always)]
    fn run<S: Simd>(self) -> Vec<T> {
        let mut out = vec![T::default(); self.1.len()];
        let lanes = T::V::<S>::LANES;
        for (x, y) in self.1.chunks(lanes).zip(out.chunks_mut(lanes)) {
            // SAFETY: the chunks have the stated lengths, at most LANES.
            unsafe {
                let x = T::V::<S>::load_first(x.as_ptr(), x.len());
                self.0.call(x).store_first(y.as_mut_ptr(), y.len());
            }
        }
        out
    }
}

/// The function of each element.
pub(super) fn map<T: Scalar + Real>(f: impl Function, x: &[T]) -> Vec<T> {
    dispatch(Map(f, x))
}

/// The same on a given instruction set.
pub(super) fn map_on<T: Scalar + Real>(isa: Isa, f: impl Function, x: &[T]) -> Vec<T> {
    dispatch_on(isa, Map(f, x))
}

/// The value at one point.
pub(super) fn at<T: Scalar + Real>(f: impl Function, x: T) -> T {
    map(f, &[x])[0]
}

/// Every `stride`-th bit pattern of `f32`, NaNs and infinities included. The environment variable
/// `EVENGRAD_ULP_STRIDE` sets the stride; 1 visits all 2^32.
pub(super) fn sweep() -> impl Iterator<Item = Vec<f32>> {
    let stride = std::env::var("EVENGRAD_ULP_STRIDE").ok().and_then(|s| s.parse().ok());
    let mut patterns = (0..=u32::MAX).step_by(stride.unwrap_or(4099)).map(f32::from_bits);
    std::iter::from_fn(move || {
        let chunk: Vec<f32> = patterns.by_ref().take(1 << 14).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// The distance of `y` from `exact` in units of the last place of `exact` as an `f32`.
fn ulps(y: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if rounded.is_nan() || rounded.is_infinite() || y.is_nan() || y.is_infinite() {
        let same = y == rounded || (y.is_nan() && rounded.is_nan());
        // An infinity next to the largest number is one unit away from it.
        let adjacent = y.abs().max(rounded.abs()) == f32::INFINITY
            && y.abs().min(rounded.abs()) == f32::MAX
            && y.signum() == rounded.signum();
        return if same {
            0.0
        } else if adjacent {
            1.0
        } else {
            f64::INFINITY
        };
    }
    let next = f32::from_bits(rounded.abs().to_bits() + 1);
    let unit =
        if next.is_finite() { f64::from(next) - f64::from(rounded.abs()) } else { 2f64.powi(104) };
    (f64::from(y) - exact).abs() / unit
}

/// The largest error over the sweep, where `domain` says which arguments count.
pub(super) fn max_ulps(
    name: &str,
    f: impl Function,
    exact: impl Fn(&[f64]) -> Vec<f64>,
    domain: impl Fn(f32) -> bool,
) -> f64 {
    let mut worst = (0.0, 0.0);
    for x in sweep() {
        let x: Vec<f32> = x.into_iter().filter(|&x| domain(x)).collect();
        let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        for ((&x, y), exact) in x.iter().zip(map(f, &x)).zip(exact(&wide)) {
            let error = ulps(y, exact);
            if error > worst.0 {
                worst = (error, x);
            }
        }
    }
    println!("{name} f32: {:.3} ULP at {:e}", worst.0, worst.1);
    worst.0
}

/// How many `f64` lie between two numbers (of either sign).
pub(super) fn steps(a: f64, b: f64) -> u64 {
    let ordered = |x: f64| {
        let bits = x.to_bits() as i64;
        if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits }
    };
    ordered(a).abs_diff(ordered(b))
}

/// The largest distance of an `f64` function from its table, in steps.
pub(super) fn max_steps(name: &str, f: impl Function, table: Table) -> u64 {
    let x: Vec<f64> = table.iter().map(|row| row.0).collect();
    let errors = map(f, &x).into_iter().zip(table).map(|(y, row)| (steps(y, row.1), row.0));
    let (worst, x) = errors.max_by_key(|error| error.0).expect("the table has rows");
    println!("{name} f64: {worst} steps at {x:e}");
    worst
}

/// Asserts the value and the sign at points where the answer is exact.
pub(super) fn check_edges(f: impl Function, edges: &[(f64, f64)]) {
    for &(x, expected) in edges {
        let (narrow, wide) = (f64::from(at(f, x as f32)), at(f, x));
        for y in [narrow, wide] {
            let same = y == expected && y.is_sign_negative() == expected.is_sign_negative();
            assert!(
                same || (y.is_nan() && expected.is_nan()),
                "f({x:e}) = {y:e}, not {expected:e}"
            );
        }
    }
}
