//! Functions of one number: each is one row of the table below, with its value, its derivative and what the
//! derivative is computed from. A row is all there is to add.

use smallvec::smallvec;

use crate::dtype::DType;
use crate::error::{Result, bail};
use crate::kernels::map::Lanewise;
use crate::kernels::math::VectorMath;
use crate::ops::lanewise::{map, map_into};
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// What the backward pass of a function keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// The argument x.
    Input,
    /// The value y.
    Output,
}

/// The numbers that a parameter of a function may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bounds {
    /// All.
    Any,
    /// Neither NaN nor infinite.
    Finite,
    /// Zero or more, and finite.
    NotNegative,
    /// More than zero, and finite.
    Positive,
}

impl Bounds {
    /// Refuses a parameter that is outside, or that rounds to something outside in the type it is computed with.
    fn check(self, function: &str, parameter: &str, value: f64, dtype: DType) -> Result<()> {
        let rounded = if dtype == DType::F32 { f64::from(value as f32) } else { value };
        let (inside, expected) = match self {
            Self::Any => (true, ""),
            Self::Finite => (rounded.is_finite(), "(-inf, inf)"),
            Self::NotNegative => (value >= 0.0 && rounded.is_finite(), "[0, inf)"),
            Self::Positive => (rounded > 0.0 && rounded.is_finite(), "(0, inf)"),
        };
        if !inside {
            let dtype = dtype.name();
            bail!(
                Value,
                "{function}: {parameter}: expected a {dtype} in {expected}, got {value:?}"
            );
        }
        Ok(())
    }
}

/// A differentiable function of one number.
pub trait Unary: Copy + Send + Sync + 'static {
    /// The operation's name.
    const NAME: &'static str;
    /// What the derivative is computed from.
    const KEEPS: Keeps;
    /// Refuses parameters for which the formulas do not hold.
    fn check(self, dtype: DType) -> Result<()>;
    /// The value at x.
    fn value<V: VectorMath>(self, x: V) -> V;
    /// The derivative, from x or y as `KEEPS` says.
    fn derivative<V: VectorMath>(self, kept: V) -> V;
}

/// A [`Unary`] chosen at run time.
pub trait AnyUnary: Send + Sync {
    /// The operation's name.
    fn name(&self) -> &'static str;
    /// What the derivative is computed from.
    fn keeps(&self) -> Keeps;
    /// The recorded value.
    fn value(&self, x: &Tensor) -> Result<Tensor>;
    /// Writes the value into `out`, which may be `x`; not recorded.
    fn value_into(&self, x: &Tensor, out: &Tensor) -> Result<()>;
    /// grad · f'(kept).
    fn slope(&self, grad: &Tensor, kept: &Tensor) -> Result<Tensor>;
}

impl<F: Unary> AnyUnary for F {
    fn name(&self) -> &'static str {
        F::NAME
    }
    fn keeps(&self) -> Keeps {
        F::KEEPS
    }
    fn value(&self, x: &Tensor) -> Result<Tensor> {
        unary(*self, x)
    }
    fn value_into(&self, x: &Tensor, out: &Tensor) -> Result<()> {
        self.check(x.dtype())?;
        map_into(F::NAME, Value(*self), [x], out)
    }
    fn slope(&self, grad: &Tensor, kept: &Tensor) -> Result<Tensor> {
        slope(*self, grad, kept)
    }
}

/// Expands each row to a type in [`functions`], a method of [`Tensor`] and an entry of [`UNARY_NAMES`].
macro_rules! elementwise {
    ($( $(#[$doc:meta])* $name:ident($x:ident $(; $($p:ident in $bounds:ident),+)?) = $value:expr,
        from $keeps:ident($k:ident) => $derivative:expr; )+) => {
        /// The functions as types, for kernels that fuse them.
        pub mod functions {
            use super::{
                Bounds, DType, GELU_CUBIC, GELU_RATE, Keeps, Result, SELU_ALPHA, SELU_SCALE, Unary,
                VectorMath, above, bounded, bounded_below, gelu_steepness, leak, leak_slope, signum, within,
            };
            $(
                $(#[$doc])*
                #[allow(non_camel_case_types, reason = "one name for the operation, its type and its method")]
                #[derive(Debug, Clone, Copy)]
                pub struct $name { $($( #[doc = "Parameter of the function."] pub $p: f64 ),+)? }
                impl Unary for $name {
                    const NAME: &'static str = stringify!($name);
                    const KEEPS: Keeps = Keeps::$keeps;
                    fn check(self, dtype: DType) -> Result<()> {
                        let _ = dtype;
                        $($( Bounds::$bounds.check(Self::NAME, stringify!($p), self.$p, dtype)?; )+)?
                        Ok(())
                    }
                    #[inline(always)]
                    fn value<V: VectorMath>(self, $x: V) -> V {
                        $($( let $p = V::constant(self.$p); )+)?
                        $value
                    }
                    #[inline(always)]
                    fn derivative<V: VectorMath>(self, $k: V) -> V {
                        $($( let $p = V::constant(self.$p); let _ = $p; )+)?
                        $derivative
                    }
                }
            )+
        }
        impl Tensor {
            $(
                $(#[$doc])*
                pub fn $name(&self $($(, $p: f64)+)?) -> Result<Self> {
                    unary(functions::$name { $($($p),+)? }, self)
                }
            )+
        }
        /// The function of that name with its parameters in the order of its row; `None` where there is no such row or
        /// the number of parameters is another.
        pub fn by_name(name: &str, parameters: &[f64]) -> Option<Box<dyn AnyUnary>> {
            $(
                if name == stringify!($name) {
                    $( let &[$($p),+] = parameters else { return None }; )?
                    let function = functions::$name { $($($p),+)? };
                    let expected: &[&str] = &[$($(stringify!($p)),+)?];
                    return (parameters.len() == expected.len()).then(|| Box::new(function) as Box<dyn AnyUnary>);
                }
            )+
            None
        }
        /// The name of every row.
        pub const UNARY_NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

elementwise! {
    /// -x.
    neg(x) = -x, from Input(x) => { let _ = x; V::constant(-1.0) };
    /// e^x.
    exp(x) = x.exp(), from Output(y) => y;
    /// e^x - 1, accurate near zero.
    expm1(x) = x.expm1(), from Output(y) => y + V::constant(1.0);
    /// Natural logarithm.
    log(x) = x.ln(), from Input(x) => x.recip();
    /// ln(1 + x), accurate near zero.
    log1p(x) = x.log1p(), from Input(x) => (x + V::constant(1.0)).recip();
    /// Square root.
    sqrt(x) = x.sqrt(), from Output(y) => V::constant(0.5) / y;
    /// 1 / x.
    reciprocal(x) = x.recip(), from Output(y) => -(y * y);
    /// x².
    square(x) = x * x, from Input(x) => x + x;
    /// |x|; the derivative at zero is 0.
    abs(x) = x.abs(), from Input(x) => signum(x);
    /// The sign of x: -1, 0 or 1; its derivative is 0.
    sign(x) = signum(x), from Input(x) => above(x, V::constant(0.0), V::constant(0.0));
    /// Sine.
    sin(x) = x.sin(), from Input(x) => x.cos();
    /// Cosine.
    cos(x) = x.cos(), from Input(x) => -x.sin();
    /// The error function.
    erf(x) = x.erf(), from Input(x) => V::constant(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp();
    /// x held to [low, high]; the derivative at a bound is 1, outside 0.
    clamp(x; low in Any, high in Any) = {
        let y = V::select(x.lt(low), low, x);
        V::select(high.lt(y), high, y)
    }, from Input(x) => within(x, low, high);
    /// x to a fixed power, by the general formula: `Tensor::pow_scalar` knows the short ways.
    power(x; exponent in Any) = x.powf(exponent), from Input(x) => {
        // At exponent 0 the derivative is 0 everywhere; the formula would give 0 * inf at x = 0.
        let zero = V::constant(0.0);
        V::select(exponent.eq(zero), zero, exponent * x.powf(exponent - V::constant(1.0)))
    };

    /// max(0, x); the derivative at zero is 0. NaN stays NaN.
    relu(x) = V::select(x.le(V::constant(0.0)), V::constant(0.0), x),
        from Output(y) => above(y, V::constant(1.0), V::constant(0.0));
    /// min(max(0, x), 6); the derivative is 0 at zero, as that of `relu`, and 1 at 6, as that of `clamp`.
    relu6(x) = {
        let y = V::select(x.le(V::constant(0.0)), V::constant(0.0), x);
        V::select(V::constant(6.0).le(y), V::constant(6.0), y)
    }, from Input(x) => {
        let slope = above(x, V::constant(1.0), V::constant(0.0));
        V::select(V::constant(6.0).lt(x), V::constant(0.0), slope)
    };
    /// x where positive, else `negative_slope`·x; the derivative at zero is the slope.
    leaky_relu(x; negative_slope in Finite) = leak(x, negative_slope), from Input(x) => leak_slope(x, negative_slope);
    /// x where positive, else alpha·(e^x - 1) (Clevert et al. 2015); the left derivative alpha stands at zero.
    elu(x; alpha in NotNegative) = V::select(x.le(V::constant(0.0)), alpha * x.expm1(), x),
        from Output(y) => above(y, V::constant(1.0), y + alpha);
    /// λx where positive, else λα(e^x - 1), with the constants that keep mean 0 and variance 1
    /// (Klambauer et al. 2017).
    selu(x) = {
        let negative = V::constant(SELU_SCALE * SELU_ALPHA) * x.expm1();
        V::select(x.le(V::constant(0.0)), negative, V::constant(SELU_SCALE) * x)
    }, from Output(y) => above(y, V::constant(SELU_SCALE), y + V::constant(SELU_SCALE * SELU_ALPHA));
    /// x where positive, else alpha·(e^(x/alpha) - 1) (Barron 2017): smooth for every alpha.
    celu(x; alpha in Positive) = V::select(x.le(V::constant(0.0)), alpha * (x / alpha).expm1(), x),
        from Output(y) => above(y, V::constant(1.0), y / alpha + V::constant(1.0));
    /// The logistic function 1 / (1 + e^-x).
    sigmoid(x) = x.sigmoid(), from Output(y) => y * (V::constant(1.0) - y);
    /// Hyperbolic tangent.
    tanh(x) = x.tanh(), from Output(y) => y.neg_mul_add(y, V::constant(1.0));
    /// ln(1 + e^x).
    softplus(x) = x.softplus(), from Input(x) => x.sigmoid();
    /// x / (1 + |x|).
    softsign(x) = {
        let x = bounded(x);
        x / (V::constant(1.0) + x.abs())
    }, from Input(x) => {
        let d = V::constant(1.0) + x.abs();
        (d * d).recip()
    };
    /// x·sigmoid(x), also called swish.
    silu(x) = bounded_below(x) * x.sigmoid(), from Input(x) => {
        let s = x.sigmoid();
        s.mul_add(bounded(x) * (V::constant(1.0) - s), s)
    };
    /// x·Φ(x) with the normal distribution function Φ (Hendrycks & Gimpel 2016), not the tanh approximation.
    gelu(x) = bounded_below(x) * x.normal_cdf(), from Input(x) => {
        let density = V::constant(0.398_942_280_401_432_7) * (V::constant(-0.5) * x * x).exp();
        // Beyond overflow of x² the density is 0 and x·0 is wanted, not inf·0.
        let tail = V::select(density.eq(V::constant(0.0)), V::constant(0.0), x * density);
        x.normal_cdf() + tail
    };
    /// The tanh approximation of `gelu`, x/2·(1 + tanh u) with u = √(2/π)·(x + 0.044715·x³), computed as x·sigmoid(2u):
    /// the same without cancellation where tanh is near -1.
    gelu_tanh(x) = bounded_below(x) * (x * gelu_steepness(x)).sigmoid(), from Input(x) => {
        let s = (x * gelu_steepness(x)).sigmoid();
        // Far out s is 0 or 1, and its derivative 0.
        let x = V::constant(100.0).min(V::constant(-100.0).max(x));
        let rise = V::constant(6.0 * GELU_RATE * GELU_CUBIC).mul_add(x * x, V::constant(2.0 * GELU_RATE));
        s.mul_add(x * rise * (V::constant(1.0) - s), s)
    };
    /// x·tanh(softplus(x)) (Misra 2019).
    mish(x) = bounded_below(x) * x.softplus().tanh(), from Input(x) => {
        let t = x.softplus().tanh();
        t + bounded(x) * x.sigmoid() * t.neg_mul_add(t, V::constant(1.0))
    };
    /// x/6 + 1/2 held to [0, 1]; the derivative at a bound is that of the inside.
    hard_sigmoid(x) = {
        let y = x.mul_add(V::constant(1.0 / 6.0), V::constant(0.5));
        let y = V::select(y.lt(V::constant(0.0)), V::constant(0.0), y);
        V::select(V::constant(1.0).lt(y), V::constant(1.0), y)
    }, from Input(x) => V::constant(1.0 / 6.0) * within(x, V::constant(-3.0), V::constant(3.0));
    /// x held to [-1, 1]: `clamp` with these bounds.
    hard_tanh(x) = {
        let y = V::select(x.lt(V::constant(-1.0)), V::constant(-1.0), x);
        V::select(V::constant(1.0).lt(y), V::constant(1.0), y)
    }, from Input(x) => within(x, V::constant(-1.0), V::constant(1.0));
    /// x·`hard_sigmoid`(x), also called hard swish; the derivative at ±3 is that of the inside.
    hard_silu(x) = {
        let three = V::constant(3.0);
        let inside = x * (x + three) * V::constant(1.0 / 6.0);
        let y = V::select(x.le(-three), V::constant(0.0), inside);
        V::select(three.le(x), x, y)
    }, from Input(x) => {
        let three = V::constant(3.0);
        let inside = (x + x + three) * V::constant(1.0 / 6.0);
        let d = V::select(x.lt(-three), V::constant(0.0), inside);
        V::select(three.lt(x), V::constant(1.0), d)
    };
}

/// α of SELU, from the closed form of Klambauer et al. 2017.
pub const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
/// λ of SELU.
pub const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// √(2/π), in the tanh approximation of GELU.
const GELU_RATE: f64 = 0.797_884_560_802_865_4;
/// The factor of x³ there.
const GELU_CUBIC: f64 = 0.044_715;

/// 2u / x of the tanh approximation of GELU.
#[inline(always)]
fn gelu_steepness<V: VectorMath>(x: V) -> V {
    V::constant(2.0 * GELU_RATE * GELU_CUBIC).mul_add(x * x, V::constant(2.0 * GELU_RATE))
}

/// `yes` where x > 0, NaN where it is NaN, else `no`.
#[inline(always)]
fn above<V: VectorMath>(x: V, yes: V, no: V) -> V {
    let chosen = V::select(V::constant(0.0).lt(x), yes, no);
    V::select(x.is_nan(), x, chosen)
}

/// 1 where low <= x <= high, NaN where x is NaN, else 0.
#[inline(always)]
fn within<V: VectorMath>(x: V, low: V, high: V) -> V {
    let inside = V::mask_and(low.le(x), x.le(high));
    let one = V::select(inside, V::constant(1.0), V::constant(0.0));
    V::select(x.is_nan(), x, one)
}

/// x where positive, else slope · x, which is 0 for a slope of 0 even where x is -inf.
#[inline(always)]
pub(super) fn leak<V: VectorMath>(x: V, slope: V) -> V {
    let zero = V::constant(0.0);
    let below = V::select(slope.eq(zero), zero, slope * x);
    V::select(x.le(zero), below, x)
}

/// The derivative of [`leak`]: the slope at zero.
#[inline(always)]
pub(super) fn leak_slope<V: VectorMath>(x: V, slope: V) -> V {
    above(x, V::constant(1.0), slope)
}

/// Beyond this, in either direction and either type, every function that holds its argument is at its limit.
const LARGE: f64 = 1e30;

/// x, and instead of -inf a number that a factor of 0 takes to 0: for functions that tend to 0 there.
#[inline(always)]
fn bounded_below<V: VectorMath>(x: V) -> V {
    // In this order NaN stays NaN.
    V::constant(-LARGE).max(x)
}

/// x without its infinities, as [`bounded_below`] has it on one side.
#[inline(always)]
fn bounded<V: VectorMath>(x: V) -> V {
    V::constant(LARGE).min(bounded_below(x))
}

/// -1, 0 or 1; NaN stays NaN.
#[inline(always)]
fn signum<V: VectorMath>(x: V) -> V {
    let zero = V::constant(0.0);
    let nonzero = V::constant(1.0).copysign(x);
    V::select(V::mask_or(x.eq(zero), x.is_nan()), x, nonzero)
}

#[derive(Clone, Copy)]
struct Value<F>(F);

impl<F: Unary> Lanewise<1> for Value<F> {
    #[inline(always)]
    fn apply<V: VectorMath>(self, [x]: [V; 1]) -> V {
        self.0.value(x)
    }
}

/// g · f'(kept): the whole backward pass of a function.
#[derive(Clone, Copy)]
struct Slope<F>(F);

impl<F: Unary> Lanewise<2> for Slope<F> {
    #[inline(always)]
    fn apply<V: VectorMath>(self, [g, kept]: [V; 2]) -> V {
        g * self.0.derivative(kept)
    }
}

struct UnaryBackward<F> {
    function: F,
    kept: Saved,
}

impl<F: Unary> Backward for UnaryBackward<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        Ok(smallvec![Some(slope(self.function, grad, self.kept.get()?)?)])
    }
}

/// Applies a function and records it.
pub fn unary<F: Unary>(function: F, x: &Tensor) -> Result<Tensor> {
    function.check(x.dtype())?;
    let y = map(F::NAME, Value(function), [x])?;
    Ok(y.recorded(&[x], |y| {
        let kept = Saved::new(if F::KEEPS == Keeps::Input { x } else { y });
        UnaryBackward { function, kept }
    }))
}

/// `grad · f'(kept)`.
pub(crate) fn slope<F: Unary>(function: F, grad: &Tensor, kept: &Tensor) -> Result<Tensor> {
    map(F::NAME, Slope(function), [grad, kept])
}
