//! Elementwise functions: each is one row of the table below, with its documentation, its value, its derivative and what
//! the derivative is computed from. A row is all there is to add: methods, Python functions, their documentation and
//! types, the activation's string and the check of its derivative follow from it.

mod row;

use crate::dtype::DType;
use crate::error::Result;
use crate::kernels::map::Lanewise;
use crate::kernels::math::VectorMath;
use crate::ops::lanewise::{map, map_into};
use crate::tape::Saved;
use crate::tensor::Tensor;

pub use row::{Bounds, Form, Parameter, Row};

/// What the backward pass of a function keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// The argument x.
    Input,
    /// The value y.
    Output,
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

/// Expands each row to a type in [`functions`], a method of [`Tensor`] and an entry of [`TABLE`]; and hands names and
/// documentation of all rows on to macros of other crates. The first token is a `$`, for the macro that this one makes.
///
/// A row has its documentation, [`Form`] and name, its parameters with their documentation, [`Bounds`] and default, the
/// value, [`Keeps`] and the derivative, and an example; where the derivative is to be checked elsewhere than from -5 to
/// 5, an interval (`on`); and the places where it jumps (`kinks`).
macro_rules! elementwise {
    ($dollar:tt $(
        $(#[doc = $doc:tt])*
        $form:ident $name:ident($x:ident $(, $(#[doc = $p_doc:tt])* $p:ident: $bounds:ident $(= $default:tt)?)*)
            = $value:expr,
            from $keeps:ident($k:ident) => $derivative:expr,
            example [$($input:literal),+] $(, $argument:literal)* => [$($output:literal),+]
            $(, on $low:literal to $high:literal)? $(, kinks [$($kink:literal),+])?;
    )+) => {
        /// The functions as types, for kernels that fuse them.
        pub mod functions {
            use super::{
                Bounds, DType, GELU_CUBIC, GELU_RATE, Keeps, Result, SELU_ALPHA, SELU_SCALE, Unary,
                VectorMath, above, bounded, bounded_below, gelu_steepness, leak, leak_slope, signum, within,
            };
            $(
                $(#[doc = $doc])*
                #[allow(non_camel_case_types, reason = "one name for the operation, its type and its method")]
                #[derive(Debug, Clone, Copy)]
                pub struct $name { $( $(#[doc = $p_doc])* pub $p: f64 ),* }
                impl Unary for $name {
                    const NAME: &'static str = stringify!($name);
                    const KEEPS: Keeps = Keeps::$keeps;
                    fn check(self, dtype: DType) -> Result<()> {
                        let _ = dtype;
                        $( Bounds::$bounds.check(Self::NAME, stringify!($p), self.$p, dtype)?; )*
                        Ok(())
                    }
                    #[inline(always)]
                    fn value<V: VectorMath>(self, $x: V) -> V {
                        $( let $p = V::constant(self.$p); )*
                        $value
                    }
                    #[inline(always)]
                    fn derivative<V: VectorMath>(self, $k: V) -> V {
                        $( let $p = V::constant(self.$p); let _ = $p; )*
                        $derivative
                    }
                }
            )+
        }
        impl Tensor {
            $(
                $(#[doc = $doc])*
                pub fn $name(&self $(, $p: f64)*) -> Result<Self> {
                    unary(functions::$name { $($p),* }, self)
                }
            )+
        }
        /// The function of that name, with its parameters in the order of its row; those left out at the end have the
        /// row's defaults. `None` where there is no such row, or the number of parameters is another.
        pub fn by_name(name: &str, parameters: &[f64]) -> Option<Box<dyn AnyUnary>> {
            let mut given = parameters.iter().copied();
            $(
                if name == stringify!($name) {
                    $(
                        let default: Option<f64> = [$(Some($default),)? None][0];
                        let $p = given.next().or(default)?;
                    )*
                    let function = functions::$name { $($p),* };
                    return given.next().is_none().then(|| Box::new(function) as Box<dyn AnyUnary>);
                }
            )+
            None
        }
        /// Every row.
        pub const TABLE: &[Row] = &[$(Row {
            name: stringify!($name),
            form: Form::$form,
            parameters: &[$(Parameter {
                name: stringify!($p),
                bounds: Bounds::$bounds,
                default: [$(Some($default),)? None][0],
            }),*],
            example: (&[$($input),+], &[$($argument),*], &[$($output),+]),
            domain: [$(($low, $high),)? (-5.0, 5.0)][0],
            kinks: &[$($($kink),+)?],
        }),+];
        /// Calls the macro of that name with the documentation, form, name, parameters and example of every row.
        #[macro_export]
        macro_rules! for_each_elementwise {
            ($dollar callback:ident) => { $dollar callback! { $(
                $(#[doc = $doc])*
                $form $name($( $(#[doc = $p_doc])* $p: $bounds $(= $default)? ),*)
                    example [$($input),+] $(, $argument)* => [$($output),+];
            )+ } };
        }
    };
}

elementwise! { $
    /// Return −x.
    Core neg(x) = -x, from Input(x) => { let _ = x; V::constant(-1.0) },
        example [1.0] => [-1.0];
    /// Return e^x.
    ///
    /// Elementwise: e^x.
    Function exp(x) = x.exp(), from Output(y) => y,
        example [0.0, 2.0] => [1.0, 7.3891], on -2.0 to 2.0;
    /// Return e^x − 1, accurate near zero.
    ///
    /// Elementwise: e^x − 1.
    Function expm1(x) = x.expm1(), from Output(y) => y + V::constant(1.0),
        example [0.0, 1.0] => [0.0, 1.7183], on -2.0 to 2.0;
    /// Return the natural logarithm: −inf at zero, NaN below.
    ///
    /// Elementwise: ln x.
    Function log(x) = x.ln(), from Input(x) => x.recip(),
        example [1.0, 3.0] => [0.0, 1.0986], on 0.2 to 4.0;
    /// Return ln(1 + x), accurate near zero.
    ///
    /// Elementwise: ln(1 + x).
    Function log1p(x) = x.log1p(), from Input(x) => (x + V::constant(1.0)).recip(),
        example [0.0, 2.0] => [0.0, 1.0986], on -0.8 to 4.0;
    /// Return the square root: NaN below zero.
    ///
    /// Elementwise: √x.
    Function sqrt(x) = x.sqrt(), from Output(y) => V::constant(0.5) / y,
        example [4.0, 9.0] => [2.0, 3.0], on 0.2 to 4.0;
    /// Return the reciprocal.
    ///
    /// Elementwise: 1 / x.
    Method reciprocal(x) = x.recip(), from Output(y) => -(y * y),
        example [2.0, 4.0] => [0.5, 0.25], on 0.2 to 4.0;
    /// Return the square.
    ///
    /// Elementwise: x².
    Function square(x) = x * x, from Input(x) => x + x,
        example [-3.0, 2.0] => [9.0, 4.0];
    /// Return the absolute value; its derivative at zero is 0.
    ///
    /// Elementwise: |x|.
    Function abs(x) = x.abs(), from Input(x) => signum(x),
        example [-3.0, 2.0] => [3.0, 2.0], kinks [0.0];
    /// Return the sign: −1, 0 or 1; its derivative is 0.
    ///
    /// Elementwise: x / |x|, and 0 at zero.
    Function sign(x) = signum(x), from Input(x) => above(x, V::constant(0.0), V::constant(0.0)),
        example [-3.0, 0.0] => [-1.0, 0.0], kinks [0.0];
    /// Return the sine.
    ///
    /// Elementwise: sin x.
    Function sin(x) = x.sin(), from Input(x) => x.cos(),
        example [0.0, 1.0] => [0.0, 0.8415];
    /// Return the cosine.
    ///
    /// Elementwise: cos x.
    Function cos(x) = x.cos(), from Input(x) => -x.sin(),
        example [0.0, 1.0] => [1.0, 0.5403];
    /// Return the error function.
    ///
    /// Elementwise: 2/√π ∫₀ˣ e^(−t²) dt.
    Function erf(x) = x.erf(), from Input(x) => V::constant(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp(),
        example [0.0, 1.0] => [0.0, 0.8427];
    /// Hold every element to [low, high]; the derivative at a bound is 1, outside 0.
    ///
    /// Elementwise: min(max(x, low), high).
    Function clamp(
        x,
        /// The lower bound.
        low: Any,
        /// The upper bound, which wins where the two cross.
        high: Any
    ) = {
        let y = V::select(x.lt(low), low, x);
        V::select(high.lt(y), high, y)
    }, from Input(x) => within(x, low, high),
        example [-3.0, 0.5, 3.0], -1.0, 2.0 => [-1.0, 0.5, 2.0], on -3.0 to 3.0, kinks [-1.0, 2.0];
    /// Return x to a fixed power, by the general formula: `Tensor::pow_scalar` knows the short ways.
    Core power(
        x,
        /// The power.
        exponent: Any
    ) = x.powf(exponent), from Input(x) => {
        // At exponent 0 the derivative is 0 everywhere; the formula would give 0 * inf at x = 0.
        let zero = V::constant(0.0);
        V::select(exponent.eq(zero), zero, exponent * x.powf(exponent - V::constant(1.0)))
    }, example [4.0, 1.0], 2.5 => [32.0, 1.0], on 0.2 to 4.0;
    /// Rectify; the derivative at zero is 0. NaN stays NaN.
    ///
    /// Elementwise: max(0, x).
    Activation relu(x) = V::select(x.le(V::constant(0.0)), V::constant(0.0), x),
        from Output(y) => above(y, V::constant(1.0), V::constant(0.0)),
        example [-1.0, 2.0] => [0.0, 2.0], kinks [0.0];
    /// Rectify and hold to 6; the derivative at zero is 0, at 6 it is 1 as that of `clamp`.
    ///
    /// Elementwise: min(max(0, x), 6).
    Activation relu6(x) = {
        let y = V::select(x.le(V::constant(0.0)), V::constant(0.0), x);
        V::select(V::constant(6.0).le(y), V::constant(6.0), y)
    }, from Input(x) => {
        let slope = above(x, V::constant(1.0), V::constant(0.0));
        V::select(V::constant(6.0).lt(x), V::constant(0.0), slope)
    }, example [-1.0, 8.0] => [0.0, 6.0], on -2.0 to 8.0, kinks [0.0, 6.0];
    /// Rectify with a leak (Maas et al. 2013); the derivative at zero is the slope.
    ///
    /// Elementwise: x where x > 0, else `negative_slope` · x.
    Activation leaky_relu(
        x,
        /// Factor below zero; PyTorch's default, where Keras' layer has 0.3.
        negative_slope: Finite = 0.01
    ) = leak(x, negative_slope), from Input(x) => leak_slope(x, negative_slope),
        example [-1.0, 2.0], 0.1 => [-0.1, 2.0], kinks [0.0];
    /// Apply the exponential linear unit (Clevert et al. 2015).
    ///
    /// Elementwise: x where x > 0, else alpha · (e^x − 1); the left derivative alpha stands at zero.
    Activation elu(
        x,
        /// The function tends to −alpha. It is smooth at zero for 1 alone.
        alpha: NotNegative = 1.0
    ) = V::select(x.le(V::constant(0.0)), alpha * x.expm1(), x),
        from Output(y) => above(y, V::constant(1.0), y + alpha),
        example [-1.0, 2.0], 1.5 => [-0.9482, 2.0], kinks [0.0];
    /// Apply the self-normalizing unit (Klambauer et al. 2017), which keeps mean 0 and variance 1.
    ///
    /// Elementwise: λx where x > 0, else λα(e^x − 1), with α = 1.67326… and λ = 1.05070….
    Activation selu(x) = {
        let negative = V::constant(SELU_SCALE * SELU_ALPHA) * x.expm1();
        V::select(x.le(V::constant(0.0)), negative, V::constant(SELU_SCALE) * x)
    }, from Output(y) => above(y, V::constant(SELU_SCALE), y + V::constant(SELU_SCALE * SELU_ALPHA)),
        example [-1.0, 2.0] => [-1.1113, 2.1014], kinks [0.0];
    /// Apply the continuously differentiable exponential unit (Barron 2017).
    ///
    /// Elementwise: x where x > 0, else alpha · (e^(x/alpha) − 1).
    Activation celu(
        x,
        /// The function tends to −alpha; it is smooth for every alpha.
        alpha: Positive = 1.0
    ) = V::select(x.le(V::constant(0.0)), alpha * (x / alpha).expm1(), x),
        from Output(y) => above(y, V::constant(1.0), y / alpha + V::constant(1.0)),
        example [-1.0, 2.0], 1.5 => [-0.7299, 2.0], kinks [0.0];
    /// Apply the logistic function.
    ///
    /// Elementwise: 1 / (1 + e^(−x)).
    Activation sigmoid(x) = x.sigmoid(), from Output(y) => y * (V::constant(1.0) - y),
        example [0.0, 2.0] => [0.5, 0.8808];
    /// Return the hyperbolic tangent.
    ///
    /// Elementwise: tanh x.
    Activation tanh(x) = x.tanh(), from Output(y) => y.neg_mul_add(y, V::constant(1.0)),
        example [0.0, 2.0] => [0.0, 0.964];
    /// Rectify smoothly.
    ///
    /// Elementwise: ln(1 + e^x).
    Activation softplus(x) = x.softplus(), from Input(x) => x.sigmoid(),
        example [-1.0, 2.0] => [0.3133, 2.1269];
    /// Apply the softsign.
    ///
    /// Elementwise: x / (1 + |x|).
    Activation softsign(x) = {
        let x = bounded(x);
        x / (V::constant(1.0) + x.abs())
    }, from Input(x) => {
        let d = V::constant(1.0) + x.abs();
        (d * d).recip()
    }, example [-1.0, 3.0] => [-0.5, 0.75], kinks [0.0];
    /// Apply the sigmoid-weighted unit, also called swish (Ramachandran et al. 2017).
    ///
    /// Elementwise: x · sigmoid(x).
    Activation silu(x) = bounded_below(x) * x.sigmoid(), from Input(x) => {
        let s = x.sigmoid();
        s.mul_add(bounded(x) * (V::constant(1.0) - s), s)
    }, example [-1.0, 2.0] => [-0.2689, 1.7616];
    /// Apply the Gaussian error unit (Hendrycks & Gimpel 2016), exactly.
    ///
    /// Elementwise: x · Φ(x), Φ the normal distribution function.
    WrappedActivation gelu(x) = bounded_below(x) * x.normal_cdf(), from Input(x) => {
        let density = V::constant(0.398_942_280_401_432_7) * (V::constant(-0.5) * x * x).exp();
        // Beyond overflow of x² the density is 0 and x·0 is wanted, not inf·0.
        let tail = V::select(density.eq(V::constant(0.0)), V::constant(0.0), x * density);
        x.normal_cdf() + tail
    }, example [-1.0, 2.0] => [-0.1587, 1.9545];
    /// Apply the tanh approximation of `gelu`.
    ///
    /// Elementwise: x/2 · (1 + tanh(√(2/π) · (x + 0.044715x³))).
    // As x · sigmoid(2u), u the argument of tanh: without the cancellation where tanh is near -1.
    Method gelu_tanh(x) = bounded_below(x) * (x * gelu_steepness(x)).sigmoid(), from Input(x) => {
        let s = (x * gelu_steepness(x)).sigmoid();
        // Far out s is 0 or 1, and its derivative 0.
        let x = V::constant(100.0).min(V::constant(-100.0).max(x));
        let rise = V::constant(6.0 * GELU_RATE * GELU_CUBIC).mul_add(x * x, V::constant(2.0 * GELU_RATE));
        s.mul_add(x * rise * (V::constant(1.0) - s), s)
    }, example [-1.0, 2.0] => [-0.1588, 1.9546];
    /// Apply Mish (Misra 2019).
    ///
    /// Elementwise: x · tanh(softplus(x)).
    Activation mish(x) = bounded_below(x) * x.softplus().tanh(), from Input(x) => {
        let t = x.softplus().tanh();
        t + bounded(x) * x.sigmoid() * t.neg_mul_add(t, V::constant(1.0))
    }, example [-1.0, 2.0] => [-0.3034, 1.944];
    /// Apply the logistic function made of three straight pieces; at ±3 the slope is 1/6.
    ///
    /// Elementwise: x/6 + ½ held to [0, 1].
    Activation hard_sigmoid(x) = {
        let y = x.mul_add(V::constant(1.0 / 6.0), V::constant(0.5));
        let y = V::select(y.lt(V::constant(0.0)), V::constant(0.0), y);
        V::select(V::constant(1.0).lt(y), V::constant(1.0), y)
    }, from Input(x) => V::constant(1.0 / 6.0) * within(x, V::constant(-3.0), V::constant(3.0)),
        example [-4.0, 1.5] => [0.0, 0.75], kinks [-3.0, 3.0];
    /// Apply the hyperbolic tangent made of three straight pieces; at ±1 the slope is 1.
    ///
    /// Elementwise: x held to [−1, 1].
    Activation hard_tanh(x) = {
        let y = V::select(x.lt(V::constant(-1.0)), V::constant(-1.0), x);
        V::select(V::constant(1.0).lt(y), V::constant(1.0), y)
    }, from Input(x) => within(x, V::constant(-1.0), V::constant(1.0)),
        example [-4.0, 0.5] => [-1.0, 0.5], on -2.0 to 2.0, kinks [-1.0, 1.0];
    /// Apply `silu` with the hard sigmoid, also called hard swish (Howard et al. 2019).
    ///
    /// Elementwise: x · `hard_sigmoid`(x). The derivative at ±3 is that of the middle piece.
    Activation hard_silu(x) = {
        let three = V::constant(3.0);
        let inside = x * (x + three) * V::constant(1.0 / 6.0);
        let y = V::select(x.le(-three), V::constant(0.0), inside);
        V::select(three.le(x), x, y)
    }, from Input(x) => {
        let three = V::constant(3.0);
        let inside = (x + x + three) * V::constant(1.0 / 6.0);
        let d = V::select(x.lt(-three), V::constant(0.0), inside);
        V::select(three.lt(x), V::constant(1.0), d)
    }, example [-1.0, 2.0] => [-0.3333, 1.6667], kinks [-3.0, 3.0];
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

/// Applies a function and records it.
pub fn unary<F: Unary>(function: F, x: &Tensor) -> Result<Tensor> {
    function.check(x.dtype())?;
    let y = map(F::NAME, Value(function), [x])?;
    Ok(y.recorded_of(F::NAME, x, |y| {
        let kept = Saved::new(if F::KEEPS == Keeps::Input { x } else { y });
        move |grad| slope(function, grad, kept.get()?)
    }))
}

/// `grad · f'(kept)`.
pub(crate) fn slope<F: Unary>(function: F, grad: &Tensor, kept: &Tensor) -> Result<Tensor> {
    map(F::NAME, Slope(function), [grad, kept])
}
