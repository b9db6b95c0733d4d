//! The one error type of the core. Each variant names the kind of mistake; its text names the operation or
//! argument, what was expected, what came, and the likely fix.

use std::fmt;
use std::sync::Arc;

/// An error of code that the host had the core call, such as a hook: the core passes it through as it is.
#[derive(Clone)]
pub struct HostError(Arc<dyn std::error::Error + Send + Sync>);

impl HostError {
    /// Wraps the host's own error.
    pub fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }

    /// The host's error again, if it is of that type.
    pub fn get<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl PartialEq for HostError {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for HostError {}

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
    /// Values of a tensor asked for while a step is being captured: the replay would not read them again.
    #[error("{0}")]
    Capture(String),
    /// A capture that recorded no launch: there is nothing to replay.
    #[error("{0}")]
    EmptyCapture(String),
    /// A defect of the library itself.
    #[error("{0}")]
    Internal(String),
    /// An error of the host's own code.
    #[error("{0}")]
    Host(HostError),
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
