//! Optimizer update kernel: the loop of an update rule, one pass over gradient, parameter and slots, in place.

use super::math::{Real, VectorMath};
use super::simd::{Chain, Kernel, Scalar, Simd, Vector, dispatch};

/// How many scalars a rule may compute once a step.
pub const SCALARS: usize = 8;

/// Behind them: the share of the parameter that is taken off before the update, the factor with which it is added to
/// the gradient, and the gate, 0 in a step without update.
pub const STEP_SCALARS: usize = SCALARS + 3;

/// Where the gate stands.
pub const GATE: usize = SCALARS + 2;

/// The arithmetic of an update rule with `SLOTS` values of state for each parameter.
pub trait Rule<const SLOTS: usize>: Copy + Send + Sync + 'static {
    /// The new parameter; the slots are updated in place. Must be `#[inline(always)]`.
    fn update<V: VectorMath>(
        self,
        scalars: &[V; SCALARS],
        parameter: V,
        gradient: V,
        slots: &mut [V; SLOTS],
    ) -> V;
}

/// Where an update finds its arrays.
pub struct Arrays<T, const SLOTS: usize> {
    /// Gradients, read.
    pub gradient: *const T,
    /// Parameters, updated.
    pub parameter: *mut T,
    /// State, updated.
    pub slots: [*mut T; SLOTS],
}

/// Which elements of the arrays an update takes: `rows` pieces of `len`, each so many elements behind the one before.
#[derive(Debug, Clone, Copy)]
pub struct Pieces {
    /// How many pieces.
    pub rows: usize,
    /// Elements of a piece.
    pub len: usize,
    /// Elements from one piece to the next in parameter and slots.
    pub row: usize,
    /// The same in the gradient.
    pub gradient_row: usize,
}

impl Pieces {
    /// A single piece.
    pub fn one(len: usize) -> Self {
        Self { rows: 1, len, row: len, gradient_row: len }
    }
}

struct Update<'a, R, T, const SLOTS: usize> {
    rule: R,
    scalars: &'a [f64; STEP_SCALARS],
    arrays: Arrays<T, SLOTS>,
    pieces: Pieces,
}

impl<R: Rule<SLOTS>, T: Scalar + Real, const SLOTS: usize> Kernel for Update<'_, R, T, SLOTS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let lanes = <T::V<S> as Vector>::LANES;
        let scalars = std::array::from_fn(|i| T::V::<S>::constant(self.scalars[i]));
        let [decoupled, coupled] = [self.scalars[SCALARS], self.scalars[SCALARS + 1]];
        for piece in 0..self.pieces.rows {
            let (of_gradient, of_others) =
                (piece * self.pieces.gradient_row, piece * self.pieces.row);
            let mut at = 0;
            while at < self.pieces.len {
                let left = self.pieces.len - at;
                // SAFETY: `update` asks for it: all elements of the range are valid.
                unsafe {
                    let parameter = self.arrays.parameter.add(of_others + at);
                    let mut g = T::V::<S>::read(self.arrays.gradient.add(of_gradient + at), left);
                    let mut w = T::V::<S>::read(parameter, left);
                    if decoupled != 0.0 {
                        w = w.neg_mul_add(T::V::<S>::constant(decoupled), w);
                    }
                    if coupled != 0.0 {
                        g = w.mul_add(T::V::<S>::constant(coupled), g);
                    }
                    let mut slots = [g; SLOTS];
                    for (slot, from) in slots.iter_mut().zip(self.arrays.slots) {
                        *slot = T::V::<S>::read(from.add(of_others + at), left);
                    }
                    self.rule.update(&scalars, w, g, &mut slots).write(parameter, left);
                    for (slot, to) in slots.into_iter().zip(self.arrays.slots) {
                        slot.write(to.add(of_others + at), left);
                    }
                }
                at += lanes;
            }
        }
    }
}

/// Applies a rule to the pieces of the arrays.
///
/// # Safety
/// Each array is valid at all elements of the pieces, the arrays do not overlap, and nobody else touches these elements
/// meanwhile.
pub unsafe fn update<R: Rule<SLOTS>, T: Scalar + Real, const SLOTS: usize>(
    rule: R,
    scalars: &[f64; STEP_SCALARS],
    arrays: Arrays<T, SLOTS>,
    pieces: Pieces,
) {
    dispatch(Update { rule, scalars, arrays, pieces });
}

/// Zero in place of a number too small to be normal: arithmetic with subnormals is slow by a hundredfold on many
/// processors, and moments decay through them for ever.
#[inline(always)]
pub fn flush<V: VectorMath>(x: V) -> V
where
    V::Elem: Real,
{
    let smallest = V::constant(<V::Elem as super::math::Layout>::MIN_NORMAL);
    V::select(x.abs().lt(smallest), V::constant(0.0), x)
}
