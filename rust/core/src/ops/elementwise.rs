//! Functions of one number: each is one row of the table below, with its value, its derivative and what the
//! derivative is computed from. A row is all there is to add.

use smallvec::smallvec;

use crate::error::Result;
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

/// A differentiable function of one number.
pub trait Unary: Copy + Send + Sync + 'static {
    /// The operation's name.
    const NAME: &'static str;
    /// What the derivative is computed from.
    const KEEPS: Keeps;
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
        map_into(F::NAME, Value(*self), [x], out)
    }
    fn slope(&self, grad: &Tensor, kept: &Tensor) -> Result<Tensor> {
        slope(*self, grad, kept)
    }
}

/// Expands each row to a type in [`functions`], a method of [`Tensor`] and an entry of [`UNARY_NAMES`].
macro_rules! elementwise {
    ($( $(#[$doc:meta])* $name:ident($x:ident $(; $($p:ident),+)?) = $value:expr,
        from $keeps:ident($k:ident) => $derivative:expr; )+) => {
        /// The functions as types, for kernels that fuse them.
        pub mod functions {
            use super::{Keeps, SELU_ALPHA, SELU_SCALE, Unary, VectorMath, positive, signum};
            $(
                $(#[$doc])*
                #[allow(non_camel_case_types, reason = "one name for the operation, its type and its method")]
                #[derive(Debug, Clone, Copy)]
                pub struct $name { $($( #[doc = "Parameter of the function."] pub $p: f64 ),+)? }
                impl Unary for $name {
                    const NAME: &'static str = stringify!($name);
                    const KEEPS: Keeps = Keeps::$keeps;
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
    sign(x) = signum(x), from Input(x) => x * V::constant(0.0);
    /// Sine.
    sin(x) = x.sin(), from Input(x) => x.cos();
    /// Cosine.
    cos(x) = x.cos(), from Input(x) => -x.sin();
    /// The error function.
    erf(x) = x.erf(), from Input(x) => V::constant(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp();
    /// x held to [low, high]; the derivative at a bound is 1, outside 0.
    clamp(x; low, high) = {
        let y = V::select(x.lt(low), low, x);
        V::select(high.lt(y), high, y)
    }, from Input(x) => {
        let inside = V::mask_and(low.le(x), x.le(high));
        V::select(inside, V::constant(1.0), V::constant(0.0))
    };
    /// x to a fixed power, by the general formula: `Tensor::pow_scalar` knows the short ways.
    power(x; exponent) = x.powf(exponent), from Input(x) => {
        // At exponent 0 the derivative is 0 everywhere; the formula would give 0 * inf at x = 0.
        let zero = V::constant(0.0);
        V::select(exponent.eq(zero), zero, exponent * x.powf(exponent - V::constant(1.0)))
    };

    /// max(0, x); the derivative at zero is 0. NaN stays NaN.
    relu(x) = V::select(x.le(V::constant(0.0)), V::constant(0.0), x),
        from Output(y) => positive(y);
    /// min(max(0, x), 6).
    relu6(x) = {
        let y = V::select(x.le(V::constant(0.0)), V::constant(0.0), x);
        V::select(V::constant(6.0).le(y), V::constant(6.0), y)
    }, from Output(y) => V::select(y.lt(V::constant(6.0)), positive(y), V::constant(0.0));
    /// x where positive, else `negative_slope`·x; the derivative at zero is the slope.
    leaky_relu(x; negative_slope) = V::select(x.le(V::constant(0.0)), negative_slope * x, x),
        from Input(x) => V::select(x.le(V::constant(0.0)), negative_slope, V::constant(1.0));
    /// x where positive, else alpha·(e^x - 1) (Clevert et al. 2015); the left derivative alpha stands at zero.
    elu(x; alpha) = V::select(x.le(V::constant(0.0)), alpha * x.expm1(), x),
        from Output(y) => V::select(y.le(V::constant(0.0)), y + alpha, V::constant(1.0));
    /// λx where positive, else λα(e^x - 1), with the constants that keep mean 0 and variance 1
    /// (Klambauer et al. 2017).
    selu(x) = {
        let negative = V::constant(SELU_SCALE * SELU_ALPHA) * x.expm1();
        V::select(x.le(V::constant(0.0)), negative, V::constant(SELU_SCALE) * x)
    }, from Output(y) => {
        let negative = y + V::constant(SELU_SCALE * SELU_ALPHA);
        V::select(y.le(V::constant(0.0)), negative, V::constant(SELU_SCALE))
    };
    /// x where positive, else alpha·(e^(x/alpha) - 1) (Barron 2017): smooth for every alpha.
    celu(x; alpha) = V::select(x.le(V::constant(0.0)), alpha * (x / alpha).expm1(), x),
        from Output(y) => V::select(y.le(V::constant(0.0)), y / alpha + V::constant(1.0), V::constant(1.0));
    /// The logistic function 1 / (1 + e^-x).
    sigmoid(x) = x.sigmoid(), from Output(y) => y * (V::constant(1.0) - y);
    /// Hyperbolic tangent.
    tanh(x) = x.tanh(), from Output(y) => y.neg_mul_add(y, V::constant(1.0));
    /// ln(1 + e^x).
    softplus(x) = x.softplus(), from Input(x) => x.sigmoid();
    /// x / (1 + |x|).
    softsign(x) = x / (V::constant(1.0) + x.abs()), from Input(x) => {
        let d = V::constant(1.0) + x.abs();
        (d * d).recip()
    };
    /// x·sigmoid(x), also called swish.
    silu(x) = x * x.sigmoid(), from Input(x) => {
        let s = x.sigmoid();
        s.mul_add(x * (V::constant(1.0) - s), s)
    };
    /// x·Φ(x) with the normal distribution function Φ (Hendrycks & Gimpel 2016), not the tanh approximation.
    gelu(x) = x * x.normal_cdf(), from Input(x) => {
        let density = V::constant(0.398_942_280_401_432_7) * (V::constant(-0.5) * x * x).exp();
        // Beyond overflow of x² the density is 0 and x·0 is wanted, not inf·0.
        let tail = V::select(density.eq(V::constant(0.0)), V::constant(0.0), x * density);
        x.normal_cdf() + tail
    };
    /// x·tanh(softplus(x)) (Misra 2019).
    mish(x) = x * x.softplus().tanh(), from Input(x) => {
        let t = x.softplus().tanh();
        t + x * x.sigmoid() * t.neg_mul_add(t, V::constant(1.0))
    };
    /// x/6 + 1/2 held to [0, 1].
    hard_sigmoid(x) = {
        let y = x.mul_add(V::constant(1.0 / 6.0), V::constant(0.5));
        let y = V::select(y.lt(V::constant(0.0)), V::constant(0.0), y);
        V::select(V::constant(1.0).lt(y), V::constant(1.0), y)
    }, from Input(x) => V::select(x.abs().lt(V::constant(3.0)), V::constant(1.0 / 6.0), V::constant(0.0));
    /// x held to [-1, 1].
    hard_tanh(x) = {
        let y = V::select(x.lt(V::constant(-1.0)), V::constant(-1.0), x);
        V::select(V::constant(1.0).lt(y), V::constant(1.0), y)
    }, from Input(x) => V::select(x.abs().lt(V::constant(1.0)), V::constant(1.0), V::constant(0.0));
    /// x·`hard_sigmoid`(x), also called hard swish.
    hard_silu(x) = {
        let three = V::constant(3.0);
        let inside = x * (x + three) * V::constant(1.0 / 6.0);
        let y = V::select(x.le(-three), V::constant(0.0), inside);
        V::select(three.le(x), x, y)
    }, from Input(x) => {
        let three = V::constant(3.0);
        let inside = (x + x + three) * V::constant(1.0 / 6.0);
        let d = V::select(x.le(-three), V::constant(0.0), inside);
        V::select(three.le(x), V::constant(1.0), d)
    };
}

/// α of SELU, from the closed form of Klambauer et al. 2017.
pub const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
/// λ of SELU.
pub const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

/// 1 where x > 0, NaN where it is NaN, else 0.
#[inline(always)]
fn positive<V: VectorMath>(x: V) -> V {
    let one = V::select(V::constant(0.0).lt(x), V::constant(1.0), V::constant(0.0));
    V::select(x.is_nan(), x, one)
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
