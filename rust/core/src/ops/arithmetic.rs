//! Binary operators of tensors, with NumPy's broadcasting.

use smallvec::smallvec;

use crate::dtype::{DType, Element, with_element};
use crate::error::Result;
use crate::kernels::map::Lanewise;
use crate::kernels::math::VectorMath;
use crate::launch::{Cost, Operand, launch};
use crate::layout::{Shape, broadcast};
use crate::ops::elementwise::{leak, leak_slope};
use crate::ops::lanewise::map;
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// Declares lane-wise functions of several numbers.
macro_rules! lanewise {
    ($( $name:ident($($x:ident),+) = $value:expr; )+) => { $(
        #[derive(Clone, Copy)]
        struct $name;
        impl Lanewise<{ [$(stringify!($x)),+].len() }> for $name {
            #[inline(always)]
            fn apply<V: VectorMath>(self, [$($x),+]: [V; [$(stringify!($x)),+].len()]) -> V { $value }
        }
    )+ };
}

lanewise! {
    Add(x, y) = x + y;
    Subtract(x, y) = x - y;
    Multiply(x, y) = x * y;
    Divide(x, y) = x / y;
    Power(x, y) = x.powf(y);
    // NaN in either wins, so that a bad value is never hidden.
    Maximum(x, y) = V::select(V::mask_or(y.lt(x), x.is_nan()), x, y);
    Minimum(x, y) = V::select(V::mask_or(x.lt(y), x.is_nan()), x, y);
    // x where positive, else y x.
    Leak(x, y) = leak(x, y);
    LeakSlope(g, x, y) = g * leak_slope(x, y);
    // ∂/∂y of that, times g.
    LeakRateSlope(g, x) = g * V::constant(0.0).min(x);
    // ∂(x/y)/∂y = -x/y², times g.
    DivideSlope(g, x, y) = -(g * x / (y * y));
    // ∂x^y/∂x = y x^(y-1): 0 where y = 0, where the formula could be 0 * inf.
    PowerBaseSlope(g, x, y) = {
        let zero = V::constant(0.0);
        V::select(y.eq(zero), zero, g * y * x.powf(y - V::constant(1.0)))
    };
    // ∂x^y/∂y = x^y ln x: 0 at x = 0 (for y >= 0), as the limit has it.
    PowerExponentSlope(g, x, y) = {
        let zero = V::constant(0.0);
        V::select(V::mask_and(x.eq(zero), zero.le(y)), zero, g * x.powf(y) * x.ln())
    };
    // g to the larger argument, half to each at a tie.
    LargerSlope(g, x, y) = {
        let tie = V::select(x.eq(y), V::constant(0.5) * g, V::constant(0.0));
        V::select(y.lt(x), g, tie)
    };
    SmallerSlope(g, x, y) = {
        let tie = V::select(x.eq(y), V::constant(0.5) * g, V::constant(0.0));
        V::select(x.lt(y), g, tie)
    };
}

#[derive(Clone, Copy)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Maximum,
    Minimum,
    Leak,
}

impl Operator {
    const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
            Self::Power => "pow",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::Leak => "prelu",
        }
    }

    fn value(self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let name = self.name();
        match self {
            Self::Add => map(name, Add, [x, y]),
            Self::Subtract => map(name, Subtract, [x, y]),
            Self::Multiply => map(name, Multiply, [x, y]),
            Self::Divide => map(name, Divide, [x, y]),
            Self::Power => map(name, Power, [x, y]),
            Self::Maximum => map(name, Maximum, [x, y]),
            Self::Minimum => map(name, Minimum, [x, y]),
            Self::Leak => map(name, Leak, [x, y]),
        }
    }

    /// g · ∂/∂x, before the sum over broadcast dimensions.
    fn first_slope(self, g: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let name = self.name();
        match self {
            Self::Add | Self::Subtract => Ok(g.clone()),
            Self::Multiply => map(name, Multiply, [g, y]),
            Self::Divide => map(name, Divide, [g, y]),
            Self::Power => map(name, PowerBaseSlope, [g, x, y]),
            Self::Maximum => map(name, LargerSlope, [g, x, y]),
            Self::Minimum => map(name, SmallerSlope, [g, x, y]),
            Self::Leak => map(name, LeakSlope, [g, x, y]),
        }
    }

    /// g · ∂/∂y, before the sum over broadcast dimensions.
    fn second_slope(self, g: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let name = self.name();
        match self {
            Self::Add => Ok(g.clone()),
            Self::Subtract => g.neg(),
            Self::Multiply => map(name, Multiply, [g, x]),
            Self::Divide => map(name, DivideSlope, [g, x, y]),
            Self::Power => map(name, PowerExponentSlope, [g, x, y]),
            Self::Maximum => map(name, LargerSlope, [g, y, x]),
            Self::Minimum => map(name, SmallerSlope, [g, y, x]),
            Self::Leak => map(name, LeakRateSlope, [g, x]),
        }
    }

    /// True where the slopes read the arguments.
    const fn keeps_arguments(self) -> bool {
        !matches!(self, Self::Add | Self::Subtract)
    }
}

struct BinaryBackward {
    operator: Operator,
    shapes: [Shape; 2],
    arguments: Option<[Saved; 2]>,
}

impl Backward for BinaryBackward {
    fn backward(&self, grad: &Tensor, needs: &[bool]) -> Result<Gradients> {
        let (x, y) = match &self.arguments {
            Some([x, y]) => (x.get()?, y.get()?),
            None => (grad, grad),
        };
        let first = || self.operator.first_slope(grad, x, y)?.sum_to(&self.shapes[0]);
        let second = || self.operator.second_slope(grad, x, y)?.sum_to(&self.shapes[1]);
        Ok(smallvec![needs[0].then(first).transpose()?, needs[1].then(second).transpose()?])
    }
}

fn binary(operator: Operator, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (x, y) = promote(operator.name(), x, y)?;
    let (x, y) = (&x, &y);
    Ok(operator.value(x, y)?.recorded(operator.name(), &[x, y], |_| BinaryBackward {
        operator,
        shapes: [x.shape().into(), y.shape().into()],
        arguments: operator.keeps_arguments().then(|| [Saved::new(x), Saved::new(y)]),
    }))
}

/// Both tensors in the wider of their floating-point types; integers and booleans follow the other's type.
fn promote(name: &str, x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    let dtype = x.dtype().max(y.dtype());
    dtype.require_float(name)?;
    Ok((x.cast(dtype)?, y.cast(dtype)?))
}

impl Tensor {
    /// x + y.
    pub fn add(&self, other: &Self) -> Result<Self> {
        binary(Operator::Add, self, other)
    }
    /// x - y.
    pub fn sub(&self, other: &Self) -> Result<Self> {
        binary(Operator::Subtract, self, other)
    }
    /// x · y, element by element.
    pub fn mul(&self, other: &Self) -> Result<Self> {
        binary(Operator::Multiply, self, other)
    }
    /// x / y.
    pub fn div(&self, other: &Self) -> Result<Self> {
        binary(Operator::Divide, self, other)
    }
    /// x^y, element by element.
    pub fn pow(&self, other: &Self) -> Result<Self> {
        binary(Operator::Power, self, other)
    }
    /// x to a fixed power. Powers 2, 1, ½ and -1 are the square, x itself, the root and the reciprocal: the same bits as
    /// those, and several times faster.
    pub fn pow_scalar(&self, exponent: f64) -> Result<Self> {
        match exponent {
            2.0 => self.square(),
            1.0 => Ok(self.clone()),
            0.5 => self.sqrt(),
            -1.0 => self.reciprocal(),
            _ => self.power(exponent),
        }
    }
    /// The larger of each pair; at a tie both get half the gradient.
    pub fn maximum(&self, other: &Self) -> Result<Self> {
        binary(Operator::Maximum, self, other)
    }
    /// The smaller of each pair; at a tie both get half the gradient.
    pub fn minimum(&self, other: &Self) -> Result<Self> {
        binary(Operator::Minimum, self, other)
    }
    /// x where positive, else `slope`·x; the derivative at zero is the slope (He et al. 2015).
    pub fn prelu(&self, slope: &Self) -> Result<Self> {
        binary(Operator::Leak, self, slope)
    }

    /// The elements converted to another type; differentiable between floating-point types.
    pub fn cast(&self, dtype: DType) -> Result<Self> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        let x = self.packed()?;
        let out = Self::empty(x.shape(), dtype)?;
        let cost = Cost::elementwise(x.count(), 1.0, 3, dtype);
        let operands = smallvec![Operand::read_own(&x, 1), Operand::write_own(&out, 1)];
        with_element!(x.dtype(), A => with_element!(dtype, B => launch("cast", x.count(), cost, operands,
        move |items, arguments| {
            let from = arguments.own::<A>(0, &items);
            for (to, &from) in arguments.own_mut::<B>(1, &items).iter_mut().zip(from) {
                *to = B::from_f64(from.to_f64());
            }
        })))?;
        if !(dtype.is_float() && self.dtype().is_float()) {
            return Ok(out);
        }
        let own = self.dtype();
        Ok(out.recorded_of("cast", self, |_| move |grad| grad.cast(own)))
    }

    /// Truth of `x ? y` for each pair, as a boolean tensor.
    pub fn compare(&self, other: &Self, comparison: Comparison) -> Result<Self> {
        let dtype = self.dtype().max(other.dtype());
        let shape = broadcast(comparison.name(), self.shape(), other.shape())?;
        let widen = |t: &Self| -> Result<Self> {
            let t = t.detach().cast(dtype)?;
            t.view(t.layout().broadcast_to(comparison.name(), &shape)?).packed()
        };
        let (x, y) = (widen(self)?, widen(other)?);
        let out = Self::empty(&shape, DType::Bool)?;
        let n = out.count();
        let operands = smallvec![
            Operand::read_own(&x, 1),
            Operand::read_own(&y, 1),
            Operand::write_own(&out, 1)
        ];
        let cost = Cost::elementwise(n, 1.0, 3, dtype);
        with_element!(dtype, T => launch(comparison.name(), n, cost, operands,
        move |items, arguments| {
            let pairs = arguments.own::<T>(0, &items).iter().zip(arguments.own::<T>(1, &items));
            for (to, (x, y)) in arguments.own_mut::<u8>(2, &items).iter_mut().zip(pairs) {
                *to = u8::from(comparison.holds(x, y));
            }
        }))?;
        Ok(out)
    }

    /// `yes` where `mask` is true, else `no`.
    pub fn select(mask: &Self, yes: &Self, no: &Self) -> Result<Self> {
        let (yes, no) = promote("where", yes, no)?;
        let dtype = yes.dtype();
        // A product with 0 would turn an unchosen infinity into NaN, so the choice is made by value.
        let flags = mask.detach().cast(DType::Bool)?.cast(dtype)?;
        let out = map("where", Choose, [&flags, &yes, &no])?;
        Ok(out.recorded("where", &[&yes, &no], |_| SelectBackward {
            flags: Saved::new(&flags),
            shapes: [yes.shape().into(), no.shape().into()],
        }))
    }
}

lanewise! {
    Choose(flag, yes, no) = V::select(flag.eq(V::constant(0.0)), no, yes);
}

struct SelectBackward {
    flags: Saved,
    shapes: [Shape; 2],
}

impl Backward for SelectBackward {
    fn backward(&self, grad: &Tensor, needs: &[bool]) -> Result<Gradients> {
        let flags = self.flags.get()?;
        let zero = Tensor::zeros(&[], grad.dtype())?;
        let first = || map("where", Choose, [flags, grad, &zero])?.sum_to(&self.shapes[0]);
        let second = || map("where", Choose, [flags, &zero, grad])?.sum_to(&self.shapes[1]);
        Ok(smallvec![needs[0].then(first).transpose()?, needs[1].then(second).transpose()?])
    }
}

/// A comparison of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// x = y
    Equal,
    /// x ≠ y
    NotEqual,
    /// x < y
    Less,
    /// x ≤ y
    LessEqual,
    /// x > y
    Greater,
    /// x ≥ y
    GreaterEqual,
}

impl Comparison {
    const fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::NotEqual => "not_equal",
            Self::Less => "less",
            Self::LessEqual => "less_equal",
            Self::Greater => "greater",
            Self::GreaterEqual => "greater_equal",
        }
    }

    fn holds<T: PartialOrd>(self, x: &T, y: &T) -> bool {
        match self {
            Self::Equal => x == y,
            Self::NotEqual => x != y,
            Self::Less => x < y,
            Self::LessEqual => x <= y,
            Self::Greater => x > y,
            Self::GreaterEqual => x >= y,
        }
    }
}
