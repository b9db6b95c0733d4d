//! Which instruction set runs, and the functions compiled for each.

use core::fmt;
use std::sync::OnceLock;

use super::Simd;
#[cfg(all(target_arch = "x86_64", any(test, not(without_avx2))))]
use super::avx2::Avx2;
#[cfg(all(target_arch = "x86_64", not(without_avx512)))]
use super::avx512::Avx512;
#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
#[cfg(any(test, not(without_portable)))]
use super::portable::Portable;

/// A computation that runs on any instruction set.
///
/// `run` must be `#[inline(always)]`, and so must all it calls that touches vectors: only code inlined into
/// [`dispatch()`] is compiled for the instruction set.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// Runs it with the vectors of `S`.
    fn run<S: Simd>(self) -> Self::Output;
}

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// AVX-512 F, BW, DQ and VL: 512-bit vectors.
    Avx512,
    /// AVX2 with FMA: 256-bit vectors.
    Avx2,
    /// NEON: 128-bit vectors.
    Neon,
    /// No instruction set beyond the target's baseline.
    Portable,
}

impl Isa {
    /// Every instruction set, best first.
    const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// The name that `EVENGRAD_ISA` and reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// The instruction set of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(all(target_arch = "x86_64", not(without_avx512)))]
            Self::Avx512 => {
                has_avx2()
                    && std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512bw")
                    && std::is_x86_feature_detected!("avx512dq")
                    && std::is_x86_feature_detected!("avx512vl")
            }
            #[cfg(all(target_arch = "x86_64", any(test, not(without_avx2))))]
            Self::Avx2 => has_avx2(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[cfg(any(test, not(without_portable)))]
            Self::Portable => true,
            #[allow(unreachable_patterns, reason = "each architecture lacks the others' sets")]
            _ => false,
        }
    }

    /// The instruction sets of this processor, best first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// The wanted set where it is known and available, else the best there is.
    ///
    /// # Panics
    /// Where this was compiled for another machine alone.
    fn choose(wanted: Option<&str>) -> Self {
        wanted
            .and_then(Self::parse)
            .filter(|isa| isa.is_available())
            .or_else(|| Self::available().next())
            .expect("this was compiled for the instruction set of another processor alone; `make wheel` has all")
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The instruction set in use: the best available, or the one that the environment variable `EVENGRAD_ISA`
/// names. Chosen at the first call; an unknown or unavailable name counts as none.
pub fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| Isa::choose(std::env::var("EVENGRAD_ISA").ok().as_deref()))
}

/// Runs a kernel on the instruction set in use.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: isa() returns available sets only.
    unsafe { run_on(isa(), kernel) }
}

/// Runs a kernel on the given instruction set (to compare them on one machine).
///
/// # Panics
/// Where this processor lacks it.
pub fn dispatch_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    assert!(isa.is_available(), "this processor has no {isa}");
    // SAFETY: checked in the line above.
    unsafe { run_on(isa, kernel) }
}

/// # Safety
/// `isa` is available.
#[inline]
unsafe fn run_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        #[cfg(all(target_arch = "x86_64", not(without_avx512)))]
        // SAFETY: the caller's promise.
        Isa::Avx512 => unsafe { on_avx512(kernel) },
        #[cfg(all(target_arch = "x86_64", any(test, not(without_avx2))))]
        // SAFETY: the caller's promise.
        Isa::Avx2 => unsafe { on_avx2(kernel) },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => kernel.run::<Neon>(),
        #[cfg(any(test, not(without_portable)))]
        Isa::Portable => kernel.run::<Portable>(),
        #[allow(unreachable_patterns, reason = "each architecture lacks the others' sets")]
        _ => unreachable!("no kernels are compiled for {isa}"),
    }
}

#[cfg(all(target_arch = "x86_64", not(without_avx512)))]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn on_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}

#[cfg(all(target_arch = "x86_64", any(test, not(without_avx2))))]
#[target_feature(enable = "avx2,fma")]
fn on_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::Vector;

    #[test]
    fn names_parse_back() {
        for isa in Isa::ALL {
            assert_eq!(Isa::parse(isa.name()), Some(isa));
            assert_eq!(isa.to_string(), isa.name());
        }
        assert_eq!(Isa::parse("sse9"), None);
    }

    #[test]
    fn an_unusable_wish_counts_as_none() {
        let best = Isa::choose(None);
        assert_eq!(Isa::choose(Some("sse9")), best);
        assert_eq!(Isa::choose(Some("portable")), Isa::Portable);
        let absent = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
        assert_eq!(Isa::choose(Some(absent)), best);
    }

    #[test]
    fn each_set_runs_with_its_own_vectors() {
        struct Lanes;
        impl Kernel for Lanes {
            type Output = (usize, usize);
            #[inline(always)]
            fn run<S: Simd>(self) -> (usize, usize) {
                (S::F32::LANES, S::F64::LANES)
            }
        }
        for isa in Isa::available() {
            let expected = match isa {
                Isa::Avx512 => (16, 8),
                Isa::Avx2 => (8, 4),
                Isa::Neon | Isa::Portable => (4, 2),
            };
            assert_eq!(dispatch_on(isa, Lanes), expected, "{isa}");
        }
        assert_eq!(dispatch(Lanes), dispatch_on(isa(), Lanes));
    }

    #[test]
    #[should_panic(expected = "this processor has no")]
    fn a_missing_set_is_refused() {
        struct Nothing;
        impl Kernel for Nothing {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self) {}
        }
        let absent = if cfg!(target_arch = "aarch64") { Isa::Avx2 } else { Isa::Neon };
        dispatch_on(absent, Nothing);
    }
}
