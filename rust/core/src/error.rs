//! The one error type of the core. Each variant names the kind of mistake; its text names the operation or
//! argument, what was expected, what came, and the likely fix.

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Shapes that do not fit together.
    #[error("{0}")]
    Shape(String),
    /// A value outside what the operation accepts.
    #[error("{0}")]
    Value(String),
    /// A data type that the operation does not take.
    #[error("{0}")]
    Type(String),
    /// An index outside the tensor.
    #[error("{0}")]
    Index(String),
    /// More memory than there is, or than can be addressed.
    #[error("{0}")]
    Memory(String),
    /// A call in the wrong order, such as a second backward pass through a freed graph.
    #[error("{0}")]
    State(String),
    /// A defect of the library itself.
    #[error("{0}")]
    Internal(String),
}

/// The core's result type.
pub type Result<T> = core::result::Result<T, Error>;

/// Returns an [`Error`] of the given variant with a formatted text.
macro_rules! bail {
    ($kind:ident, $($arg:tt)*) => {
        return Err($crate::error::Error::$kind(format!($($arg)*)))
    };
}
pub(crate) use bail;
