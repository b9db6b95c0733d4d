//! What the intrinsic backends share: methods and operators whose bodies are intrinsics.

/// Methods of a vector in terms of intrinsics: each is inlined into its kernel.
macro_rules! in_isa {
    ($(fn $name:ident $(<const $n:ident: u32>)? ($($args:tt)*) -> $ret:ty $body:block)*) => {$(
        #[inline(always)]
        #[allow(unused_unsafe, clippy::cast_lossless, reason = "one pattern for all bodies")]
        fn $name$(<const $n: u32>)?($($args)*) -> $ret {
            // SAFETY: the backends are private to `simd`, and `dispatch` alone hands their vectors out, after
            // it has found the instruction set on this processor.
            unsafe { $body }
        }
    )*};
}

/// The same for methods that take pointers.
macro_rules! in_isa_raw {
    ($(unsafe fn $name:ident ($($args:tt)*) -> $ret:ty $body:block)*) => {$(
        #[inline(always)]
        #[allow(
            clippy::needless_range_loop,
            clippy::cast_ptr_alignment,
            reason = "transposes read as index equations; loads that are wider than elements ask no alignment"
        )]
        unsafe fn $name($($args)*) -> $ret {
            // SAFETY: as for the other methods, and the caller's promise on the pointer: unaligned loads and
            // stores touch the lanes they are asked for and no others.
            unsafe { $body }
        }
    )*};
}

/// The operators of a vector, each one intrinsic.
macro_rules! operators {
    ($vector:ident: $($trait:ident $method:ident $intrinsic:ident),*) => {$(
        impl core::ops::$trait for $vector {
            type Output = Self;
            in_isa! { fn $method(self, other: Self) -> Self { Self($intrinsic(self.0, other.0)) } }
        }
    )*};
}

pub(super) use {in_isa, in_isa_raw, operators};
