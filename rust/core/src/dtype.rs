//! Element types. Arithmetic is `f32` or `f64`; integers are labels and indices; booleans are masks.

use crate::error::{Result, bail};
use crate::kernels::math::Real;
use crate::kernels::simd::Scalar;

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// Truth values, one byte each.
    Bool,
    /// Labels and indices.
    I64,
    /// The default for arithmetic.
    F32,
    /// For gradient checks and oracles.
    F64,
}

impl DType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// NumPy's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I64 => "int64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// True for `f32` and `f64`.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// An error that names `operation` unless this is a floating-point type.
    pub fn require_float(self, operation: &str) -> Result<()> {
        if !self.is_float() {
            bail!(
                Type,
                "{operation}: expected a float32 or float64 tensor, got {}; convert it with .astype(\"float32\")",
                self.name()
            );
        }
        Ok(())
    }

    /// An error unless `other` is this type.
    pub(crate) fn require_same(self, operation: &str, other: Self) -> Result<()> {
        if self != other {
            let (one, other) = (self.name(), other.name());
            bail!(
                Type,
                "{operation}: expected tensors of one dtype, got {one} and {other}; convert one with .astype(...)"
            );
        }
        Ok(())
    }

    /// An error unless the argument `what`, of type `own`, has this type of x.
    pub(crate) fn require_of(self, operation: &str, what: &str, own: Self) -> Result<()> {
        if self != own {
            let (x, own) = (self.name(), own.name());
            bail!(
                Type,
                "{operation}: x is {x} but the {what} is {own}; convert x with .astype(\"{own}\")"
            );
        }
        Ok(())
    }
}

/// A Rust type that a tensor can hold.
pub trait Element: Copy + Send + Sync + PartialOrd + std::fmt::Debug + 'static {
    /// Its tag.
    const DTYPE: DType;
    /// Rounds a number; booleans are true for anything but zero.
    fn from_f64(x: f64) -> Self;
    /// Widens to `f64`.
    fn to_f64(self) -> f64;
}

/// Booleans are bytes, so that recycled memory is always a valid value.
impl Element for u8 {
    const DTYPE: DType = DType::Bool;
    fn from_f64(x: f64) -> Self {
        Self::from(x != 0.0)
    }
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self != 0))
    }
}

impl Element for i64 {
    const DTYPE: DType = DType::I64;
    fn from_f64(x: f64) -> Self {
        x as Self
    }
    fn to_f64(self) -> f64 {
        self as f64
    }
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
    fn from_f64(x: f64) -> Self {
        x as Self
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Element for f64 {
    const DTYPE: DType = DType::F64;
    fn from_f64(x: f64) -> Self {
        x
    }
    fn to_f64(self) -> f64 {
        self
    }
}

/// An element type with arithmetic and vectors.
pub trait Float: Element + Real + Scalar {}

impl Float for f32 {}
impl Float for f64 {}

/// Runs the body with `$t` bound to the Rust type of a floating-point [`DType`].
macro_rules! with_float {
    ($dtype:expr, $operation:expr, $t:ident => $body:expr) => {
        match $dtype {
            $crate::dtype::DType::F32 => {
                type $t = f32;
                $body
            }
            $crate::dtype::DType::F64 => {
                type $t = f64;
                $body
            }
            other => {
                other.require_float($operation)?;
                unreachable!("require_float refuses every other type")
            }
        }
    };
}
pub(crate) use with_float;

/// Runs the body with `$t` bound to the Rust type of any [`DType`].
macro_rules! with_element {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            $crate::dtype::DType::Bool => {
                type $t = u8;
                $body
            }
            $crate::dtype::DType::I64 => {
                type $t = i64;
                $body
            }
            $crate::dtype::DType::F32 => {
                type $t = f32;
                $body
            }
            $crate::dtype::DType::F64 => {
                type $t = f64;
                $body
            }
        }
    };
}
pub(crate) use with_element;
